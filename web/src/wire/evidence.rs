//! What a maintenance event is based on and what its rule recommends, as they are sent. Each number says where it comes
//! from: a rule of a profile, a reading, a model or an alarm.

use serde::Serialize;
use utoipa::ToSchema;
use volute_plant::{
    Money, Recommendation, SparePart,
    event_evidence::{EventEvidence, EvidenceAlarm, EvidenceDetection, EvidenceValue},
};

/// An amount of money.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostResponse {
    /// The amount in units of the currency.
    amount: f64,
    /// The currency (ISO 4217).
    #[schema(example = "INR")]
    currency: String,
}

/// What the rule recommends at the event's severity, as its profile had it when the event got this severity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecommendationResponse {
    /// Where the actions, spare parts and costs come from.
    #[schema(example = "rule bearing-hot of the profile centrifugal, at severity high")]
    from: String,
    /// The severity that it is for: `low`, `medium`, `high` or `critical`.
    severity: &'static str,
    /// The failure mode that the rule points to; null if it names none.
    #[schema(required)]
    failure_mode: Option<String>,
    /// What to do, step by step.
    actions: Vec<String>,
    /// What the repair needs.
    spare_parts: Vec<SparePartResponse>,
    /// The estimated cost of the repair, if it is done now.
    cost_now: CostResponse,
    /// The estimated cost if the pump is run until it fails; null if the rule does not say.
    #[schema(required)]
    cost_if_it_fails: Option<CostResponse>,
}

/// A spare part.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SparePartResponse {
    /// What it is.
    name: String,
    /// Its order number; null if the rule does not say.
    #[schema(required)]
    number: Option<String>,
    /// How many.
    quantity: u32,
}

/// What opened an event, or raised its severity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventEvidenceResponse {
    /// The severity of the event from then on.
    severity: &'static str,
    /// The time of the reading, by the pump's clock.
    #[schema(format = DateTime)]
    at: String,
    /// When the reading was received, by the node's clock.
    #[schema(format = DateTime)]
    received_at: String,
    /// The channel that was above the limit.
    channel: String,
    /// Its value, in its unit.
    value: f64,
    /// The rule's limit at this severity, in the channel's unit.
    limit: f64,
    /// Where the limit comes from.
    #[schema(example = "rule bearing-hot, at severity high")]
    limit_from: String,
    /// All values of the reading.
    values: Vec<EvidenceValueResponse>,
    /// The detection for the reading; null if the limit alone decided.
    #[schema(required)]
    detection: Option<EvidenceDetectionResponse>,
    /// The pump's alarms whose condition held, or that waited for a person, when the rule was evaluated; the highest
    /// priority first, at most 20.
    alarms: Vec<EvidenceAlarmResponse>,
    /// How many alarms these were.
    alarms_standing: usize,
}

/// A value of the reading.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EvidenceValueResponse {
    /// The channel.
    channel: String,
    /// Its unit then.
    unit: String,
    /// The value, as it was sent.
    value: f64,
    /// Whether a working sensor can have sent it.
    plausible: bool,
}

/// The detection for the reading.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EvidenceDetectionResponse {
    /// How far the pump was from normal.
    loss: f64,
    /// The loss above which it is anomalous.
    threshold: f64,
    /// The model and baseline that both come from.
    model: String,
    /// Each channel's share of the loss, the largest first.
    contributions: Vec<EvidenceShareResponse>,
}

/// A channel's share of the loss.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EvidenceShareResponse {
    /// The channel.
    channel: String,
    /// The share, 0 to 1.
    share: f64,
}

/// An alarm that stood.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EvidenceAlarmResponse {
    /// The alarm's id, unique among the pump's alarms.
    alarm: String,
    /// What is wrong.
    title: String,
    /// Its priority then.
    priority: String,
    /// Its state then.
    state: String,
    /// Its occurrence then.
    occurrence: u32,
    /// When this occurrence was raised, by the node's clock; null if it was not announced.
    #[schema(format = DateTime, required)]
    raised_at: Option<String>,
    /// The value that raised it; null if there is no number.
    #[schema(required)]
    value: Option<f64>,
    /// The limit of the alarm's definition then.
    #[schema(required)]
    limit: Option<f64>,
}

impl From<Money> for CostResponse {
    fn from(Money { amount, currency }: Money) -> Self {
        Self { amount, currency: currency.into() }
    }
}

impl RecommendationResponse {
    /// Converts what `rule` recommends.
    pub(crate) fn of(rule: &str, recommendation: Recommendation) -> Self {
        let Recommendation { profile, severity, failure_mode, actions, spare_parts, cost_now, cost_if_it_fails } =
            recommendation;
        Self {
            from: format!("rule {rule} of the profile {profile}, at severity {}", severity.as_str()),
            severity: severity.as_str(),
            failure_mode,
            actions,
            spare_parts: spare_parts.into_iter().map(SparePartResponse::from).collect(),
            cost_now: cost_now.into(),
            cost_if_it_fails: cost_if_it_fails.map(CostResponse::from),
        }
    }
}

impl From<SparePart> for SparePartResponse {
    fn from(SparePart { name, number, quantity }: SparePart) -> Self {
        Self { name, number, quantity }
    }
}

impl EventEvidenceResponse {
    /// Converts the evidence of an event of `rule`.
    pub(crate) fn of(rule: &str, evidence: EventEvidence) -> Self {
        Self {
            severity: evidence.severity.as_str(),
            at: evidence.at.to_string(),
            received_at: evidence.received_at.to_string(),
            channel: evidence.channel,
            value: evidence.value,
            limit: evidence.limit,
            limit_from: format!("rule {rule}, at severity {}", evidence.severity.as_str()),
            values: evidence.values.into_iter().map(EvidenceValueResponse::from).collect(),
            detection: evidence.detection.map(EvidenceDetectionResponse::from),
            alarms: evidence.alarms.into_iter().map(EvidenceAlarmResponse::from).collect(),
            alarms_standing: evidence.alarms_standing,
        }
    }
}

impl From<EvidenceValue> for EvidenceValueResponse {
    fn from(EvidenceValue { channel, unit, value, is_plausible }: EvidenceValue) -> Self {
        Self { channel, unit, value, plausible: is_plausible }
    }
}

impl From<EvidenceDetection> for EvidenceDetectionResponse {
    fn from(EvidenceDetection { loss, threshold, model, mut contributions }: EvidenceDetection) -> Self {
        contributions.sort_by(|a, b| b.1.total_cmp(&a.1));
        let share = |(channel, share)| EvidenceShareResponse { channel, share };
        Self { loss, threshold, model, contributions: contributions.into_iter().map(share).collect() }
    }
}

impl From<EvidenceAlarm> for EvidenceAlarmResponse {
    fn from(alarm: EvidenceAlarm) -> Self {
        let EvidenceAlarm { alarm, title, priority, state, occurrence, raised_at, value, limit } = alarm;
        Self { alarm, title, priority, state, occurrence, raised_at: raised_at.map(|at| at.to_string()), value, limit }
    }
}
