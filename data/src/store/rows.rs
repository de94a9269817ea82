//! How each thing looks at rest, and back. The fields' meaning stands in `schema/*.surql`.

use std::collections::BTreeMap;

use surrealdb::types::{Bytes, RecordId, RecordIdKey, SurrealValue, ToSql, Value};
use volute_plant::{Currency, MaintenanceEvent, Money, PumpId, Severity, Timestamp};

use super::{
    StoreError,
    page::{Row, Series},
    types::{PumpRecord, SystemMetrics},
};

/// Whose series the node's own figures are; no pump can have this name.
pub(crate) const NODE: &str = "*";

#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct PumpRow {
    id: RecordId,
    profile: String,
    channels: Vec<String>,
    registered_ms: i64,
}

/// A block of readings.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct ReadingsRow {
    pub(crate) id: RecordId,
    pub(crate) readings: i64,
    pub(crate) block: Bytes,
}

/// A block of detections.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct DetectionsRow {
    pub(crate) id: RecordId,
    pub(crate) detections: i64,
    pub(crate) anomalies: i64,
    pub(crate) block: Bytes,
}

/// Aggregates over a minute or an hour.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct RollupRow {
    pub(crate) id: RecordId,
    pub(crate) readings: i64,
    pub(crate) aggregates: Bytes,
}

#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct MetricsRow {
    id: RecordId,
    figures: BTreeMap<String, f64>,
}

#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct HourRow {
    pub(crate) id: RecordId,
}

/// How far the journal is in the database.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct MarkRow {
    pub(crate) id: RecordId,
    pub(crate) seq: i64,
}

#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct EventRow {
    id: RecordId,
    pump: String,
    rule: String,
    state: String,
    title: String,
    advice: String,
    severity: String,
    cost_amount: f64,
    cost_currency: String,
    channel: String,
    limit: Option<f64>,
    peak: Option<f64>,
    peak_loss: Option<f64>,
    model: Option<String>,
    pub(crate) opened_ms: i64,
    last_seen_ms: i64,
    resolved_ms: Option<i64>,
    source: Option<String>,
}

macro_rules! rows_of_a_series {
    ($($row:ident),*) => {
        $(impl Row for $row {
            fn id(&self) -> &RecordId {
                &self.id
            }
        })*
    };
}

rows_of_a_series!(ReadingsRow, DetectionsRow, RollupRow, MetricsRow);

impl From<&PumpRecord> for PumpRow {
    fn from(pump: &PumpRecord) -> Self {
        Self {
            id: RecordId::new("pump", pump.id.as_str()),
            profile: pump.profile.clone(),
            channels: pump.channels.clone(),
            registered_ms: pump.registered_at.millis(),
        }
    }
}

impl TryFrom<PumpRow> for PumpRecord {
    type Error = StoreError;

    fn try_from(row: PumpRow) -> Result<Self, StoreError> {
        let RecordIdKey::String(name) = &row.id.key else { return Err(unreadable(&row.id, "its id is no name")) };
        Ok(Self {
            id: PumpId::stored(name).map_err(|error| unreadable(&row.id, error))?,
            registered_at: time(&row.id, row.registered_ms)?,
            profile: row.profile,
            channels: row.channels,
        })
    }
}

impl From<&SystemMetrics> for MetricsRow {
    fn from(metrics: &SystemMetrics) -> Self {
        Self { id: Series::metrics(NODE).id(metrics.at.millis()), figures: metrics.figures.clone() }
    }
}

impl TryFrom<MetricsRow> for SystemMetrics {
    type Error = StoreError;

    fn try_from(row: MetricsRow) -> Result<Self, StoreError> {
        let (_, ms) = owner_and_number(&row.id)?;
        Ok(Self { at: time(&row.id, ms)?, figures: row.figures })
    }
}

impl From<&MaintenanceEvent> for EventRow {
    fn from(event: &MaintenanceEvent) -> Self {
        let key: Vec<Value> = vec![
            event.pump.to_string().into_value(),
            event.rule.clone().into_value(),
            event.opened_at.millis().into_value(),
        ];
        Self {
            id: RecordId::new("maintenance_events", RecordIdKey::Array(key.into())),
            pump: event.pump.to_string(),
            rule: event.rule.clone(),
            state: event.state().as_str().to_owned(),
            title: event.title.clone(),
            advice: event.advice.clone(),
            severity: event.severity.as_str().to_owned(),
            cost_amount: event.cost.amount,
            cost_currency: event.cost.currency.to_string(),
            channel: event.channel.clone(),
            limit: event.limit,
            peak: event.peak,
            peak_loss: event.peak_loss,
            model: event.model.clone(),
            opened_ms: event.opened_at.millis(),
            last_seen_ms: event.last_seen_at.millis(),
            resolved_ms: event.resolved_at.map(Timestamp::millis),
            source: event.source.clone(),
        }
    }
}

impl TryFrom<EventRow> for MaintenanceEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let id = &row.id;
        let severities = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
        let severity = severities.into_iter().find(|severity| severity.as_str() == row.severity);
        let currency = Currency::try_from(row.cost_currency).map_err(|error| unreadable(id, error))?;
        let event = Self {
            pump: PumpId::stored(&row.pump).map_err(|error| unreadable(id, error))?,
            severity: severity.ok_or_else(|| unreadable(id, "its severity is none"))?,
            cost: Money { amount: row.cost_amount, currency },
            opened_at: time(id, row.opened_ms)?,
            last_seen_at: time(id, row.last_seen_ms)?,
            resolved_at: row.resolved_ms.map(|ms| time(id, ms)).transpose()?,
            rule: row.rule,
            title: row.title,
            advice: row.advice,
            channel: row.channel,
            limit: row.limit,
            peak: row.peak,
            peak_loss: row.peak_loss,
            model: row.model,
            source: row.source,
        };
        if event.state().as_str() != row.state {
            return Err(unreadable(id, "its state and its times contradict each other"));
        }
        Ok(event)
    }
}

/// Whose block it is, and of which minute or hour.
pub(crate) fn pump_and_start(id: &RecordId) -> Result<(PumpId, i64), StoreError> {
    let (owner, start_ms) = owner_and_number(id)?;
    Ok((PumpId::stored(owner).map_err(|error| unreadable(id, error))?, start_ms))
}

/// The two parts of a series' id.
pub(crate) fn owner_and_number(id: &RecordId) -> Result<(&str, i64), StoreError> {
    if let RecordIdKey::Array(key) = &id.key
        && let [Value::String(owner), ms] = key.as_slice()
        && let Some(ms) = ms.as_int()
    {
        return Ok((owner, *ms));
    }
    Err(unreadable(id, "its id is not [name, number]"))
}

pub(crate) fn time(id: &RecordId, ms: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millis(ms).map_err(|error| unreadable(id, error))
}

pub(crate) fn unreadable(id: &RecordId, reason: impl ToString) -> StoreError {
    StoreError::Unreadable { row: id.to_sql(), reason: reason.to_string() }
}
