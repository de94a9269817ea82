//! The routes, and the responses to requests without a route.
//!
//! Each group of routes is a module, with the JSON types of its handlers.

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

/// A path and its handlers.
pub(crate) struct Endpoint {
    pub(crate) path: &'static str,
    /// The allowed methods, in the format of the header `Allow`.
    pub(crate) allow: &'static str,
    route: fn() -> Route,
    /// The handlers of its other methods.
    other_routes: &'static [fn() -> Route],
}

/// All routes of the API. A test checks that the description at `/api/openapi.json` has the same paths.
pub(crate) const ENDPOINTS: [Endpoint; 27] = [
    Endpoint { path: "/api/ingest", allow: "POST", route: || web::post().to(ingest::ingest), other_routes: &[] },
    read_only("/api/live-data", || get(live::live_data)),
    read_only("/api/sensor-history", || get(sensor_history::sensor_history)),
    read_only("/api/anomaly-history", || get(anomaly_history::anomaly_history)),
    read_only("/api/maintenance-events", || get(maintenance::maintenance_events)),
    read_only("/api/pumps", || get(pumps::pumps)),
    Endpoint {
        path: "/api/pumps/{id}",
        allow: "DELETE, PATCH",
        route: || web::delete().to(pumps::remove),
        other_routes: &[|| web::patch().to(naming::name)],
    },
    read_only("/api/pumps/{id}/baselines", || get(baselines::baselines)),
    Endpoint {
        path: "/api/pumps/{id}/baselines/{version}/activate",
        allow: "POST",
        route: || web::post().to(baselines::activate),
        other_routes: &[],
    },
    Endpoint {
        path: "/api/pumps/{id}/commission",
        allow: "POST",
        route: || web::post().to(baselines::commission),
        other_routes: &[],
    },
    Endpoint {
        path: "/api/pumps/{id}/settings",
        allow: "GET, HEAD, PUT",
        route: || get(settings::get),
        other_routes: &[|| web::put().to(settings::set)],
    },
    Endpoint {
        path: "/api/pumps/{id}/profile",
        allow: "GET, HEAD, PUT",
        route: || get(profiles::profile_of_pump),
        other_routes: &[|| web::put().to(profiles::assign_profile)],
    },
    read_only("/api/profile", || get(pumps::profile)),
    read_only("/api/profiles", || get(profiles::profiles)),
    Endpoint {
        path: "/api/profiles/{name}",
        allow: "DELETE, GET, HEAD, PUT",
        route: || get(profiles::profile_named),
        other_routes: &[|| web::put().to(profiles::add_profile), || web::delete().to(profiles::remove_profile)],
    },
    read_only("/api/node", || get(node::node)),
    read_only("/api/store", || get(store::store)),
    read_only("/api/actors", || get(actors::actors)),
    Endpoint {
        path: "/api/actors/{id}/restart",
        allow: "POST",
        route: || web::post().to(actors::restart),
        other_routes: &[],
    },
    read_only("/api/audit-log", || get(audit::audit_log)),
    read_only("/api/dead-letters", || get(actors::dead_letters)),
    Endpoint {
        path: "/api/start-simulation",
        allow: "POST",
        route: || web::post().to(simulation::start),
        other_routes: &[],
    },
    Endpoint {
        path: "/api/stop-simulation",
        allow: "POST",
        route: || web::post().to(simulation::stop),
        other_routes: &[],
    },
    read_only("/healthz", || get(health::healthz)),
    read_only("/readyz", || get(health::readyz)),
    read_only("/api/openapi.json", || get(openapi_json)),
    // No HEAD: its response would never end.
    Endpoint { path: "/api/stream", allow: "GET", route: || web::get().to(stream::stream), other_routes: &[] },
];

/// The dashboard's pages and files.
const PAGES: [Endpoint; 4] = [
    read_only("/", || get(dashboard::page)),
    read_only("/pumps/{id}", || get(dashboard::page)),
    read_only("/assets/{name}", || get(dashboard::asset)),
    read_only("/favicon.svg", || get(dashboard::icon)),
];

/// Registers all endpoints, and the responses to other paths and methods.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for Endpoint { path, allow, route, other_routes } in ENDPOINTS.into_iter().chain(PAGES) {
        let other_method = web::to(move |request: HttpRequest| async move {
            Err::<&str, _>(ApiError::MethodNotAllowed { method: request.method().to_string(), allow })
        });
        let mut resource = web::resource(path).route(route());
        for other_route in other_routes {
            resource = resource.route(other_route());
        }
        config.service(resource.default_service(other_method));
    }
    config.default_service(web::to(|request: HttpRequest| async move {
        Err::<&str, _>(ApiError::NoRoute { path: request.path().to_owned() })
    }));
}

/// Returns an endpoint that allows only GET and HEAD.
const fn read_only(path: &'static str, route: fn() -> Route) -> Endpoint {
    Endpoint { path, allow: "GET, HEAD", route, other_routes: &[] }
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
        for Endpoint { path, allow, .. } in ENDPOINTS {
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
}
