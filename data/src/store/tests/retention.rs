//! Retention deletes what is too old, slice by slice, and nothing else.

use std::time::Duration;

use surrealdb::types::SurrealValue;

use super::*;
use crate::store::series::{HOUR_MS, hour};

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

/// A reading, a detection and a metric every six hours for ten days.
fn ten_days() -> Batch {
    let times: Vec<i64> = (0..40).map(|n| n * DAY_MS / 4).collect();
    Batch {
        pumps: vec![record("P-1"), record("P-2")],
        readings: times.iter().flat_map(|&ms| [reading("P-1", ms), reading("P-2", ms)]).collect(),
        detections: times.iter().map(|&ms| detection("P-1", ms)).collect(),
        documents: vec![Document::of(&event("P-1", "bearing-hot", 0, true)), Document::of(&entry("restart", 0))],
        metrics: times.iter().map(|&ms| SystemMetrics { at: at(ms), figures: [("x".into(), 1.0)].into() }).collect(),
        checkpoints: vec![checkpoint("P-1", 0, "one")],
        ..Batch::default()
    }
}

async fn sweep_all(store: &Store, retention: &Retention, now: Timestamp) -> usize {
    let mut deleted = 0;
    for _ in 0..1000 {
        let swept = store.sweep(retention, now).await.expect("swept");
        deleted += swept.deleted;
        if !swept.more {
            return deleted;
        }
    }
    panic!("it never ends");
}

/// Returns the numbers of an owner's rows in a table, from their ids.
async fn numbers(store: &Store, table: &'static str, owner: &str) -> Vec<i64> {
    const ALL: &str = "SELECT VALUE id[1] FROM $range";
    let engine = store.engine().await.expect("open");
    let range = Series::new(table, owner).between(i64::MIN, i64::MAX);
    let mut numbers: Vec<i64> = engine.rows(ALL, [("range", range)]).await.expect("read");
    numbers.sort_unstable();
    numbers
}

#[test]
fn each_table_has_its_own_age() {
    let retention =
        Retention { readings: days(4), aggregates: days(8), detections: days(6), metrics: days(2), audit: days(9_999) };
    with_store(async |store| {
        let batch = ten_days();
        store.commit(&batch).await.expect("stored");
        store.flush_all().await.expect("flushed");
        let now = at(10 * DAY_MS);
        let deleted = sweep_all(&store, &retention, now).await;
        // Six days of readings of two pumps, four of detections, two of both rollups of two pumps, eight of metrics.
        assert_eq!(deleted, 6 * 2 + 4 + 2 * 2 * 2 + 8, "in slices of a day");
        // A row that is exactly as old as its age is kept.
        let kept = |age: i64, at: Timestamp| now.since_ms(at) <= age * DAY_MS;
        for pump in ["P-1", "P-2"] {
            let of_pump = || batch.readings.iter().filter(|r| r.pump.as_str() == pump);
            let expected: Vec<_> = of_pump().filter(|r| kept(4, r.at)).cloned().collect();
            assert_eq!(readings(&store, pump).await, expected, "{pump}");
            let newest = store.latest_readings(&super::pump(pump), 3).await.expect("read").rows;
            assert_eq!(newest, expected[expected.len() - 3..]);
            let starts = |unit_ms: i64, age: i64| -> Vec<i64> {
                let kept = of_pump().filter(|r| kept(age, r.at));
                kept.map(|r| r.at.millis() - r.at.millis().rem_euclid(unit_ms)).collect()
            };
            assert_eq!(numbers(&store, "rollup_minute", pump).await, starts(MINUTE_MS, 8));
            assert_eq!(numbers(&store, "rollup_hour", pump).await, starts(HOUR_MS, 8));
            let listed = starts(HOUR_MS, 6).into_iter().map(|ms| -hour(ms)).rev().collect::<Vec<_>>();
            assert_eq!(numbers(&store, "recorded_hour", pump).await, listed, "as long as detections may be there");
        }
        let expected: Vec<_> = batch.detections.iter().filter(|d| kept(6, d.at)).cloned().collect();
        assert_eq!(store.detections(None, &PageRange::default()).await.expect("read").rows, expected);
        let expected: Vec<_> = batch.metrics.iter().filter(|m| kept(2, m.at)).cloned().collect();
        assert_eq!(store.metrics(&PageRange::default()).await.expect("read").rows, expected);
        assert_eq!(
            store.events(&EventFilter::default()).await.expect("read").rows,
            [event("P-1", "bearing-hot", 0, true)]
        );
        assert_eq!(audit::all(&store).await.rows, [entry("restart", 0)]);
        let checkpoint = store.pump_checkpoint(&super::pump("P-1")).await.expect("read");
        assert_eq!(checkpoint.as_ref(), batch.checkpoints.first(), "checkpoints have no age");
        let again = store.sweep(&retention, now).await.expect("swept");
        assert_eq!(again, SweepReport::default(), "nothing more is too old, and no query runs");
        assert_eq!(sweep_all(&store, &retention, now.plus_ms(2 * MINUTE_MS)).await, 0, "not before a step is due");
        assert!(sweep_all(&store, &retention, now.plus_ms(DAY_MS)).await > 0, "a day later there is");
    });
}

/// Time advances in rounds, as for the flusher: every pump is swept in time, and every sweep is bounded.
#[test]
fn the_oldest_row_of_each_of_200_pumps_is_deleted_in_time() {
    const ROUND_MS: i64 = 30 * MINUTE_MS;
    const STEP_MS: i64 = DAY_MS / 100;
    let retention =
        Retention { readings: days(1), aggregates: days(9), detections: days(1), metrics: days(1), audit: days(9_999) };
    let pumps: Vec<String> = (0..200).map(|n| format!("P-{n}")).collect();
    let times: Vec<i64> = (0..4).map(|n| n * ROUND_MS).collect();
    let of_pump = |name: &String| times.iter().map(|&ms| (reading(name, ms), detection(name, ms))).collect::<Vec<_>>();
    let (readings, detections) = pumps.iter().flat_map(of_pump).unzip();
    let figures = |&ms: &i64| SystemMetrics { at: at(ms), figures: [("x".into(), 1.0)].into() };
    let batch = Batch {
        pumps: pumps.iter().map(|name| record(name)).collect(),
        readings,
        detections,
        metrics: times.iter().map(figures).collect(),
        ..Batch::default()
    };
    with_store(async |store| {
        store.commit(&batch).await.expect("stored");
        store.flush_all().await.expect("flushed");
        for round in 0..3 {
            let now = at(DAY_MS + STEP_MS + MINUTE_MS + round * ROUND_MS);
            let mut sweeps = 0;
            loop {
                let swept = store.sweep(&retention, now).await.expect("swept");
                assert!(swept.queries <= 64 + 12, "a sweep is bounded: {swept:?}");
                sweeps += 1;
                assert!(sweeps < 100, "the pass ends");
                if !swept.more {
                    break;
                }
            }
            let oldest_allowed = now.plus_ms(-DAY_MS - STEP_MS - MINUTE_MS).millis();
            for name in &pumps {
                for table in ["sensor_readings", "anomaly_detections"] {
                    let engine = store.engine().await.expect("open");
                    let oldest = page::oldest_number(&engine, &Series::new(table, name)).await.expect("read");
                    assert!(oldest.is_some_and(|oldest| oldest >= oldest_allowed), "{name}, {table}, round {round}");
                }
            }
            let figures = store.metrics(&PageRange::default()).await.expect("read").rows;
            assert!(figures[0].at.millis() >= oldest_allowed, "the node's metrics come last and are swept too");
        }
    });
}

#[test]
fn an_old_row_that_arrives_late_is_deleted() {
    let retention =
        Retention { readings: days(4), aggregates: days(4), detections: days(4), metrics: days(4), audit: days(9_999) };
    let now = at(10 * DAY_MS);
    with_store(async |store| {
        store.commit(&ten_days()).await.expect("stored");
        store.flush_all().await.expect("flushed");
        sweep_all(&store, &retention, now).await;
        let expected = readings(&store, "P-2").await;
        // P-2 had no detection at all.
        let late = Batch {
            readings: vec![reading("P-2", DAY_MS + 1)],
            detections: vec![detection("P-2", DAY_MS)],
            metrics: vec![SystemMetrics { at: at(DAY_MS), figures: [("x".into(), 1.0)].into() }],
            ..Batch::default()
        };
        store.commit(&late).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.load(&record("P-1"), vec![reading("P-1", 2 * DAY_MS + 1)]).await.expect("loaded");
        assert_ne!(sweep_all(&store, &retention, now).await, 0);
        assert_eq!(readings(&store, "P-2").await, expected);
        for (table, owner, unit_ms) in [
            ("sensor_readings", "P-1", 1),
            ("anomaly_detections", "P-2", 1),
            ("rollup_minute", "P-1", 1),
            ("rollup_hour", "P-2", 1),
            ("system_metrics", "*", 1),
            ("recorded_hour", "P-1", -HOUR_MS),
        ] {
            let too_old = |number: &i64| number * unit_ms < now.plus_ms(-4 * DAY_MS - 2 * HOUR_MS).millis();
            let found: Vec<i64> = numbers(&store, table, owner).await.into_iter().filter(too_old).collect();
            assert_eq!(found, [] as [i64; 0], "{table} of {owner}");
        }
    });
}

/// After a long downtime, or with a shorter age in the configuration, thousands of hours are listed.
#[test]
fn a_long_directory_is_deleted_in_parts() {
    const INSERT: &str = "FOR $n IN 0..$hours { CREATE type::record('recorded_hour', ['P-1', -$n]) RETURN NONE }";
    let retention =
        Retention { readings: days(4), aggregates: days(4), detections: days(4), metrics: days(4), audit: days(9_999) };
    with_store(async |store| {
        store.commit(&Batch { pumps: vec![record("P-1")], ..Batch::default() }).await.expect("stored");
        store.flush_all().await.expect("flushed");
        let engine = store.engine().await.expect("open");
        engine.execute(INSERT, [("hours", 2500_i64.into_value())]).await.expect("inserted");
        assert!(store.sweep(&retention, at(0)).await.expect("swept").more);
        assert_eq!(numbers(&store, "recorded_hour", "P-1").await.len(), 1500, "a thousand at once");
        sweep_all(&store, &retention, at(0)).await;
        assert!(numbers(&store, "recorded_hour", "P-1").await.is_empty());
    });
}
