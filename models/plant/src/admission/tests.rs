//! The boundaries of each rule as tables, and no time given twice whatever comes.

use proptest::prelude::*;

use super::*;
use crate::profile::tests::small;

const NOW: i64 = 1_773_051_273_000;
const RULES: TimeRules = TimeRules { ahead_ms: 30_000, current_ms: 60_000, kept_ms: 86_400_000 };

const NEW: Verdict = Verdict::New { late: false };
const LATE: Verdict = Verdict::New { late: true };

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + ms).expect("a time")
}

fn door() -> Admission {
    Admission::new("P-1".parse().expect("a name"), &small(), RULES)
}

fn draft(stamp: TimestampSource, flow: f64) -> Draft {
    Draft { pump: None, profile: small(), stamp, samples: [Sample::Good(40.0), Sample::Good(flow)].into() }
}

fn stamped(ms: i64, flow: f64) -> Draft {
    draft(TimestampSource::Device(at(ms)), flow)
}

fn holding(readings: &[Reading]) -> LookupResult {
    LookupResult { readings: readings.to_vec(), ..LookupResult::default() }
}

fn judge(door: &mut Admission, draft: Draft, received_ms: i64, stored: &LookupResult) -> Verdict {
    door.judge(vec![(0, draft)], at(received_ms), stored).verdicts.pop().expect("a verdict").1
}

/// Lets in what must be new.
fn admit(door: &mut Admission, draft: Draft, received_ms: i64) -> Reading {
    let mut judgement = door.judge(vec![(0, draft)], at(received_ms), &LookupResult::default());
    assert!(matches!(judgement.verdicts[..], [(0, Verdict::New { .. })]), "{judgement:?}");
    judgement.readings.pop().expect("a reading").reading
}

fn looked_up(door: &Admission, ms: i64) -> bool {
    !door.lookup(&[(0, stamped(ms, 1.0))], at(ms)).at.is_empty()
}

#[test]
fn the_same_again_is_a_duplicate_and_other_values_are_refused() {
    let mut door = door();
    let first = stamped(0, 1.0);
    let reading = admit(&mut door, first.clone(), 5);
    let nothing = LookupResult::default();
    assert_eq!(judge(&mut door, first.clone(), 6, &nothing), Verdict::Duplicate { at: at(0) }, "still in flight");
    door.settle(at(0), true);
    assert!(looked_up(&door, 0), "now the store knows");
    let stored = holding(&[Reading { at: at(-1), ..reading.clone() }, reading]);
    assert_eq!(judge(&mut door, first, 7, &stored), Verdict::Duplicate { at: at(0) });
    let Verdict::Rejected(no) = judge(&mut door, stamped(0, 2.0), 8, &stored) else {
        panic!("other values must be refused")
    };
    assert_eq!((no.field.as_str(), no.value), ("timestamp", Some(at(0).to_string())));
}

#[test]
fn late_is_three_steps_behind_the_newest_wherever_in_its_step_a_reading_is() {
    for (newest_ms, ms, late) in [
        (0, 0, false),
        (0, -1, false),
        (0, -2000, false),
        (0, -2001, true),
        (0, -3000, true),
        (999, -1000, false),
        (999, -2000, false),
        (999, -2001, true),
        (1000, -1000, false),
        (1000, -1001, true),
        (0, -60_000, true),
    ] {
        let mut door = door();
        admit(&mut door, stamped(newest_ms, 1.0), 0);
        // What comes late does not take the newest one's place.
        admit(&mut door, stamped(-70_000, 1.0), 0);
        if ms != newest_ms {
            assert_eq!(admit(&mut door, stamped(ms, 2.0), 1).late, late, "{ms} after {newest_ms}");
        }
    }
}

/// Posts one after the other: when each is received, its readings' times, and which of these are late.
type Posts = &'static [(i64, &'static [i64], &'static [i64])];

#[test]
fn a_few_current_readings_behind_the_newest_begin_a_new_order() {
    let cases: [(&str, Posts); 9] = [
        (
            "one stray reading was ahead",
            &[
                (0, &[0], &[]),
                (1000, &[26_000], &[]),
                (2000, &[2000], &[2000]),
                (3000, &[3000], &[3000]),
                (4000, &[4000], &[]),
                (5000, &[5000], &[]),
                (6000, &[3500], &[]),
                (7000, &[1000], &[1000]),
            ],
        ),
        ("they may come in one post", &[(0, &[25_000], &[]), (5000, &[1000, 2000, 3000, 4000, 5000], &[1000, 2000])]),
        (
            "a clock was set back by less than a minute",
            &[
                (0, &[0], &[]),
                (1000, &[-40_000], &[-40_000]),
                (2000, &[-39_000], &[-39_000]),
                (3000, &[-38_000], &[]),
                (4000, &[-37_000], &[]),
            ],
        ),
        (
            "readings that are not current begin none",
            &[
                (0, &[0], &[]),
                (1000, &[-80_000], &[-80_000]),
                (2000, &[-79_000], &[-79_000]),
                (3000, &[-78_000], &[-78_000]),
                (4000, &[-77_000], &[-77_000]),
            ],
        ),
        (
            "nor do those whose times do not rise",
            &[
                (0, &[0], &[]),
                (1000, &[-10_000], &[-10_000]),
                (2000, &[-9_000], &[-9_000]),
                (3000, &[-11_000], &[-11_000]),
                (4000, &[-8_000], &[-8_000]),
                (5000, &[-7_000], &[]),
            ],
        ),
        (
            "nor those among others in order",
            &[
                (0, &[0], &[]),
                (1000, &[-10_000], &[-10_000]),
                (2000, &[-9_000], &[-9_000]),
                (3000, &[3000], &[]),
                (4000, &[-8_000], &[-8_000]),
                (5000, &[-7_000], &[-7_000]),
            ],
        ),
        (
            "nor what another gateway has kept",
            &[
                (0, &[-9000, -6000, -3000, 0], &[]),
                (1000, &[-8500, -7500, -6500, -5500], &[-8500, -7500, -6500, -5500]),
                (10_000, &[1000, 4000, 7000, 10_000], &[]),
                (11_000, &[1500, 2500, 3500, 4500], &[1500, 2500, 3500, 4500]),
            ],
        ),
        (
            "old readings between do not count, and do no harm",
            &[
                (0, &[20_000], &[]),
                (1000, &[1000, -90_000], &[1000, -90_000]),
                (2000, &[2000, -89_000], &[2000, -89_000]),
                (3000, &[3000, -88_000], &[-88_000]),
            ],
        ),
        ("an hour that was kept comes in order", &[(0, &[-3_600_000, -1_800_000, -60_001], &[]), (1000, &[1000], &[])]),
    ];
    for (what, posts) in cases {
        let mut door = door();
        for (place, (received_ms, times, late)) in posts.iter().enumerate() {
            let lot = times.iter().map(|&ms| stamped(ms, 1.0)).enumerate().collect();
            for (index, verdict) in door.judge(lot, at(*received_ms), &LookupResult::default()).verdicts {
                let expected = if late.contains(&times[index]) { LATE } else { NEW };
                assert_eq!(verdict, expected, "{what}: post {place}, {} ms", times[index]);
            }
        }
        // Whatever the order is, what may be stored is looked up.
        let (received_ms, times, _) = posts[1];
        assert!(door.lookup(&[(0, stamped(times[0], 1.0))], at(received_ms)).is_empty(), "{what}: it is in flight");
        door.settle(at(times[0]), true);
        assert!(!door.lookup(&[(0, stamped(times[0], 1.0))], at(received_ms)).is_empty(), "{what}: it is stored");
    }
}

/// One channel, or both.
fn part(ms: i64, temperature: Option<f64>, flow: Option<f64>) -> Draft {
    let sample = |value: Option<f64>| value.map_or(Sample::Missing, Sample::Good);
    Draft {
        pump: None,
        profile: small(),
        stamp: TimestampSource::Device(at(ms)),
        samples: [sample(temperature), sample(flow)].into(),
    }
}

#[test]
fn items_of_one_time_are_one_reading_and_each_has_its_own_answer() {
    let mut door = door();
    let lot = vec![
        (0, part(0, Some(40.0), None)),
        (1, part(0, None, Some(7.0))),
        (2, part(0, Some(41.0), None)),
        (3, part(0, Some(40.0), None)),
        (4, part(1000, Some(42.0), None)),
        (5, part(0, Some(40.0), Some(7.0))),
    ];
    let Judgement { verdicts, readings } = door.judge(lot, at(1000), &LookupResult::default());
    let of = |index: usize| &verdicts.iter().find(|(place, _)| *place == index).expect("a verdict").1;
    let again = Verdict::Duplicate { at: at(0) };
    assert_eq!([of(0), of(1), of(3), of(4), of(5)], [&NEW, &NEW, &again, &NEW, &again]);
    let Verdict::Rejected(no) = of(2) else { panic!("{verdicts:?}") };
    assert!(no.message.contains("another value of Tb at this time, 40; the first stands"), "{}", no.message);
    let [first, second] = &readings[..] else { panic!("{readings:?}") };
    assert_eq!((&*first.reading.samples, &first.whole), (&[Sample::Good(40.0), Sample::Good(7.0)][..], &None));
    assert_eq!(*second.reading.samples, [Sample::Good(42.0), Sample::Filled]);
}

/// The first part is stored or on its way; what comes, what that is, and what is to be stored of it.
#[test]
fn a_part_that_comes_later_is_stored_beside_the_first() {
    use Sample::{Good, Missing};
    for stored in [false, true] {
        for (comes, expected, added) in [
            (part(0, None, Some(7.0)), NEW, Some([Missing, Good(7.0)])),
            (part(0, Some(40.0), Some(7.0)), NEW, Some([Missing, Good(7.0)])),
            (part(0, Some(40.0), None), Verdict::Duplicate { at: at(0) }, None),
        ] {
            let mut door = door();
            let first = admit(&mut door, part(0, Some(40.0), None), 0);
            let mut found = LookupResult::default();
            if stored {
                door.settle(at(0), true);
                assert!(looked_up(&door, 0));
                found = holding(std::slice::from_ref(&first));
            }
            let Judgement { verdicts, readings } = door.judge(vec![(0, comes.clone())], at(500), &found);
            assert_eq!(verdicts, [(0, expected)], "{comes:?}, stored: {stored}");
            assert_eq!(readings.first().map(|part| part.reading.samples.to_vec()), added.map(|added| added.to_vec()));
            let Some(Admitted { reading, whole }) = readings.first() else { continue };
            assert_eq!(
                (reading.received, &*whole.as_ref().expect("the whole").samples),
                (at(500), &[Good(40.0), Good(7.0)][..])
            );
            // All of it counts while any part is on its way.
            assert!(!looked_up(&door, 0));
            let again = judge(&mut door, part(0, Some(40.0), Some(7.0)), 600, &LookupResult::default());
            assert_eq!(again, Verdict::Duplicate { at: at(0) });
            for _ in 0..2 - usize::from(stored) {
                assert!(!looked_up(&door, 0));
                door.settle(at(0), true);
            }
            assert!(looked_up(&door, 0), "the store knows all of it");
        }
    }
}

#[test]
fn what_a_part_is_beside_is_not_guessed() {
    let mut door = door();
    let first = admit(&mut door, part(0, Some(40.0), None), 0);
    admit(&mut door, part(0, None, Some(7.0)), 0);
    door.settle(at(0), false);
    let again = judge(&mut door, part(0, Some(40.0), None), 1, &LookupResult::default());
    assert!(
        matches!(again, Verdict::Undecided(_)),
        "the first part was not stored, and the second is under way: {again:?}"
    );
    door.settle(at(0), true);
    assert!(looked_up(&door, 0));
    // The head has a part, and the database cannot be asked for others.
    let unsure = LookupResult { unknown: [at(0)].into(), ..holding(&[first]) };
    for (comes, certain) in [
        (part(0, Some(40.0), None), Some(Verdict::Duplicate { at: at(0) })),
        (part(0, None, Some(7.0)), None),
        (part(0, Some(40.0), Some(7.0)), None),
    ] {
        match (judge(&mut door, comes, 2, &unsure), certain) {
            (Verdict::Undecided(_), None) => {}
            (verdict, certain) => assert_eq!(Some(verdict), certain),
        }
    }
    assert!(matches!(judge(&mut door, part(0, Some(41.0), None), 2, &unsure), Verdict::Rejected(_)), "that is certain");
}

#[test]
fn items_without_a_time_are_one_reading_where_they_have_channels_of_their_own() {
    let unstamped = |temperature, flow| Draft { stamp: TimestampSource::Received, ..part(0, temperature, flow) };
    let mut door = door();
    let lot = vec![(0, unstamped(Some(40.0), None)), (1, unstamped(None, Some(7.0)))];
    let Judgement { verdicts, readings } = door.judge(lot, at(0), &LookupResult::default());
    assert_eq!(verdicts, [(0, NEW), (1, NEW)]);
    let [Admitted { reading, whole: None }] = &readings[..] else { panic!("{readings:?}") };
    assert_eq!((reading.at, &*reading.samples), (at(0), &[Sample::Good(40.0), Sample::Good(7.0)][..]));
}

/// A gateway may empty its buffer newest first, or in any order.
#[test]
fn nothing_is_later_than_its_own_post() {
    for (what, order) in [
        ("oldest first", vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("newest first", vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ("the newest first, and then in order", vec![9, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("two buffers one after the other", vec![5, 6, 7, 8, 9, 0, 1, 2, 3, 4]),
        ("two buffers, each newest first", vec![8, 6, 4, 2, 0, 9, 7, 5, 3, 1]),
        ("with two at one time", vec![9, 4, 4, 0]),
    ] {
        let mut door = door();
        let lot = order.iter().map(|&second| stamped(10_000 * second - 100_000, second as f64)).enumerate().collect();
        let judgement = door.judge(lot, at(0), &LookupResult::default());
        for (index, verdict) in &judgement.verdicts {
            let again = what == "with two at one time" && *index == 2;
            let expected = if again { Verdict::Duplicate { at: at(-60_000) } } else { Verdict::New { late: false } };
            assert_eq!(*verdict, expected, "{what}");
        }
        let times: Vec<Timestamp> = judgement.readings.iter().map(|admitted| admitted.reading.at).collect();
        let mut seconds = order.clone();
        seconds.sort_unstable();
        seconds.dedup();
        assert_eq!(times, seconds.iter().map(|second| at(10_000 * second - 100_000)).collect::<Vec<_>>(), "{what}");
    }
}

#[test]
fn a_time_may_be_thirty_seconds_ahead_and_as_old_as_readings_are_kept() {
    for (ms, refused) in [
        (0, None),
        (30_000, None),
        (30_001, Some("at most 30 s after the node's clock")),
        (-86_400_000, None),
        (-86_400_001, Some("not older than 1 days (retention.readings_days): 2026-03-08T10:14:33.000Z or later")),
    ] {
        let mut door = door();
        admit(&mut door, stamped(0, 1.0), 0);
        door.settle(at(0), true);
        let verdict = judge(&mut door, stamped(ms, 2.0), 0, &LookupResult::default());
        match (verdict, refused) {
            (Verdict::New { .. }, None) => {}
            (Verdict::Rejected(no), Some(allowed)) => {
                assert_eq!((no.field.as_str(), &no.value), ("timestamp", &Some(at(ms).to_string())));
                assert!(no.allowed.starts_with(allowed), "{}", no.allowed);
                let lookup = door.lookup(&[(0, stamped(ms, 2.0))], at(0));
                assert!(lookup.is_empty(), "the store is not asked for what is refused anyway");
            }
            (verdict, _) => panic!("{ms} ms: {verdict:?}"),
        }
    }
}

#[test]
fn the_store_is_asked_for_what_may_be_there_and_for_nothing_else() {
    let mut door = door();
    assert!(!looked_up(&door, -5000), "nothing is stored");
    door.recall(&Reading { at: at(0), ..admit(&mut super::tests::door(), stamped(0, 1.0), 0) });
    for (ms, asked) in [(-1, true), (0, true), (1, false)] {
        assert_eq!(looked_up(&door, ms), asked, "{ms} ms");
    }
    admit(&mut door, stamped(-1, 1.0), 0);
    assert!(!looked_up(&door, -1), "it is in flight");
    door.settle(at(-1), true);
    assert!(looked_up(&door, -1));
    door.recall_failed(at(500));
    door.recall_failed(at(400));
    for (ms, asked) in [(0, true), (500, true), (501, false)] {
        assert_eq!(looked_up(&door, ms), asked, "{ms} ms, with readings up to 500 that could not be recalled");
    }
}

#[test]
fn an_unstamped_reading_gets_the_first_time_that_is_surely_free_or_has_it_looked_up() {
    let nothing = LookupResult::default();
    let found = LookupResult { free: Some(at(7)), ..LookupResult::default() };
    // The newest stored reading's time, what is looked up from, the time without an answer and with one.
    for (newest_ms, asked, without, with) in [
        (-1, None, Some(0), 0),
        (0, None, Some(1), 1),
        (999, None, Some(1000), 1000),
        (1000, Some(0), None, 7),
        (9_000_000, Some(0), None, 7),
    ] {
        for (answer, expected) in [(&nothing, without), (&found, Some(with))] {
            let mut door = door();
            door.recall(&Reading { at: at(newest_ms), ..admit(&mut super::tests::door(), stamped(0, 1.0), 0) });
            let lookup = door.lookup(&[(0, draft(TimestampSource::Received, 1.0))], at(0));
            assert_eq!(lookup.free.map(|free| free.from), asked.map(at), "the newest at {newest_ms} ms");
            let mut judgement = door.judge(vec![(0, draft(TimestampSource::Received, 2.0))], at(0), answer);
            let given = match judgement.verdicts.pop().expect("a verdict").1 {
                Verdict::New { .. } => Some(judgement.readings[0].reading.at.since_ms(at(0))),
                Verdict::Undecided(no) => {
                    assert!(no.allowed.contains("send this item again"), "{no:?}");
                    None
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(given, expected, "the newest at {newest_ms} ms");
        }
    }
}

#[test]
fn unstamped_readings_in_one_millisecond_are_as_many_readings() {
    let mut door = door();
    let times: Vec<_> = (0..3)
        .map(|n| admit(&mut door, draft(TimestampSource::Received, f64::from(n)), 0).at.since_ms(at(0)))
        .collect();
    assert_eq!(times, [0, 1, 2]);
}

#[test]
fn an_unstamped_reading_leaves_their_times_to_the_stamped_ones_of_its_post() {
    let lot = |stamps: &[TimestampSource]| {
        stamps.iter().enumerate().map(|(n, &stamp)| (n, draft(stamp, n as f64))).collect::<Vec<_>>()
    };
    let lot = lot(&[
        TimestampSource::Received,
        TimestampSource::Device(at(0)),
        TimestampSource::Device(at(1)),
        TimestampSource::Device(at(3)),
    ]);
    let times = |door: &mut Admission, found: &LookupResult| {
        let judgement = door.judge(lot.clone(), at(0), found);
        let places: Vec<usize> = judgement.verdicts.iter().map(|(index, _)| *index).collect();
        assert_eq!(places, [1, 2, 3, 0]);
        let [first, second, third, given] = &judgement.readings[..] else { panic!("{judgement:?}") };
        [given, first, second, third].map(|admitted| admitted.reading.at.since_ms(at(0)))
    };
    assert_eq!(times(&mut door(), &LookupResult::default()), [2, 0, 1, 3]);
    let mut busy = door();
    admit(&mut busy, stamped(2, 9.0), 0);
    admit(&mut busy, stamped(5000, 9.0), 0);
    let free = busy.lookup(&lot, at(0)).free.expect("it is behind the newest");
    assert_eq!(free.from, at(0));
    assert_eq!(free.taken, [0, 1, 2, 3, 5000].map(at).into(), "of the post, and on their way");
    let found = LookupResult { free: Some(at(4)), ..LookupResult::default() };
    assert_eq!(times(&mut busy, &found), [4, 0, 1, 3]);
}

/// The gate lets no more than one in.
#[test]
fn of_several_unstamped_readings_in_one_lot_one_gets_a_time() {
    let lot = (0..3).map(|n| (n, draft(TimestampSource::Received, n as f64))).collect();
    let Judgement { verdicts, readings } = door().judge(lot, at(0), &LookupResult::default());
    assert_eq!((verdicts[0].1.clone(), readings.len(), readings[0].reading.at), (NEW, 1, at(0)));
    assert!(verdicts[1..].iter().all(|(_, verdict)| matches!(verdict, Verdict::Undecided(_))), "{verdicts:?}");
}

#[test]
fn what_the_store_cannot_tell_is_not_decided_and_the_rest_is() {
    let mut door = door();
    admit(&mut door, stamped(10_000, 1.0), 10_000);
    let unknown = LookupResult { unknown: [at(1000)].into(), ..LookupResult::default() };
    let lot = vec![(0, stamped(1000, 1.0)), (1, stamped(11_000, 1.0)), (2, stamped(10_000, 1.0))];
    let mut verdicts = door.judge(lot, at(11_000), &unknown).verdicts;
    verdicts.sort_by_key(|(index, _)| *index);
    let Verdict::Undecided(no) = &verdicts[0].1 else { panic!("{verdicts:?}") };
    assert_eq!((no.field.as_str(), &no.value), ("timestamp", &Some(at(1000).to_string())));
    assert!(matches!(verdicts[1].1, Verdict::New { .. }) && matches!(verdicts[2].1, Verdict::Duplicate { .. }));
    assert!(matches!(judge(&mut door, stamped(1000, 1.0), 11_000, &LookupResult::default()), Verdict::New { .. }));
}

#[test]
fn a_missing_value_is_marked_filled_for_five_steps_after_the_last_good_one() {
    for (ms, expected) in [
        (-1, Sample::Missing),
        (0, Sample::Filled),
        (4999, Sample::Filled),
        (5000, Sample::Filled),
        (5001, Sample::Missing),
    ] {
        let mut door = door();
        // An older value does not take a newer one's place.
        door.recall(&Reading { at: at(0), ..admit(&mut super::tests::door(), stamped(0, 1.0), 0) });
        admit(&mut door, stamped(-9000, 1.0), 0);
        let half = Draft {
            pump: None,
            profile: small(),
            stamp: TimestampSource::Device(at(ms)),
            samples: [Sample::Good(40.0), Sample::Missing].into(),
        };
        assert_eq!(admit(&mut door, half, ms.max(0)).samples[1], expected, "{ms} ms after the last flow");
    }
}

/// The mark goes by the rules of the window: as long as the channel holds, over no gap, and not after a bad value.
#[test]
fn a_missing_value_is_marked_filled_for_as_long_as_it_holds() {
    use Sample::{Bad, Filled, Good, Missing};
    for (what, between, then_ms, expected) in [
        ("the last that it holds for", vec![], 60_000, Filled),
        ("too old", vec![], 60_001, Missing),
        ("five steps from a bad one on", vec![(10_000, Bad(9e9))], 14_000, Filled),
        ("which ends it", vec![(10_000, Bad(9e9))], 14_001, Missing),
        ("until a good one", vec![(10_000, Bad(9e9)), (40_000, Good(2.0))], 100_000, Filled),
    ] {
        let mut door = door();
        door.change_profile(&small().with_channel_hold(1, 60));
        let mut say = |ms: i64, flow: Sample| {
            let draft = Draft {
                pump: None,
                profile: small(),
                stamp: TimestampSource::Device(at(ms)),
                samples: [Good(40.0), flow].into(),
            };
            admit(&mut door, draft, ms).samples[1]
        };
        say(0, Good(1.0));
        for ms in (10_000..then_ms).step_by(10_000) {
            say(ms, between.iter().find(|(at, _)| *at == ms).map_or(Missing, |(_, flow)| *flow));
        }
        assert_eq!(say(then_ms, Missing), expected, "{what}");
    }
    for (gap_ms, expected) in [(15_000, Filled), (15_001, Missing)] {
        let mut door = door();
        door.change_profile(&small().with_channel_hold(1, 60));
        admit(&mut door, stamped(0, 1.0), 0);
        let half = Draft {
            pump: None,
            profile: small(),
            stamp: TimestampSource::Device(at(gap_ms)),
            samples: [Good(40.0), Missing].into(),
        };
        assert_eq!(admit(&mut door, half, gap_ms).samples[1], expected, "{gap_ms} ms of silence");
    }
}

/// What happens to a pump's door.
#[derive(Debug, Clone)]
enum Step {
    /// A post: the stamped items' times against the node's clock, and whether there is an item without a time.
    Post { stamps_ms: Vec<i64>, unstamped: bool },
    /// The node's clock moves.
    Clock { by_ms: i64 },
    /// The oldest so many readings on their way are stored; or, where they fail, are not.
    Settle { readings: usize, fail: bool },
    /// The pump's actor is built anew and recalls so many readings; none where the database cannot be read.
    Restart { recalled: usize },
    /// The database can be read, or not: what is in the head (the newest 20) can be read all the same.
    Database { answers: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stamps = prop::collection::vec(prop_oneof![-5_i64..20, -3000_i64..3000, Just(0)], 0..6);
    let step = prop_oneof![
        8 => (stamps, any::<bool>()).prop_map(|(stamps_ms, unstamped)| Step::Post { stamps_ms, unstamped }),
        3 => prop_oneof![0_i64..3, -3000_i64..3000].prop_map(|by_ms| Step::Clock { by_ms }),
        3 => (0_usize..12, prop::bool::weighted(0.1)).prop_map(|(readings, fail)| Step::Settle { readings, fail }),
        1 => (0_usize..30).prop_map(|recalled| Step::Restart { recalled }),
        1 => any::<bool>().prop_map(|answers| Step::Database { answers }),
    ];
    prop::collection::vec(step, 1..80)
}

/// A pump's readings, where they are, and what its door has said of them.
struct Plant {
    door: Admission,
    clock_ms: i64,
    stored: BTreeMap<Timestamp, Reading>,
    in_flight: Vec<Reading>,
    answers: bool,
    sent: f64,
}

impl Plant {
    fn answer(&self, lookup: &Lookup) -> LookupResult {
        let in_head = |at: &Timestamp| self.stored.keys().rev().take(20).any(|known| known == at);
        let readable = |at: &Timestamp| self.answers || in_head(at);
        let readings = self.stored.range(..).filter(|(at, _)| lookup.at.contains(at) && readable(at));
        let unknown = lookup.at.iter().filter(|at| !readable(at));
        let free = lookup.free.as_ref().filter(|_| self.answers).map(|free| {
            let mut times = (0..).map(|ms| free.from.plus_ms(ms));
            times.find(|at| !self.stored.contains_key(at) && !free.taken.contains(at)).expect("there is one")
        });
        LookupResult {
            readings: readings.map(|(_, reading)| reading.clone()).collect(),
            unknown: unknown.copied().collect(),
            free,
        }
    }

    fn post(&mut self, stamps_ms: &[i64], unstamped: bool) -> Result<(), TestCaseError> {
        let mut stamps: Vec<TimestampSource> =
            stamps_ms.iter().map(|ms| TimestampSource::Device(at(self.clock_ms + ms))).collect();
        stamps.extend(unstamped.then_some(TimestampSource::Received));
        let values = stamps.iter().map(|_| {
            self.sent += 1.0;
            self.sent
        });
        let values: Vec<f64> = values.collect();
        let lot: Vec<_> = stamps.iter().zip(&values).map(|(stamp, value)| draft(*stamp, *value)).enumerate().collect();
        let received = at(self.clock_ms);
        let answer = self.answer(&self.door.lookup(&lot, received));
        let Judgement { verdicts, readings } = self.door.judge(lot, received, &answer);
        let new = verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::New { .. })).count();
        prop_assert_eq!(new, readings.len());
        let unstamped = verdicts.iter().any(|(index, verdict)| {
            stamps[*index] == TimestampSource::Received && matches!(verdict, Verdict::New { .. })
        });
        for (place, Admitted { reading, .. }) in readings.iter().enumerate() {
            let taken = self.in_flight.iter().any(|known| known.at == reading.at);
            prop_assert!(!taken && !self.stored.contains_key(&reading.at), "{} is taken", reading.at);
            let received_or_later = !unstamped || place + 1 < readings.len() || reading.at >= received;
            prop_assert!(received_or_later, "{} is before {}", reading.at, received);
            self.in_flight.push(reading.clone());
        }
        for (index, verdict) in verdicts {
            match verdict {
                Verdict::New { .. } => {}
                Verdict::Undecided(_) => prop_assert!(!self.answers, "the store could tell"),
                // No value is sent twice here.
                Verdict::Rejected(_) => {
                    prop_assert!(stamps[index] != TimestampSource::Received, "it has no time to be refused")
                }
                Verdict::Duplicate { at } => prop_assert!(false, "{} is no duplicate", at),
            }
        }
        Ok(())
    }

    fn settle(&mut self, readings: usize, fail: bool) {
        for reading in self.in_flight.drain(..readings.min(self.in_flight.len())) {
            self.door.settle(reading.at, !fail);
            if !fail {
                self.stored.insert(reading.at, reading);
            }
        }
    }

    fn restart(&mut self, recalled: usize) {
        self.settle(usize::MAX, false);
        self.door = door();
        let in_head = if self.answers { recalled.max(1) } else { recalled.min(20) };
        for reading in self.stored.values().rev().take(in_head) {
            self.door.recall(reading);
        }
        if !self.answers
            && let Some(newest) = self.stored.keys().next_back()
        {
            self.door.recall_failed(*newest);
        }
    }
}

proptest! {
    /// What is let in has a time that no reading has, stored or on its way, and a time of its own where it was stamped.
    #[test]
    fn no_time_is_given_twice(steps in steps()) {
        let stored = BTreeMap::new();
        let mut plant = Plant { door: door(), clock_ms: 0, stored, in_flight: Vec::new(), answers: true, sent: 0.0 };
        for step in steps {
            match step {
                Step::Post { stamps_ms, unstamped } => plant.post(&stamps_ms, unstamped)?,
                Step::Clock { by_ms } => plant.clock_ms += by_ms,
                Step::Settle { readings, fail } => plant.settle(readings, fail),
                Step::Restart { recalled } => plant.restart(recalled),
                Step::Database { answers } => plant.answers = answers,
            }
        }
    }
}
