//! The store against plain vectors, and through everything that may happen to its directory.

use std::sync::OnceLock;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use volute_plant::{Currency, Detection, EventState, MaintenanceEvent, Money, PumpId, Reading, Sample, Severity};

use super::{
    migrations::{Migration, migration},
    *,
};

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

fn event(name: &str, rule: &str, ms: i64, resolved: bool) -> MaintenanceEvent {
    MaintenanceEvent {
        pump: pump(name),
        rule: rule.into(),
        title: "Bearing too hot".into(),
        advice: "Check the lubrication.".into(),
        severity: Severity::High,
        cost: Money { amount: 15_000.5, currency: Currency::try_from("INR".to_owned()).expect("a currency") },
        channel: "Tb".into(),
        limit: 85.0,
        peak: 91.0,
        peak_loss: 0.75,
        model: "m-1".into(),
        opened_at: at(ms),
        last_seen_at: at(ms + 10),
        resolved_at: resolved.then(|| at(ms + 20)),
    }
}

/// One runtime for all tests, as the store must not care which one it is called from.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(1).build().expect("a runtime"))
}

async fn open(dir: &TempDir) -> Store {
    Store::open(dir.path(), &StoreSettings::default()).await.expect("opened")
}

fn with_store<T>(test: impl AsyncFnOnce(Store) -> T) -> T {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async { test(open(&dir).await).await })
}

async fn readings(store: &Store, name: &str) -> Vec<Reading> {
    store.readings(&pump(name), &Range::default()).await.expect("read")
}

#[test]
fn every_table_gives_back_what_it_was_given() {
    let mut unusual = reading("P-1", 1000);
    unusual.samples = [Sample::Bad(-0.0), Sample::Filled].into();
    unusual.late = true;
    let figures = [("ingest_readings_per_s".to_owned(), 3.0), ("resident_bytes".to_owned(), 1e9)].into();
    let batch = Batch {
        pumps: vec![record("P-1"), record("P-2")],
        readings: vec![reading("P-1", 0), unusual],
        detections: vec![detection("P-1", 0), detection("P-1", 1001)],
        events: vec![event("P-1", "bearing-hot", 0, false), event("P-1", "bearing-hot", 500, true)],
        metrics: vec![SystemMetrics { at: at(3), figures }],
    };
    with_store(async |store| {
        store.commit(&batch).await.expect("stored");
        assert_eq!(store.pumps().await.expect("read"), batch.pumps);
        assert_eq!(readings(&store, "P-1").await, batch.readings);
        assert_eq!(store.detections(Some(&pump("P-1")), &Range::default()).await.expect("read"), batch.detections);
        assert_eq!(store.events(&EventFilter::default()).await.expect("read"), batch.events);
        assert_eq!(store.metrics(&Range::default()).await.expect("read"), batch.metrics);
        let counts = store.counts(&pump("P-1")).await.expect("counted");
        assert_eq!(counts, Counts { readings: 2, detections: 2 });
        assert_eq!(store.counts(&pump("P-9")).await.expect("counted"), Counts::default());
    });
}

#[test]
fn the_same_batch_again_changes_nothing() {
    let batch = Batch {
        pumps: vec![record("P-1")],
        readings: vec![reading("P-1", 0), reading("P-1", 1000)],
        detections: vec![detection("P-1", 0)],
        events: vec![event("P-1", "bearing-hot", 0, false)],
        metrics: Vec::new(),
    };
    with_store(async |store| {
        for _ in 0..2 {
            store.commit(&batch).await.expect("stored");
            assert_eq!(readings(&store, "P-1").await, batch.readings);
            assert_eq!(store.events(&EventFilter::default()).await.expect("read"), batch.events);
            let counts = store.counts(&pump("P-1")).await.expect("counted");
            assert_eq!(counts, Counts { readings: 2, detections: 1 });
        }
        let mut other = reading("P-1", 0);
        other.samples = [Sample::Missing, Sample::Missing].into();
        store.commit(&Batch { readings: vec![other], ..Batch::default() }).await.expect("stored");
        assert_eq!(readings(&store, "P-1").await, batch.readings, "the first stands");
    });
}

#[test]
fn an_event_is_what_it_last_was() {
    let (opened, resolved) = (event("P-1", "bearing-hot", 0, false), event("P-1", "bearing-hot", 0, true));
    let other = event("P-2", "cavitation", 5, false);
    let batch = Batch { events: vec![opened, resolved.clone(), other.clone()], ..Batch::default() };
    with_store(async |store| {
        store.commit(&batch).await.expect("stored");
        for (filter, expected) in [
            (EventFilter::default(), vec![resolved.clone(), other.clone()]),
            (EventFilter { state: Some(EventState::Active), ..EventFilter::default() }, vec![other.clone()]),
            (EventFilter { pump: Some(pump("P-1")), ..EventFilter::default() }, vec![resolved.clone()]),
            (EventFilter { range: Range::newest(1), ..EventFilter::default() }, vec![other.clone()]),
        ] {
            assert_eq!(store.events(&filter).await.expect("read"), expected, "{filter:?}");
        }
    });
}

#[test]
fn a_batch_with_an_impossible_row_leaves_nothing_behind() {
    let good = || Batch { pumps: vec![record("P-1")], readings: vec![reading("P-1", 0)], ..Batch::default() };
    let with_reading = |reading| Batch { readings: vec![reading], ..good() };
    let mut narrow = reading("P-1", 1);
    narrow.samples = [Sample::Good(1.0)].into();
    let mut infinite = reading("P-1", 1);
    infinite.samples = [Sample::Good(f64::INFINITY), Sample::Missing].into();
    let negative = Detection { loss: -1.0, ..detection("P-1", 0) };
    let widened = PumpRecord { channels: vec!["Tb".into()], ..record("P-1") };
    with_store(async |store| {
        for (batch, told) in [
            (with_reading(narrow), "it has 1 channels, and the pump has 2"),
            (with_reading(infinite), "inf is not a finite number"),
            (with_reading(reading("P-9", 1)), "the pump is not registered"),
            (Batch { pumps: vec![record("P-1"), widened], ..good() }, "use another pump name"),
            (Batch { detections: vec![negative.clone()], ..good() }, "below zero"),
        ] {
            let error = store.commit(&batch).await.expect_err(told).to_string();
            assert!(error.contains(told), "{error:?} says {told:?}");
            assert_eq!(readings(&store, "P-1").await, []);
            assert_eq!(store.pumps().await.expect("read"), []);
        }
    });
}

#[test]
fn what_the_database_refuses_takes_its_batch_with_it() {
    let negative = Detection { loss: -1.0, ..detection("P-1", 1) };
    let batch = Batch {
        pumps: vec![record("P-1")],
        readings: vec![reading("P-1", 0)],
        detections: vec![detection("P-1", 0), negative],
        events: vec![event("P-1", "bearing-hot", 0, false)],
        ..Batch::default()
    };
    with_store(async |store| {
        let error = store.write(&batch).await.expect_err("refused by the schema").to_string();
        assert!(error.contains("loss") && error.contains(">= 0"), "{error}");
        assert_eq!(store.pumps().await.expect("read"), []);
        assert_eq!(store.events(&EventFilter::default()).await.expect("read"), []);
        assert_eq!(store.counts(&pump("P-1")).await.expect("counted"), Counts::default());
    });
}

#[test]
fn a_pump_keeps_its_channels() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        store.commit(&Batch { pumps: vec![record("P-1")], ..Batch::default() }).await.expect("stored");
        store.close().await.expect("closed");
        let store = open(&dir).await;
        let swapped = PumpRecord { channels: vec!["Q".into(), "Tb".into()], ..record("P-1") };
        let error = store.commit(&Batch { pumps: vec![swapped], ..Batch::default() }).await.expect_err("refused");
        assert!(matches!(error, StoreError::OtherChannels { .. }), "{error}");
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
        let found = store.readings_at(&pump("P-1"), &[at(2000), at(500), at(0), at(0)]).await.expect("read");
        assert_eq!(found, [stored[0].clone(), stored[2].clone()]);
        assert_eq!(store.readings_at(&pump("P-1"), &[]).await.expect("read"), []);
        assert_eq!(store.latest_readings(&pump("P-1"), 2).await.expect("read"), stored[1..]);
    });
}

/// Any range over times from minutes to years apart, against the same asked of a vector.
fn any_range() -> impl Strategy<Value = Range> {
    let time = || prop::option::of(prop::sample::select(TIMES.to_vec()).prop_flat_map(|ms| ms - 1..=ms + 1));
    let order = prop::sample::select(vec![Order::OldestFirst, Order::NewestFirst]);
    let limit = prop::sample::select(vec![0, 1, 2, 3, 5, 100, usize::MAX]);
    (time(), time(), order, limit, time()).prop_map(|(from, to, order, limit, after)| Range {
        from: from.map(at),
        to: to.map(at),
        order,
        limit,
        after: after.map(at),
    })
}

/// Around minutes' ends, with holes of hours and of a year. `START` is 33 s past a minute.
const TIMES: [i64; 14] = [
    -31_536_000_000,
    -31_535_999_000,
    -7_200_000,
    -33_001,
    -33_000,
    -1,
    0,
    26_999,
    27_000,
    27_001,
    60_000,
    86_400_000,
    86_400_001,
    90_000_000,
];

/// What a range means, said once more with a plain vector; `moments` are in time order.
fn expected<T: Clone>(all: &[T], range: &Range, at: fn(&T) -> Timestamp) -> Vec<T> {
    let beyond = |t| range.after.is_none_or(|after| range.order.compare(after, t).is_lt());
    let within = |t| range.from.is_none_or(|from| from <= t) && range.to.is_none_or(|to| t < to);
    let mut rows: Vec<T> = all.iter().filter(|row| within(at(row)) && beyond(at(row))).cloned().collect();
    rows.sort_by(|a, b| range.order.compare(at(a), at(b)));
    let last = range.limit.checked_sub(1).and_then(|last| rows.get(last)).map(at);
    let mut place = 0;
    rows.retain(|row| {
        place += 1;
        place <= range.limit || Some(at(row)) == last
    });
    rows
}

#[test]
fn ranges_and_cursors_mean_what_they_mean_for_a_vector() {
    let both: Vec<Detection> = TIMES.iter().flat_map(|&ms| [detection("P-1", ms), detection("P-2", ms)]).collect();
    let one: Vec<Reading> = TIMES.iter().map(|&ms| reading("P-1", ms)).collect();
    let events: Vec<_> = TIMES.iter().flat_map(|&ms| ["a", "b"].map(|rule| event("P-1", rule, ms, true))).collect();
    let metrics: Vec<_> =
        TIMES.map(|ms| SystemMetrics { at: at(ms), figures: [("x".into(), ms as f64)].into() }).into();
    let batch = Batch {
        pumps: vec![record("P-1"), record("P-2"), record("P-3")],
        readings: one.clone(),
        detections: both.clone(),
        events: events.clone(),
        metrics: metrics.clone(),
    };
    let dir = tempfile::tempdir().expect("a directory");
    let store = runtime().block_on(open(&dir));
    runtime().block_on(store.commit(&batch)).expect("stored");
    proptest!(ProptestConfig::with_cases(48), |(range in any_range())| {
        let found = runtime().block_on(store.readings(&pump("P-1"), &range)).expect("read");
        prop_assert_eq!(found, expected(&one, &range, |reading| reading.at));
        let found = runtime().block_on(store.detections(None, &range)).expect("read");
        prop_assert_eq!(found, expected(&both, &range, |detection| detection.at));
        let found = runtime().block_on(store.metrics(&range)).expect("read");
        prop_assert_eq!(found, expected(&metrics, &range, |metrics| metrics.at));
        let filter = EventFilter { range: range.clone(), ..EventFilter::default() };
        let found = runtime().block_on(store.events(&filter)).expect("read");
        prop_assert_eq!(found, expected(&events, &range, |event| event.opened_at));
    });
}

#[test]
fn a_thousand_readings_are_walked_back_through() {
    let all: Vec<Reading> = (0..1000).map(|second| reading("P-1", second * 1000)).collect();
    with_store(async |store| {
        let batch = Batch { pumps: vec![record("P-1")], readings: all.clone(), ..Batch::default() };
        store.commit(&batch).await.expect("stored");
        assert_eq!(store.latest_readings(&pump("P-1"), 30).await.expect("read"), all[970..]);
        assert_eq!(store.latest_readings(&pump("P-1"), 999).await.expect("read"), all[1..]);
        let mut pages = Vec::new();
        let mut page = Range::newest(300);
        while let Some(last) = pages.last().map(|r: &Reading| r.at).or(Some(at(1_000_000))) {
            page.after = Some(last);
            let found = store.readings(&pump("P-1"), &page).await.expect("read");
            if found.is_empty() {
                break;
            }
            pages.extend(found);
        }
        pages.reverse();
        assert_eq!(pages, all);
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
fn every_number_comes_back_to_the_last_bit() {
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

#[test]
fn what_was_committed_is_there_after_close_and_after_drop() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        let batch = |ms| Batch { pumps: vec![record("P-1")], readings: vec![reading("P-1", ms)], ..Batch::default() };
        store.commit(&batch(0)).await.expect("stored");
        let other = store.clone();
        store.close().await.expect("closed");
        assert!(matches!(other.pumps().await, Err(StoreError::Closed)));
        other.close().await.expect("closed already");

        let store = open(&dir).await;
        store.commit(&batch(1)).await.expect("stored");
        drop(store);

        let store = open(&dir).await;
        assert_eq!(readings(&store, "P-1").await, [reading("P-1", 0), reading("P-1", 1)]);
    });
}

#[test]
fn a_second_opener_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let _first = open(&dir).await;
        let second = Store::open(dir.path(), &StoreSettings::default()).await;
        assert!(matches!(second, Err(StoreError::Locked { .. })), "{:?}", second.err());
    });
}

#[test]
fn a_directory_that_cannot_be_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    runtime().block_on(async {
        for bad in [file.join("store"), dir.path().join("what?")] {
            let opened = Store::open(&bad, &StoreSettings::default()).await;
            assert!(matches!(opened, Err(StoreError::Directory { .. })), "{:?}", opened.err());
        }
    });
}

#[test]
fn any_runtime_will_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Builder::new_current_thread().build().expect("a runtime");
    let store = first.block_on(open(&dir));
    drop(first);
    let second = Builder::new_current_thread().build().expect("a runtime");
    second.block_on(async {
        store.commit(&Batch { pumps: vec![record("P-1")], ..Batch::default() }).await.expect("stored");
        assert_eq!(store.pumps().await.expect("read"), [record("P-1")]);
        store.close().await.expect("closed");
    });
    second.block_on(open(&dir));
}

const LATER: &[Migration] = &[
    migration!(1, "initial", include_str!("../../schema/0001_initial.surql")),
    migration!(2, "later", "DEFINE TABLE later SCHEMAFULL PERMISSIONS NONE;\nCREATE later RETURN NONE;"),
];

#[test]
fn a_migration_runs_once_and_an_older_binary_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        for _ in 0..2 {
            migrations::apply(&store.0.engine, LATER).await.expect("migrated");
            let rows: Vec<Value> = store.0.engine.rows("SELECT * FROM later", []).await.expect("read");
            assert_eq!(rows.len(), 1, "it ran once");
        }
        store.close().await.expect("closed");
        let older = Store::open(dir.path(), &StoreSettings::default()).await;
        assert!(matches!(older, Err(StoreError::Newer { found: 2, known: 1 })), "{:?}", older.err());
        let again = Engine::start(dir.path(), &StoreSettings::default()).await.expect("the refusal let go of the lock");
        migrations::apply(&again, LATER).await.expect("the newer binary still opens it");
    });
}

#[test]
fn a_migration_is_all_or_nothing_and_keeps_its_text() {
    const BROKEN: &[Migration] = &[
        migration!(1, "initial", include_str!("../../schema/0001_initial.surql")),
        migration!(2, "broken", "DEFINE TABLE half SCHEMAFULL;\nTHROW 'no';"),
    ];
    const OTHER: &[Migration] = &[migration!(1, "initial", "DEFINE TABLE other SCHEMAFULL;")];
    with_store(async |store| {
        let engine = &store.0.engine;
        let error = migrations::apply(engine, BROKEN).await.expect_err("broken").to_string();
        assert!(error.contains("no"), "{error}");
        engine.rows::<Value>("SELECT * FROM half", []).await.expect_err("the table was not made");
        migrations::apply(engine, migrations::ALL).await.expect("nothing was recorded");
        let error = migrations::apply(engine, OTHER).await.expect_err("other");
        assert!(matches!(error, StoreError::OtherMigration { version: 1, .. }), "{error}");
    });
}

#[test]
fn the_engine_stops_reading_at_the_limit() {
    const EXPLAIN: &str = "EXPLAIN SELECT * FROM (|$range| $range)($range) LIMIT $limit";
    assert_eq!(EXPLAIN.strip_prefix("EXPLAIN "), Some(page::SCAN));
    with_store(async |store| {
        let vars = [("range", Series::readings(&pump("P-1")).between(0, i64::MAX)), ("limit", page::limit(3))];
        let plan: Vec<String> = store.0.engine.rows(EXPLAIN, vars).await.expect("explained");
        assert!(plan[0].contains("DynamicScan") && plan[0].contains("limit: $limit"), "{plan:?}");
    });
}
