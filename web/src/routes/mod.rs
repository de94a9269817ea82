//! The routes, and what is answered where there is none.
//!
//! One file per group; each route's JSON shapes stand beside its handler.

pub(crate) mod actors;
pub(crate) mod anomaly_history;
pub(crate) mod audit;
pub(crate) mod baselines;
pub(crate) mod dashboard;
pub(crate) mod health;
pub(crate) mod ingest;
pub(crate) mod live;
pub(crate) mod maintenance;
pub(crate) mod naming;
pub(crate) mod node;
pub(crate) mod profiles;
pub(crate) mod pumps;
pub(crate) mod sensor_history;
pub(crate) mod settings;
pub(crate) mod simulation;
pub(crate) mod store;
pub(crate) mod stream;

use actix_web::{Handler, HttpRequest, Responder, Route, guard, web};

use crate::{openapi::openapi_json, problem::ApiError};

/// A path, and what answers there.
pub(crate) struct Endpoint {
    pub(crate) path: &'static str,
    /// The methods it takes, as the header `Allow` has them.
    pub(crate) allow: &'static str,
    route: fn() -> Route,
    /// What takes its other method, if it has two.
    second: Option<fn() -> Route>,
}

/// The whole API. The description at `/api/openapi.json` has the same paths; a test says so.
pub(crate) const ENDPOINTS: [Endpoint; 27] = [
    Endpoint { path: "/api/ingest", allow: "POST", route: || web::post().to(ingest::ingest), second: None },
    read("/api/live-data", || get(live::live_data)),
    read("/api/sensor-history", || get(sensor_history::sensor_history)),
    read("/api/anomaly-history", || get(anomaly_history::anomaly_history)),
    read("/api/maintenance-events", || get(maintenance::maintenance_events)),
    read("/api/pumps", || get(pumps::pumps)),
    Endpoint {
        path: "/api/pumps/{id}",
        allow: "DELETE, PATCH",
        route: || web::delete().to(pumps::remove),
        second: Some(|| web::patch().to(naming::name)),
    },
    read("/api/pumps/{id}/baselines", || get(baselines::baselines)),
    Endpoint {
        path: "/api/pumps/{id}/baselines/{version}/activate",
        allow: "POST",
        route: || web::post().to(baselines::activate),
        second: None,
    },
    Endpoint {
        path: "/api/pumps/{id}/commission",
        allow: "POST",
        route: || web::post().to(baselines::commission),
        second: None,
    },
    Endpoint {
        path: "/api/pumps/{id}/settings",
        allow: "GET, HEAD, PUT",
        route: || get(settings::get),
        second: Some(|| web::put().to(settings::set)),
    },
    Endpoint {
        path: "/api/pumps/{id}/profile",
        allow: "GET, HEAD, PUT",
        route: || get(profiles::profile_of_pump),
        second: Some(|| web::put().to(profiles::assign_profile)),
    },
    read("/api/profile", || get(pumps::profile)),
    read("/api/profiles", || get(profiles::profiles)),
    Endpoint {
        path: "/api/profiles/{name}",
        allow: "GET, HEAD, PUT",
        route: || get(profiles::profile_named),
        second: Some(|| web::put().to(profiles::add_profile)),
    },
    read("/api/node", || get(node::node)),
    read("/api/store", || get(store::store)),
    read("/api/actors", || get(actors::actors)),
    Endpoint {
        path: "/api/actors/{id}/restart",
        allow: "POST",
        route: || web::post().to(actors::restart),
        second: None,
    },
    read("/api/audit-log", || get(audit::audit_log)),
    read("/api/dead-letters", || get(actors::dead_letters)),
    Endpoint {
        path: "/api/start-simulation",
        allow: "POST",
        route: || web::post().to(simulation::start),
        second: None,
    },
    Endpoint { path: "/api/stop-simulation", allow: "POST", route: || web::post().to(simulation::stop), second: None },
    read("/healthz", || get(health::healthz)),
    read("/readyz", || get(health::readyz)),
    read("/api/openapi.json", || get(openapi_json)),
    // No HEAD: its answer would never end.
    Endpoint { path: "/api/stream", allow: "GET", route: || web::get().to(stream::stream), second: None },
];

/// The dashboard's pages and files.
const PAGES: [Endpoint; 4] = [
    read("/", || get(dashboard::page)),
    read("/pumps/{id}", || get(dashboard::page)),
    read("/assets/{name}", || get(dashboard::asset)),
    read("/favicon.svg", || get(dashboard::icon)),
];

/// Registers every endpoint, and the answers to everything else.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for Endpoint { path, allow, route, second } in ENDPOINTS.into_iter().chain(PAGES) {
        let other_method = web::to(move |request: HttpRequest| async move {
            Err::<&str, _>(ApiError::Method { method: request.method().to_string(), allow })
        });
        let mut resource = web::resource(path).route(route());
        if let Some(second) = second {
            resource = resource.route(second());
        }
        config.service(resource.default_service(other_method));
    }
    config.default_service(web::to(|request: HttpRequest| async move {
        Err::<&str, _>(ApiError::NoRoute { path: request.path().to_owned() })
    }));
}

const fn read(path: &'static str, route: fn() -> Route) -> Endpoint {
    Endpoint { path, allow: "GET, HEAD", route, second: None }
}

/// GET, and HEAD with it.
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
    use actix_web::{App, http::Method, test};

    use super::*;

    #[actix_web::test]
    async fn what_is_not_there_is_a_problem() {
        let app = test::init_service(App::new().configure(configure)).await;
        for path in ["/pumps", "/api", "/api/pumps/", "/api/nothing?x=1", "/API/pumps"] {
            let answer = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            assert_eq!(answer.status(), 404, "{path}");
            assert_eq!(answer.headers().get("content-type").expect("a type"), "application/problem+json");
        }
    }

    #[actix_web::test]
    async fn another_method_is_told_which_are_allowed() {
        let app = test::init_service(App::new().configure(configure)).await;
        for Endpoint { path, allow, .. } in ENDPOINTS {
            let others = [Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::POST, Method::GET];
            for method in others.into_iter().filter(|method| !allow.contains(method.as_str())) {
                let request = test::TestRequest::default().method(method.clone()).uri(path).to_request();
                let answer = test::call_service(&app, request).await;
                assert_eq!(
                    (answer.status().as_u16(), answer.headers().get("allow").expect("a header")),
                    (405, &allow.parse().expect("a header"))
                );
                let problem: serde_json::Value = test::read_body_json(answer).await;
                assert!(problem["detail"].as_str().expect("text").contains(method.as_str()));
            }
        }
    }
}
