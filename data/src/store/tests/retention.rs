//! What is too old goes, slice by slice, and nothing else.

use std::time::Duration;

use super::*;

const DAY_MS: i64 = 86_400_000;

fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

/// A reading, a detection and a figure in every sixth hour of ten days.
fn ten_days() -> Batch {
    let times: Vec<i64> = (0..40).map(|n| n * DAY_MS / 4).collect();
    Batch {
        pumps: vec![record("P-1"), record("P-2")],
        readings: times.iter().flat_map(|&ms| [reading("P-1", ms), reading("P-2", ms)]).collect(),
        detections: times.iter().map(|&ms| detection("P-1", ms)).collect(),
        events: vec![event("P-1", "bearing-hot", 0, true)],
        metrics: times.iter().map(|&ms| SystemMetrics { at: at(ms), figures: [("x".into(), 1.0)].into() }).collect(),
        states: vec![state("P-1", 0, "one")],
        audit: vec![entry("restart", 0)],
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

#[test]
fn each_kind_goes_by_its_own_age() {
    let retention = Retention { readings: days(4), aggregates: days(8), detections: days(6), metrics: days(2) };
    with_store(async |store| {
        let batch = ten_days();
        store.commit(&batch).await.expect("stored");
        store.flush_all().await.expect("flushed");
        let now = at(10 * DAY_MS);
        let deleted = sweep_all(&store, &retention, now).await;
        // Six days of two pumps' readings, four of detections, two of two pumps' two rollups, eight of figures.
        assert!((30..=40).contains(&deleted), "in slices of a day: {deleted}");
        let kept =
            |age: u64, at: Timestamp| at.since_ms(at.plus_ms(0)) == 0 && now.since_ms(at) <= (age * 86_400_000) as i64;
        // A block goes when its minute began too early.
        for pump in ["P-1", "P-2"] {
            let expected: Vec<_> =
                batch.readings.iter().filter(|r| r.pump.as_str() == pump && kept(4, r.at)).cloned().collect();
            let found = readings(&store, pump).await;
            assert!(found == expected || found == expected[1..], "{pump}: {} of {}", found.len(), expected.len());
            let newest = store.latest_readings(&super::pump(pump), 3).await.expect("read").rows;
            assert_eq!(newest, expected[expected.len() - 3..]);
        }
        let detections = store.detections(None, &Range::default()).await.expect("read").rows;
        assert_eq!(detections.len(), batch.detections.iter().filter(|d| kept(6, d.at)).count() - 1);
        let metrics = store.metrics(&Range::newest(100)).await.expect("read").rows;
        assert_eq!(metrics.len(), batch.metrics.iter().filter(|m| kept(2, m.at)).count());
        assert_eq!(store.events(&EventFilter::default()).await.expect("read").rows, batch.events);
        assert_eq!(store.audit(&AuditFilter::default()).await.expect("read").rows, batch.audit);
        let remembered = store.pump_state(&super::pump("P-1")).await.expect("read");
        assert_eq!(remembered.as_ref(), batch.states.first(), "a pump's memory has no age");
        let hours = store.buckets(&super::pump("P-1"), (at(0), now), 241).await.expect("read").rows;
        let oldest = hours.first().expect("some are kept").start;
        assert!(now.since_ms(oldest) <= 8 * DAY_MS && now.since_ms(oldest) > 7 * DAY_MS, "{oldest}");
        assert_eq!(sweep_all(&store, &retention, now).await, 0, "nothing more is too old");
        let later = sweep_all(&store, &retention, now.plus_ms(DAY_MS)).await;
        assert!(later > 0, "a day later there is");
    });
}

#[test]
fn one_sweep_is_bounded() {
    let retention = Retention { readings: days(1), aggregates: days(1), detections: days(1), metrics: days(1) };
    with_store(async |store| {
        let pumps: Vec<String> = (0..100).map(|n| format!("P-{n}")).collect();
        let batch = Batch {
            pumps: pumps.iter().map(|name| record(name)).collect(),
            readings: pumps.iter().map(|name| reading(name, 0)).collect(),
            ..Batch::default()
        };
        store.commit(&batch).await.expect("stored");
        store.flush_all().await.expect("flushed");
        let first = store.sweep(&retention, at(30 * DAY_MS)).await.expect("swept");
        assert!(first.slices < 100, "{first:?}");
        for _ in 0..20 {
            store.sweep(&retention, at(30 * DAY_MS)).await.expect("swept");
        }
        for name in &pumps {
            assert_eq!(readings(&store, name).await, [], "{name}: no pump is forgotten");
        }
    });
}
