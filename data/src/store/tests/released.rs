//! Data folders as released versions left them, opened by this one.
//!
//! `data/tests/released/schema_11` is of the last version before documents: audit entries and maintenance events by position
//! in the journal, and in tables with fixed fields. The first half of it is in the database, the second in the journal.
//! A version that changes a form at rest adds a folder of the one before it.

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
        states: vec![state("P-1", 1001, "what the decider has learned")],
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

/// What is in its journal alone.
pub(crate) fn second_half() -> Batch {
    Batch {
        readings: (180..240).map(|s| reading("P-1", s * 1000)).collect(),
        detections: (20..25).map(|s| detection("P-1", s * 1000)).collect(),
        documents: [
            documents(&[event("P-1", "bearing-hot", 0, true), imported()]),
            documents(&[entry("name-pump", 9)]),
        ]
        .concat(),
        states: vec![state("P-2", 7, "and of the other pump")],
        ..Batch::default()
    }
}

fn baseline(n: i64) -> BaselineRecord {
    let what = NewBaseline {
        created_at: at(n),
        network: "0123456789ab".into(),
        baseline: format!("{n:012x}"),
        from: at(n * 10),
        to: at(n * 10 + 5),
        why: "first commissioning".into(),
        document: format!(r#"{{"number": {n}, "exact": 0.1}}"#),
    };
    BaselineRecord { version: n as u32, what }
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
    assert_eq!(store.detections(None, &Range::default()).await.expect("read").rows, detections);
    let events = [event("P-1", "bearing-hot", 0, true), event("P-1", "cavitation", 5, true), imported()];
    assert_eq!(store.events(&EventFilter::default()).await.expect("read").rows, events);
    let resolved = EventFilter { state: Some(EventState::Active), ..EventFilter::default() };
    assert_eq!(store.events(&resolved).await.expect("read").rows, [], "what is replaced is not found");
    let entries = [entry("restart", 0), entry("commission", 5), entry("name-pump", 9)];
    assert_eq!(store.audit(&AuditFilter::default()).await.expect("read").rows, entries);
    assert_eq!(store.metrics(&Range::default()).await.expect("read").rows, first.metrics);
    for state in first.states.iter().chain(&second.states) {
        assert_eq!(store.pump_state(&state.pump).await.expect("read").as_ref(), Some(state));
    }
    assert_eq!(store.baselines(&pump("P-1")).await.expect("read"), [baseline(1), baseline(2)]);
    assert_eq!(store.standing(&pump("P-1")).await.expect("read"), Standing::Active(baseline(1)));
    let commissioning =
        CommissioningRecord { why: "asked".into(), asked: true, from: Some(at(3)), to: None, running_ms: 60_000 };
    assert_eq!(store.standing(&pump("P-2")).await.expect("read"), Standing::Commissioning(commissioning));
    assert_eq!(store.pump_name(&pump("P-1")), Some("Feed pump west".parse().expect("a name")));
    assert_eq!(store.pump_settings(&pump("P-1")).await.expect("read"), settings());
    assert_eq!(store.clock_mark().await, Some(ClockMark { believed: at(0), retention: at(0) }));
}

#[test]
fn a_folder_of_before_documents_has_all_that_was_in_it() {
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
