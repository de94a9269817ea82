//! The boundaries of each rule as tables, and no time given twice whatever comes.

use proptest::prelude::*;

use super::*;
use crate::profile::tests::small;

const NOW: i64 = 1_773_051_273_000;
const DAY: Duration = Duration::from_secs(86_400);

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + ms).expect("a time")
}

fn door() -> Admission {
    Admission::new("P-1".parse().expect("a name"), &small(), DAY)
}

fn draft(stamp: Stamp, flow: f64) -> Draft {
    Draft { pump: None, stamp, samples: [Sample::Good(40.0), Sample::Good(flow)].into() }
}

fn stamped(ms: i64, flow: f64) -> Draft {
    draft(Stamp::Device(at(ms)), flow)
}

fn holding(readings: &[Reading]) -> LookupResult {
    LookupResult { readings: readings.to_vec(), ..LookupResult::default() }
}

fn judge(door: &mut Admission, draft: Draft, received_ms: i64, stored: &LookupResult) -> Verdict {
    door.judge(vec![(0, draft)], at(received_ms), stored).pop().expect("a verdict").1
}

/// Lets in what must be new.
fn admit(door: &mut Admission, draft: Draft, received_ms: i64) -> Reading {
    match judge(door, draft, received_ms, &LookupResult::default()) {
        Verdict::New(reading) => reading,
        other => panic!("{other:?}"),
    }
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
    door.settle(at(0));
    assert!(looked_up(&door, 0), "now the store knows");
    let stored = holding(&[Reading { at: at(-1), ..reading.clone() }, reading]);
    assert_eq!(judge(&mut door, first, 7, &stored), Verdict::Duplicate { at: at(0) });
    let Verdict::Rejected(no) = judge(&mut door, stamped(0, 2.0), 8, &stored) else {
        panic!("other values must be refused")
    };
    assert_eq!((no.field.as_str(), no.value), ("timestamp", serde_json::json!(at(0).to_string())));
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
        let lot = order.iter().map(|&second| stamped(10_000 * second, second as f64)).enumerate().collect();
        let verdicts = door.judge(lot, at(100_000), &LookupResult::default());
        let mut last = None;
        for (index, verdict) in verdicts {
            match verdict {
                Verdict::New(reading) => {
                    assert_eq!(reading.at, at(10_000 * order[index]), "{what}: an item keeps its place in the post");
                    assert!(!reading.late && Some(reading.at) > last, "{what}: {reading:?} after {last:?}");
                    last = Some(reading.at);
                }
                other => assert_eq!((what, other), ("with two at one time", Verdict::Duplicate { at: at(40_000) })),
            }
        }
    }
}

#[test]
fn a_time_may_be_ten_minutes_ahead_and_as_old_as_readings_are_kept() {
    for (ms, refused) in [
        (0, None),
        (600_000, None),
        (600_001, Some("at most 10 minutes after the node's clock")),
        (-86_400_000, None),
        (-86_400_001, Some("not older than 1 days (retention.readings_days): 2026-03-08T10:14:33.000Z or later")),
    ] {
        let mut door = door();
        admit(&mut door, stamped(0, 1.0), 0);
        door.settle(at(0));
        let verdict = judge(&mut door, stamped(ms, 2.0), 0, &LookupResult::default());
        match (verdict, refused) {
            (Verdict::New(_), None) => {}
            (Verdict::Rejected(no), Some(allowed)) => {
                assert_eq!((no.field.as_str(), &no.value), ("timestamp", &serde_json::json!(at(ms).to_string())));
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
    door.settle(at(-1));
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
            let lookup = door.lookup(&[(0, draft(Stamp::Received, 1.0))], at(0));
            assert_eq!(lookup.free.map(|free| free.from), asked.map(at), "the newest at {newest_ms} ms");
            let given = match judge(&mut door, draft(Stamp::Received, 2.0), 0, answer) {
                Verdict::New(reading) => Some(reading.at.since_ms(at(0))),
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
    let times: Vec<_> =
        (0..3).map(|n| admit(&mut door, draft(Stamp::Received, f64::from(n)), 0).at.since_ms(at(0))).collect();
    assert_eq!(times, [0, 1, 2]);
}

#[test]
fn an_unstamped_reading_leaves_their_times_to_the_stamped_ones_of_its_post() {
    let lot =
        |stamps: &[Stamp]| stamps.iter().enumerate().map(|(n, &stamp)| (n, draft(stamp, n as f64))).collect::<Vec<_>>();
    let lot = lot(&[Stamp::Received, Stamp::Device(at(0)), Stamp::Device(at(1)), Stamp::Device(at(3))]);
    let times = |door: &mut Admission, found: &LookupResult| {
        let mut verdicts = door.judge(lot.clone(), at(0), found);
        verdicts.sort_by_key(|(index, _)| *index);
        let time = |verdict| match verdict {
            Verdict::New(reading) => reading.at.since_ms(at(0)),
            other => panic!("{other:?}"),
        };
        verdicts.into_iter().map(|(_, verdict)| time(verdict)).collect::<Vec<_>>()
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
    let lot = (0..3).map(|n| (n, draft(Stamp::Received, n as f64))).collect();
    let verdicts = door().judge(lot, at(0), &LookupResult::default());
    assert!(matches!(&verdicts[0].1, Verdict::New(reading) if reading.at == at(0)), "{verdicts:?}");
    assert!(verdicts[1..].iter().all(|(_, verdict)| matches!(verdict, Verdict::Undecided(_))), "{verdicts:?}");
}

#[test]
fn what_the_store_cannot_tell_is_not_decided_and_the_rest_is() {
    let mut door = door();
    admit(&mut door, stamped(10_000, 1.0), 10_000);
    let unknown = LookupResult { unknown: [at(1000)].into(), ..LookupResult::default() };
    let lot = vec![(0, stamped(1000, 1.0)), (1, stamped(11_000, 1.0)), (2, stamped(10_000, 1.0))];
    let mut verdicts = door.judge(lot, at(11_000), &unknown);
    verdicts.sort_by_key(|(index, _)| *index);
    let Verdict::Undecided(no) = &verdicts[0].1 else { panic!("{verdicts:?}") };
    assert_eq!((no.field.as_str(), &no.value), ("timestamp", &serde_json::json!(at(1000).to_string())));
    assert!(matches!(verdicts[1].1, Verdict::New(_)) && matches!(verdicts[2].1, Verdict::Duplicate { .. }));
    assert!(matches!(judge(&mut door, stamped(1000, 1.0), 11_000, &LookupResult::default()), Verdict::New(_)));
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
        let half =
            Draft { pump: None, stamp: Stamp::Device(at(ms)), samples: [Sample::Good(40.0), Sample::Missing].into() };
        assert_eq!(admit(&mut door, half, ms.max(0)).samples[1], expected, "{ms} ms after the last flow");
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
        let mut stamps: Vec<Stamp> = stamps_ms.iter().map(|ms| Stamp::Device(at(self.clock_ms + ms))).collect();
        stamps.extend(unstamped.then_some(Stamp::Received));
        let values = stamps.iter().map(|_| {
            self.sent += 1.0;
            self.sent
        });
        let values: Vec<f64> = values.collect();
        let lot: Vec<_> = stamps.iter().zip(&values).map(|(stamp, value)| draft(*stamp, *value)).enumerate().collect();
        let received = at(self.clock_ms);
        let answer = self.answer(&self.door.lookup(&lot, received));
        for (index, verdict) in self.door.judge(lot, received, &answer) {
            match verdict {
                Verdict::New(reading) => {
                    let taken = self.in_flight.iter().any(|known| known.at == reading.at);
                    prop_assert!(!taken && !self.stored.contains_key(&reading.at), "{} is taken", reading.at);
                    let received_or_later = stamps[index] != Stamp::Received || reading.at >= received;
                    prop_assert!(received_or_later, "{} is before {}", reading.at, received);
                    self.in_flight.push(reading);
                }
                Verdict::Undecided(_) => prop_assert!(!self.answers, "the store could tell"),
                // No value is sent twice here.
                Verdict::Rejected(_) => prop_assert!(stamps[index] != Stamp::Received, "it has no time to be refused"),
                Verdict::Duplicate { at } => prop_assert!(false, "{} is no duplicate", at),
            }
        }
        Ok(())
    }

    fn settle(&mut self, readings: usize, fail: bool) {
        for reading in self.in_flight.drain(..readings.min(self.in_flight.len())) {
            self.door.settle(reading.at);
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
