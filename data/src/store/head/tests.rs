//! The head: rows come in, are packed, shared out and given up; none is lost or doubled.

use volute_plant::Sample;

use super::{minute::PACKED_ROWS, news::NEWS, *};
use crate::store::types::PumpState;

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
fn what_comes_while_a_share_is_written_stays_and_nothing_of_the_share_does() {
    let mut head = Head::default();
    head.take_in(Seq::new(1), batch(0..30));
    head.pack(Until::Now);
    head.take_in(Seq::new(2), batch(30..60));
    let mut share = head.share(Until::Now, 10);
    share.unpack().expect("unpacked");
    assert_eq!((share.due[0].readings.len(), share.low_water), (60, Seq::new(3)));
    head.take_in(Seq::new(3), batch(60..90));
    head.pack(Until::Now);
    head.give_up(&share);
    assert_eq!(times(&head), (60..90).collect::<Vec<_>>());
    assert_eq!(head.waiting_readings(), 30);
    head.pack(Until::Now);
    let share = head.share(Until::Now, 10);
    head.give_up(&share);
    assert_eq!((times(&head), head.waiting_readings(), head.bytes()), (vec![], 0, 0));
}

#[test]
fn a_share_that_was_not_written_is_taken_again() {
    let mut head = Head::default();
    head.take_in(Seq::new(1), batch(0..30));
    let share = head.share(Until::Now, 10);
    head.keep(&share);
    head.pack(Until::Now);
    let mut share = head.share(Until::Now, 10);
    share.unpack().expect("unpacked");
    assert_eq!((share.due[0].readings.len(), share.low_water), (30, Seq::new(2)));
}

/// A head that has no room for loose rows.
fn crowded() -> Head {
    Head { bytes: ROOMY_BYTES, ..Head::default() }
}

#[test]
fn large_minutes_are_packed_and_nothing_of_them_is_lost_or_doubled() {
    let many = packed_rows(&pump()) as i64;
    let mut head = crowded();
    head.take_in(Seq::new(1), batch(0..many - 1));
    assert!(head.next_ripe().is_none());
    head.take_in(Seq::new(2), batch(many - 1..many + 5));
    let ripe = head.next_ripe().expect("they are many now");
    head.take_in(Seq::new(3), batch(many + 5..many + 10));
    let before = head.bytes();
    head.replace(&ripe, ripe.pack());
    assert_eq!(times(&head), (0..many + 10).collect::<Vec<_>>());
    assert!(head.bytes() < before && head.waiting_readings() as i64 == many + 10);
    assert!(head.next_ripe().is_none(), "five loose rows are few");
}

#[test]
fn pumps_that_began_together_are_not_packed_together() {
    let of = |n: usize| packed_rows(&format!("P-{n}").parse().expect("a name"));
    for rows in PACKED_ROWS {
        let pumps = (0..9000).filter(|&n| of(n) == usize::from(rows)).count();
        assert!((800..1200).contains(&pumps), "{pumps} of 9,000 are packed at {rows}");
    }
}

#[test]
fn rows_that_have_moved_on_are_not_packed() {
    let mut head = crowded();
    head.take_in(Seq::new(1), batch(0..20));
    let ripe = head.next_ripe().expect("many");
    let mut share = head.share(Until::Now, 10);
    head.replace(&ripe, ripe.pack());
    share.unpack().expect("unpacked");
    assert_eq!(share.due[0].readings.len(), 20);
    head.give_up(&share);
    head.replace(&ripe, ripe.pack());
    assert!(times(&head).is_empty(), "what is in the database does not come back");
}

#[test]
fn what_many_pumps_have_to_tell_goes_in_several_shares_and_none_is_forgotten() {
    let mut head = Head::default();
    let pump = |n: usize| -> PumpId { format!("P-{n:05}").parse().expect("a name") };
    let state = |n| PumpState { pump: pump(n), at: at(0), document: "{}".into() };
    for n in 0..5 * NEWS / 2 {
        let seq = Seq::new(n as u64 + 1);
        head.take_in(seq, Batch { states: vec![state(n)], ..Batch::default() });
    }
    for (told, low_water, more) in
        [(NEWS, NEWS + 1, true), (NEWS, 2 * NEWS + 1, true), (NEWS / 2, 5 * NEWS / 2 + 1, false)]
    {
        let share = head.share(Until::Now, 10);
        assert_eq!((share.news.states.len(), share.more), (told, more));
        assert_eq!(share.low_water, Seq::new(low_water as u64), "what is left is in no later record");
        head.give_up(&share);
    }
    assert!(head.news().is_empty());
}

#[test]
fn a_share_has_so_many_rows_and_no_more() {
    let mut head = Head::default();
    for minute in 0..3_i64 {
        let first = minute * 600;
        head.take_in(Seq::new(minute as u64 + 1), batch(first..first + 600));
    }
    let share = head.share(Until::Now, 2);
    assert_eq!((share.due.len(), share.more), (2, true));
    head.give_up(&share);
    let share = head.share(Until::Now, 2);
    assert_eq!((share.due.len(), share.more), (1, false));
}

#[test]
fn the_low_water_mark_stays_below_what_is_on_its_way() {
    let mut head = Head::default();
    let floor = head.expect(Seq::new(4));
    head.take_in(Seq::new(6), batch(0..10));
    let low_water = |head: &mut Head| head.share(Until::Now, 10).low_water;
    assert_eq!(low_water(&mut head), Seq::new(5), "record 5 may come yet");
    head.settle(floor);
    assert_eq!(low_water(&mut head), Seq::new(7));
    head.take_in(Seq::new(7), batch(10..20));
    let share = head.share(Until::Now, 0);
    assert_eq!(share.low_water, Seq::new(6), "nothing of the minute is in this share");
}

#[test]
fn a_clock_that_was_set_back_holds_no_minute_up() {
    let mut head = Head::default();
    head.take_in(Seq::new(1), batch(0..30));
    let day = at(-864_000);
    assert_eq!(head.share(Until::Time(at(0)), 10).due.len(), 0, "it is open");
    assert_eq!(head.share(Until::Time(at(-600)), 10).due.len(), 0, "a minute's step back");
    assert_eq!(head.share(Until::Time(day), 10).due.len(), 1, "a day's");
}

/// A minute that starts at 0, or was opened then, by the node's clock; both in seconds against its own start.
#[test]
fn a_minute_is_due_when_it_has_passed_and_waited_its_time_or_there_are_too_many_of_the_past() {
    let waits = i64::from(pump().hash_slot(60_000));
    let start_ms = minute_start(at(0).millis());
    for (opened_s, past, crowded, now_ms, due) in [
        (0, false, false, 60_000 + waits - 1, false),
        (0, false, false, 60_000 + waits, true),
        (0, false, true, 60_000 + waits - 1, false),
        // Ahead of the clock: it has to pass.
        (-300, false, false, 59_999, false),
        (-300, false, false, 60_000, true),
        // Of the past.
        (3600, true, false, 3_660_000 + waits - 1, false),
        (3600, true, true, 3_600_000, true),
        // From before the clock was set back.
        (3600, false, false, 3_540_000, false),
        (3600, false, false, 3_539_999, true),
        (-660, false, false, -660_000, false),
        (-660, false, false, -660_001, true),
    ] {
        let minute = Minute { opened_ms: start_ms + 1000 * opened_s, past, ..Minute::default() };
        let now = Timestamp::from_millis(start_ms + now_ms).expect("a time");
        let found = minute.is_due(&pump(), start_ms, false, crowded, Until::Time(now));
        assert_eq!(found, due, "opened at {opened_s} s, now {now_ms} ms, past {past}, crowded {crowded}");
        let passed = now_ms >= 60_000 || due;
        assert_eq!(minute.is_due(&pump(), start_ms, false, crowded, Until::Crowded(now)), passed, "now {now_ms} ms");
        assert!(minute.is_due(&pump(), start_ms, true, crowded, Until::Now));
        let by_time = minute.is_due(&pump(), start_ms, true, false, Until::Time(now));
        for until in [Until::Time(now), Until::Crowded(now)] {
            assert_eq!(minute.is_due(&pump(), start_ms, true, true, until), by_time, "the newest goes by its time");
        }
    }
}

/// Readings of so many minutes, all received at the end of the last one, or so much later.
fn scattered(pump: &PumpId, minutes: usize, later_ms: i64) -> Batch {
    let received = at(0).plus_ms(minutes as i64 * MINUTE_MS - 1 + later_ms);
    let reading = |n: usize| {
        let (at, samples) = (at(0).plus_ms(n as i64 * MINUTE_MS), [Sample::Good(1.0)].into());
        Reading { pump: pump.clone(), at, received, samples, late: false }
    };
    Batch { readings: (0..minutes).map(reading).collect(), ..Batch::default() }
}

#[test]
fn minutes_of_the_past_are_counted_and_do_not_wait_where_they_are_many() {
    let mut head = Head::default();
    // A minute counts that was opened six minutes after its start.
    head.take_in(Seq::new(1), scattered(&pump(), 8, 0));
    assert_eq!(head.past_minutes(&pump()), (2, 2));
    let mut head = Head::default();
    head.take_in(Seq::new(1), scattered(&pump(), CROWDED_PAST, PAST_MS + MINUTE_MS));
    assert_eq!(head.past_minutes(&pump()), (CROWDED_PAST, CROWDED_PAST));
    let now = at(0).plus_ms(CROWDED_PAST as i64 * MINUTE_MS + PAST_MS + MINUTE_MS);
    assert_eq!(head.share(Until::Time(now), 1000).due.len(), 0);
    head.take_in(Seq::new(2), scattered(&pump(), CROWDED_PAST + 1, PAST_MS + MINUTE_MS));
    let received = at(0).plus_ms((CROWDED_PAST + 1) as i64 * MINUTE_MS + PAST_MS + MINUTE_MS);
    let share = head.share(Until::Time(received), 1000);
    assert_eq!(share.due.len(), CROWDED_PAST, "all but the newest");
    assert!(share.due.iter().all(|due| due.past));
    head.give_up(&share);
    assert_eq!(head.past_minutes(&pump()), (1, 1));
    assert_eq!(head.moved_until(&pump()), Some(at(0).plus_ms((CROWDED_PAST - 1) as i64 * MINUTE_MS)));
    let share = head.share(Until::Now, 1000);
    head.give_up(&share);
    assert_eq!((head.past_minutes(&pump()), head.bytes()), ((0, 0), 0));
    // Of many pumps a few each.
    let received = at(0).plus_ms(10 * MINUTE_MS + PAST_MS + MINUTE_MS);
    let pumps: Vec<PumpId> =
        (0..=CROWDED_PAST_OF_ALL / 10).map(|n| format!("P-{n}").parse().expect("a name")).collect();
    for (n, pump) in pumps.iter().enumerate() {
        let due = head.share(Until::Time(received), 10_000).due.len();
        assert_eq!(due, 0, "{n} pumps with ten each");
        head.take_in(Seq::new(3), scattered(pump, 10, PAST_MS + MINUTE_MS));
    }
    assert_eq!(head.share(Until::Time(received), 10_000).due.len(), pumps.len() * 9);
}

#[test]
fn what_is_no_series_of_a_pump_takes_room_too() {
    let state = |document: &str| PumpState { pump: pump(), at: at(0), document: document.into() };
    let mut head = Head::default();
    head.take_in(Seq::new(1), Batch { states: vec![state("one")], ..Batch::default() });
    let small = head.bytes();
    head.take_in(Seq::new(2), Batch { states: vec![state(&"1".repeat(5000))], ..Batch::default() });
    assert_eq!(head.bytes(), small + 4997, "the newer one stands in for the older");
    let figures = [("resident_bytes".to_owned(), 1.0)].into();
    let metrics = vec![crate::store::types::SystemMetrics { at: at(0), figures }];
    head.take_in(Seq::new(3), Batch { metrics, ..Batch::default() });
    assert!(head.bytes() > small + 4997);
    let share = head.share(Until::Now, 10);
    head.give_up(&share);
    assert_eq!(head.bytes(), 0);
}

#[test]
fn a_dense_minute_is_taken_in_at_once_and_out_of_order_too() {
    let reading = |ms: i64| {
        let samples = [Sample::Good(1.0)].into();
        let at = at(0).plus_ms(ms);
        Reading { pump: pump(), at, received: at, samples, late: false }
    };
    let mut head = Head::default();
    for (seq, times) in [(1, [0, 2, 4]), (2, [3, 1, 2]), (3, [4, 0, 5])] {
        let readings = times.map(reading).to_vec();
        head.take_in(Seq::new(seq), Batch { readings, ..Batch::default() });
    }
    let found = head.readings(&pump(), 0, i64::MAX).expect("read");
    assert_eq!(found.iter().map(|row| row.at.since_ms(at(0))).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!((head.waiting_readings(), head.conflicts()), (6, 0));
}
