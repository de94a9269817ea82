//! Helpers that the store's tests share, and tests that rows are returned as they were stored, or refused.

mod access;
mod audit;
mod audit_chain;
mod baselines;
mod buckets;
mod checkpoints;
mod clock_mark;
pub(super) mod documents;
mod lifecycle;
mod lookup;
mod notifications;
mod paging;
mod parts;
mod past;
mod permissions;
mod profiles;
mod recovery;
pub(super) mod released;
mod removal;
mod retention;
mod rollups;

use std::{path::Path, sync::OnceLock};

use proptest::prelude::*;
use surrealdb::types::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use volute_journal::Seq;
use volute_plant::{
    Currency, Detection, EventState, MaintenanceEvent, Money, PumpId, Reading, Recommendation, Sample, Severity,
    SparePart, Timestamp,
    event_evidence::{EventEvidence, EvidenceAlarm, EvidenceDetection, EvidenceValue},
};

use super::{engine::DatabaseEngine, series::Series, *};

const START: i64 = 1_773_051_273_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(START + ms).expect("a time")
}

fn pump(name: &str) -> PumpId {
    name.parse().expect("a name")
}

fn record(name: &str) -> PumpRecord {
    let channels = vec!["Tb".to_owned(), "Q".to_owned()];
    PumpRecord { id: pump(name), profile: "small".into(), channels, registered_at: at(0) }
}

fn reading(name: &str, ms: i64) -> Reading {
    let samples = [Sample::Good(ms as f64), Sample::Good(1.0)].into();
    Reading { pump: pump(name), at: at(ms), received: at(ms + 7), samples, late: false }
}

fn detection(name: &str, ms: i64) -> Detection {
    Detection {
        pump: pump(name),
        at: at(ms),
        loss: 0.25,
        threshold: 0.5,
        is_anomaly: ms % 2 == 0,
        contributions: [0.9, 0.1].into(),
        model: "m-1".into(),
    }
}

fn checkpoint(name: &str, ms: i64, document: &str) -> PumpCheckpoint {
    PumpCheckpoint { pump: pump(name), at: at(ms), document: document.into() }
}

fn entry(action: &str, ms: i64) -> AuditEntry {
    AuditEntry::new(at(ms), "127.0.0.1:4711", action, "P-1").detail("version 2")
}

fn documents<K: DocumentKind>(rows: &[K]) -> Vec<Document> {
    rows.iter().map(Document::of).collect()
}

fn event(name: &str, rule: &str, ms: i64, resolved: bool) -> MaintenanceEvent {
    MaintenanceEvent {
        pump: pump(name),
        rule: rule.into(),
        title: "Bearing too hot".into(),
        advice: "Check the lubrication.".into(),
        severity: Severity::High,
        cost: Money { amount: 15_000.5, currency: Currency::try_from("INR".to_owned()).expect("a currency") },
        channel: "Tb".into(),
        limit: Some(85.0),
        peak: Some(91.0),
        peak_loss: Some(0.75),
        model: Some("m-1".into()),
        opened_at: at(ms),
        last_seen_at: at(ms + 10),
        resolved_at: resolved.then(|| at(ms + 20)),
        source: None,
        work: Default::default(),
        recommendation: None,
        evidence: Vec::new(),
    }
}

fn recommendation() -> Recommendation {
    let cost_now = Money { amount: 15_000.5, currency: Currency::try_from("INR".to_owned()).expect("a currency") };
    Recommendation {
        profile: "small".into(),
        severity: Severity::High,
        failure_mode: None,
        actions: vec!["Check the oil.".into()],
        spare_parts: vec![SparePart { name: "Seal".into(), number: None, quantity: 2 }],
        cost_now,
        cost_if_it_fails: Some(cost_now),
    }
}

fn evidence() -> EventEvidence {
    EventEvidence {
        severity: Severity::High,
        at: at(500),
        received_at: at(510),
        channel: "Tb".into(),
        value: 91.0,
        limit: 85.0,
        values: vec![EvidenceValue { channel: "Tb".into(), unit: "°C".into(), value: 91.0, is_plausible: true }],
        detection: Some(EvidenceDetection {
            loss: 0.75,
            threshold: 0.5,
            model: "m-1".into(),
            contributions: vec![("Tb".into(), 0.9), ("Q".into(), 0.1)],
        }),
        alarms: vec![EvidenceAlarm {
            alarm: "hot".into(),
            title: "Hot".into(),
            priority: "high".into(),
            state: "unacknowledged".into(),
            occurrence: 1,
            raised_at: None,
            value: Some(95.0),
            limit: None,
        }],
        alarms_standing: 1,
    }
}

/// One runtime is shared by all tests, because the store must work from any runtime.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(1).build().expect("a runtime"))
}

async fn open(dir: &TempDir) -> Store {
    Store::open(dir.path(), &StoreSettings::default(), at(0)).await.expect("opened")
}

fn with_store<T>(test: impl AsyncFnOnce(Store) -> T) -> T {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async { test(open(&dir).await).await })
}

async fn readings(store: &Store, name: &str) -> Vec<Reading> {
    store.readings(&pump(name), &PageRange::default()).await.expect("read").rows
}

#[test]
fn every_table_returns_what_was_stored() {
    let mut unusual = reading("P-1", 1000);
    unusual.samples = [Sample::Bad(-0.0), Sample::Filled].into();
    unusual.late = true;
    let figures = [("ingest_readings_per_s".to_owned(), 3.0), ("resident_bytes".to_owned(), 1e9)].into();
    let by_limit = MaintenanceEvent {
        peak_loss: None,
        model: None,
        recommendation: Some(recommendation()),
        evidence: vec![evidence()],
        ..event("P-1", "limit", 500, false)
    };
    let events = [event("P-1", "bearing-hot", 0, false), event("P-1", "bearing-hot", 500, true), by_limit];
    let entries = [entry("restart", 0), entry("commission", 5)];
    let batch = Batch {
        pumps: vec![record("P-1"), record("P-2")],
        readings: vec![reading("P-1", 0), unusual],
        detections: vec![detection("P-1", 0), detection("P-1", 1001)],
        documents: [documents(&events), documents(&entries)].concat(),
        metrics: vec![SystemMetrics { at: at(3), figures }],
        checkpoints: vec![checkpoint("P-1", 1001, "one"), checkpoint("P-2", 0, "two")],
        ..Batch::default()
    };
    with_store(async |store| {
        store.commit(&batch).await.expect("stored");
        assert_eq!(store.pumps(), batch.pumps);
        assert_eq!(readings(&store, "P-1").await, batch.readings);
        assert_eq!(
            store.detections(Some(&pump("P-1")), &PageRange::default()).await.expect("read").rows,
            batch.detections
        );
        assert_eq!(store.events(&EventFilter::default()).await.expect("read").rows, events);
        assert_eq!(store.metrics(&PageRange::default()).await.expect("read").rows, batch.metrics);
        assert_eq!(audit::all(&store).await.rows, entries);
        for state in &batch.checkpoints {
            assert_eq!(store.pump_checkpoint(&state.pump).await.expect("read").as_ref(), Some(state));
        }
        let counts = store.counts(&pump("P-1")).await.expect("counted");
        assert_eq!(counts, RowCounts { readings: 2, detections: 2 });
        assert_eq!(store.counts(&pump("P-9")).await.expect("counted"), RowCounts::default());
    });
}

#[test]
fn committing_the_same_batch_again_changes_nothing() {
    let batch = Batch {
        pumps: vec![record("P-1")],
        readings: vec![reading("P-1", 0), reading("P-1", 1000)],
        detections: vec![detection("P-1", 0)],
        documents: documents(&[event("P-1", "bearing-hot", 0, false)]),
        ..Batch::default()
    };
    with_store(async |store| {
        for _ in 0..2 {
            store.commit(&batch).await.expect("stored");
            assert_eq!(readings(&store, "P-1").await, batch.readings);
            assert_eq!(
                store.events(&EventFilter::default()).await.expect("read").rows,
                [event("P-1", "bearing-hot", 0, false)]
            );
            let counts = store.counts(&pump("P-1")).await.expect("counted");
            assert_eq!(counts, RowCounts { readings: 2, detections: 1 });
        }
        let mut other = reading("P-1", 0);
        other.samples = [Sample::Missing, Sample::Missing].into();
        store.commit(&Batch { readings: vec![other], ..Batch::default() }).await.expect("stored");
        assert_eq!(readings(&store, "P-1").await, batch.readings, "the first stands");
    });
}

#[test]
fn the_last_version_of_an_event_counts() {
    let (opened, resolved) = (event("P-1", "bearing-hot", 0, false), event("P-1", "bearing-hot", 0, true));
    let other = event("P-2", "cavitation", 5, false);
    let batch = Batch { documents: documents(&[opened, resolved.clone(), other.clone()]), ..Batch::default() };
    with_store(async |store| {
        store.commit(&batch).await.expect("stored");
        for (filter, expected) in [
            (EventFilter::default(), vec![resolved.clone(), other.clone()]),
            (EventFilter { state: Some(EventState::Active), ..EventFilter::default() }, vec![other.clone()]),
            (EventFilter { pump: Some(pump("P-1")), ..EventFilter::default() }, vec![resolved.clone()]),
            (EventFilter { range: PageRange::newest(1), ..EventFilter::default() }, vec![other.clone()]),
        ] {
            assert_eq!(store.events(&filter).await.expect("read").rows, expected, "{filter:?}");
        }
    });
}

#[test]
fn a_batch_with_an_invalid_row_is_refused_as_a_whole() {
    let good = || Batch { pumps: vec![record("P-1")], readings: vec![reading("P-1", 0)], ..Batch::default() };
    let with_reading = |reading| Batch { readings: vec![reading], ..good() };
    let mut narrow = reading("P-1", 1);
    narrow.samples = [Sample::Good(1.0)].into();
    let mut infinite = reading("P-1", 1);
    infinite.samples = [Sample::Good(f64::INFINITY), Sample::Missing].into();
    let negative = Detection { loss: -1.0, ..detection("P-1", 0) };
    let widened = PumpRecord { channels: vec!["Tb".into()], ..record("P-1") };
    with_store(async |store| {
        for (batch, expected) in [
            (with_reading(narrow), "it has 1 channels, and the pump has 2"),
            (with_reading(infinite), "inf is not a finite number"),
            (with_reading(reading("P-9", 1)), "the pump is not registered"),
            (Batch { pumps: vec![record("P-1"), widened], ..good() }, "use another pump id"),
            (Batch { detections: vec![negative.clone()], ..good() }, "below zero"),
        ] {
            let error = store.commit(&batch).await.expect_err(expected).to_string();
            assert!(error.contains(expected), "{error:?} does not contain {expected:?}");
            assert_eq!(readings(&store, "P-1").await, []);
            assert_eq!(store.pumps(), []);
        }
    });
}

#[test]
fn exact_times_are_found_in_one_query() {
    let stored: Vec<_> = [0, 1000, 2000].map(|ms| reading("P-1", ms)).into();
    with_store(async |store| {
        let other = reading("P-2", 500);
        let all = [stored.clone(), vec![other]].concat();
        let pumps = vec![record("P-1"), record("P-2")];
        store.commit(&Batch { pumps, readings: all, ..Batch::default() }).await.expect("stored");
        let found = store
            .readings_at(&pump("P-1"), &[at(2000), at(500), at(0), at(0)])
            .await
            .expect("read")
            .into_complete()
            .expect("whole");
        assert_eq!(found, [stored[0].clone(), stored[2].clone()]);
        assert_eq!(store.readings_at(&pump("P-1"), &[]).await.expect("read").rows, []);
        assert_eq!(store.latest_readings(&pump("P-1"), 2).await.expect("read").rows, stored[1..]);
    });
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let number = || prop_oneof![prop::num::f64::ANY.prop_filter("finite", |v| v.is_finite()), Just(-0.0)];
    prop_oneof![
        number().prop_map(Sample::Good),
        number().prop_map(Sample::Bad),
        Just(Sample::Filled),
        Just(Sample::Missing)
    ]
}

#[test]
fn numbers_are_stored_bit_for_bit() {
    let bits = |r: &Reading| r.samples.iter().map(|s| (s.flag(), s.value().map(f64::to_bits))).collect::<Vec<_>>();
    proptest!(ProptestConfig::with_cases(8), |(rows in prop::collection::vec([any_sample(), any_sample()], 1..60))| {
        let given = |(ms, samples): (i64, [Sample; 2])| Reading { samples: samples.into(), ..reading("P-1", ms) };
        let given: Vec<Reading> = (0..).zip(rows).map(given).collect();
        let batch = Batch { pumps: vec![record("P-1")], readings: given.clone(), ..Batch::default() };
        let found = with_store(async |store| {
            store.commit(&batch).await.expect("stored");
            readings(&store, "P-1").await
        });
        prop_assert_eq!(found.iter().map(bits).collect::<Vec<_>>(), given.iter().map(bits).collect::<Vec<_>>());
    });
}
