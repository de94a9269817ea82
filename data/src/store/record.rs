//! A batch as one record of the journal, and back.
//!
//! A record is one byte for the version, followed by a postcard encoding. Documents are encoded by name: table, key and
//! fields as JSON, so neither a new field nor a new kind needs a new version. Everything else is encoded by position
//! (`record/forms.rs`), so a new field needs a new version. Records of earlier versions are read too
//! (`record/earlier.rs`).
//!
//! Example: a batch with one document and nothing else is the bytes `06 00 00 00 00 00 01 .. 00`: the version 6, empty
//! lists of pumps, readings, detections, metrics and checkpoints, a list of one document, and an empty list of
//! removals.
//!
//! Does not detect damage; the journal does, by its checksums.

mod earlier;
mod forms;

use serde::{Deserialize, Serialize};
use volute_plant::PumpId;

use super::{
    document::{Document, DocumentKey},
    types::Batch,
};
use forms::{CheckpointForm, DetectionForm, MetricsForm, PumpForm, ReadingForm, RecordError, VERSION, all, name};

/// Encodes a batch.
pub(crate) fn encode(batch: &Batch) -> Result<Vec<u8>, RecordError> {
    let Batch { pumps, readings, detections, documents, metrics, checkpoints, removals } = batch;
    let record = Record {
        pumps: pumps.iter().map(PumpForm::from).collect(),
        readings: readings.iter().map(ReadingForm::from).collect(),
        detections: detections.iter().map(DetectionForm::from).collect(),
        metrics: metrics.iter().map(MetricsForm::from).collect(),
        checkpoints: checkpoints.iter().map(CheckpointForm::from).collect(),
        documents: documents.iter().map(DocumentForm::from).collect(),
        removals: removals.iter().map(PumpId::to_string).collect(),
    };
    Ok(postcard::to_extend(&record, vec![VERSION])?)
}

/// Decodes a batch.
pub(crate) fn decode(bytes: &[u8]) -> Result<Batch, RecordError> {
    let Record { pumps, readings, detections, metrics, checkpoints, documents, removals } = match bytes.split_first() {
        Some((&VERSION, form)) => postcard::from_bytes(form)?,
        Some((&version, form)) => return earlier::decode(version, form),
        None => return Err(RecordError::Version(None)),
    };
    Ok(Batch {
        pumps: all(pumps)?,
        readings: all(readings)?,
        detections: all(detections)?,
        documents: all(documents)?,
        metrics: all(metrics)?,
        checkpoints: all(checkpoints)?,
        removals: removals.iter().map(|pump| name(pump)).collect::<Result<_, _>>()?,
    })
}

#[derive(Serialize, Deserialize)]
struct Record {
    pumps: Vec<PumpForm>,
    readings: Vec<ReadingForm>,
    detections: Vec<DetectionForm>,
    metrics: Vec<MetricsForm>,
    checkpoints: Vec<CheckpointForm>,
    documents: Vec<DocumentForm>,
    removals: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct DocumentForm {
    table: String,
    key: DocumentKey,
    /// The pump that it belongs to.
    pump: Option<String>,
    /// Its fields by name, as JSON.
    fields: String,
}

impl From<&Document> for DocumentForm {
    fn from(document: &Document) -> Self {
        Self {
            table: document.table().to_owned(),
            key: document.key().clone(),
            pump: document.pump().map(PumpId::to_string),
            fields: document.json().to_owned(),
        }
    }
}

impl TryFrom<DocumentForm> for Document {
    type Error = RecordError;

    fn try_from(form: DocumentForm) -> Result<Self, RecordError> {
        let DocumentForm { table, key, pump, fields } = form;
        let pump = pump.map(|pump| name(&pump)).transpose()?;
        Ok(Self::stored(table, key, pump, fields))
    }
}

#[cfg(test)]
mod tests {
    use volute_plant::{MaintenanceEvent, Reading, Sample};

    use super::{forms::time, *};
    use crate::store::{
        audit_entry::AuditEntry,
        types::{PumpCheckpoint, PumpRecord, SystemMetrics},
    };

    fn batch() -> Batch {
        let (pump, at): (PumpId, _) = ("P-1".parse().expect("a name"), time(1_773_051_273_000).expect("a time"));
        let channels = vec!["Tb".to_owned()];
        let record = PumpRecord { id: pump.clone(), profile: "small".into(), channels, registered_at: at };
        let samples = [Sample::Good(1.5)].into();
        Batch {
            pumps: vec![record],
            readings: vec![Reading { pump: pump.clone(), at, received: at, late: false, samples }],
            metrics: vec![SystemMetrics { at, figures: [("resident_bytes".to_owned(), 1.0)].into() }],
            checkpoints: vec![PumpCheckpoint { pump: pump.clone(), at, document: "{\"levels\":[0.1]}".into() }],
            removals: vec![pump],
            documents: vec![Document::of(&AuditEntry::new(at, "127.0.0.1:4711", "restart", "gate"))],
            ..Batch::default()
        }
    }

    #[test]
    fn a_batch_is_decoded_as_it_was_encoded() {
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
        let batch = Batch { documents: vec![Document::of(&own), Document::of(&event)], ..Batch::default() };
        assert_eq!(decode(&encode(&batch).expect("encoded")).expect("decoded"), batch);
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    /// Records as versions 1 to 5 wrote them, each without what its version cannot hold.
    #[test]
    fn records_of_earlier_versions_are_read() {
        const OLD: &str = "010103502d3105736d616c6c01025462d0fcbaa19a670103502d31d0fcbaa19a67d0fcbaa19a67000100000000000000f83f000001d0fcbaa19a67010e7265736964656e745f6279746573000000000000f03f";
        const STATES: &str = "0103502d31d0fcbaa19a67107b226c6576656c73223a5b302e315d7d";
        let of_audit = Batch { removals: Vec::new(), ..batch() };
        let of_states = Batch { documents: Vec::new(), ..of_audit.clone() };
        let of_neither = Batch { checkpoints: Vec::new(), ..of_states.clone() };
        assert_eq!(decode(&bytes(OLD)).expect("decoded"), of_neither);
        let second = [&[earlier::WITHOUT_AUDIT], &bytes(OLD)[1..], &bytes(STATES)].concat();
        assert_eq!(decode(&second).expect("decoded"), of_states);
        let third = [&[earlier::WITHOUT_REMOVALS], &second[1..], &[0]].concat();
        assert_eq!(decode(&third).expect("decoded"), of_states);
        let fourth = [&[earlier::WITHOUT_SOURCES], &third[1..], &[0]].concat();
        assert_eq!(decode(&fourth).expect("decoded"), of_states);
        let fifth = [&[earlier::WITH_SOURCES], &fourth[1..], &[0]].concat();
        assert_eq!(decode(&fifth).expect("decoded"), of_states);
        let released = decode(include_bytes!("../../tests/released/record_5")).expect("decoded");
        assert_eq!(released, crate::store::tests::released::second_half());
    }

    #[test]
    fn other_versions_and_torn_records_are_refused() {
        let bytes = encode(&batch()).expect("encoded");
        for version in [0, 7, 255] {
            let other = [&[version], &bytes[1..]].concat();
            assert!(matches!(decode(&other), Err(RecordError::Version(Some(found))) if found == version));
        }
        assert!(matches!(decode(&[]), Err(RecordError::Version(None))));
        for end in 1..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "{end} bytes of {}", bytes.len());
        }
    }
}
