//! Maintenance events as documents. An event is one document, which is replaced at each change until it is resolved.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use volute_plant::{
    Currency, EventKey, MaintenanceEvent, Money, PumpId, Recommendation, Severity, Timestamp,
    event_evidence::EventEvidence,
    event_status::{EventStatus, StatusHistory},
};

use super::document::{DocumentKey, DocumentKind, KeyPrefix};

const SEVERITIES: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

/// The stored fields; `schema/0001_initial.surql` and later migrations describe them.
#[derive(Serialize, Deserialize)]
pub struct EventFields {
    pump: String,
    rule: String,
    state: String,
    title: String,
    advice: String,
    severity: String,
    cost_amount: f64,
    cost_currency: String,
    channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    opened_ms: i64,
    last_seen_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// What people have done about it. Rows before it was recorded do not have it.
    #[serde(default, skip_serializing_if = "StatusHistory::is_empty")]
    work: StatusHistory,
    /// For a person who reads the table; it follows from `work`.
    #[serde(default, skip_serializing_if = "is_open")]
    work_status: EventStatus,
    /// What its rule recommends. Rows before it was recorded do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recommendation: Option<Recommendation>,
    /// What it is based on. Rows before it was recorded do not have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<EventEvidence>,
}

fn is_open(status: &EventStatus) -> bool {
    *status == EventStatus::Open
}

/// Returns the key of an event's document.
pub(crate) fn document_key(event: &EventKey) -> DocumentKey {
    DocumentKey::new([event.pump.as_str().into(), event.rule.as_str().into(), event.opened_at.millis().into()])
}

impl DocumentKind for MaintenanceEvent {
    const TABLE: &'static str = "maintenance_events";
    const TIME_FIELD: &'static str = "opened_ms";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Pump;
    const BELONGS_TO_PUMP: bool = true;
    const RETENTION: Option<Duration> = None;
    type Fields = EventFields;

    fn key(&self) -> DocumentKey {
        document_key(&self.key())
    }

    fn to_fields(&self) -> EventFields {
        EventFields {
            pump: self.pump.to_string(),
            rule: self.rule.clone(),
            state: self.state().as_str().to_owned(),
            title: self.title.clone(),
            advice: self.advice.clone(),
            severity: self.severity.as_str().to_owned(),
            cost_amount: self.cost.amount,
            cost_currency: self.cost.currency.to_string(),
            channel: self.channel.clone(),
            limit: self.limit,
            peak: self.peak,
            peak_loss: self.peak_loss,
            model: self.model.clone(),
            opened_ms: self.opened_at.millis(),
            last_seen_ms: self.last_seen_at.millis(),
            resolved_ms: self.resolved_at.map(Timestamp::millis),
            source: self.source.clone(),
            work_status: self.work.status(),
            work: self.work.clone(),
            recommendation: self.recommendation.clone(),
            evidence: self.evidence.clone(),
        }
    }

    fn from_fields(fields: EventFields) -> Result<Self, String> {
        let time = |ms: i64| Timestamp::from_millis(ms).map_err(|error| error.to_string());
        let severity = SEVERITIES.into_iter().find(|severity| severity.as_str() == fields.severity);
        let currency = Currency::try_from(fields.cost_currency).map_err(|error| error.to_string())?;
        let event = Self {
            pump: PumpId::from_stored(&fields.pump).map_err(|error| error.to_string())?,
            severity: severity.ok_or("its severity is unknown")?,
            cost: Money { amount: fields.cost_amount, currency },
            opened_at: time(fields.opened_ms)?,
            last_seen_at: time(fields.last_seen_ms)?,
            resolved_at: fields.resolved_ms.map(time).transpose()?,
            rule: fields.rule,
            title: fields.title,
            advice: fields.advice,
            channel: fields.channel,
            limit: fields.limit,
            peak: fields.peak,
            peak_loss: fields.peak_loss,
            model: fields.model,
            source: fields.source,
            work: fields.work,
            recommendation: fields.recommendation,
            evidence: fields.evidence,
        };
        if event.state().as_str() != fields.state {
            return Err("its state and its times contradict each other".into());
        }
        Ok(event)
    }
}
