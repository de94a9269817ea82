//! `/api/pumps/{id}/baselines` and `/api/pumps/{id}/commission`: what is normal for a pump, which version of it is in use,
//! and learning it anew.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use volute_actors::{BaselineVersion, Baselines, CommissionRefusal, Refusal};
use volute_data::AuditAction;
use volute_plant::{Channel, PumpId, Timestamp};

use crate::{
    audit::AuditedCommand,
    body::media_type,
    extract::{PumpPath, is_json},
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{Conflict, Insufficient, Invalid, NotFound, Slow, TooLarge, TooMany, Unavailable, Unsupported},
};

/// What there is of a pump's baseline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BaselinesResponse {
    /// Which pump.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// The id of the node's network; a baseline of another one cannot be used.
    network: String,
    /// The version that the pump is judged by; null while it is learning. 0 is what the model brings along.
    #[schema(required)]
    in_use: Option<u32>,
    /// All versions, newest first.
    versions: Vec<BaselineResponse>,
}

/// One version of a pump's baseline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BaselineResponse {
    /// Its number, from 1; 0 is what the model brings along.
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
    /// What detections by it name as their model.
    model: String,
    /// How detections are made: `fused` or `lstm-autoencoder`.
    detector: String,
    /// The first of the readings that it was learned from.
    #[schema(format = DateTime)]
    from: String,
    /// The first reading that no longer belongs to them.
    #[schema(format = DateTime)]
    to: String,
    /// The windows of normal running in them.
    windows: usize,
    thresholds: ThresholdsResponse,
    /// Each channel's span in them, in the profile's order.
    spans: Vec<SpanResponse>,
}

/// Above these a window is anomalous.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThresholdsResponse {
    /// Of the reconstruction loss; it counts with the detector `lstm-autoencoder`.
    loss: f64,
    /// Of the deviation of the channels' short levels, in spreads; the next two are of the same kind.
    short_level: f64,
    /// Of their long levels.
    long_level: f64,
    /// Of their reconstruction errors.
    error: f64,
}

/// What a channel spanned while the pump ran normally.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpanResponse {
    /// The channel's wire name.
    channel: String,
    /// The unit of the next two.
    unit: String,
    /// The lowest value.
    min: f64,
    /// The highest value.
    max: f64,
}

/// What to learn from: stored readings, or, where both are absent, what comes from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommissionRequest {
    /// The first reading to learn from.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// The first reading that no longer belongs to them.
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// Every version of what is normal for a pump, and which of them is in use.
#[utoipa::path(
    get,
    path = "/api/pumps/{id}/baselines",
    tag = "commissioning",
    params(("id" = String, Path, description = "Which pump, percent-encoded, as `P-101A%2FB`")),
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

/// Learns anew what is normal for a pump.
///
/// From now on, with an empty body or object: the pump is `LEARNING` until the node has gathered enough normal running,
/// and raises no model alarm; limits are watched as ever. With `from` and `to`, from stored readings: the answer comes
/// when that is done, and until then nothing changes.
#[utoipa::path(
    post,
    path = "/api/pumps/{id}/commission",
    tag = "commissioning",
    params(("id" = String, Path, description = "Which pump, percent-encoded, as `P-101A%2FB`")),
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
    if !is_json(&request) && !body.bytes.is_empty() {
        return Err(media_type(&request, "application/json"));
    }
    let stretch = stretch(&body.bytes)?;
    let detail = match &stretch {
        Some((from, to)) => format!("from {from} to {to}"),
        None => "from now on".to_owned(),
    };
    let (engine, of) = (node.engine.clone(), pump.clone());
    let command = AuditedCommand::new(&node, &request, AuditAction::Commission, pump.as_str()).detail(&detail);
    let outcome = command.carry_out(async move {
        match stretch {
            Some((from, to)) => engine.commission_from(&of, from, to).await.map(drop)?,
            None => engine.commission_anew(&of).await?,
        }
        Ok(())
    });
    outcome.await?;
    baselines_of(&node, pump).await
}

/// Puts a version of a pump's baseline back.
///
/// A commissioning that is under way ends. A version of another network than the node's is refused.
#[utoipa::path(
    post,
    path = "/api/pumps/{id}/baselines/{version}/activate",
    tag = "commissioning",
    params(
        ("id" = String, Path, description = "Which pump, percent-encoded, as `P-101A%2FB`"),
        ("version" = u32, Path, description = "Which version; 0 is what the model brings along"),
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
    command.carry_out(async move { engine.use_baseline(&of, number).await.map_err(ApiError::from) }).await?;
    baselines_of(&node, pump).await
}

async fn baselines_of(node: &Node, pump: PumpId) -> Result<web::Json<BaselinesResponse>, ApiError> {
    let Baselines { network, in_use, versions } = node.engine.baselines(&pump).await?;
    let profile = node.engine.profile_of(&pump);
    let response = |version| BaselineResponse::new(version, profile.channels());
    let versions = versions.into_iter().map(response).collect();
    Ok(web::Json(BaselinesResponse { pump_id: pump, network, in_use, versions }))
}

/// The stretch of stored readings in a body, if it names one.
fn stretch(bytes: &[u8]) -> Result<Option<(Timestamp, Timestamp)>, ApiError> {
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
            Err(ApiError::invalid("to", &to.to_string(), "a time after from", "nothing lies between"))
        }
        Some((None, Some(_))) => Err(ApiError::invalid("from", "", "a time, as to", "absent")),
        Some((Some(_), None)) => Err(ApiError::invalid("to", "", "a time, as from", "absent")),
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
            why: version.why,
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

impl From<CommissionRefusal> for ApiError {
    fn from(refusal: CommissionRefusal) -> Self {
        match refusal {
            CommissionRefusal::UnknownPump(pump) => Self::UnknownPump(pump),
            CommissionRefusal::Store(error) => error.into(),
            CommissionRefusal::Stopping => Refusal::Stopping.into(),
            CommissionRefusal::OutOfOrder => Self::NotReady(refusal.to_string()),
            CommissionRefusal::Busy { queue } => Refusal::Busy { queue, retry_after_s: 5 }.into(),
            other => Self::Commissioning(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_a_stretch_or_none() {
        for none in ["", "  ", "null", "{}", r#"{"from": null}"#] {
            assert_eq!(stretch(none.as_bytes()).expect(none), None);
        }
        let both = r#"{"from": "2026-03-09T10:00:00Z", "to": "2026-03-09T11:00:00Z"}"#;
        let (from, to) = stretch(both.as_bytes()).expect("fine").expect("a stretch");
        assert_eq!(to.since_ms(from), 3_600_000);
        for (body, field) in [
            (r#"{"from": "2026-03-09T10:00:00Z"}"#, "to"),
            (r#"{"to": "2026-03-09T10:00:00Z"}"#, "from"),
            (r#"{"from": "2026-03-09T11:00:00Z", "to": "2026-03-09T11:00:00Z"}"#, "to"),
            (r#"{"form": 1}"#, ""),
            (r#"{"from": "soon"}"#, ""),
        ] {
            match stretch(body.as_bytes()) {
                Err(ApiError::Invalid(no)) => assert_eq!(no.field, field, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
        assert!(matches!(stretch(b"{"), Err(ApiError::NotJson { .. })));
    }
}
