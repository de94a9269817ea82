//! `/api/pumps/{id}/baselines` and `/api/pumps/{id}/commission`: the versions of a pump's baseline, which of them is in use,
//! and learning a new one.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use volute_actors::{BaselineVersion, Baselines, CommissionError, IngestError};
use volute_data::AuditAction;
use volute_plant::{Channel, PumpId, Timestamp};

use crate::{
    audit::AuditedCommand,
    extract::PumpPath,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Conflict, Insufficient, Invalid, NotFound, Slow, TooLarge, TooMany, Unavailable, Unsupported},
};

/// The baseline of a pump.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BaselinesResponse {
    /// The pump's id.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// The id of the node's network. A baseline of another network cannot be used.
    network: String,
    /// The version in use; null while the pump is learning. 0 is the baseline that comes with the model.
    #[schema(required)]
    in_use: Option<u32>,
    /// All versions, newest first.
    versions: Vec<BaselineResponse>,
}

/// One version of a pump's baseline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BaselineResponse {
    /// Its number, from 1; 0 is the baseline that comes with the model.
    version: u32,
    /// Whether the node's network can use it.
    usable: bool,
    /// When it was learned.
    #[schema(format = DateTime)]
    created_at: String,
    /// Why it was learned.
    why: String,
    /// Its id.
    id: String,
    /// The id of its network.
    network: String,
    /// The name of the model in its detections.
    model: String,
    /// The detector: `conditional`, `fused` or `lstm-autoencoder`.
    detector: String,
    /// The time of the first reading that it was learned from.
    #[schema(format = DateTime)]
    from: String,
    /// The end of the readings that it was learned from (exclusive).
    #[schema(format = DateTime)]
    to: String,
    /// The number of windows of normal running in these readings.
    windows: usize,
    thresholds: ThresholdsResponse,
    /// The range of each channel in these readings, in the profile's order.
    spans: Vec<SpanResponse>,
}

/// The thresholds above which a window is anomalous. The thresholds of the detector `conditional`, one for each channel and
/// averaging time, are not listed here: the loss of its detections is in multiples of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThresholdsResponse {
    /// The threshold of the reconstruction loss; used by the detector `lstm-autoencoder`.
    loss: f64,
    /// The threshold of the deviation of the channels' short-term levels, in units of their spread.
    short_level: f64,
    /// The threshold of the deviation of the channels' long-term levels, in units of their spread.
    long_level: f64,
    /// The threshold of the deviation of the channels' reconstruction errors, in units of their spread.
    error: f64,
}

/// The range of a channel while the pump ran normally.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpanResponse {
    /// The channel's wire name.
    channel: String,
    /// The unit of `min` and `max`.
    unit: String,
    /// The lowest value.
    min: f64,
    /// The highest value.
    max: f64,
}

/// What to learn from: stored readings, or the readings from now on if both fields are absent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommissionRequest {
    /// The start of the stored readings (inclusive).
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// The end of the stored readings (exclusive).
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// All versions of a pump's baseline, and the version in use.
#[utoipa::path(
    get,
    path = "/api/pumps/{id}/baselines",
    tag = "commissioning",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`")),
    responses(
        (status = 200, description = "The versions", body = BaselinesResponse), Invalid, NotFound, Conflict, Unavailable
    )
)]
pub(crate) async fn baselines(
    node: web::Data<Node>,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
) -> Result<web::Json<BaselinesResponse>, ApiError> {
    baselines_of(&node, pump).await
}

/// Learns a new baseline of a pump.
///
/// An empty body or object starts learning from the readings that arrive from now on. The pump is `LEARNING`, and raises no
/// model alarm, until the node has collected enough normal running; limits are still evaluated. `from` and `to` select stored
/// readings instead: the response is sent when the baseline is learned, and nothing changes before that.
#[utoipa::path(
    post,
    path = "/api/pumps/{id}/commission",
    tag = "commissioning",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`")),
    request_body(content = Option<CommissionRequest>, description = "What to learn from"),
    responses(
        (status = 200, description = "It is learning, or has learned", body = BaselinesResponse),
        Invalid, NotFound, Conflict, Insufficient, Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn commission(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
    payload: web::Payload,
) -> Result<web::Json<BaselinesResponse>, ApiError> {
    let body = node.read_body(&request, payload).await?;
    let range = parse_range(&body.bytes)?;
    let detail = match &range {
        Some((from, to)) => format!("from {from} to {to}"),
        None => "from now on".to_owned(),
    };
    let (engine, of) = (node.engine.clone(), pump.clone());
    let command = AuditedCommand::new(&node, &request, AuditAction::Commission, pump.as_str()).detail(&detail);
    let outcome = command.execute(async move {
        match range {
            Some((from, to)) => engine.commission_from(&of, from, to).await.map(drop)?,
            None => engine.commission_anew(&of).await?,
        }
        Ok(())
    });
    outcome.await?;
    baselines_of(&node, pump).await
}

/// Puts a version of a pump's baseline into use.
///
/// A commissioning in progress is cancelled. A version of another network than the node's is refused.
#[utoipa::path(
    post,
    path = "/api/pumps/{id}/baselines/{version}/activate",
    tag = "commissioning",
    params(
        ("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`"),
        ("version" = u32, Path, description = "The version's number; 0 is the baseline that comes with the model"),
    ),
    responses(
        (status = 200, description = "It is in use", body = BaselinesResponse),
        Invalid, NotFound, Conflict, TooMany, Unavailable
    )
)]
pub(crate) async fn activate(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
    path: web::Path<(String, String)>,
) -> Result<web::Json<BaselinesResponse>, ApiError> {
    let (_, version) = path.into_inner();
    let not_a_version = |_| ApiError::invalid("version", &version, "a whole number from 0", "not a version");
    let number = version.parse().map_err(not_a_version)?;
    let (engine, of) = (node.engine.clone(), pump.clone());
    let command = AuditedCommand::new(&node, &request, AuditAction::ActivateBaseline, pump.as_str());
    let command = command.detail(&format!("version {number}"));
    command.execute(async move { engine.use_baseline(&of, number).await.map_err(ApiError::from) }).await?;
    baselines_of(&node, pump).await
}

async fn baselines_of(node: &Node, pump: PumpId) -> Result<web::Json<BaselinesResponse>, ApiError> {
    let Baselines { network, in_use, versions } = node.engine.baselines(&pump).await?;
    let profile = node.engine.profile_of(&pump);
    let response = |version| BaselineResponse::new(version, profile.channels());
    let versions = versions.into_iter().map(response).collect();
    Ok(web::Json(BaselinesResponse { pump_id: pump, network, in_use, versions }))
}

/// Parses the time range of stored readings in a body, if it has one.
fn parse_range(bytes: &[u8]) -> Result<Option<(Timestamp, Timestamp)>, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let parsed: Option<CommissionRequest> = serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            ApiError::invalid("", "", "{} or {\"from\": time, \"to\": time}", &error.to_string())
        }
        _ => ApiError::not_json(error),
    })?;
    match parsed.map(|CommissionRequest { from, to }| (from, to)) {
        None | Some((None, None)) => Ok(None),
        Some((Some(from), Some(to))) if from < to => Ok(Some((from, to))),
        Some((Some(_), Some(to))) => {
            Err(ApiError::invalid("to", &to.to_string(), "a time after from", "not after from"))
        }
        Some((None, Some(_))) => Err(ApiError::invalid("from", "", "a time, because to is given", "absent")),
        Some((Some(_), None)) => Err(ApiError::invalid("to", "", "a time, because from is given", "absent")),
    }
}

impl BaselineResponse {
    fn new(version: BaselineVersion, channels: &[Channel]) -> Self {
        let [short_level, long_level, error] = version.thresholds;
        let spans = channels.iter().zip(version.spans);
        let span = |(channel, [min, max]): (&Channel, [f64; 2])| SpanResponse {
            channel: channel.name.clone(),
            unit: channel.unit.clone(),
            min,
            max,
        };
        Self {
            version: version.version,
            usable: version.usable,
            created_at: version.created_at.to_string(),
            why: version.reason,
            id: version.id,
            network: version.network,
            model: version.model,
            detector: version.detector,
            from: version.from.to_string(),
            to: version.to.to_string(),
            windows: version.windows,
            thresholds: ThresholdsResponse { loss: version.loss_threshold, short_level, long_level, error },
            spans: spans.map(span).collect(),
        }
    }
}

impl From<CommissionError> for ApiError {
    fn from(error: CommissionError) -> Self {
        match error {
            CommissionError::UnknownPump(pump) => Self::UnknownPump(pump),
            CommissionError::Store(error) => error.into(),
            CommissionError::Stopping => IngestError::Stopping.into(),
            CommissionError::ActorFailed => Self::NotReady(error.to_string()),
            CommissionError::Busy { queue } => IngestError::Busy { queue, retry_after_s: 5 }.into(),
            other => Self::Commissioning(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_a_time_range_or_none() {
        for none in ["", "  ", "null", "{}", r#"{"from": null}"#] {
            assert_eq!(parse_range(none.as_bytes()).expect(none), None);
        }
        let both = r#"{"from": "2026-03-09T10:00:00Z", "to": "2026-03-09T11:00:00Z"}"#;
        let (from, to) = parse_range(both.as_bytes()).expect("fine").expect("a range");
        assert_eq!(to.since_ms(from), 3_600_000);
        for (body, field) in [
            (r#"{"from": "2026-03-09T10:00:00Z"}"#, "to"),
            (r#"{"to": "2026-03-09T10:00:00Z"}"#, "from"),
            (r#"{"from": "2026-03-09T11:00:00Z", "to": "2026-03-09T11:00:00Z"}"#, "to"),
            (r#"{"form": 1}"#, ""),
            (r#"{"from": "soon"}"#, ""),
        ] {
            match parse_range(body.as_bytes()) {
                Err(ApiError::Invalid(error)) => assert_eq!(error.field, field, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
        assert!(matches!(parse_range(b"{"), Err(ApiError::NotJson { .. })));
    }
}
