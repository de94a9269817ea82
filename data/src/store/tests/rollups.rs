//! Rollups are kept longer than their readings: a reading that arrives later for such a minute neither destroys nor
//! duplicates them.

use std::time::Duration;

use super::{lifecycle::copy_tree, *};

const DAY_MS: i64 = 86_400_000;
/// From `START` to the next full hour.
const TO_HOUR_MS: i64 = 2_727_000;

fn retention(readings_days: u64, aggregates_days: u64) -> Retention {
    let days = |n: u64| Duration::from_secs(n * 86_400);
    let (readings, detections) = (days(readings_days), days(readings_days));
    Retention { readings, aggregates: days(aggregates_days), detections, metrics: days(1), audit: days(9_999) }
}

/// Readings of one full hour, one per second.
fn hour_of(name: &str) -> Vec<Reading> {
    (0..3600).map(|second| reading(name, TO_HOUR_MS + second * 1000)).collect()
}

async fn store_all(store: &Store, readings: Vec<Reading>) {
    let mut pumps: Vec<PumpRecord> = readings.iter().map(|r| record(r.pump.as_str())).collect();
    pumps.dedup();
    store.commit(&Batch { pumps, readings, ..Batch::default() }).await.expect("stored");
    store.flush_all().await.expect("flushed");
}

async fn sweep(store: &Store, retention: &Retention, now: Timestamp) {
    for _ in 0..1000 {
        if !store.sweep(retention, now).await.expect("swept").more {
            return;
        }
    }
    panic!("it never ends");
}

/// Returns the number of readings in each of the first two minutes of the hour and in the hour, from the rollups.
async fn counted(store: &Store) -> (Vec<u64>, Vec<u64>) {
    let from = at(TO_HOUR_MS);
    let of = async |(to, points)| {
        let rows = store.buckets(&pump("P-1"), (from, to), points).await.expect("read").rows;
        rows.into_iter().map(|bucket| bucket.readings).collect::<Vec<u64>>()
    };
    (of((from.plus_ms(120_000), 3)).await, of((from.plus_ms(3_600_000), 2)).await)
}

#[test]
fn a_reading_of_a_swept_minute_does_not_change_its_rollups() {
    let resent = || reading("P-1", TO_HOUR_MS + 7000);
    let late = || reading("P-1", TO_HOUR_MS + 7500);
    let now = at(2 * DAY_MS);
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let mut store = open(&dir).await;
        store_all(&store, hour_of("P-1")).await;
        sweep(&store, &retention(1, 100), now).await;
        assert_eq!(readings(&store, "P-1").await, []);
        // With a filled flush cache and with an empty one, and twice each: the second time there is a block.
        for (nth, row) in [resent(), late(), resent(), late()].into_iter().enumerate() {
            store_all(&store, vec![row.clone()]).await;
            assert_eq!(counted(&store).await, (vec![60, 60], vec![3600]), "row {nth}");
            assert!(readings(&store, "P-1").await.contains(&row), "what was acknowledged can be read");
            if nth == 1 {
                store.close().await.expect("closed");
                store = open(&dir).await;
                sweep(&store, &retention(1, 100), now).await;
                assert_eq!(readings(&store, "P-1").await, []);
            }
        }
        // An import gives the same result.
        store.load(&record("P-1"), vec![reading("P-1", TO_HOUR_MS + 61_000)]).await.expect("loaded");
        assert_eq!(counted(&store).await, (vec![60, 60], vec![3600]));
        // A minute that never had a reading counts.
        store_all(&store, vec![reading("P-1", TO_HOUR_MS - 1000)]).await;
        assert_eq!(counted(&store).await, (vec![60, 60], vec![3600]));
        store_all(&store, vec![reading("P-1", TO_HOUR_MS + 3_600_000)]).await;
        assert_eq!(counted(&store).await, (vec![60, 60], vec![3600]));
    });
}

#[test]
fn a_late_reading_of_an_existing_minute_counts_once() {
    with_store(async |store| {
        let mut all = hour_of("P-1");
        let late = all.remove(7);
        store_all(&store, all).await;
        assert_eq!(counted(&store).await, (vec![59, 60], vec![3599]));
        for _ in 0..2 {
            store_all(&store, vec![late.clone()]).await;
            assert_eq!(counted(&store).await, (vec![60, 60], vec![3600]));
        }
    });
}

/// If rollups are kept for a shorter time than readings, a deleted rollup is not recreated from a part of the readings.
#[test]
fn a_late_reading_does_not_recreate_a_swept_rollup() {
    with_store(async |store| {
        store_all(&store, hour_of("P-1")).await;
        sweep(&store, &retention(100, 1), at(2 * DAY_MS)).await;
        assert_eq!(counted(&store).await, (vec![], vec![]));
        store_all(&store, vec![reading("P-1", TO_HOUR_MS + 7500)]).await;
        assert_eq!(counted(&store).await, (vec![], vec![]));
        assert_eq!(readings(&store, "P-1").await.len(), 3601);
    });
}

/// P-2's first reading keeps the low-water mark below all of P-1's, so that they are replayed after a kill.
#[test]
fn replayed_readings_count_once_after_a_sweep() {
    let (dir, killed) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    runtime().block_on(async {
        let store = open(&dir).await;
        let waiting = Reading { received: at(DAY_MS), ..reading("P-2", DAY_MS) };
        let pumps = vec![record("P-2"), record("P-1")];
        store.commit(&Batch { pumps, readings: vec![waiting], ..Batch::default() }).await.expect("stored");
        store.commit(&Batch { readings: hour_of("P-1"), ..Batch::default() }).await.expect("stored");
        store.flush(at(DAY_MS)).await.expect("flushed");
        assert_eq!(store.status().unflushed_readings, 1, "P-2's is not due");
        sweep(&store, &retention(1, 100), at(2 * DAY_MS)).await;
        copy_tree(dir.path(), killed.path());
        drop(store);

        let store = open(&killed).await;
        assert_eq!(store.status().unflushed_readings, 3601, "the journal has brought them again");
        store.flush_all().await.expect("flushed");
        assert_eq!(counted(&store).await, (vec![60, 60], vec![3600]));
        sweep(&store, &retention(1, 100), at(2 * DAY_MS)).await;
        assert_eq!(readings(&store, "P-1").await, [], "and they go again");
        assert_eq!(counted(&store).await, (vec![60, 60], vec![3600]));
    });
}
