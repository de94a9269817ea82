//! When the clock was last believed is known after a restart, from the mark or from the node's figures.

use super::*;

fn figures(ms: i64) -> Batch {
    let metrics = vec![SystemMetrics { at: at(ms), figures: [("x".into(), 1.0)].into() }];
    Batch { metrics, ..Batch::default() }
}

fn both(ms: i64) -> ClockMark {
    ClockMark { believed: at(ms), retention: at(ms) }
}

#[test]
fn the_mark_goes_before_the_figures_and_the_figures_before_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        assert_eq!(store.clock_mark().await, None, "a new node");
        store.commit(&figures(1000)).await.expect("stored");
        assert_eq!(store.clock_mark().await, Some(both(1000)), "in the head");
        store.flush_all().await.expect("flushed");
        store.commit(&figures(500)).await.expect("stored");
        store.close().await.expect("closed");
        let store = open(&dir).await;
        assert_eq!(store.clock_mark().await, Some(both(1000)), "the newest");
        store.note_clock(both(700)).expect("written");
        store.note_clock(both(800)).expect("written");
        store.close().await.expect("closed");
        let store = open(&dir).await;
        assert_eq!(store.clock_mark().await, Some(both(800)), "figures of a wrong clock are not believed");
        store.shut("it broke").await;
        assert_eq!(store.clock_mark().await, Some(both(800)), "without the database");
        let apart = ClockMark { believed: at(800), retention: at(300) };
        store.note_clock(apart).expect("written");
        assert_eq!(store.clock_mark().await, Some(apart));
        std::fs::write(dir.path().join("clock"), format!("{}\n", at(800))).expect("written");
        assert_eq!(store.clock_mark().await, Some(both(800)), "an earlier version's");
        for broken in ["", "yesterday\n", &format!("{}\nyesterday\n", at(800))] {
            std::fs::write(dir.path().join("clock"), broken).expect("written");
            assert_eq!(store.clock_mark().await, Some(both(500)), "{broken:?}: what waits of the figures");
        }
    });
}
