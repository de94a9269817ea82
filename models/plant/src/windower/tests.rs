//! Order, holes, gaps and pumps that stand: what has a window and what has none.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    Admission, Draft, Sample, Stamp, Verdict,
    profile::tests::{small, speed_only},
};

const START: i64 = 1_773_051_273_000;

fn reading(ms: i64, flow: Sample) -> Reading {
    let at = Timestamp::from_millis(START + ms).expect("a time");
    let samples = [Sample::Good(40.0), flow].into();
    Reading { pump: "P-1".parse().expect("a name"), at, received: at, samples, late: false }
}

fn run(windower: &mut Windower, seconds: impl IntoIterator<Item = i64>) -> Vec<Placed> {
    seconds.into_iter().flat_map(|s| windower.push(reading(s * 1000, Sample::Good(s as f64)))).collect()
}

fn last_flows(placed: &Placed) -> Vec<f64> {
    placed.window.as_ref().expect("a window").values.chunks(2).map(|row| row[1]).collect()
}

#[test]
fn the_thirtieth_reading_has_the_first_window() {
    let placed = run(&mut Windower::new(&small()), 0..31);
    assert_eq!(placed.len(), 31);
    assert_eq!(placed[28].window, Err(NoWindow::Filling { have: 29, need: 30 }));
    assert_eq!(last_flows(&placed[29]), (0..30).map(f64::from).collect::<Vec<_>>());
    assert_eq!(last_flows(&placed[30]), (1..31).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn a_short_hole_is_filled_once_its_readings_are_given_up() {
    let mut windower = Windower::new(&small());
    run(&mut windower, 0..35);
    // 35 is missing: 36 and 37 wait, 38 gives it up.
    assert!(run(&mut windower, [36, 37]).is_empty());
    assert!(windower.is_waiting());
    let placed = run(&mut windower, [38]);
    assert_eq!(placed.iter().map(|p| p.reading.at.millis() - START).collect::<Vec<_>>(), [36_000, 37_000, 38_000]);
    assert_eq!(last_flows(&placed[2])[25..], [34.0, 34.0, 36.0, 37.0, 38.0]);
}

#[test]
fn a_quiet_pump_is_flushed() {
    let mut windower = Windower::new(&small());
    run(&mut windower, 0..30);
    assert!(run(&mut windower, [32]).is_empty());
    assert_eq!(windower.flush().len(), 1);
    assert!(!windower.is_waiting());
}

#[test]
fn no_window_spans_a_gap() {
    let mut windower = Windower::new(&small());
    run(&mut windower, 0..40);
    assert!(run(&mut windower, [55]).is_empty(), "54 may still come");
    let placed = windower.flush();
    assert_eq!(placed[0].window, Err(NoWindow::Filling { have: 1, need: 30 }));
}

#[test]
fn a_value_stands_in_for_five_steps_and_then_blinds_until_it_has_left_the_window() {
    let mut windower = Windower::new(&small());
    run(&mut windower, 0..40);
    let mut placed = Vec::new();
    for s in 40..46 {
        placed.extend(windower.push(reading(s * 1000, Sample::Missing)));
    }
    assert!(placed[..5].iter().all(|p| p.window.is_ok()));
    assert_eq!(placed[5].window, Err(NoWindow::Missing { channels: vec![1] }));
    let back = run(&mut windower, 46..76);
    assert!(back[..29].iter().all(|p| p.window == Err(NoWindow::Missing { channels: vec![1] })));
    assert!(back[29].window.is_ok());
}

#[test]
fn a_bad_value_is_missing_to_the_model() {
    let mut windower = Windower::new(&small());
    run(&mut windower, 0..29);
    let placed = windower.push(reading(29_000, Sample::Bad(9e9)));
    assert_eq!(last_flows(&placed[0])[28..], [28.0, 28.0]);
}

#[test]
fn of_two_readings_in_a_step_the_last_counts() {
    let mut windower = Windower::new(&small());
    run(&mut windower, 0..29);
    windower.push(reading(29_000, Sample::Good(1.0)));
    assert!(windower.push(reading(29_400, Sample::Good(2.0))).is_empty());
    assert!(windower.push(reading(29_200, Sample::Good(3.0))).is_empty());
    assert_eq!(last_flows(&run(&mut windower, [30])[0])[28..], [2.0, 30.0]);
}

/// A reading of the motor of the tests, whose speed alone says whether it runs, a second each.
fn turn(windower: &mut Windower, second: i64, rpm: Sample) -> Vec<Placed> {
    let mut reading = reading(second * 1000, Sample::Missing);
    reading.samples = [rpm, Sample::Good(30.0)].into();
    windower.push(reading)
}

fn one_of_speed() -> Windower {
    Windower::new(&speed_only())
}

fn not_running(state: OperatingState, have: usize) -> Result<Window, NoWindow> {
    Err(NoWindow::NotRunning { state, have, need: 30 })
}

#[test]
fn a_pump_that_stands_or_starts_has_no_window_until_every_step_of_it_runs() {
    let mut windower = one_of_speed();
    let (runs, stands) = (Sample::Good(2950.0), Sample::Good(0.0));
    (0..40).for_each(|s| drop(turn(&mut windower, s, runs)));
    assert_eq!(turn(&mut windower, 40, stands)[0].window, not_running(OperatingState::Off, 0));
    for s in 41..70 {
        let placed = turn(&mut windower, s, runs);
        assert_eq!(placed[0].window, not_running(OperatingState::Starting, s as usize - 40));
    }
    assert!(turn(&mut windower, 70, runs)[0].window.is_ok());
}

#[test]
fn a_restart_is_known_over_a_gap_and_a_pump_that_ran_on_only_fills_its_window() {
    let runs = Sample::Good(2950.0);
    for (before, expected) in [
        (Sample::Good(0.0), not_running(OperatingState::Starting, 1)),
        (runs, Err(NoWindow::Filling { have: 1, need: 30 })),
    ] {
        let mut windower = one_of_speed();
        (0..40).for_each(|s| drop(turn(&mut windower, s, before)));
        assert!(turn(&mut windower, 70, runs).is_empty(), "69 may still come");
        assert_eq!(windower.flush()[0].window, expected);
    }
}

#[test]
fn a_pump_that_says_no_speed_is_not_off_but_lacks_a_channel() {
    for unknown in [Sample::Missing, Sample::Bad(-7.0)] {
        let mut windower = one_of_speed();
        (0..40).for_each(|s| drop(turn(&mut windower, s, Sample::Good(0.0))));
        for s in 40..45 {
            assert_eq!(turn(&mut windower, s, unknown)[0].window, not_running(OperatingState::Off, 0), "filled");
        }
        let placed = turn(&mut windower, 45, unknown);
        assert_eq!(placed[0].window, Err(NoWindow::Missing { channels: vec![0] }));
    }
}

#[test]
fn of_two_readings_in_a_step_the_last_says_whether_it_runs() {
    let mut windower = one_of_speed();
    (0..40).for_each(|s| drop(turn(&mut windower, s, Sample::Good(2950.0))));
    turn(&mut windower, 40, Sample::Good(0.0));
    let mut late = reading(40_500, Sample::Good(30.0));
    late.samples = [Sample::Good(2950.0), Sample::Good(30.0)].into();
    assert!(windower.push(late).is_empty());
    assert!(turn(&mut windower, 41, Sample::Good(2950.0))[0].window.is_ok());
}

proptest! {
    /// Any stream whose readings are at most two steps out of order gives the ordered stream's windows.
    #[test]
    fn disorder_within_the_slack_changes_nothing(
        holes in prop::collection::btree_set(1_i64..80, 0..12),
        jitter in prop::collection::vec(0.0..1.99, 80),
    ) {
        let ordered: Vec<i64> = (0..80).filter(|s| !holes.contains(s)).collect();
        let mut shuffled = ordered.clone();
        // The first reading opens the window, so it has to come first.
        shuffled[1..].sort_by(|a, b| {
            let key = |s: &i64| -> f64 { *s as f64 + jitter[*s as usize] };
            key(a).total_cmp(&key(b))
        });
        let all = |order: Vec<i64>| {
            let mut windower = Windower::new(&small());
            let mut placed = run(&mut windower, order);
            placed.extend(windower.flush());
            placed
        };
        prop_assert_eq!(all(shuffled), all(ordered));
    }

    /// So does a stream through the door in which, besides, any reading is sent again, once or more, then or much later.
    #[test]
    fn what_is_sent_again_changes_nothing(
        holes in prop::collection::btree_set(1_i64..80, 0..12),
        jitter in prop::collection::vec(0.0..1.99, 80),
        again in prop::collection::vec((1_i64..80, 0.0..60.0), 0..60),
    ) {
        let seconds: Vec<i64> = (0..80).filter(|s| !holes.contains(s)).collect();
        let first = |s: i64| if s == 0 { -1.0 } else { s as f64 + jitter[s as usize] };
        let mut sent: Vec<(f64, i64)> = seconds.iter().map(|&s| (first(s), s)).collect();
        let repeats = again.iter().filter(|(s, _)| !holes.contains(s));
        sent.extend(repeats.map(|&(s, delay)| (first(s) + delay, s)));
        sent.sort_by(|a, b| a.0.total_cmp(&b.0));

        let (mut door, mut windower) = (Admission::new("P-1".parse().expect("a name"), &small()), Windower::new(&small()));
        let (mut stored, mut placed) = (BTreeMap::new(), Vec::new());
        for (_, s) in sent {
            let Reading { at, samples, .. } = reading(s * 1000, Sample::Good(s as f64));
            let known = stored.get(&at);
            match door.judge(Draft { pump: None, stamp: Stamp::Device(at), samples }, at, known) {
                Verdict::New(new) => {
                    prop_assert!(known.is_none() && !new.late, "{} is new", s);
                    placed.extend(windower.push(new.clone()));
                    door.settle(at);
                    stored.insert(at, new);
                }
                Verdict::Duplicate { at: told } => prop_assert!(known.is_some() && told == at),
                Verdict::Rejected(why) => prop_assert!(false, "{} is refused: {}", s, why.message),
            }
        }
        placed.extend(windower.flush());
        let mut ordered = Windower::new(&small());
        let mut expected = run(&mut ordered, seconds);
        expected.extend(ordered.flush());
        prop_assert_eq!(placed, expected);
    }
}
