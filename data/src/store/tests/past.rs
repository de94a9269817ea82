//! Past readings: many of them open many minutes, which are flushed without a delay.

use super::*;

const MINUTE_MS: i64 = 60_000;

/// A start replays what is above the low-water mark, and one live minute holds the mark back.
#[test]
fn after_many_past_minutes_the_low_water_mark_advances() {
    let received = at(7);
    let past = |minutes: std::ops::Range<i64>| {
        let of = |n: i64| Reading { received, ..reading("P-1", -MINUTE_MS * (10 + n)) };
        minutes.map(of).collect::<Vec<_>>()
    };
    with_store(async |store| {
        let readings = [vec![reading("P-1", 0)], past(0..100)].concat();
        store.commit(&Batch { pumps: vec![record("P-1")], readings, ..Batch::default() }).await.expect("stored");
        assert_eq!(store.past_minutes(&pump("P-1")), (100, 100));
        assert_eq!(store.past_minutes(&pump("P-2")), (0, 100));
        assert_eq!(store.flush(at(100)).await.expect("flushed").minutes, 100, "they are many, and do not wait");
        assert_eq!(store.0.low_water(), Seq::new(1), "the live minute is in the first record");
        assert_eq!(store.past_minutes(&pump("P-1")), (0, 0));
        store.commit(&Batch { readings: past(100..101), ..Batch::default() }).await.expect("stored");
        assert_eq!(store.flush(at(200)).await.expect("flushed").minutes, 2, "it has waited for long enough");
        assert_eq!(store.0.low_water(), Seq::new(3));
        store.commit(&Batch { readings: past(101..102), ..Batch::default() }).await.expect("stored");
        assert_eq!(store.flush(at(300)).await.expect("flushed").minutes, 0, "one alone waits for its time");
        assert_eq!(store.counts(&pump("P-1")).await.expect("counted").readings, 103);
    });
}
