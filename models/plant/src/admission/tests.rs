//! The boundaries of each rule, and the uniqueness of times.

use proptest::prelude::*;

use super::*;
use crate::profile::tests::small;

const NOW: i64 = 1_773_051_273_000;
const LIMITS: TimestampLimits =
    TimestampLimits { max_ahead_ms: 30_000, max_current_offset_ms: 60_000, max_age_ms: 86_400_000 };

const NEW: DraftOutcome = DraftOutcome::New { late: false };
const LATE: DraftOutcome = DraftOutcome::New { late: true };

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + ms).expect("a time")
}

fn admission() -> Admission {
    Admission::new("P-1".parse().expect("a name"), &small(), LIMITS)
}

fn draft(stamp: TimestampSource, flow: f64) -> Draft {
    Draft { pump: None, profile: small(), timestamp: stamp, samples: [Sample::Good(40.0), Sample::Good(flow)].into() }
}

fn stamped(ms: i64, flow: f64) -> Draft {
    draft(TimestampSource::Device(at(ms)), flow)
}

fn holding(readings: &[Reading]) -> LookupResult {
    LookupResult { readings: readings.to_vec(), ..LookupResult::default() }
}

fn outcome_of(admission: &mut Admission, draft: Draft, received_ms: i64, stored: &LookupResult) -> DraftOutcome {
    admission.admit(vec![(0, draft)], at(received_ms), stored).outcomes.pop().expect("an outcome").1
}

/// Admits a draft that must be new.
fn admit(admission: &mut Admission, draft: Draft, received_ms: i64) -> Reading {
    let mut result = admission.admit(vec![(0, draft)], at(received_ms), &LookupResult::default());
    assert!(matches!(result.outcomes[..], [(0, DraftOutcome::New { .. })]), "{result:?}");
    result.readings.pop().expect("a reading").reading
}

fn looked_up(admission: &Admission, ms: i64) -> bool {
    !admission.lookup(&[(0, stamped(ms, 1.0))], at(ms)).at.is_empty()
}

#[test]
fn the_same_values_are_a_duplicate_and_others_are_refused() {
    let mut admission = admission();
    let first = stamped(0, 1.0);
    let reading = admit(&mut admission, first.clone(), 5);
    let nothing = LookupResult::default();
    assert_eq!(
        outcome_of(&mut admission, first.clone(), 6, &nothing),
        DraftOutcome::Duplicate { at: at(0) },
        "still in flight"
    );
    admission.complete(at(0), true);
    assert!(looked_up(&admission, 0), "it is stored now");
    let stored = holding(&[Reading { at: at(-1), ..reading.clone() }, reading]);
    assert_eq!(outcome_of(&mut admission, first, 7, &stored), DraftOutcome::Duplicate { at: at(0) });
    let DraftOutcome::Rejected(no) = outcome_of(&mut admission, stamped(0, 2.0), 8, &stored) else {
        panic!("other values must be refused")
    };
    assert_eq!((no.field.as_str(), no.value), ("timestamp", Some(at(0).to_string())));
}

#[test]
fn late_is_two_and_a_half_steps_behind_the_newest() {
    for (newest_ms, ms, late) in [
        (0, 0, false),
        (0, -1, false),
        (0, -2000, false),
        (0, -2499, false),
        (0, -2500, true),
        (0, -3000, true),
        (999, -1000, false),
        (999, -1500, false),
        (999, -1501, true),
        (1000, -1000, false),
        (1000, -1499, false),
        (1000, -1500, true),
        (0, -60_000, true),
    ] {
        let mut admission = admission();
        admit(&mut admission, stamped(newest_ms, 1.0), 0);
        // A late reading does not become the newest one.
        admit(&mut admission, stamped(-70_000, 1.0), 0);
        if ms != newest_ms {
            assert_eq!(admit(&mut admission, stamped(ms, 2.0), 1).late, late, "{ms} after {newest_ms}");
        }
    }
}

/// Successive posts: the receive time of each, its readings' times, and which of these are late.
type Posts = &'static [(i64, &'static [i64], &'static [i64])];

#[test]
fn three_current_readings_behind_the_newest_start_a_new_order() {
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
        ("they may arrive in one post", &[(0, &[25_000], &[]), (5000, &[1000, 2000, 3000, 4000, 5000], &[1000, 2000])]),
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
            "readings that are not current start none",
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
            "nor does a backlog of another gateway",
            &[
                (0, &[-9000, -6000, -3000, 0], &[]),
                (1000, &[-8500, -7500, -6500, -5500], &[-8500, -7500, -6500, -5500]),
                (10_000, &[1000, 4000, 7000, 10_000], &[]),
                (11_000, &[1500, 2500, 3500, 4500], &[1500, 2500, 3500, 4500]),
            ],
        ),
        (
            "old readings in between are ignored",
            &[
                (0, &[20_000], &[]),
                (1000, &[1000, -90_000], &[1000, -90_000]),
                (2000, &[2000, -89_000], &[2000, -89_000]),
                (3000, &[3000, -88_000], &[-88_000]),
            ],
        ),
        ("an hour of backlog is in order", &[(0, &[-3_600_000, -1_800_000, -60_001], &[]), (1000, &[1000], &[])]),
    ];
    for (what, posts) in cases {
        let mut admission = admission();
        for (place, (received_ms, times, late)) in posts.iter().enumerate() {
            let batch = times.iter().map(|&ms| stamped(ms, 1.0)).enumerate().collect();
            for (index, outcome) in admission.admit(batch, at(*received_ms), &LookupResult::default()).outcomes {
                let expected = if late.contains(&times[index]) { LATE } else { NEW };
                assert_eq!(outcome, expected, "{what}: post {place}, {} ms", times[index]);
            }
        }
        // A time at which a reading may be stored is looked up, whatever the order.
        let (received_ms, times, _) = posts[1];
        assert!(
            admission.lookup(&[(0, stamped(times[0], 1.0))], at(received_ms)).is_empty(),
            "{what}: it is in flight"
        );
        admission.complete(at(times[0]), true);
        assert!(!admission.lookup(&[(0, stamped(times[0], 1.0))], at(received_ms)).is_empty(), "{what}: it is stored");
    }
}

/// A draft with one channel, or both.
fn part(ms: i64, temperature: Option<f64>, flow: Option<f64>) -> Draft {
    let sample = |value: Option<f64>| value.map_or(Sample::Missing, Sample::Good);
    Draft {
        pump: None,
        profile: small(),
        timestamp: TimestampSource::Device(at(ms)),
        samples: [sample(temperature), sample(flow)].into(),
    }
}

#[test]
fn items_with_the_same_time_are_one_reading_with_separate_outcomes() {
    let mut admission = admission();
    let batch = vec![
        (0, part(0, Some(40.0), None)),
        (1, part(0, None, Some(7.0))),
        (2, part(0, Some(41.0), None)),
        (3, part(0, Some(40.0), None)),
        (4, part(1000, Some(42.0), None)),
        (5, part(0, Some(40.0), Some(7.0))),
    ];
    let AdmissionResult { outcomes, readings } = admission.admit(batch, at(1000), &LookupResult::default());
    let of = |index: usize| &outcomes.iter().find(|(place, _)| *place == index).expect("an outcome").1;
    let again = DraftOutcome::Duplicate { at: at(0) };
    assert_eq!([of(0), of(1), of(3), of(4), of(5)], [&NEW, &NEW, &again, &NEW, &again]);
    let DraftOutcome::Rejected(no) = of(2) else { panic!("{outcomes:?}") };
    assert!(no.message.contains("another value of Tb at this time, 40; the first value is kept"), "{}", no.message);
    let [first, second] = &readings[..] else { panic!("{readings:?}") };
    assert_eq!((&*first.reading.samples, &first.whole), (&[Sample::Good(40.0), Sample::Good(7.0)][..], &None));
    assert_eq!(*second.reading.samples, [Sample::Good(42.0), Sample::Filled]);
}

/// The first part is stored or in flight. Each case: the draft that arrives, its outcome, and the samples to store.
#[test]
fn a_later_part_is_stored_next_to_the_first() {
    use Sample::{Good, Missing};
    for stored in [false, true] {
        for (comes, expected, added) in [
            (part(0, None, Some(7.0)), NEW, Some([Missing, Good(7.0)])),
            (part(0, Some(40.0), Some(7.0)), NEW, Some([Missing, Good(7.0)])),
            (part(0, Some(40.0), None), DraftOutcome::Duplicate { at: at(0) }, None),
        ] {
            let mut admission = admission();
            let first = admit(&mut admission, part(0, Some(40.0), None), 0);
            let mut found = LookupResult::default();
            if stored {
                admission.complete(at(0), true);
                assert!(looked_up(&admission, 0));
                found = holding(std::slice::from_ref(&first));
            }
            let AdmissionResult { outcomes, readings } = admission.admit(vec![(0, comes.clone())], at(500), &found);
            assert_eq!(outcomes, [(0, expected)], "{comes:?}, stored: {stored}");
            assert_eq!(readings.first().map(|part| part.reading.samples.to_vec()), added.map(|added| added.to_vec()));
            let Some(AdmittedReading { reading, whole }) = readings.first() else { continue };
            assert_eq!(
                (reading.received, &*whole.as_ref().expect("the whole").samples),
                (at(500), &[Good(40.0), Good(7.0)][..])
            );
            // All parts count while any of them is in flight.
            assert!(!looked_up(&admission, 0));
            let again = outcome_of(&mut admission, part(0, Some(40.0), Some(7.0)), 600, &LookupResult::default());
            assert_eq!(again, DraftOutcome::Duplicate { at: at(0) });
            for _ in 0..2 - usize::from(stored) {
                assert!(!looked_up(&admission, 0));
                admission.complete(at(0), true);
            }
            assert!(looked_up(&admission, 0), "all of it is stored");
        }
    }
}

#[test]
fn a_part_is_deferred_while_the_reading_is_unknown() {
    let mut admission = admission();
    let first = admit(&mut admission, part(0, Some(40.0), None), 0);
    admit(&mut admission, part(0, None, Some(7.0)), 0);
    admission.complete(at(0), false);
    let again = outcome_of(&mut admission, part(0, Some(40.0), None), 1, &LookupResult::default());
    assert!(
        matches!(again, DraftOutcome::Deferred(_)),
        "the first part was not stored, and the second is in flight: {again:?}"
    );
    admission.complete(at(0), true);
    assert!(looked_up(&admission, 0));
    // The head has a part, and the database cannot be queried for others.
    let unsure = LookupResult { unknown: [at(0)].into(), ..holding(&[first]) };
    for (comes, certain) in [
        (part(0, Some(40.0), None), Some(DraftOutcome::Duplicate { at: at(0) })),
        (part(0, None, Some(7.0)), None),
        (part(0, Some(40.0), Some(7.0)), None),
    ] {
        match (outcome_of(&mut admission, comes, 2, &unsure), certain) {
            (DraftOutcome::Deferred(_), None) => {}
            (outcome, certain) => assert_eq!(Some(outcome), certain),
        }
    }
    assert!(
        matches!(outcome_of(&mut admission, part(0, Some(41.0), None), 2, &unsure), DraftOutcome::Rejected(_)),
        "that is certain"
    );
}

#[test]
fn items_without_a_time_are_one_reading_if_their_channels_differ() {
    let unstamped = |temperature, flow| Draft { timestamp: TimestampSource::Received, ..part(0, temperature, flow) };
    let mut admission = admission();
    let batch = vec![(0, unstamped(Some(40.0), None)), (1, unstamped(None, Some(7.0)))];
    let AdmissionResult { outcomes, readings } = admission.admit(batch, at(0), &LookupResult::default());
    assert_eq!(outcomes, [(0, NEW), (1, NEW)]);
    let [AdmittedReading { reading, whole: None }] = &readings[..] else { panic!("{readings:?}") };
    assert_eq!((reading.at, &*reading.samples), (at(0), &[Sample::Good(40.0), Sample::Good(7.0)][..]));
}

/// A gateway may send its buffer newest first, or in any order.
#[test]
fn no_reading_is_late_because_of_its_own_post() {
    for (what, order) in [
        ("oldest first", vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("newest first", vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ("the newest first, and then in order", vec![9, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("two buffers one after the other", vec![5, 6, 7, 8, 9, 0, 1, 2, 3, 4]),
        ("two buffers, each newest first", vec![8, 6, 4, 2, 0, 9, 7, 5, 3, 1]),
        ("with two at one time", vec![9, 4, 4, 0]),
    ] {
        let mut admission = admission();
        let batch = order.iter().map(|&second| stamped(10_000 * second - 100_000, second as f64)).enumerate().collect();
        let result = admission.admit(batch, at(0), &LookupResult::default());
        for (index, outcome) in &result.outcomes {
            let again = what == "with two at one time" && *index == 2;
            let expected =
                if again { DraftOutcome::Duplicate { at: at(-60_000) } } else { DraftOutcome::New { late: false } };
            assert_eq!(*outcome, expected, "{what}");
        }
        let times: Vec<Timestamp> = result.readings.iter().map(|admitted| admitted.reading.at).collect();
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
        let mut admission = admission();
        admit(&mut admission, stamped(0, 1.0), 0);
        admission.complete(at(0), true);
        let outcome = outcome_of(&mut admission, stamped(ms, 2.0), 0, &LookupResult::default());
        match (outcome, refused) {
            (DraftOutcome::New { .. }, None) => {}
            (DraftOutcome::Rejected(no), Some(allowed)) => {
                assert_eq!((no.field.as_str(), &no.value), ("timestamp", &Some(at(ms).to_string())));
                assert!(no.allowed.starts_with(allowed), "{}", no.allowed);
                let lookup = admission.lookup(&[(0, stamped(ms, 2.0))], at(0));
                assert!(lookup.is_empty(), "the store is not is_looked_up for what is refused anyway");
            }
            (outcome, _) => panic!("{ms} ms: {outcome:?}"),
        }
    }
}

#[test]
fn only_times_that_may_be_stored_are_looked_up() {
    let mut admission = admission();
    assert!(!looked_up(&admission, -5000), "nothing is stored");
    admission.replay(&Reading { at: at(0), ..admit(&mut super::tests::admission(), stamped(0, 1.0), 0) });
    for (ms, is_looked_up) in [(-1, true), (0, true), (1, false)] {
        assert_eq!(looked_up(&admission, ms), is_looked_up, "{ms} ms");
    }
    admit(&mut admission, stamped(-1, 1.0), 0);
    assert!(!looked_up(&admission, -1), "it is in flight");
    admission.complete(at(-1), true);
    assert!(looked_up(&admission, -1));
    admission.mark_unread_until(at(500));
    admission.mark_unread_until(at(400));
    for (ms, is_looked_up) in [(0, true), (500, true), (501, false)] {
        assert_eq!(
            looked_up(&admission, ms),
            is_looked_up,
            "{ms} ms, with readings up to 500 that could not be recalled"
        );
    }
}

#[test]
fn a_reading_without_a_time_gets_the_next_free_one_or_needs_a_lookup() {
    let nothing = LookupResult::default();
    let found = LookupResult { free: Some(at(7)), ..LookupResult::default() };
    // The newest stored reading's time, where the lookup starts, and the assigned time without and with a lookup
    // result.
    for (newest_ms, is_looked_up, without, with) in [
        (-1, None, Some(0), 0),
        (0, None, Some(1), 1),
        (999, None, Some(1000), 1000),
        (1000, Some(0), None, 7),
        (9_000_000, Some(0), None, 7),
    ] {
        for (lookup_result, expected) in [(&nothing, without), (&found, Some(with))] {
            let mut admission = admission();
            admission
                .replay(&Reading { at: at(newest_ms), ..admit(&mut super::tests::admission(), stamped(0, 1.0), 0) });
            let lookup = admission.lookup(&[(0, draft(TimestampSource::Received, 1.0))], at(0));
            assert_eq!(lookup.free.map(|free| free.from), is_looked_up.map(at), "the newest at {newest_ms} ms");
            let mut result = admission.admit(vec![(0, draft(TimestampSource::Received, 2.0))], at(0), lookup_result);
            let unstamped_at = match result.outcomes.pop().expect("an outcome").1 {
                DraftOutcome::New { .. } => Some(result.readings[0].reading.at.since_ms(at(0))),
                DraftOutcome::Deferred(no) => {
                    assert!(no.allowed.contains("send this item again"), "{no:?}");
                    None
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(unstamped_at, expected, "the newest at {newest_ms} ms");
        }
    }
}

#[test]
fn readings_without_a_time_in_one_millisecond_stay_separate() {
    let mut admission = admission();
    let times: Vec<_> = (0..3)
        .map(|n| admit(&mut admission, draft(TimestampSource::Received, f64::from(n)), 0).at.since_ms(at(0)))
        .collect();
    assert_eq!(times, [0, 1, 2]);
}

#[test]
fn device_times_of_a_post_take_precedence_over_assigned_ones() {
    let batch = |stamps: &[TimestampSource]| {
        stamps.iter().enumerate().map(|(n, &stamp)| (n, draft(stamp, n as f64))).collect::<Vec<_>>()
    };
    let batch = batch(&[
        TimestampSource::Received,
        TimestampSource::Device(at(0)),
        TimestampSource::Device(at(1)),
        TimestampSource::Device(at(3)),
    ]);
    let times = |admission: &mut Admission, found: &LookupResult| {
        let result = admission.admit(batch.clone(), at(0), found);
        let places: Vec<usize> = result.outcomes.iter().map(|(index, _)| *index).collect();
        assert_eq!(places, [1, 2, 3, 0]);
        let [first, second, third, unstamped_at] = &result.readings[..] else { panic!("{result:?}") };
        [unstamped_at, first, second, third].map(|admitted| admitted.reading.at.since_ms(at(0)))
    };
    assert_eq!(times(&mut admission(), &LookupResult::default()), [2, 0, 1, 3]);
    let mut busy = admission();
    admit(&mut busy, stamped(2, 9.0), 0);
    admit(&mut busy, stamped(5000, 9.0), 0);
    let free = busy.lookup(&batch, at(0)).free.expect("it is behind the newest");
    assert_eq!(free.from, at(0));
    assert_eq!(free.excluded, [0, 1, 2, 3, 5000].map(at).into(), "of the post, and in flight");
    let found = LookupResult { free: Some(at(4)), ..LookupResult::default() };
    assert_eq!(times(&mut busy, &found), [4, 0, 1, 3]);
}

/// The ingress accepts at most one per post.
#[test]
fn of_several_readings_without_a_time_in_one_batch_one_gets_a_time() {
    let batch = (0..3).map(|n| (n, draft(TimestampSource::Received, n as f64))).collect();
    let AdmissionResult { outcomes, readings } = admission().admit(batch, at(0), &LookupResult::default());
    assert_eq!((outcomes[0].1.clone(), readings.len(), readings[0].reading.at), (NEW, 1, at(0)));
    assert!(outcomes[1..].iter().all(|(_, outcome)| matches!(outcome, DraftOutcome::Deferred(_))), "{outcomes:?}");
}

#[test]
fn only_items_with_an_unreadable_time_are_deferred() {
    let mut admission = admission();
    admit(&mut admission, stamped(10_000, 1.0), 10_000);
    let unknown = LookupResult { unknown: [at(1000)].into(), ..LookupResult::default() };
    let batch = vec![(0, stamped(1000, 1.0)), (1, stamped(11_000, 1.0)), (2, stamped(10_000, 1.0))];
    let mut outcomes = admission.admit(batch, at(11_000), &unknown).outcomes;
    outcomes.sort_by_key(|(index, _)| *index);
    let DraftOutcome::Deferred(no) = &outcomes[0].1 else { panic!("{outcomes:?}") };
    assert_eq!((no.field.as_str(), &no.value), ("timestamp", &Some(at(1000).to_string())));
    assert!(
        matches!(outcomes[1].1, DraftOutcome::New { .. }) && matches!(outcomes[2].1, DraftOutcome::Duplicate { .. })
    );
    assert!(matches!(
        outcome_of(&mut admission, stamped(1000, 1.0), 11_000, &LookupResult::default()),
        DraftOutcome::New { .. }
    ));
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
        let mut admission = admission();
        // An older value does not replace a newer one.
        admission.replay(&Reading { at: at(0), ..admit(&mut super::tests::admission(), stamped(0, 1.0), 0) });
        admit(&mut admission, stamped(-9000, 1.0), 0);
        let half = Draft {
            pump: None,
            profile: small(),
            timestamp: TimestampSource::Device(at(ms)),
            samples: [Sample::Good(40.0), Sample::Missing].into(),
        };
        assert_eq!(admit(&mut admission, half, ms.max(0)).samples[1], expected, "{ms} ms after the last flow");
    }
}

/// Samples are marked by the windower's rules: while the channel holds, not over a gap, and not after a bad value.
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
        let mut admission = admission();
        admission.change_profile(&small().with_channel_hold(1, 60));
        let mut send = |ms: i64, flow: Sample| {
            let draft = Draft {
                pump: None,
                profile: small(),
                timestamp: TimestampSource::Device(at(ms)),
                samples: [Good(40.0), flow].into(),
            };
            admit(&mut admission, draft, ms).samples[1]
        };
        send(0, Good(1.0));
        for ms in (10_000..then_ms).step_by(10_000) {
            send(ms, between.iter().find(|(at, _)| *at == ms).map_or(Missing, |(_, flow)| *flow));
        }
        assert_eq!(send(then_ms, Missing), expected, "{what}");
    }
    for (gap_ms, expected) in [(15_000, Filled), (15_001, Missing)] {
        let mut admission = admission();
        admission.change_profile(&small().with_channel_hold(1, 60));
        admit(&mut admission, stamped(0, 1.0), 0);
        let half = Draft {
            pump: None,
            profile: small(),
            timestamp: TimestampSource::Device(at(gap_ms)),
            samples: [Good(40.0), Missing].into(),
        };
        assert_eq!(admit(&mut admission, half, gap_ms).samples[1], expected, "{gap_ms} ms of silence");
    }
}

/// An event in the operation of one pump's admission.
#[derive(Debug, Clone)]
enum Step {
    /// A post: device times relative to the node's clock, and whether there is an item without a device time.
    Post { stamps_ms: Vec<i64>, unstamped: bool },
    /// The node's clock is moved.
    Clock { by_ms: i64 },
    /// The oldest `readings` in-flight readings are stored, or fail to be stored.
    Complete { readings: usize, fail: bool },
    /// The pump's actor is restarted and recalls `recalled` readings.
    Restart { recalled: usize },
    /// The database becomes readable or unreadable. The newest 20 readings, which are in the head, can always be read.
    Database { store_readable: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stamps = prop::collection::vec(prop_oneof![-5_i64..20, -3000_i64..3000, Just(0)], 0..6);
    let step = prop_oneof![
        8 => (stamps, any::<bool>()).prop_map(|(stamps_ms, unstamped)| Step::Post { stamps_ms, unstamped }),
        3 => prop_oneof![0_i64..3, -3000_i64..3000].prop_map(|by_ms| Step::Clock { by_ms }),
        3 => (0_usize..12, prop::bool::weighted(0.1)).prop_map(|(readings, fail)| Step::Complete { readings, fail }),
        1 => (0_usize..30).prop_map(|recalled| Step::Restart { recalled }),
        1 => any::<bool>().prop_map(|store_readable| Step::Database { store_readable }),
    ];
    prop::collection::vec(step, 1..80)
}

/// A pump's admission, and its stored and in-flight readings.
struct PumpModel {
    admission: Admission,
    clock_ms: i64,
    stored: BTreeMap<Timestamp, Reading>,
    in_flight: Vec<Reading>,
    store_readable: bool,
    sent: f64,
}

impl PumpModel {
    fn lookup_result(&self, lookup: &Lookup) -> LookupResult {
        let in_head = |at: &Timestamp| self.stored.keys().rev().take(20).any(|known| known == at);
        let readable = |at: &Timestamp| self.store_readable || in_head(at);
        let readings = self.stored.range(..).filter(|(at, _)| lookup.at.contains(at) && readable(at));
        let unknown = lookup.at.iter().filter(|at| !readable(at));
        let free = lookup.free.as_ref().filter(|_| self.store_readable).map(|free| {
            let mut times = (0..).map(|ms| free.from.plus_ms(ms));
            times.find(|at| !self.stored.contains_key(at) && !free.excluded.contains(at)).expect("there is one")
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
        let batch: Vec<_> =
            stamps.iter().zip(&values).map(|(stamp, value)| draft(*stamp, *value)).enumerate().collect();
        let received = at(self.clock_ms);
        let lookup_result = self.lookup_result(&self.admission.lookup(&batch, received));
        let AdmissionResult { outcomes, readings } = self.admission.admit(batch, received, &lookup_result);
        let new = outcomes.iter().filter(|(_, outcome)| matches!(outcome, DraftOutcome::New { .. })).count();
        prop_assert_eq!(new, readings.len());
        let unstamped = outcomes.iter().any(|(index, outcome)| {
            stamps[*index] == TimestampSource::Received && matches!(outcome, DraftOutcome::New { .. })
        });
        for (place, AdmittedReading { reading, .. }) in readings.iter().enumerate() {
            let taken = self.in_flight.iter().any(|known| known.at == reading.at);
            prop_assert!(!taken && !self.stored.contains_key(&reading.at), "{} is taken", reading.at);
            let received_or_later = !unstamped || place + 1 < readings.len() || reading.at >= received;
            prop_assert!(received_or_later, "{} is before {}", reading.at, received);
            self.in_flight.push(reading.clone());
        }
        for (index, outcome) in outcomes {
            match outcome {
                DraftOutcome::New { .. } => {}
                DraftOutcome::Deferred(_) => prop_assert!(!self.store_readable, "the store is readable"),
                // No value is sent twice here.
                DraftOutcome::Rejected(_) => {
                    prop_assert!(stamps[index] != TimestampSource::Received, "it has no time to be refused")
                }
                DraftOutcome::Duplicate { at } => prop_assert!(false, "{} is no duplicate", at),
            }
        }
        Ok(())
    }

    fn complete(&mut self, readings: usize, fail: bool) {
        for reading in self.in_flight.drain(..readings.min(self.in_flight.len())) {
            self.admission.complete(reading.at, !fail);
            if !fail {
                self.stored.insert(reading.at, reading);
            }
        }
    }

    fn restart(&mut self, recalled: usize) {
        self.complete(usize::MAX, false);
        self.admission = admission();
        let in_head = if self.store_readable { recalled.max(1) } else { recalled.min(20) };
        for reading in self.stored.values().rev().take(in_head) {
            self.admission.replay(reading);
        }
        if !self.store_readable
            && let Some(newest) = self.stored.keys().next_back()
        {
            self.admission.mark_unread_until(*newest);
        }
    }
}

proptest! {
    /// An admitted reading has a time that no stored or in-flight reading has, and its device time if it has one.
    #[test]
    fn no_time_is_assigned_twice(steps in steps()) {
        let stored = BTreeMap::new();
        let mut pump_model = PumpModel { admission: admission(), clock_ms: 0, stored, in_flight: Vec::new(), store_readable: true, sent: 0.0 };
        for step in steps {
            match step {
                Step::Post { stamps_ms, unstamped } => pump_model.post(&stamps_ms, unstamped)?,
                Step::Clock { by_ms } => pump_model.clock_ms += by_ms,
                Step::Complete { readings, fail } => pump_model.complete(readings, fail),
                Step::Restart { recalled } => pump_model.restart(recalled),
                Step::Database { store_readable } => pump_model.store_readable = store_readable,
            }
        }
    }
}
