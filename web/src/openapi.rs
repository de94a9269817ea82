//! The API's description, generated from the annotations of the handlers and the table of routes.

use utoipa::{
    OpenApi,
    openapi::{
        Content, Ref, RefOr, Response, ResponseBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use volute_access::Permission;

use crate::{
    access::SESSION_COOKIE,
    problem::{PROBLEM_JSON, Problem},
    route_access::{self, RouteAccess},
    routes::{
        API, actors, alarm_history, alarm_rules, alarms, anomaly_history, audit, baselines, description, event_work,
        handover, health, ingest, live, maintenance, naming, node, oidc, past_excursions, planned_work, profiles,
        pumps, roles, second_factor, sensor_history, session, settings, simulation, store, stream, tokens, users,
    },
    stream_events::{AlarmsEvent, DetectionEvent, FleetEvent, LaggedEvent, ReadingEvent, RemovedEvent, RenamedEvent},
};

/// Returns the API's description as OpenAPI 3.1.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Description::openapi();
    // The macro takes the licence from the manifest, which has none. A licence without a name is not valid OpenAPI.
    document.info.license = None;
    add_access(&mut document);
    document
}

/// Adds to each operation who may use it, and the responses to others.
fn add_access(document: &mut utoipa::openapi::OpenApi) {
    let components = document.components.get_or_insert_default();
    let cookie =
        ApiKeyValue::with_description(SESSION_COOKIE, "the cookie of a login, `__Host-volute-session` over TLS");
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("a pump token, `vpt_…`")).build();
    components.add_security_scheme("pump_token", SecurityScheme::Http(token));
    for row in API.iter() {
        let Some(path) = document.paths.paths.get_mut(row.path) else { continue };
        let operation = match row.method {
            "GET" => &mut path.get,
            "POST" => &mut path.post,
            "PUT" => &mut path.put,
            "PATCH" => &mut path.patch,
            _ => &mut path.delete,
        };
        let Some(operation) = operation else { continue };
        let (schemes, who): (&[&str], String) = match row.access {
            RouteAccess::Public => (&[], String::new()),
            RouteAccess::User => (&["session"], "For users who have logged in.".to_owned()),
            RouteAccess::Needs(Permission::Ingest) => (&["pump_token"], "Needs the permission `ingest`.".to_owned()),
            RouteAccess::Needs(permission) => {
                (&["session"], format!("Needs the permission `{}`.", permission.as_str()))
            }
        };
        operation.security = Some(schemes.iter().map(|scheme| SecurityRequirement::new(*scheme, [""; 0])).collect());
        let responses = &mut operation.responses.responses;
        let mut add = |status: &str, description: &str| {
            responses.entry(status.to_owned()).or_insert_with(|| problem_response(description));
        };
        add("421", "The request is for another host");
        add("429", "The client exceeds one of the limits `limits.*`; Retry-After says when to try again");
        match row.content {
            route_access::Content::Json if row.method == "POST" => {
                add("415", "A command is JSON, also if its body is empty")
            }
            route_access::Content::JsonOrCsv => add("415", "A command is JSON, also if its body is empty, or CSV"),
            route_access::Content::Json | route_access::Content::ByHandler => {}
        }
        if row.access == RouteAccess::Public {
            add("413", "The body is too large for a request that needs no login");
        }
        if !schemes.is_empty() {
            let text = operation.description.get_or_insert_default();
            *text = if text.is_empty() { who } else { format!("{text}\n\n{who}") };
            add("401", "There is no valid login or token");
            add("403", "The user or token may not do this, or the request comes from a page of another site");
        } else if row.method != "GET" {
            add("403", "The request comes from a page of another site");
        }
    }
}

/// Returns a response with a problem.
fn problem_response(description: &str) -> RefOr<Response> {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    RefOr::T(ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).build())
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Volute",
        description = "Condition monitoring for pumps. Times are RFC 3339 in UTC with milliseconds, except in the \
            live stream's columns. Unknown query parameters are refused. Errors are problem details (RFC 9457)."
    ),
    paths(
        ingest::ingest,
        live::live_data,
        sensor_history::sensor_history,
        anomaly_history::anomaly_history,
        maintenance::maintenance_events,
        maintenance::maintenance_event,
        event_work::acknowledge_event,
        event_work::plan_event,
        event_work::submit_event,
        event_work::approve_event,
        event_work::reject_event,
        event_work::finish_event,
        event_work::reopen_event,
        planned_work::planned_works,
        planned_work::plan_work,
        planned_work::end_work,
        handover::handover,
        handover::handover_seen,
        pumps::pumps,
        pumps::remove,
        naming::name,
        pumps::profile,
        profiles::profiles,
        profiles::profile_named,
        profiles::add_profile,
        profiles::remove_profile,
        profiles::profile_of_pump,
        profiles::assign_profile,
        baselines::baselines,
        baselines::activate,
        baselines::commission,
        settings::get,
        settings::set,
        node::node,
        store::store,
        actors::actors,
        actors::restart,
        actors::dead_letters,
        audit::audit_log,
        simulation::start,
        simulation::stop,
        session::session,
        session::login,
        session::set_up,
        oidc::login,
        oidc::callback,
        session::logout,
        session::password,
        second_factor::begin,
        second_factor::confirm,
        second_factor::remove,
        roles::roles,
        users::users,
        users::add,
        users::change,
        users::reset,
        tokens::tokens,
        tokens::add,
        tokens::revoke,
        alarms::alarms,
        alarms::acknowledge,
        alarms::reset_alarms,
        alarms::shelve,
        alarms::unshelve,
        alarms::take_out_of_service,
        alarms::return_to_service,
        alarm_history::transitions,
        alarm_history::metrics,
        past_excursions::past_excursions,
        alarm_rules::alarm_definitions,
        alarm_rules::set_alarm_definitions,
        alarm_rules::try_definition,
        health::healthz,
        health::readyz,
        description::openapi_json,
        stream::stream,
    ),
    components(schemas(Problem, ReadingEvent, DetectionEvent, FleetEvent, AlarmsEvent, RemovedEvent, RenamedEvent, LaggedEvent)),
    tags(
        (name = "readings", description = "Accepts readings of pumps"),
        (name = "live", description = "The current state of the pumps"),
        (name = "history", description = "Stored readings and detections"),
        (name = "maintenance", description = "Maintenance events, planned work and the shift handover"),
        (name = "alarms", description = "Alarms, their history and their definitions"),
        (name = "commissioning", description = "Baselines, profiles and settings of pumps"),
        (name = "access", description = "Users, sessions and pump tokens"),
        (name = "node", description = "The node itself"),
        (name = "demo", description = "Simulated pumps, on a demo node only"),
    )
)]
struct Description;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::routes::route_table;

    fn document() -> Value {
        serde_json::from_str(&openapi().to_json().expect("JSON")).expect("JSON")
    }

    /// Visits each value of the document, at any depth.
    fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
        visit(value);
        match value {
            Value::Object(fields) => fields.values().for_each(|value| walk(value, visit)),
            Value::Array(items) => items.iter().for_each(|value| walk(value, visit)),
            _ => {}
        }
    }

    #[test]
    fn the_router_and_the_description_have_the_same_routes() {
        let routed: BTreeSet<_> =
            route_table().into_iter().map(|row| (row.path.to_owned(), row.method.to_lowercase())).collect();
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        let described: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, methods)| methods.as_object().expect("methods").keys().map(|m| (path.clone(), m.clone())))
            .collect();
        assert_eq!(routed, described);
    }

    #[test]
    fn every_reference_resolves() {
        let document = document();
        let mut count = 0;
        walk(&document, &mut |value| {
            if let Some(Value::String(reference)) = value.get("$ref") {
                let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
                assert!(target.is_some_and(Value::is_object), "{reference}");
                count += 1;
            }
        });
        assert!(count > 10, "only {count} references: not all values are visited");
    }

    #[test]
    fn fields_that_are_always_sent_are_required() {
        let document = document();
        let required = |name: &str| {
            let schema = &document["components"]["schemas"][name];
            let of = |key: &str| schema[key].as_array().map_or(0, Vec::len);
            (of("required"), schema["properties"].as_object().map_or(0, serde_json::Map::len))
        };
        for name in [
            "LiveResponse",
            "LiveChannelResponse",
            "PumpResponse",
            "NodeResponse",
            "SimulatedPump",
            "SimulationSummary",
            "EventResponse",
            "LimitsResponse",
            "DetectionResponse",
            "IngestResponse",
            "BaselinesResponse",
            "BaselineResponse",
            "ActorsResponse",
            "ActorResponse",
            "CurrentMessageResponse",
            "DeadLetterResponse",
            "AuditResponse",
        ] {
            let (required, properties) = required(name);
            assert!(required == properties && required > 0, "{name}: {required} of {properties}");
        }
    }

    #[test]
    fn every_operation_has_a_summary_and_responses() {
        let document = document();
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
        let mut ids = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for operation in methods.as_object().expect("methods").values() {
                let text = |key: &str| operation[key].as_str().unwrap_or_default().to_owned();
                assert!(ids.insert(text("operationId")), "{path}: operation ids are unique");
                assert!(!text("summary").is_empty(), "{path}");
                let responses = operation["responses"].as_object().expect("responses");
                assert!(["200", "303"].iter().any(|status| responses.contains_key(*status)), "{path}");
                for (status, response) in responses.iter().filter(|(status, _)| *status != "303") {
                    let content = response["content"].as_object().expect("a body");
                    let problem = content.contains_key("application/problem+json");
                    assert_eq!(problem, status.starts_with(['4', '5']), "{path} {status}");
                }
            }
        }
    }

    /// The dashboard's types are generated from the committed file.
    #[test]
    fn the_committed_description_is_current() {
        let path = "dashboard/openapi.json";
        let generated = serde_json::to_string_pretty(&document()).expect("JSON") + "\n";
        if std::env::var_os("VOLUTE_BLESS").is_some() {
            std::fs::write(path, &generated).expect("written");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == generated,
            "web/dashboard/openapi.json is stale. Renew it and the client:\n  \
             VOLUTE_BLESS=1 cargo test --workspace --lib committed_description && (cd web/dashboard && npm run api)"
        );
    }
}
