//! `GET /api/stream`: live readings and detections as server-sent events.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    access::{Access, who},
    limits::{LimitExceeded, stream_client},
    node::Node,
    problem::ApiError,
    query::{PumpParam, Query},
    responses::{Invalid, Unavailable},
    stream::Subscription,
    stream_events::EventMask,
};

/// Parameters: the selected events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// Only events of this pump; absent: all pumps
    #[param(value_type = Option<String>)]
    pump_id: Option<PumpParam>,
    /// The events, separated by commas: reading, detection, fleet; absent: reading,detection
    #[param(value_type = Option<String>)]
    events: Option<EventMask>,
}

/// Live readings and detections as server-sent events.
///
/// Events: `reading` (its data is a `ReadingEvent`), `detection` (`DetectionEvent`), and `fleet` (`FleetEvent`, once a
/// second), as selected; and always `removed` (`RemovedEvent`), `renamed` (`RenamedEvent`), and `lagged` (`LaggedEvent`) if
/// the client was too slow and frames were dropped. The stream begins with a comment line, which is repeated as a
/// heartbeat. The stream ends when the session does. Events are not replayed: missed data is in the histories.
#[utoipa::path(
    get,
    path = "/api/stream",
    tag = "live",
    params(StreamQuery),
    responses(
        (status = 200, description = "A stream that does not end by itself", body = String,
            content_type = "text/event-stream",
            example = "event: detection\ndata: {\"t\":[1773051273000],\"pump\":\"pump-1\",\"loss\":[0.8],\"threshold\":[0.5],\"is_anomaly\":[true],\"channels\":[\"Q\"],\"contributions\":[[1.0]]}\n\n"),
        Invalid, Unavailable
    )
)]
pub(crate) async fn stream(
    node: web::Data<Node>,
    access: web::Data<Access>,
    request: HttpRequest,
    Query(query): Query<StreamQuery>,
) -> Result<HttpResponse, ApiError> {
    let place = match stream_client(&who(&request)) {
        Some(client) => Some(node.limits.streams.take(client).ok_or_else(|| too_many_streams(&node))?),
        None => None,
    };
    let (pump, events) = (query.pump_id.map(|pump| pump.0), query.events.unwrap_or_default());
    let (principal, engine) = (who(&request), node.engine.clone());
    let still_allowed = Box::new(move || access.may_still_view(&principal, engine.now().millis()));
    node.streams.open(Subscription { frames: node.engine.subscribe(), pump, events, still_allowed, place })
}

fn too_many_streams(node: &Node) -> LimitExceeded {
    let (key, what) = ("limits.streams_per_client", "live streams of one client at once");
    LimitExceeded { key, what, value: node.limits.streams.limit() as u64, retry_after_s: 5 }
}
