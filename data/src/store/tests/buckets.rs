//! Buckets have the values computed from a plain vector, wherever the rows are (head or database). A query for many
//! buckets does not block flushes.

use std::{
    cell::Cell,
    collections::BTreeMap,
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
};

use super::*;

const HOUR_MS: i64 = 3_600_000;

/// A bucket's start, length, number of readings, and for each channel the count, minimum, maximum and mean.
type BucketTuple = (i64, i64, u64, Vec<(u32, f64, f64, f64)>);

/// Computes buckets from a plain vector.
fn expected(all: &[Reading], (from, to): (i64, i64), points: usize) -> Vec<BucketTuple> {
    let Buckets { bucket_ms, resolution } = Buckets::of(to - from, points);
    let unit_ms = match resolution {
        Resolution::Raw => 1,
        Resolution::Minute => 60_000,
        Resolution::Hour => HOUR_MS,
    };
    let (first, last) = (START + from, START + to);
    let (first, last) = (first.div_euclid(unit_ms) * unit_ms, (last + unit_ms - 1).div_euclid(unit_ms) * unit_ms);
    let mut by_bucket: BTreeMap<i64, Vec<&Reading>> = BTreeMap::new();
    for reading in all.iter().filter(|reading| (first..last).contains(&reading.at.millis())) {
        by_bucket.entry(reading.at.millis().div_euclid(bucket_ms) * bucket_ms).or_default().push(reading);
    }
    let channel = |readings: &[&Reading], channel: usize| {
        let good: Vec<f64> = readings.iter().filter_map(|reading| reading.samples[channel].good()).collect();
        let (min, max) = (
            good.iter().copied().fold(f64::INFINITY, f64::min),
            good.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        );
        (good.len() as u32, min, max, good.iter().sum::<f64>() / good.len() as f64)
    };
    let tuple = |(start, readings): (i64, Vec<&Reading>)| {
        (start, bucket_ms, readings.len() as u64, vec![channel(&readings, 0), channel(&readings, 1)])
    };
    by_bucket.into_iter().map(tuple).collect()
}

async fn found(store: &Store, (from, to): (i64, i64), points: usize) -> Vec<BucketTuple> {
    let rows = store.buckets(&pump("P-1"), (at(from), at(to)), points).await.expect("read").rows;
    let channel = |bucket: &Bucket, channel: usize| match bucket.aggregates.channel(channel) {
        Some(of) if of.count > 0 => (of.count, of.min, of.max, of.mean().expect("some")),
        _ => (0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN),
    };
    let tuple = |bucket: Bucket| {
        let channels = vec![channel(&bucket, 0), channel(&bucket, 1)];
        (bucket.start.millis(), bucket.length_ms, bucket.readings, channels)
    };
    rows.into_iter().map(tuple).collect()
}

fn assert_alike(found: &[BucketTuple], expected: &[BucketTuple], what: &str) {
    let close = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    let alike = |(a, b): (&BucketTuple, &BucketTuple)| {
        let same = (a.0, a.1, a.2) == (b.0, b.1, b.2);
        same && a.3.iter().zip(&b.3).all(|(a, b)| (a.0, a.1, a.2) == (b.0, b.1, b.2) && close(a.3, b.3))
    };
    let all = found.len() == expected.len() && found.iter().zip(expected).all(alike);
    assert!(all, "{what}: {found:?}, and not {expected:?}");
}

/// Readings of five hours, one every 7 s, with gaps and with bad and missing values.
fn rows() -> Vec<Reading> {
    let row = |n: i64| {
        let value = ((n * 37) % 101) as f64 - 50.0;
        let flow = if n % 5 == 0 { Sample::Missing } else { Sample::Good(0.1 * n as f64) };
        let temperature = if n % 11 == 0 { Sample::Bad(value) } else { Sample::Good(value) };
        Reading { samples: [temperature, flow].into(), ..reading("P-1", n * 7000) }
    };
    (0..2570).filter(|n| !(400..700).contains(n)).map(row).collect()
}

/// Ranges with `from` and `to` inside a minute, at its edges, and beside them; the same for hours. `START` is 33 s past
/// a minute.
const RANGES: [((i64, i64), usize); 14] = [
    // From the readings themselves.
    ((0, 60_000), 100),
    ((-1, 27_001), 2),
    ((7000, 14_000), 3),
    ((1, 600_000), 1000),
    // From minutes.
    ((0, 57_000), 2),
    ((27_000, 207_000), 4),
    ((26_999, 207_001), 4),
    ((27_001, 206_999), 4),
    ((0, 30_000 + 5 * 60_000), 6),
    ((100_000, 18_000_000), 100),
    // From hours.
    ((0, 18_000_000), 4),
    ((2_727_000, 2_727_000 + 2 * HOUR_MS), 3),
    ((2_726_999, 2_727_001 + 2 * HOUR_MS), 3),
    ((-40 * 86_400_000, 40 * 86_400_000), 50),
];

#[test]
fn buckets_match_a_plain_vector_before_and_after_a_flush() {
    let all = rows();
    let resolutions: Vec<Resolution> =
        RANGES.iter().map(|((from, to), n)| Buckets::of(to - from, *n).resolution).collect();
    for resolution in [Resolution::Raw, Resolution::Minute, Resolution::Hour] {
        assert!(resolutions.contains(&resolution), "{resolution:?}");
    }
    with_store(async |store| {
        let check = async |here: &[Reading], when: &str| {
            for (range, points) in RANGES {
                let expected = expected(here, range, points);
                assert!(expected.len() <= points, "at most so many");
                assert_alike(&found(&store, range, points).await, &expected, &format!("{when}: {range:?}, {points}"));
            }
        };
        // A third of the readings arrives late, in every minute.
        let (late, first): (Vec<Reading>, Vec<Reading>) =
            all.iter().cloned().partition(|r| r.at.millis() / 1000 % 3 == 0);
        store
            .commit(&Batch { pumps: vec![record("P-1")], readings: first.clone(), ..Batch::default() })
            .await
            .expect("stored");
        check(&first, "in the head").await;
        store.flush_all().await.expect("flushed");
        check(&first, "in the database").await;
        store.commit(&Batch { readings: late, ..Batch::default() }).await.expect("stored");
        check(&all, "in both").await;
        store.pack(at(86_400_000));
        check(&all, "packed").await;
        store.flush_all().await.expect("flushed");
        check(&all, "merged").await;
    });
}

/// The smallest input: a query of half a minute.
#[test]
fn a_range_inside_a_minute_gives_the_same_before_and_after_a_flush() {
    let minute: Vec<Reading> = (0..60).map(|second| reading("P-1", 27_000 + second * 1000)).collect();
    with_store(async |store| {
        store
            .commit(&Batch { pumps: vec![record("P-1")], readings: minute, ..Batch::default() })
            .await
            .expect("stored");
        for when in ["before", "after"] {
            let rows = found(&store, (27_000 - 3_600_000, 27_000 + 30_000), 3).await;
            assert_eq!(rows.iter().map(|row| row.2).collect::<Vec<_>>(), [60], "{when} the flush");
            store.flush_all().await.expect("flushed");
        }
    });
}

#[test]
fn the_whole_range_of_timestamps_can_be_queried() {
    let first: Timestamp = "2000-01-01T00:00:00Z".parse().expect("a time");
    let last: Timestamp = "2199-12-31T00:00:00Z".parse().expect("a time");
    with_store(async |store| {
        let old = Reading { at: first, ..reading("P-1", 0) };
        let readings = vec![old, reading("P-1", 0), Reading { at: last.plus_ms(-1), ..reading("P-1", 0) }];
        store.commit(&Batch { pumps: vec![record("P-1")], readings, ..Batch::default() }).await.expect("stored");
        for _ in 0..2 {
            for points in [2, 3, 1000, 10_000] {
                let rows = store.buckets(&pump("P-1"), (first, last), points).await.expect("read").rows;
                assert!(rows.len() <= points, "{points}: {}", rows.len());
                assert_eq!(rows.iter().map(|row| row.readings).sum::<u64>(), 3, "{points}");
                assert_eq!(rows[0].start, first, "no bucket begins before the first time that there is");
                for row in &rows {
                    let end_ms = row.start.millis() + row.length_ms;
                    assert_eq!(end_ms % row.length_ms.max(Buckets::of(last.since_ms(first), points).bucket_ms), 0);
                }
            }
            store.flush_all().await.expect("flushed");
        }
    });
}

/// Stores the rollups of 3,000 hours, which are read in three parts.
async fn with_long_history(store: &Store, name: &str) {
    let aggregates = crate::block::Aggregates::of(&[reading(name, 0)]);
    let first = START - START.rem_euclid(HOUR_MS);
    let hour = |n: i64| (Timestamp::from_millis(first - n * HOUR_MS).expect("a time"), 1, aggregates.clone());
    let hours: Vec<_> = (1..=3000).map(hour).collect();
    store.commit(&Batch { pumps: vec![record(name)], ..Batch::default() }).await.expect("stored");
    store.load_hours(&pump(name), &hours).await.expect("loaded");
}

/// Polls once.
async fn is_pending<T>(mut future: Pin<&mut impl Future<Output = T>>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

#[test]
fn a_long_query_does_not_block_a_flush() {
    with_store(async |store| {
        with_long_history(&store, "P-1").await;
        let ended = Cell::new(false);
        let name = pump("P-1");
        let mut query = pin!(async {
            let rows = store.buckets(&name, (at(-3100 * HOUR_MS), at(0)), 3000).await.expect("read").rows;
            ended.set(true);
            rows
        });
        // The query has begun and holds the lock that a flush needs.
        assert!(is_pending(query.as_mut()).await);
        let flush = async {
            drop(store.0.database.write().await);
            ended.get()
        };
        let (rows, ended_before) = tokio::join!(query, flush);
        assert_eq!(rows.iter().map(|row| row.readings).sum::<u64>(), 3000);
        assert!(!ended_before, "the flush did not wait for the end of the query");
    });
}

/// Rows move from the head into the database between two parts of a query. Each must count once.
#[test]
fn a_flush_between_two_parts_hides_and_duplicates_nothing() {
    with_store(async |store| {
        with_long_history(&store, "P-1").await;
        // One more reading in the first, a middle and the last hour, which belong to different parts.
        let late = [-2999, -1500, -1].map(|hours| reading("P-1", hours * HOUR_MS));
        store.commit(&Batch { readings: late.into(), ..Batch::default() }).await.expect("stored");
        let name = pump("P-1");
        let mut query = pin!(store.buckets(&name, (at(-3100 * HOUR_MS), at(0)), 3000));
        assert!(is_pending(query.as_mut()).await);
        let (result, flushed) = tokio::join!(query, store.flush_all());
        assert_eq!(flushed.expect("flushed").readings, 3);
        assert_eq!(result.expect("read").rows.iter().map(|row| row.readings).sum::<u64>(), 3003);
    });
}
