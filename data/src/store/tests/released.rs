//! Data folders that released versions wrote, opened by this version.
//!
//! `data/tests/released/schema_11` is from the last version before documents: audit entries and maintenance events are
//! by position in the journal, and in tables with fixed fields. Its first half is in the database, the second in the
//! journal. A version that changes a stored format adds a folder of the version before it.

use std::path::Path;

use super::{lifecycle::copy_tree, *};

fn first_half() -> Batch {
    Batch {
        pumps: vec![record("P-1"), record("P-2")],
        readings: (0..180).map(|s| reading("P-1", s * 1000)).chain((0..10).map(|s| reading("P-2", s * 1000))).collect(),
        detections: (0..20).map(|s| detection("P-1", s * 1000)).collect(),
        documents: [
            documents(&[event("P-1", "bearing-hot", 0, false), event("P-1", "cavitation", 5, true)]),
            documents(&[entry("restart", 0), entry("commission", 5)]),
        ]
        .concat(),
        metrics: vec![SystemMetrics { at: at(3), figures: [("resident_bytes".to_owned(), 1e9)].into() }],
        checkpoints: vec![checkpoint("P-1", 1001, "what the decider has learned")],
        ..Batch::default()
    }
}

fn imported() -> MaintenanceEvent {
    MaintenanceEvent {
        limit: None,
        peak: None,
        peak_loss: None,
        model: None,
        source: Some("imported: maintenance_events.csv".into()),
        ..event("P-2", "seal", 7, true)
    }
}

/// The rows that are only in its journal.
pub(crate) fn second_half() -> Batch {
    Batch {
        readings: (180..240).map(|s| reading("P-1", s * 1000)).collect(),
        detections: (20..25).map(|s| detection("P-1", s * 1000)).collect(),
        documents: [
            documents(&[event("P-1", "bearing-hot", 0, true), imported()]),
            documents(&[entry("name-pump", 9)]),
        ]
        .concat(),
        checkpoints: vec![checkpoint("P-2", 7, "and of the other pump")],
        ..Batch::default()
    }
}

fn baseline(n: i64) -> BaselineRecord {
    let what = NewBaseline {
        created_at: at(n),
        network: "0123456789ab".into(),
        baseline_id: format!("{n:012x}"),
        from: at(n * 10),
        to: at(n * 10 + 5),
        reason: "first commissioning".into(),
        document: format!(r#"{{"number": {n}, "exact": 0.1}}"#),
    };
    BaselineRecord { version: n as u32, baseline: what }
}

fn settings() -> PumpSettings {
    PumpSettings::default()
        .with(PumpSetting::Interval(Some(5_000)))
        .with(PumpSetting::Hold { channel: Some("Q".into()), hold_s: Some(600) })
}

async fn assert_all_there(store: &Store) {
    let (first, second) = (first_half(), second_half());
    assert_eq!(store.pumps(), first.pumps);
    let all: Vec<Reading> = first.readings.iter().chain(&second.readings).cloned().collect();
    for name in ["P-1", "P-2"] {
        let expected: Vec<Reading> = all.iter().filter(|reading| reading.pump == pump(name)).cloned().collect();
        assert_eq!(readings(store, name).await, expected, "{name}");
    }
    let detections = [first.detections, second.detections].concat();
    assert_eq!(store.detections(None, &PageRange::default()).await.expect("read").rows, detections);
    let events = [event("P-1", "bearing-hot", 0, true), event("P-1", "cavitation", 5, true), imported()];
    assert_eq!(store.events(&EventFilter::default()).await.expect("read").rows, events);
    let resolved = EventFilter { state: Some(EventState::Active), ..EventFilter::default() };
    assert_eq!(store.events(&resolved).await.expect("read").rows, [], "what is replaced is not found");
    let entries = [entry("restart", 0), entry("commission", 5), entry("name-pump", 9)];
    assert_eq!(store.audit(&AuditFilter::default()).await.expect("read").rows, entries);
    assert_eq!(store.metrics(&PageRange::default()).await.expect("read").rows, first.metrics);
    for state in first.checkpoints.iter().chain(&second.checkpoints) {
        assert_eq!(store.pump_checkpoint(&state.pump).await.expect("read").as_ref(), Some(state));
    }
    assert_eq!(store.baselines(&pump("P-1")).await.expect("read"), [baseline(1), baseline(2)]);
    assert_eq!(store.baseline_status(&pump("P-1")).await.expect("read"), BaselineStatus::Active(baseline(1)));
    let commissioning = CommissioningRecord {
        reason: "asked".into(),
        requested: true,
        from: Some(at(3)),
        to: None,
        running_ms: 60_000,
    };
    assert_eq!(store.baseline_status(&pump("P-2")).await.expect("read"), BaselineStatus::Commissioning(commissioning));
    assert_eq!(store.pump_name(&pump("P-1")), Some("Feed pump west".parse().expect("a name")));
    assert_eq!(store.pump_settings(&pump("P-1")).await.expect("read"), settings());
    assert_eq!(store.clock_mark().await, Some(ClockMark { last_trusted: at(0), retention_now: at(0) }));
}

#[test]
fn a_folder_from_before_documents_is_read_completely() {
    let dir = tempfile::tempdir().expect("a directory");
    copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/released/schema_11"), dir.path());
    runtime().block_on(async {
        for _ in 0..2 {
            let store = open(&dir).await;
            assert_eq!(store.status().database, DatabaseStatus::Open);
            assert_eq!(store.status().damage, [] as [String; 0]);
            assert_all_there(&store).await;
            store.flush_all().await.expect("flushed");
            assert_all_there(&store).await;
            store.close().await.expect("closed");
        }
    });
}
