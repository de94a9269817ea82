//! A batch as one record of the journal, and back.
//!
//! The form at rest is this file's own, so that the vocabulary may change without the journal. It is postcard's, behind
//! a byte for the version. Deliberately absent: damage, which the journal finds by its checksums.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use volute_plant::{Currency, Detection, MaintenanceEvent, Money, PumpId, Reading, Sample, Severity, Timestamp};

use super::{
    audit_entry::AuditEntry,
    types::{Batch, PumpRecord, PumpState, SystemMetrics},
};

/// The form that is written.
const VERSION: u8 = 5;
/// The form of before events could come from another system: the same without their sources. It is read.
const WITHOUT_SOURCES: u8 = 4;
/// The form of before pumps could be removed: without removals too. It is read.
const WITHOUT_REMOVALS: u8 = 3;
/// The form of before there was an audit log: without it too. It is read.
const WITHOUT_AUDIT: u8 = 2;
/// The form of before pumps had states: without any of these. It is read; others are refused.
const WITHOUT_STATES: u8 = 1;

/// A record's bytes are none that this version reads.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// Another version wrote it.
    #[error("its version is {0:?}; this binary reads {WITHOUT_STATES} to {VERSION}")]
    Version(Option<u8>),
    /// It has another form.
    #[error(transparent)]
    Form(#[from] postcard::Error),
    /// A field holds what it cannot.
    #[error("{0}")]
    Field(String),
}

/// The batch in bytes.
pub(crate) fn encode(batch: &Batch) -> Result<Vec<u8>, RecordError> {
    let record = Record {
        pumps: batch.pumps.iter().map(PumpForm::from).collect(),
        readings: batch.readings.iter().map(ReadingForm::from).collect(),
        detections: batch.detections.iter().map(DetectionForm::from).collect(),
        events: batch.events.iter().map(EventForm::from).collect(),
        metrics: batch.metrics.iter().map(|m| MetricsForm { at: m.at.millis(), figures: m.figures.clone() }).collect(),
    };
    let states: Vec<StateForm> = batch.states.iter().map(StateForm::from).collect();
    let audit: Vec<AuditForm> = batch.audit.iter().map(AuditForm::from).collect();
    let removals: Vec<&str> = batch.removals.iter().map(PumpId::as_str).collect();
    let sources: Vec<Option<&str>> = match batch.events.iter().any(|event| event.source.is_some()) {
        true => batch.events.iter().map(|event| event.source.as_deref()).collect(),
        false => Vec::new(),
    };
    Ok(postcard::to_extend(&(record, states, audit, removals, sources), vec![VERSION])?)
}

/// The batch that was encoded.
pub(crate) fn decode(bytes: &[u8]) -> Result<Batch, RecordError> {
    let (record, states, audit, removals, sources): Forms = match bytes.split_first() {
        Some((&VERSION, form)) => postcard::from_bytes(form)?,
        Some((&WITHOUT_SOURCES, form)) => {
            let (record, states, audit, removals) = postcard::from_bytes(form)?;
            (record, states, audit, removals, Vec::new())
        }
        Some((&WITHOUT_REMOVALS, form)) => {
            let (record, states, audit) = postcard::from_bytes(form)?;
            (record, states, audit, Vec::new(), Vec::new())
        }
        Some((&WITHOUT_AUDIT, form)) => {
            let (record, states) = postcard::from_bytes(form)?;
            (record, states, Vec::new(), Vec::new(), Vec::new())
        }
        Some((&WITHOUT_STATES, form)) => (postcard::from_bytes(form)?, Vec::new(), Vec::new(), Vec::new(), Vec::new()),
        other => return Err(RecordError::Version(other.map(|(version, _)| *version))),
    };
    let mut events =
        record.events.into_iter().map(MaintenanceEvent::try_from).collect::<Result<Vec<_>, RecordError>>()?;
    for (event, source) in events.iter_mut().zip(sources) {
        event.source = source;
    }
    Ok(Batch {
        pumps: record.pumps.into_iter().map(PumpRecord::try_from).collect::<Result<_, _>>()?,
        readings: record.readings.into_iter().map(Reading::try_from).collect::<Result<_, _>>()?,
        detections: record.detections.into_iter().map(Detection::try_from).collect::<Result<_, _>>()?,
        events,
        metrics: record
            .metrics
            .into_iter()
            .map(|m| Ok(SystemMetrics { at: time(m.at)?, figures: m.figures }))
            .collect::<Result<_, RecordError>>()?,
        states: states.into_iter().map(PumpState::try_from).collect::<Result<_, _>>()?,
        audit: audit.into_iter().map(AuditEntry::try_from).collect::<Result<_, _>>()?,
        removals: removals.iter().map(|pump| name(pump)).collect::<Result<_, _>>()?,
    })
}

/// What a record holds, in its newest form.
type Forms = (Record, Vec<StateForm>, Vec<AuditForm>, Vec<String>, Vec<Option<String>>);

#[derive(Serialize, Deserialize)]
struct Record {
    pumps: Vec<PumpForm>,
    readings: Vec<ReadingForm>,
    detections: Vec<DetectionForm>,
    events: Vec<EventForm>,
    metrics: Vec<MetricsForm>,
}

#[derive(Serialize, Deserialize)]
struct PumpForm {
    id: String,
    profile: String,
    channels: Vec<String>,
    registered: i64,
}

#[derive(Serialize, Deserialize)]
struct ReadingForm {
    pump: String,
    at: i64,
    received: i64,
    late: bool,
    samples: Vec<SampleForm>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum SampleForm {
    Good(f64),
    Bad(f64),
    Filled,
    Missing,
}

#[derive(Serialize, Deserialize)]
struct DetectionForm {
    pump: String,
    at: i64,
    loss: f64,
    threshold: f64,
    is_anomaly: bool,
    contributions: Vec<f64>,
    model: String,
}

#[derive(Serialize, Deserialize)]
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

#[derive(Serialize, Deserialize)]
struct StateForm {
    pump: String,
    at: i64,
    document: String,
}

#[derive(Serialize, Deserialize)]
struct AuditForm {
    at: i64,
    who: String,
    action: String,
    object: String,
    outcome: String,
    detail: String,
}

#[derive(Serialize, Deserialize)]
struct MetricsForm {
    at: i64,
    figures: BTreeMap<String, f64>,
}

const SEVERITIES: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

impl From<&PumpRecord> for PumpForm {
    fn from(pump: &PumpRecord) -> Self {
        Self {
            id: pump.id.to_string(),
            profile: pump.profile.clone(),
            channels: pump.channels.clone(),
            registered: pump.registered_at.millis(),
        }
    }
}

impl TryFrom<PumpForm> for PumpRecord {
    type Error = RecordError;

    fn try_from(form: PumpForm) -> Result<Self, RecordError> {
        let PumpForm { id, profile, channels, registered } = form;
        Ok(Self { id: name(&id)?, profile, channels, registered_at: time(registered)? })
    }
}

impl From<&Reading> for ReadingForm {
    fn from(reading: &Reading) -> Self {
        let form = |sample: &Sample| match *sample {
            Sample::Good(value) => SampleForm::Good(value),
            Sample::Bad(value) => SampleForm::Bad(value),
            Sample::Filled => SampleForm::Filled,
            Sample::Missing => SampleForm::Missing,
        };
        Self {
            pump: reading.pump.to_string(),
            at: reading.at.millis(),
            received: reading.received.millis(),
            late: reading.late,
            samples: reading.samples.iter().map(form).collect(),
        }
    }
}

impl TryFrom<ReadingForm> for Reading {
    type Error = RecordError;

    fn try_from(form: ReadingForm) -> Result<Self, RecordError> {
        let sample = |form: &SampleForm| match *form {
            SampleForm::Good(value) => Sample::Good(value),
            SampleForm::Bad(value) => Sample::Bad(value),
            SampleForm::Filled => Sample::Filled,
            SampleForm::Missing => Sample::Missing,
        };
        Ok(Self {
            pump: name(&form.pump)?,
            at: time(form.at)?,
            received: time(form.received)?,
            late: form.late,
            samples: form.samples.iter().map(sample).collect(),
        })
    }
}

impl From<&Detection> for DetectionForm {
    fn from(detection: &Detection) -> Self {
        Self {
            pump: detection.pump.to_string(),
            at: detection.at.millis(),
            loss: detection.loss,
            threshold: detection.threshold,
            is_anomaly: detection.is_anomaly,
            contributions: detection.contributions.to_vec(),
            model: detection.model.to_string(),
        }
    }
}

impl TryFrom<DetectionForm> for Detection {
    type Error = RecordError;

    fn try_from(form: DetectionForm) -> Result<Self, RecordError> {
        let DetectionForm { pump, at, loss, threshold, is_anomaly, contributions, model } = form;
        let (contributions, model) = (contributions.into(), model.into());
        Ok(Self { pump: name(&pump)?, at: time(at)?, loss, threshold, is_anomaly, contributions, model })
    }
}

impl From<&MaintenanceEvent> for EventForm {
    fn from(event: &MaintenanceEvent) -> Self {
        let severity = SEVERITIES.iter().position(|severity| *severity == event.severity).unwrap_or_default();
        Self {
            pump: event.pump.to_string(),
            rule: event.rule.clone(),
            title: event.title.clone(),
            advice: event.advice.clone(),
            severity: u8::try_from(severity).unwrap_or_default(),
            cost: (event.cost.amount, event.cost.currency.to_string()),
            channel: event.channel.clone(),
            // What is absent is no number in this form.
            limit: event.limit.unwrap_or(f64::NAN),
            peak: event.peak.unwrap_or(f64::NAN),
            peak_loss: event.peak_loss,
            model: event.model.clone(),
            opened: event.opened_at.millis(),
            last_seen: event.last_seen_at.millis(),
            resolved: event.resolved_at.map(Timestamp::millis),
        }
    }
}

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
        })
    }
}

impl From<&PumpState> for StateForm {
    fn from(state: &PumpState) -> Self {
        Self { pump: state.pump.to_string(), at: state.at.millis(), document: state.document.clone() }
    }
}

impl TryFrom<StateForm> for PumpState {
    type Error = RecordError;

    fn try_from(form: StateForm) -> Result<Self, RecordError> {
        let StateForm { pump, at, document } = form;
        Ok(Self { pump: name(&pump)?, at: time(at)?, document })
    }
}

impl From<&AuditEntry> for AuditForm {
    fn from(entry: &AuditEntry) -> Self {
        let AuditEntry { at, who, action, object, outcome, detail } = entry.clone();
        Self { at: at.millis(), who, action, object, outcome, detail }
    }
}

impl TryFrom<AuditForm> for AuditEntry {
    type Error = RecordError;

    fn try_from(form: AuditForm) -> Result<Self, RecordError> {
        let AuditForm { at, who, action, object, outcome, detail } = form;
        Ok(Self { at: time(at)?, who, action, object, outcome, detail })
    }
}

fn name(text: &str) -> Result<PumpId, RecordError> {
    PumpId::stored(text).map_err(|error| RecordError::Field(format!("pump {text:?}: {error}")))
}

fn time(ms: i64) -> Result<Timestamp, RecordError> {
    Timestamp::from_millis(ms).map_err(|error| RecordError::Field(format!("time {ms}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let (pump, at): (PumpId, _) = ("P-1".parse().expect("a name"), time(1_773_051_273_000).expect("a time"));
        let channels = vec!["Tb".to_owned()];
        let record = PumpRecord { id: pump.clone(), profile: "small".into(), channels, registered_at: at };
        let samples = [Sample::Good(1.5)].into();
        Batch {
            pumps: vec![record],
            readings: vec![Reading { pump: pump.clone(), at, received: at, late: false, samples }],
            metrics: vec![SystemMetrics { at, figures: [("resident_bytes".to_owned(), 1.0)].into() }],
            states: vec![PumpState { pump: pump.clone(), at, document: "{\"levels\":[0.1]}".into() }],
            removals: vec![pump],
            audit: vec![AuditEntry {
                at,
                who: "127.0.0.1:4711".into(),
                action: "restart".into(),
                object: "gate".into(),
                outcome: "done".into(),
                detail: String::new(),
            }],
            ..Batch::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(decode(&encode(&batch()).expect("encoded")).expect("decoded"), batch());
    }

    #[test]
    fn an_event_of_another_system_keeps_its_source() {
        let json = r#"{"pump": "P-1", "rule": "imported", "title": "Seal", "advice": "", "severity": "low",
            "cost": {"amount": 0.0, "currency": "INR"}, "channel": "", "limit": null, "peak": null, "peak_loss": null,
            "model": null, "opened_at": "2026-03-09T10:14:33Z", "last_seen_at": "2026-03-09T10:14:33Z",
            "resolved_at": "2026-03-09T10:14:33Z", "source": "imported: maintenance_events.csv"}"#;
        let event: MaintenanceEvent = serde_json::from_str(json).expect("an event");
        let own = MaintenanceEvent { source: None, limit: Some(85.0), ..event.clone() };
        let batch = Batch { events: vec![own, event], ..Batch::default() };
        assert_eq!(decode(&encode(&batch).expect("encoded")).expect("decoded"), batch);
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    /// The bytes of a record as versions 1 to 4 of this form have written it, and each with what it cannot hold.
    #[test]
    fn records_of_earlier_versions_are_read() {
        const OLD: &str = "010103502d3105736d616c6c01025462d0fcbaa19a670103502d31d0fcbaa19a67d0fcbaa19a67000100000000000000f83f000001d0fcbaa19a67010e7265736964656e745f6279746573000000000000f03f";
        const STATES: &str = "0103502d31d0fcbaa19a67107b226c6576656c73223a5b302e315d7d";
        let of_audit = Batch { removals: Vec::new(), ..batch() };
        let of_states = Batch { audit: Vec::new(), ..of_audit.clone() };
        let of_neither = Batch { states: Vec::new(), ..of_states.clone() };
        assert_eq!(decode(&bytes(OLD)).expect("decoded"), of_neither);
        let second = [&[WITHOUT_AUDIT], &bytes(OLD)[1..], &bytes(STATES)].concat();
        assert_eq!(decode(&second).expect("decoded"), of_states);
        let third = [&[WITHOUT_REMOVALS], &second[1..], &[0]].concat();
        assert_eq!(decode(&third).expect("decoded"), of_states);
        let fourth = [&[WITHOUT_SOURCES], &third[1..], &[0]].concat();
        assert_eq!(decode(&fourth).expect("decoded"), of_states);
        let fifth = [&[VERSION], &fourth[1..], &[0]].concat();
        assert_eq!(encode(&of_states).expect("encoded"), fifth, "the new form only adds to the old ones");
        let fifth = encode(&of_audit).expect("encoded");
        let third = [&[WITHOUT_REMOVALS], &fifth[1..fifth.len() - 2]].concat();
        assert_eq!(decode(&third).expect("decoded"), of_audit);
    }

    #[test]
    fn other_versions_and_torn_records_are_refused() {
        let bytes = encode(&batch()).expect("encoded");
        for version in [0, 6, 255] {
            let other = [&[version], &bytes[1..]].concat();
            assert!(matches!(decode(&other), Err(RecordError::Version(Some(found))) if found == version));
        }
        assert!(matches!(decode(&[]), Err(RecordError::Version(None))));
        for end in 1..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "{end} bytes of {}", bytes.len());
        }
    }
}
