//! Decodes records of versions 1 to 5, which encode audit entries and maintenance events by position. This binary does
//! not write these versions.

use serde::{Deserialize, de::DeserializeOwned};
use volute_plant::{Currency, MaintenanceEvent, Money, Severity, event_status::StatusHistory};

use super::forms::{CheckpointForm, DetectionForm, MetricsForm, PumpForm, ReadingForm, RecordError, all, name, time};
use crate::store::{audit_entry::AuditEntry, document::Document, types::Batch};

/// Version 5, the newest of them.
pub(super) const WITH_SOURCES: u8 = 5;
/// Version 4, before events could come from another system: like version 5, without the events' sources.
pub(super) const WITHOUT_SOURCES: u8 = 4;
/// Version 3, before pumps could be removed: like version 4, without removals.
pub(super) const WITHOUT_REMOVALS: u8 = 3;
/// Version 2, before there was an audit log: like version 3, without audit entries.
pub(super) const WITHOUT_AUDIT: u8 = 2;
/// Version 1, before pumps had checkpoints: like version 2, without checkpoints.
pub(super) const WITHOUT_CHECKPOINTS: u8 = 1;

/// The content of a version 5 record.
type Forms = (Record, Vec<CheckpointForm>, Vec<AuditForm>, Vec<String>, Vec<Option<String>>);

/// Decodes a record of this version.
pub(super) fn decode(version: u8, bytes: &[u8]) -> Result<Batch, RecordError> {
    let (record, checkpoints, audit, removals, sources): Forms = match version {
        WITH_SOURCES => form(bytes)?,
        WITHOUT_SOURCES => {
            let (record, checkpoints, audit, removals) = form(bytes)?;
            (record, checkpoints, audit, removals, Vec::new())
        }
        WITHOUT_REMOVALS => {
            let (record, checkpoints, audit) = form(bytes)?;
            (record, checkpoints, audit, Vec::new(), Vec::new())
        }
        WITHOUT_AUDIT => {
            let (record, checkpoints) = form(bytes)?;
            (record, checkpoints, Vec::new(), Vec::new(), Vec::new())
        }
        WITHOUT_CHECKPOINTS => (form(bytes)?, Vec::new(), Vec::new(), Vec::new(), Vec::new()),
        other => return Err(RecordError::Version(Some(other))),
    };
    let mut events: Vec<MaintenanceEvent> = all(record.events)?;
    for (event, source) in events.iter_mut().zip(sources) {
        event.source = source;
    }
    let audit: Vec<AuditEntry> = all(audit)?;
    Ok(Batch {
        pumps: all(record.pumps)?,
        readings: all(record.readings)?,
        detections: all(record.detections)?,
        documents: events.iter().map(Document::of).chain(audit.iter().map(Document::of)).collect(),
        metrics: all(record.metrics)?,
        checkpoints: all(checkpoints)?,
        removals: removals.iter().map(|pump| name(pump)).collect::<Result<_, _>>()?,
    })
}

fn form<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    Ok(postcard::from_bytes(bytes)?)
}

#[derive(Deserialize)]
struct Record {
    pumps: Vec<PumpForm>,
    readings: Vec<ReadingForm>,
    detections: Vec<DetectionForm>,
    events: Vec<EventForm>,
    metrics: Vec<MetricsForm>,
}

#[derive(Deserialize)]
struct EventForm {
    pump: String,
    rule: String,
    title: String,
    advice: String,
    severity: u8,
    cost: (f64, String),
    channel: String,
    limit: f64,
    peak: f64,
    peak_loss: Option<f64>,
    model: Option<String>,
    opened: i64,
    last_seen: i64,
    resolved: Option<i64>,
}

#[derive(Deserialize)]
struct AuditForm {
    at: i64,
    who: String,
    action: String,
    object: String,
    outcome: String,
    detail: String,
}

const SEVERITIES: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

impl TryFrom<EventForm> for MaintenanceEvent {
    type Error = RecordError;

    fn try_from(form: EventForm) -> Result<Self, RecordError> {
        let (amount, currency) = form.cost;
        let currency = Currency::try_from(currency).map_err(|error| RecordError::Field(error.to_string()))?;
        let severity = SEVERITIES.get(usize::from(form.severity)).copied();
        Ok(Self {
            pump: name(&form.pump)?,
            rule: form.rule,
            title: form.title,
            advice: form.advice,
            severity: severity.ok_or_else(|| RecordError::Field(format!("severity {}", form.severity)))?,
            cost: Money { amount, currency },
            channel: form.channel,
            limit: Some(form.limit).filter(|limit| !limit.is_nan()),
            peak: Some(form.peak).filter(|peak| !peak.is_nan()),
            peak_loss: form.peak_loss,
            model: form.model,
            opened_at: time(form.opened)?,
            last_seen_at: time(form.last_seen)?,
            resolved_at: form.resolved.map(time).transpose()?,
            source: None,
            work: StatusHistory::default(),
            recommendation: None,
            evidence: Vec::new(),
        })
    }
}

impl TryFrom<AuditForm> for AuditEntry {
    type Error = RecordError;

    fn try_from(form: AuditForm) -> Result<Self, RecordError> {
        let AuditForm { at, who, action, object, outcome, detail } = form;
        let entry = Self::new(time(at)?, "", "", "");
        Ok(Self { who, action, object, outcome, detail, ..entry })
    }
}
