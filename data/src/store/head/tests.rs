//! Tests of the head: rows are added, packed, flushed and removed; none is lost or duplicated.

use volute_plant::Sample;

use super::{minute::PACK_AFTER_ROWS, other_rows::MAX_ITEMS_PER_KIND, *};
use crate::store::types::PumpCheckpoint;

fn at(s: i64) -> Timestamp {
    Timestamp::from_millis(1_773_051_240_000 + s * 100).expect("a time")
}

fn batch(times: std::ops::Range<i64>) -> Batch {
    let reading = |s| {
        let samples = [Sample::Good(s as f64)].into();
        Reading { pump: pump(), at: at(s), received: at(s), samples, late: false }
    };
    Batch { readings: times.map(reading).collect(), ..Batch::default() }
}

fn pump() -> PumpId {
    "P-1".parse().expect("a name")
}

fn times(head: &Head) -> Vec<i64> {
    let rows = head.readings(&pump(), 0, i64::MAX).expect("read");
    rows.iter().map(|row| row.at.since_ms(at(0)) / 100).collect()
}

#[test]
fn rows_added_during_a_flush_stay_and_flushed_rows_leave() {
    let mut head = Head::default();
    head.apply(Seq::new(1), batch(0..30));
    head.pack(DuePolicy::All);
    head.apply(Seq::new(2), batch(30..60));
    let mut flush_batch = head.next_flush_batch(DuePolicy::All, 10);
    flush_batch.unpack().expect("unpacked");
    assert_eq!((flush_batch.due[0].readings.len(), flush_batch.low_water), (60, Seq::new(3)));
    head.apply(Seq::new(3), batch(60..90));
    head.pack(DuePolicy::All);
    head.remove_flushed(&flush_batch);
    assert_eq!(times(&head), (60..90).collect::<Vec<_>>());
    assert_eq!(head.unflushed_readings(), 30);
    head.pack(DuePolicy::All);
    let flush_batch = head.next_flush_batch(DuePolicy::All, 10);
    head.remove_flushed(&flush_batch);
    assert_eq!((times(&head), head.unflushed_readings(), head.bytes()), (vec![], 0, 0));
}

#[test]
fn an_aborted_flush_batch_is_returned_again() {
    let mut head = Head::default();
    head.apply(Seq::new(1), batch(0..30));
    let flush_batch = head.next_flush_batch(DuePolicy::All, 10);
    head.abort_flush(&flush_batch);
    head.pack(DuePolicy::All);
    let mut flush_batch = head.next_flush_batch(DuePolicy::All, 10);
    flush_batch.unpack().expect("unpacked");
    assert_eq!((flush_batch.due[0].readings.len(), flush_batch.low_water), (30, Seq::new(2)));
}

/// A head that is so large that it packs rows.
fn head_under_pressure() -> Head {
    Head { bytes: PACK_ABOVE_BYTES, ..Head::default() }
}

#[test]
fn packing_large_minutes_loses_and_duplicates_nothing() {
    let many = pack_after_rows(&pump()) as i64;
    let mut head = head_under_pressure();
    head.apply(Seq::new(1), batch(0..many - 1));
    assert!(head.next_pack_candidate().is_none());
    head.apply(Seq::new(2), batch(many - 1..many + 5));
    let candidate = head.next_pack_candidate().expect("they are many now");
    head.apply(Seq::new(3), batch(many + 5..many + 10));
    let before = head.bytes();
    head.replace(&candidate, candidate.pack());
    assert_eq!(times(&head), (0..many + 10).collect::<Vec<_>>());
    assert!(head.bytes() < before && head.unflushed_readings() as i64 == many + 10);
    assert!(head.next_pack_candidate().is_none(), "five loose rows are few");
}

#[test]
fn pumps_that_started_together_are_packed_at_different_sizes() {
    let of = |n: usize| pack_after_rows(&format!("P-{n}").parse().expect("a name"));
    for rows in PACK_AFTER_ROWS {
        let pumps = (0..9000).filter(|&n| of(n) == usize::from(rows)).count();
        assert!((800..1200).contains(&pumps), "{pumps} of 9,000 are packed at {rows}");
    }
}

#[test]
fn flushed_rows_are_not_packed() {
    let mut head = head_under_pressure();
    head.apply(Seq::new(1), batch(0..20));
    let candidate = head.next_pack_candidate().expect("many");
    let mut flush_batch = head.next_flush_batch(DuePolicy::All, 10);
    head.replace(&candidate, candidate.pack());
    flush_batch.unpack().expect("unpacked");
    assert_eq!(flush_batch.due[0].readings.len(), 20);
    head.remove_flushed(&flush_batch);
    head.replace(&candidate, candidate.pack());
    assert!(times(&head).is_empty(), "what is in the database does not come back");
}

#[test]
fn checkpoints_of_many_pumps_are_split_into_several_batches() {
    let mut head = Head::default();
    let pump = |n: usize| -> PumpId { format!("P-{n:05}").parse().expect("a name") };
    let state = |n| PumpCheckpoint { pump: pump(n), at: at(0), document: "{}".into() };
    for n in 0..5 * MAX_ITEMS_PER_KIND / 2 {
        let seq = Seq::new(n as u64 + 1);
        head.apply(seq, Batch { checkpoints: vec![state(n)], ..Batch::default() });
    }
    for (count, low_water, more) in [
        (MAX_ITEMS_PER_KIND, MAX_ITEMS_PER_KIND + 1, true),
        (MAX_ITEMS_PER_KIND, 2 * MAX_ITEMS_PER_KIND + 1, true),
        (MAX_ITEMS_PER_KIND / 2, 5 * MAX_ITEMS_PER_KIND / 2 + 1, false),
    ] {
        let flush_batch = head.next_flush_batch(DuePolicy::All, 10);
        assert_eq!((flush_batch.other_rows.checkpoints.len(), flush_batch.more), (count, more));
        assert_eq!(flush_batch.low_water, Seq::new(low_water as u64), "what is left is in no later record");
        head.remove_flushed(&flush_batch);
    }
    assert!(head.other_rows().is_empty());
}

#[test]
fn a_flush_batch_has_at_most_the_given_number_of_minutes() {
    let mut head = Head::default();
    for minute in 0..3_i64 {
        let first = minute * 600;
        head.apply(Seq::new(minute as u64 + 1), batch(first..first + 600));
    }
    let flush_batch = head.next_flush_batch(DuePolicy::All, 2);
    assert_eq!((flush_batch.due.len(), flush_batch.more), (2, true));
    head.remove_flushed(&flush_batch);
    let flush_batch = head.next_flush_batch(DuePolicy::All, 2);
    assert_eq!((flush_batch.due.len(), flush_batch.more), (1, false));
}

#[test]
fn the_low_water_mark_stays_below_pending_appends() {
    let mut head = Head::default();
    let floor = head.begin_append(Seq::new(4));
    head.apply(Seq::new(6), batch(0..10));
    let low_water = |head: &mut Head| head.next_flush_batch(DuePolicy::All, 10).low_water;
    assert_eq!(low_water(&mut head), Seq::new(5), "record 5 may come yet");
    head.end_append(floor);
    assert_eq!(low_water(&mut head), Seq::new(7));
    head.apply(Seq::new(7), batch(10..20));
    let flush_batch = head.next_flush_batch(DuePolicy::All, 0);
    assert_eq!(flush_batch.low_water, Seq::new(6), "nothing of the minute is in this batch");
}

#[test]
fn a_minute_is_due_if_the_clock_was_set_back_far() {
    let mut head = Head::default();
    head.apply(Seq::new(1), batch(0..30));
    let day = at(-864_000);
    assert_eq!(head.next_flush_batch(DuePolicy::Normal(at(0)), 10).due.len(), 0, "it is open");
    assert_eq!(head.next_flush_batch(DuePolicy::Normal(at(-600)), 10).due.len(), 0, "a minute's step back");
    assert_eq!(head.next_flush_batch(DuePolicy::Normal(day), 10).due.len(), 1, "a day's");
}

/// `opened_s` and `now_ms` are relative to the start of the minute.
#[test]
fn a_minute_is_due_after_its_delay_or_under_pressure() {
    let waits = i64::from(pump().hash_slot(60_000));
    let start_ms = minute_start(at(0).millis());
    for (opened_s, past, pressure, now_ms, due) in [
        (0, false, false, 60_000 + waits - 1, false),
        (0, false, false, 60_000 + waits, true),
        (0, false, true, 60_000 + waits - 1, false),
        // Ahead of the clock: its end has to pass.
        (-300, false, false, 59_999, false),
        (-300, false, false, 60_000, true),
        // A past minute.
        (3600, true, false, 3_660_000 + waits - 1, false),
        (3600, true, true, 3_600_000, true),
        // Opened before the clock was set back.
        (3600, false, false, 3_540_000, false),
        (3600, false, false, 3_539_999, true),
        (-660, false, false, -660_000, false),
        (-660, false, false, -660_001, true),
    ] {
        let minute = Minute { opened_ms: start_ms + 1000 * opened_s, past, ..Minute::default() };
        let now = Timestamp::from_millis(start_ms + now_ms).expect("a time");
        let found = minute.is_due(&pump(), start_ms, false, pressure, DuePolicy::Normal(now));
        assert_eq!(found, due, "opened at {opened_s} s, now {now_ms} ms, past {past}, pressure {pressure}");
        let passed = now_ms >= 60_000 || due;
        assert_eq!(
            minute.is_due(&pump(), start_ms, false, pressure, DuePolicy::UnderPressure(now)),
            passed,
            "now {now_ms} ms"
        );
        assert!(minute.is_due(&pump(), start_ms, true, pressure, DuePolicy::All));
        let by_time = minute.is_due(&pump(), start_ms, true, false, DuePolicy::Normal(now));
        for policy in [DuePolicy::Normal(now), DuePolicy::UnderPressure(now)] {
            assert_eq!(
                minute.is_due(&pump(), start_ms, true, true, policy),
                by_time,
                "the newest minute keeps its delay"
            );
        }
    }
}

/// A reading in each of `minutes` minutes, all received `later_ms` after the end of the last one.
fn scattered(pump: &PumpId, minutes: usize, later_ms: i64) -> Batch {
    let received = at(0).plus_ms(minutes as i64 * MINUTE_MS - 1 + later_ms);
    let reading = |n: usize| {
        let (at, samples) = (at(0).plus_ms(n as i64 * MINUTE_MS), [Sample::Good(1.0)].into());
        Reading { pump: pump.clone(), at, received, samples, late: false }
    };
    Batch { readings: (0..minutes).map(reading).collect(), ..Batch::default() }
}

#[test]
fn many_past_minutes_are_due_without_a_delay() {
    let mut head = Head::default();
    // A minute that was opened six minutes after its start counts.
    head.apply(Seq::new(1), scattered(&pump(), 8, 0));
    assert_eq!(head.past_minutes(&pump()), (2, 2));
    let mut head = Head::default();
    head.apply(Seq::new(1), scattered(&pump(), PAST_PRESSURE_MINUTES_PER_PUMP, PAST_AGE_MS + MINUTE_MS));
    assert_eq!(head.past_minutes(&pump()), (PAST_PRESSURE_MINUTES_PER_PUMP, PAST_PRESSURE_MINUTES_PER_PUMP));
    let now = at(0).plus_ms(PAST_PRESSURE_MINUTES_PER_PUMP as i64 * MINUTE_MS + PAST_AGE_MS + MINUTE_MS);
    assert_eq!(head.next_flush_batch(DuePolicy::Normal(now), 1000).due.len(), 0);
    head.apply(Seq::new(2), scattered(&pump(), PAST_PRESSURE_MINUTES_PER_PUMP + 1, PAST_AGE_MS + MINUTE_MS));
    let received = at(0).plus_ms((PAST_PRESSURE_MINUTES_PER_PUMP + 1) as i64 * MINUTE_MS + PAST_AGE_MS + MINUTE_MS);
    let flush_batch = head.next_flush_batch(DuePolicy::Normal(received), 1000);
    assert_eq!(flush_batch.due.len(), PAST_PRESSURE_MINUTES_PER_PUMP, "all but the newest");
    assert!(flush_batch.due.iter().all(|due| due.past));
    head.remove_flushed(&flush_batch);
    assert_eq!(head.past_minutes(&pump()), (1, 1));
    assert_eq!(
        head.flushed_until(&pump()),
        Some(at(0).plus_ms((PAST_PRESSURE_MINUTES_PER_PUMP - 1) as i64 * MINUTE_MS))
    );
    let flush_batch = head.next_flush_batch(DuePolicy::All, 1000);
    head.remove_flushed(&flush_batch);
    assert_eq!((head.past_minutes(&pump()), head.bytes()), ((0, 0), 0));
    // Many pumps with a few past minutes each.
    let received = at(0).plus_ms(10 * MINUTE_MS + PAST_AGE_MS + MINUTE_MS);
    let pumps: Vec<PumpId> =
        (0..=PAST_PRESSURE_MINUTES / 10).map(|n| format!("P-{n}").parse().expect("a name")).collect();
    for (n, pump) in pumps.iter().enumerate() {
        let due = head.next_flush_batch(DuePolicy::Normal(received), 10_000).due.len();
        assert_eq!(due, 0, "{n} pumps with ten each");
        head.apply(Seq::new(3), scattered(pump, 10, PAST_AGE_MS + MINUTE_MS));
    }
    assert_eq!(head.next_flush_batch(DuePolicy::Normal(received), 10_000).due.len(), pumps.len() * 9);
}

#[test]
fn unflushed_items_count_into_the_size() {
    let state = |document: &str| PumpCheckpoint { pump: pump(), at: at(0), document: document.into() };
    let mut head = Head::default();
    head.apply(Seq::new(1), Batch { checkpoints: vec![state("one")], ..Batch::default() });
    let small = head.bytes();
    head.apply(Seq::new(2), Batch { checkpoints: vec![state(&"1".repeat(5000))], ..Batch::default() });
    assert_eq!(head.bytes(), small + 4997, "the newer one replaces the older");
    let figures = [("resident_bytes".to_owned(), 1.0)].into();
    let metrics = vec![crate::store::types::SystemMetrics { at: at(0), figures }];
    head.apply(Seq::new(3), Batch { metrics, ..Batch::default() });
    assert!(head.bytes() > small + 4997);
    let flush_batch = head.next_flush_batch(DuePolicy::All, 10);
    head.remove_flushed(&flush_batch);
    assert_eq!(head.bytes(), 0);
}

#[test]
fn a_dense_minute_accepts_rows_out_of_order() {
    let reading = |ms: i64| {
        let samples = [Sample::Good(1.0)].into();
        let at = at(0).plus_ms(ms);
        Reading { pump: pump(), at, received: at, samples, late: false }
    };
    let mut head = Head::default();
    for (seq, times) in [(1, [0, 2, 4]), (2, [3, 1, 2]), (3, [4, 0, 5])] {
        let readings = times.map(reading).to_vec();
        head.apply(Seq::new(seq), Batch { readings, ..Batch::default() });
    }
    let found = head.readings(&pump(), 0, i64::MAX).expect("read");
    assert_eq!(found.iter().map(|row| row.at.since_ms(at(0))).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!((head.unflushed_readings(), head.conflicts()), (6, 0));
}
