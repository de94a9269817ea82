//! The table of all routes, with the permission that each needs, and the responses to requests without a route.
//!
//! Each group of routes is a module, with the JSON types of its handlers.

pub(crate) mod actors;
pub(crate) mod alarm_history;
pub(crate) mod alarm_rules;
pub(crate) mod alarms;
pub(crate) mod anomaly_history;
pub(crate) mod audit;
pub(crate) mod baselines;
pub(crate) mod dashboard;
pub(crate) mod description;
pub(crate) mod event_work;
pub(crate) mod handover;
pub(crate) mod health;
pub(crate) mod ingest;
pub(crate) mod live;
pub(crate) mod maintenance;
pub(crate) mod naming;
pub(crate) mod node;
pub(crate) mod oidc;
pub(crate) mod past_excursions;
pub(crate) mod planned_work;
pub(crate) mod profiles;
pub(crate) mod pumps;
pub(crate) mod roles;
pub(crate) mod second_factor;
pub(crate) mod sensor_history;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod simulation;
pub(crate) mod store;
pub(crate) mod stream;
pub(crate) mod tokens;
pub(crate) mod users;

use actix_web::{Handler, HttpRequest, Responder, Route, guard, middleware::from_fn, web};
use volute_access::Permission::{
    Acknowledge, Approve, ConfigurePumps, EditRules, Ingest, ManageProfiles, ManageTokens, ManageUsers, OperateNode,
    Plan, RemovePumps, Shelve, Simulate, Submit, View, ViewAudit,
};

use crate::{
    access::authorize,
    problem::ApiError,
    route_access::{
        Content::{self, ByHandler, Json, JsonOrCsv},
        Operation,
        RouteAccess::{self, Needs, Public, User},
    },
};

/// All routes of the API: each with the permission that it needs. The rows of a path are together.
///
/// The checks of a request (`access/gate.rs`), the API's description (`openapi.rs`) and the test of every route with
/// every role (`tests/it/access.rs`) are all made from this table, and the router has no other routes.
#[rustfmt::skip]
pub(crate) static API: [Operation; 76] = [
    order("POST", "/api/ingest", Needs(Ingest), ByHandler, || web::post().to(ingest::ingest)),
    read("/api/live-data", Needs(View), || get(live::live_data)),
    read("/api/sensor-history", Needs(View), || get(sensor_history::sensor_history)),
    read("/api/anomaly-history", Needs(View), || get(anomaly_history::anomaly_history)),
    read("/api/maintenance-events", Needs(View), || get(maintenance::maintenance_events)),
    read("/api/maintenance-events/{id}", Needs(View), || get(maintenance::maintenance_event)),
    order("POST", "/api/maintenance-events/{id}/acknowledge", Needs(Acknowledge), Json, || web::post().to(event_work::acknowledge_event)),
    order("POST", "/api/maintenance-events/{id}/plan", Needs(Plan), Json, || web::post().to(event_work::plan_event)),
    order("POST", "/api/maintenance-events/{id}/submit", Needs(Submit), Json, || web::post().to(event_work::submit_event)),
    order("POST", "/api/maintenance-events/{id}/approve", Needs(Approve), Json, || web::post().to(event_work::approve_event)),
    order("POST", "/api/maintenance-events/{id}/reject", Needs(Approve), Json, || web::post().to(event_work::reject_event)),
    order("POST", "/api/maintenance-events/{id}/finish", Needs(Plan), Json, || web::post().to(event_work::finish_event)),
    order("POST", "/api/maintenance-events/{id}/reopen", Needs(Plan), Json, || web::post().to(event_work::reopen_event)),
    read("/api/planned-work", Needs(View), || get(planned_work::planned_works)),
    read("/api/handover", Needs(View), || get(handover::handover)),
    order("POST", "/api/handover/seen", Needs(View), Json, || web::post().to(handover::handover_seen)),
    read("/api/alarms", Needs(View), || get(alarms::alarms)),
    order("POST", "/api/alarms/acknowledge", Needs(Acknowledge), Json, || web::post().to(alarms::acknowledge)),
    order("POST", "/api/alarms/reset", Needs(Acknowledge), Json, || web::post().to(alarms::reset_alarms)),
    order("POST", "/api/alarms/shelve", Needs(Shelve), Json, || web::post().to(alarms::shelve)),
    order("POST", "/api/alarms/unshelve", Needs(Shelve), Json, || web::post().to(alarms::unshelve)),
    order("POST", "/api/alarms/take-out-of-service", Needs(Shelve), Json, || web::post().to(alarms::take_out_of_service)),
    order("POST", "/api/alarms/return-to-service", Needs(Shelve), Json, || web::post().to(alarms::return_to_service)),
    read("/api/alarm-transitions", Needs(View), || get(alarm_history::transitions)),
    read("/api/alarm-metrics", Needs(View), || get(alarm_history::metrics)),
    read("/api/pumps", Needs(View), || get(pumps::pumps)),
    order("DELETE", "/api/pumps/{id}", Needs(RemovePumps), ByHandler, || web::delete().to(pumps::remove)),
    order("PATCH", "/api/pumps/{id}", Needs(ConfigurePumps), Json, || web::patch().to(naming::name)),
    read("/api/pumps/{id}/baselines", Needs(View), || get(baselines::baselines)),
    order("POST", "/api/pumps/{id}/baselines/{version}/activate", Needs(ConfigurePumps), Json, || web::post().to(baselines::activate)),
    order("POST", "/api/pumps/{id}/commission", Needs(ConfigurePumps), Json, || web::post().to(baselines::commission)),
    read("/api/pumps/{id}/alarms", Needs(View), || get(alarm_rules::alarm_definitions)),
    order("PUT", "/api/pumps/{id}/alarms", Needs(EditRules), Json, || web::put().to(alarm_rules::set_alarm_definitions)),
    order("POST", "/api/pumps/{id}/alarms/try", Needs(EditRules), Json, || web::post().to(alarm_rules::try_definition)),
    read("/api/pumps/{id}/past-excursions", Needs(View), || get(past_excursions::past_excursions)),
    order("POST", "/api/pumps/{id}/planned-work", Needs(Plan), Json, || web::post().to(planned_work::plan_work)),
    order("POST", "/api/pumps/{id}/planned-work/{work}/end", Needs(Plan), Json, || web::post().to(planned_work::end_work)),
    read("/api/pumps/{id}/settings", Needs(View), || get(settings::get)),
    order("PUT", "/api/pumps/{id}/settings", Needs(ConfigurePumps), Json, || web::put().to(settings::set)),
    read("/api/pumps/{id}/profile", Needs(View), || get(profiles::profile_of_pump)),
    order("PUT", "/api/pumps/{id}/profile", Needs(ConfigurePumps), Json, || web::put().to(profiles::assign_profile)),
    read("/api/profile", Needs(View), || get(pumps::profile)),
    read("/api/profiles", Needs(View), || get(profiles::profiles)),
    read("/api/profiles/{name}", Needs(View), || get(profiles::profile_named)),
    order("PUT", "/api/profiles/{name}", Needs(ManageProfiles), Json, || web::put().to(profiles::add_profile)),
    order("DELETE", "/api/profiles/{name}", Needs(ManageProfiles), ByHandler, || web::delete().to(profiles::remove_profile)),
    read("/api/node", Needs(View), || get(node::node)),
    read("/api/store", Needs(View), || get(store::store)),
    read("/api/actors", Needs(View), || get(actors::actors)),
    order("POST", "/api/actors/{id}/restart", Needs(OperateNode), Json, || web::post().to(actors::restart)),
    read("/api/audit-log", Needs(ViewAudit), || get(audit::audit_log)),
    read("/api/dead-letters", Needs(View), || get(actors::dead_letters)),
    order("POST", "/api/start-simulation", Needs(Simulate), JsonOrCsv, || web::post().to(simulation::start)),
    order("POST", "/api/stop-simulation", Needs(Simulate), Json, || web::post().to(simulation::stop)),
    read("/api/session", Public, || get(session::session)),
    order("POST", "/api/login", Public, Json, || web::post().to(session::login)),
    order("POST", "/api/setup", Public, Json, || web::post().to(session::set_up)),
    // No HEAD: the first begins a login, and the second ends it.
    order("GET", "/api/oidc/login", Public, ByHandler, || web::get().to(oidc::login)),
    order("GET", "/api/oidc/callback", Public, ByHandler, || web::get().to(oidc::callback)),
    order("POST", "/api/logout", User, Json, || web::post().to(session::logout)),
    order("POST", "/api/password", User, Json, || web::post().to(session::password)),
    order("POST", "/api/second-factor", User, Json, || web::post().to(second_factor::begin)),
    order("POST", "/api/second-factor/confirm", User, Json, || web::post().to(second_factor::confirm)),
    order("POST", "/api/second-factor/remove", User, Json, || web::post().to(second_factor::remove)),
    read("/api/roles", Needs(View), || get(roles::roles)),
    read("/api/users", Needs(ManageUsers), || get(users::users)),
    order("POST", "/api/users", Needs(ManageUsers), Json, || web::post().to(users::add)),
    order("PATCH", "/api/users/{name}", Needs(ManageUsers), Json, || web::patch().to(users::change)),
    order("POST", "/api/users/{name}/reset", Needs(ManageUsers), Json, || web::post().to(users::reset)),
    read("/api/tokens", Needs(ManageTokens), || get(tokens::tokens)),
    order("POST", "/api/tokens", Needs(ManageTokens), Json, || web::post().to(tokens::add)),
    order("DELETE", "/api/tokens/{id}", Needs(ManageTokens), ByHandler, || web::delete().to(tokens::revoke)),
    read("/healthz", Public, || get(health::healthz)),
    read("/readyz", Public, || get(health::readyz)),
    read("/api/openapi.json", Needs(View), || get(description::openapi_json)),
    // No HEAD: its response would never end.
    order("GET", "/api/stream", Needs(View), ByHandler, || web::get().to(stream::stream)),
];

/// The dashboard's pages and files. They contain nothing of the plant, and the page of the login is one of them.
#[rustfmt::skip]
static PAGES: [Operation; 13] = [
    read("/", Public, || get(dashboard::page)),
    read("/login", Public, || get(dashboard::page)),
    read("/setup", Public, || get(dashboard::page)),
    read("/pumps/{id}", Public, || get(dashboard::page)),
    read("/alarms", Public, || get(dashboard::page)),
    read("/alarms/{pump}/{alarm}", Public, || get(dashboard::page)),
    read("/events/{id}", Public, || get(dashboard::page)),
    read("/handover", Public, || get(dashboard::page)),
    read("/admin", Public, || get(dashboard::page)),
    read("/admin/{section}", Public, || get(dashboard::page)),
    read("/account", Public, || get(dashboard::page)),
    read("/assets/{name}", Public, || get(dashboard::asset)),
    read("/favicon.svg", Public, || get(dashboard::icon)),
];

/// A row of the table of routes, for tests and documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteRow {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: RouteAccess,
}

/// Returns the table of all routes of the API.
pub fn route_table() -> Vec<RouteRow> {
    API.iter().map(|Operation { method, path, access, .. }| RouteRow { method, path, access: *access }).collect()
}

/// Registers all routes, and the responses to other paths and methods.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for operations in by_path(&API).chain(by_path(&PAGES)) {
        let Some(Operation { path, .. }) = operations.first() else { continue };
        let other_method = web::to(move |request: HttpRequest| async move {
            let (method, allow) = (request.method().to_string(), allowed_methods(operations));
            Err::<&str, _>(ApiError::MethodNotAllowed { method, allow })
        });
        let mut resource = web::resource(*path);
        for operation in operations {
            resource = resource.route((operation.route)());
        }
        let resource = resource.default_service(other_method);
        config.service(resource.wrap(from_fn(move |request, next| authorize(operations, request, next))));
    }
    config.default_service(web::to(|request: HttpRequest| async move {
        Err::<&str, _>(ApiError::NoRoute { path: request.path().to_owned() })
    }));
}

/// Returns the rows of each path.
fn by_path(operations: &'static [Operation]) -> impl Iterator<Item = &'static [Operation]> {
    operations.chunk_by(|one, next| one.path == next.path)
}

/// Returns the methods of a path's rows in the format of the header `Allow`.
fn allowed_methods(operations: &[Operation]) -> String {
    let head = operations.iter().any(|operation| operation.with_head).then_some("HEAD");
    let mut methods: Vec<&str> = operations.iter().map(|operation| operation.method).chain(head).collect();
    methods.sort_unstable();
    methods.join(", ")
}

/// Returns a row of GET and HEAD.
const fn read(path: &'static str, access: RouteAccess, route: fn() -> Route) -> Operation {
    Operation { path, method: "GET", access, content: ByHandler, with_head: true, route }
}

/// Returns a row of another method, which usually changes something.
const fn order(
    method: &'static str,
    path: &'static str,
    access: RouteAccess,
    content: Content,
    route: fn() -> Route,
) -> Operation {
    Operation { path, method, access, content, with_head: false, route }
}

/// Returns the route of GET and HEAD for a handler.
fn get<F, Args>(handler: F) -> Route
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::route().guard(guard::Any(guard::Get()).or(guard::Head())).to(handler)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::{App, http::Method, test};

    use super::*;

    #[actix_web::test]
    async fn an_unknown_path_gets_a_problem() {
        let app = test::init_service(App::new().configure(configure)).await;
        for path in ["/pumps", "/api", "/api/pumps/", "/api/nothing?x=1", "/API/pumps"] {
            let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            assert_eq!(response.status(), 404, "{path}");
            assert_eq!(response.headers().get("content-type").expect("a type"), "application/problem+json");
        }
    }

    #[actix_web::test]
    async fn a_method_that_is_not_allowed_gets_the_allowed_ones() {
        let app = test::init_service(App::new().configure(configure)).await;
        for operations in by_path(&API) {
            let (path, allow) = (operations[0].path, allowed_methods(operations));
            let methods = [Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::POST, Method::GET];
            for method in methods.into_iter().filter(|method| !allow.contains(method.as_str())) {
                let request = test::TestRequest::default().method(method.clone()).uri(path).to_request();
                let response = test::call_service(&app, request).await;
                assert_eq!(
                    (response.status().as_u16(), response.headers().get("allow").expect("a header")),
                    (405, &allow.parse().expect("a header"))
                );
                let problem: serde_json::Value = test::read_body_json(response).await;
                assert!(problem["detail"].as_str().expect("text").contains(method.as_str()));
            }
        }
    }

    #[::core::prelude::v1::test]
    fn each_path_is_in_one_place_of_the_table() {
        let paths: Vec<&str> = by_path(&API).chain(by_path(&PAGES)).map(|operations| operations[0].path).collect();
        assert_eq!(paths.len(), paths.iter().collect::<BTreeSet<_>>().len(), "{paths:?}");
        assert_eq!(
            allowed_methods(by_path(&API).find(|rows| rows.len() == 3).expect("profiles")),
            "DELETE, GET, HEAD, PUT"
        );
    }

    #[actix_web::test]
    async fn without_access_no_route_of_the_table_is_open() {
        let app = test::init_service(App::new().configure(configure)).await;
        for Operation { path, method, access, .. } in API.iter().filter(|row| row.access != RouteAccess::Public) {
            let method: Method = method.parse().expect("a method");
            let request = test::TestRequest::default().method(method.clone()).uri(path).to_request();
            let status = test::call_service(&app, request).await.status();
            assert_eq!(status, 503, "{method} {path} {access:?}: it is refused before the handler");
        }
    }
}
