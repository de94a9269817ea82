//! After a restart the last time at which the clock was trusted is known, from the mark or from the node's metrics.

use super::*;

fn metrics_at(ms: i64) -> Batch {
    let metrics = vec![SystemMetrics { at: at(ms), figures: [("x".into(), 1.0)].into() }];
    Batch { metrics, ..Batch::default() }
}

fn both(ms: i64) -> ClockMark {
    ClockMark { last_trusted: at(ms), retention_now: at(ms) }
}

#[test]
fn the_mark_takes_precedence_over_the_newest_metrics() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        assert_eq!(store.clock_mark().await, None, "a new node");
        store.commit(&metrics_at(1000)).await.expect("stored");
        assert_eq!(store.clock_mark().await, Some(both(1000)), "in the head");
        store.flush_all().await.expect("flushed");
        store.commit(&metrics_at(500)).await.expect("stored");
        store.close().await.expect("closed");
        let store = open(&dir).await;
        assert_eq!(store.clock_mark().await, Some(both(1000)), "the newest");
        store.save_clock_mark(both(700)).expect("written");
        store.save_clock_mark(both(800)).expect("written");
        store.close().await.expect("closed");
        let store = open(&dir).await;
        assert_eq!(store.clock_mark().await, Some(both(800)), "metrics of a wrong clock are not used");
        store.mark_unavailable("it broke").await;
        assert_eq!(store.clock_mark().await, Some(both(800)), "without the database");
        let apart = ClockMark { last_trusted: at(800), retention_now: at(300) };
        store.save_clock_mark(apart).expect("written");
        assert_eq!(store.clock_mark().await, Some(apart));
        std::fs::write(dir.path().join("clock"), format!("{}\n", at(800))).expect("written");
        assert_eq!(store.clock_mark().await, Some(both(800)), "an earlier version's");
        for broken in ["", "yesterday\n", &format!("{}\nyesterday\n", at(800))] {
            std::fs::write(dir.path().join("clock"), broken).expect("written");
            assert_eq!(store.clock_mark().await, Some(both(500)), "{broken:?}: the metrics in the head");
        }
    });
}
