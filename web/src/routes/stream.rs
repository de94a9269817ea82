//! `GET /api/stream`: readings and verdicts as they come, as server-sent events.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::{
    openapi::{Invalid, Unavailable},
    problem::ApiError,
    query::Params,
    server::Node,
    stream::{Subscription, Wanted},
};

/// Live readings and verdicts as server-sent events.
///
/// Events: `reading` (its data is a `ReadingEvent`), `detection` (`DetectionEvent`), `fleet` (`FleetEvent`, once
/// a second), `removed` (`RemovedEvent`) and `renamed` (`RenamedEvent`), whatever events are asked for, and `lagged` (`LaggedEvent`)
/// where the client was too slow and frames were dropped. A comment line comes first, and then again and again as a heartbeat. Nothing is replayed: what was missed is in the histories.
#[utoipa::path(
    get,
    path = "/api/stream",
    tag = "live",
    params(
        ("pump_id" = Option<String>, Query, description = "Of this pump only; absent: all pumps"),
        ("events" = Option<String>, Query, description = "Which events, separated by commas: reading, detection, \
            fleet; absent: reading,detection"),
    ),
    responses(
        (status = 200, description = "A stream that does not end by itself", body = String,
            content_type = "text/event-stream",
            example = "event: detection\ndata: {\"t\":[1773051273000],\"pump\":\"pump-1\",\"loss\":[0.8],\"threshold\":[0.5],\"is_anomaly\":[true],\"channels\":[\"Q\"],\"contributions\":[[1.0]]}\n\n"),
        Invalid, Unavailable
    )
)]
pub(crate) async fn stream(node: web::Data<Node>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let params = Params::parse(request.query_string(), &["pump_id", "events"])?;
    let pump = params.pump()?;
    let wanted = params.parsed("events", Wanted::ALLOWED, Wanted::parse)?.unwrap_or_default();
    let (frames, profile) = (node.engine.subscribe(), node.engine.profile().clone());
    node.feed.open(Subscription { frames, profile, pump, wanted })
}
