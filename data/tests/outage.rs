//! The database fails and recovers: no acknowledged reading is lost or duplicated, and query results say whether they
//! are complete.

#![allow(clippy::expect_used, clippy::panic, reason = "clippy.toml allows them in tests, and not in their helpers")]

use std::{collections::BTreeSet, path::Path};

use fail::FailScenario;
use tempfile::TempDir;
use volute_data::{
    Batch, Completeness, DatabaseStatus, EventFilter, PageRange, PumpRecord, QueryResult, Store, StoreError,
    StoreSettings,
};
use volute_plant::{PumpId, Reading, Sample, Timestamp};

fn at(s: i64) -> Timestamp {
    Timestamp::from_millis(1_773_051_240_000 + s * 1000).expect("a time")
}

fn pump() -> PumpId {
    "P-1".parse().expect("a name")
}

fn record() -> PumpRecord {
    PumpRecord { id: pump(), profile: "small".into(), channels: vec!["Tb".into(), "Q".into()], registered_at: at(0) }
}

fn readings(seconds: std::ops::Range<i64>) -> Vec<Reading> {
    let reading = |s: i64| Reading {
        pump: pump(),
        at: at(s),
        received: at(s),
        samples: [Sample::Good(s as f64), Sample::Good(0.5)].into(),
        late: false,
    };
    seconds.map(reading).collect()
}

fn batch(seconds: std::ops::Range<i64>) -> Batch {
    Batch { pumps: vec![record()], readings: readings(seconds), ..Batch::default() }
}

async fn open(dir: &Path) -> Store {
    Store::open(dir, &StoreSettings::default(), at(0)).await.expect("opened")
}

async fn stored(store: &Store) -> QueryResult<Reading> {
    store.readings(&pump(), &PageRange::default()).await.expect("answered")
}

/// Checks that the store holds every reading up to `s` once: in the head, in blocks, and after it is opened again.
async fn assert_complete(dir: &TempDir, store: Store, s: i64) {
    assert_eq!(stored(&store).await, QueryResult { rows: readings(0..s), completeness: Completeness::Complete });
    store.flush_all().await.expect("flushed");
    assert_eq!(stored(&store).await, QueryResult { rows: readings(0..s), completeness: Completeness::Complete });
    assert_eq!(store.counts(&pump()).await.expect("counted").readings, s as u64);
    let hourly = store.buckets(&pump(), (at(-86_400), at(86_400)), 49).await.expect("answered");
    assert_eq!(hourly.rows.iter().map(|bucket| bucket.readings).sum::<u64>(), s as u64, "{hourly:?}");
    store.close().await.expect("closed");
    let again = open(dir.path()).await;
    assert_eq!(stored(&again).await, QueryResult { rows: readings(0..s), completeness: Completeness::Complete });
}

#[tokio::test]
async fn a_failing_write_loses_and_duplicates_nothing() {
    // Before the transaction and after it: a transaction whose result was lost may have been committed all the same.
    for (point, failures) in [("database-write", 2), ("database-written", 1)] {
        let scenario = FailScenario::setup();
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path()).await;
        store.commit(&batch(0..90)).await.expect("durable");
        store.flush_all().await.expect("flushed");
        fail::cfg(point, "return(no)").expect("set");
        store.commit(&batch(90..200)).await.expect("durable all the same");
        for _ in 0..failures {
            let error = store.flush_all().await.expect_err("it fails");
            assert!(matches!(error, StoreError::Database(_)), "{error}");
            store.mark_unavailable(&error.to_string()).await;
            store.pack(at(1000));
            let during = stored(&store).await;
            assert_eq!(during.rows, readings(90..200), "unflushed readings can be read");
            let Completeness::Partial { from: Some(from), reason } = &during.completeness else {
                panic!("{:?}", during.completeness)
            };
            assert!(*from <= at(90) && reason.contains("no"), "{from} {reason}");
            store.reopen().await.expect("open again");
            assert_eq!(stored(&store).await.rows, readings(0..200));
        }
        store.commit(&batch(200..201)).await.expect("durable");
        fail::remove(point);
        assert_complete(&dir, store, 201).await;
        scenario.teardown();
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_leaves_the_store_open() {
    let scenario = FailScenario::setup();
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    store.commit(&batch(0..90)).await.expect("durable");
    store.flush_all().await.expect("flushed");
    store.commit(&batch(90..100)).await.expect("durable");
    store.close().await.expect("closed");

    fail::cfg("database-open", "return(broken)").expect("set");
    let store = open(dir.path()).await;
    assert!(matches!(store.status().database, DatabaseStatus::Unavailable(why) if why.contains("broken")));
    assert_eq!(store.pumps(), [record()], "known from the copy");
    store.commit(&batch(100..150)).await.expect("durable");
    // Readings of the database that the journal still holds are returned too.
    assert!(stored(&store).await.rows.ends_with(&readings(90..150)));
    let events = store.events(&EventFilter::default()).await.expect("answered");
    assert!(matches!(events.completeness, Completeness::Partial { .. }));
    let found = store.readings_at(&pump(), &[at(120)]).await.expect("it is in the head");
    assert_eq!(found, QueryResult { rows: readings(120..121), completeness: Completeness::Complete });
    let found = store.readings_at(&pump(), &[at(-3), at(120)]).await.expect("what is in the head");
    assert_eq!(found.rows, readings(120..121));
    let unknown = found.into_complete();
    assert!(matches!(unknown, Err(StoreError::Unavailable { .. })), "an incomplete result is an error: {unknown:?}");
    assert!(store.reopen().await.is_err());
    store.close().await.expect("closed");

    // A second start without the database: the readings of the first run are returned too.
    let store = open(dir.path()).await;
    assert!(stored(&store).await.rows.ends_with(&readings(90..150)));
    let (sender, receiver) = std::sync::mpsc::channel();
    let opening = store.clone();
    let send_status = move || sender.send(opening.status().database).expect("the receiver exists");
    fail::cfg_callback("database-open", send_status).expect("set");
    store.reopen().await.expect("open at last");
    fail::remove("database-open");
    let during_open = receiver.try_iter().collect::<Vec<_>>();
    assert!(
        matches!(&during_open[..], [DatabaseStatus::Unavailable(why)] if why.contains("broken")),
        "{during_open:?}"
    );
    assert_eq!(store.status().database, DatabaseStatus::Open);
    assert_complete(&dir, store, 150).await;
    scenario.teardown();
}

#[tokio::test]
async fn a_failing_read_reports_its_completeness() {
    let scenario = FailScenario::setup();
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    store.commit(&batch(0..90)).await.expect("durable");
    store.flush_all().await.expect("flushed");
    store.commit(&batch(90..100)).await.expect("durable");
    fail::cfg("database-read", "return(slow disk)").expect("set");
    let result = stored(&store).await;
    assert_eq!(result.rows, readings(90..100));
    assert!(matches!(&result.completeness, Completeness::Partial { reason, .. } if reason.contains("slow disk")));
    assert!(matches!(result.into_complete(), Err(StoreError::Unavailable { .. })), "an incomplete result is an error");
    fail::remove("database-read");
    assert_complete(&dir, store, 100).await;
    scenario.teardown();
}

#[tokio::test]
async fn a_full_backlog_refuses_batches_until_it_is_packed() {
    let scenario = FailScenario::setup();
    let dir = tempfile::tempdir().expect("a directory");
    let settings = StoreSettings { backlog_mib: 1.try_into().expect("above zero"), ..StoreSettings::default() };
    let store = Store::open(dir.path(), &settings, at(0)).await.expect("opened");
    fail::cfg("database-write", "return(no)").expect("set");
    let mut acknowledged = BTreeSet::new();
    let mut refused = None;
    for from in (0..100_000).step_by(1000) {
        match store.commit(&batch(from..from + 1000)).await {
            Ok(()) => acknowledged.extend(from..from + 1000),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert!(matches!(refused, Some(StoreError::HeadFull { .. })), "{refused:?}");
    let stored_seconds = acknowledged.len() as i64;
    store.pack(at(1_000_000));
    assert!(store.status().unflushed_bytes < 1 << 20, "packed rows are small: {:?}", store.status().unflushed_bytes);
    store.commit(&batch(stored_seconds..stored_seconds + 1000)).await.expect("there is room again");
    fail::remove("database-write");
    assert_complete(&dir, store, stored_seconds + 1000).await;
    scenario.teardown();
}
