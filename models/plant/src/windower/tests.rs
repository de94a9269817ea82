//! Order, holes, gaps and pumps that are off: which readings have a window.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    Admission, AdmissionResult, Draft, DraftOutcome, LookupResult, Sample, TimestampLimits, TimestampSource,
    profile::tests::{HOURLY, SMALL, motor, small, speed_only},
};

const START: i64 = 1_773_051_273_000;

fn reading(ms: i64, flow: Sample) -> Reading {
    let at = Timestamp::from_millis(START + ms).expect("a time");
    let samples = [Sample::Good(40.0), flow].into();
    Reading { pump: "P-1".parse().expect("a name"), at, received: at, samples, late: false }
}

fn run(windower: &mut Windower, seconds: impl IntoIterator<Item = i64>) -> Vec<WindowedReading> {
    seconds.into_iter().flat_map(|s| windower.push(reading(s * 1000, Sample::Good(s as f64)))).collect()
}

fn last_flows(placed: &WindowedReading) -> Vec<f64> {
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
fn a_short_hole_is_filled_after_the_wait() {
    let mut windower = Windower::new(&small());
    run(&mut windower, 0..35);
    // 35 is missing: 36 and 37 wait, 38 ends the wait.
    assert!(run(&mut windower, [36, 37]).is_empty());
    assert!(windower.is_waiting());
    let placed = run(&mut windower, [38]);
    assert_eq!(placed.iter().map(|p| p.reading.at.millis() - START).collect::<Vec<_>>(), [36_000, 37_000, 38_000]);
    assert_eq!(last_flows(&placed[2])[25..], [34.0, 34.0, 36.0, 37.0, 38.0]);
}

#[test]
fn a_silent_pump_is_flushed() {
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
fn a_value_fills_five_steps_and_then_the_channel_is_missing() {
    let mut windower = Windower::new(&small());
    run(&mut windower, 0..40);
    let mut placed = Vec::new();
    for s in 40..46 {
        placed.extend(windower.push(reading(s * 1000, Sample::Missing)));
    }
    assert!(placed[..5].iter().all(|p| p.window.is_ok()));
    assert_eq!(placed[5].window, Err(NoWindow::Missing { channels: vec![1] }));
    let later = run(&mut windower, 46..76);
    assert!(later[..29].iter().all(|p| p.window == Err(NoWindow::Missing { channels: vec![1] })));
    assert!(later[29].window.is_ok());
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

/// Pushes a reading of the tests' motor, of which only the speed decides whether it runs, one reading a second.
fn push_speed(windower: &mut Windower, second: i64, rpm: Sample) -> Vec<WindowedReading> {
    let mut reading = reading(second * 1000, Sample::Missing);
    reading.samples = [rpm, Sample::Good(30.0)].into();
    windower.push(reading)
}

fn speed_windower() -> Windower {
    Windower::new(&speed_only())
}

fn not_running(state: OperatingState, have: usize) -> Result<Window, NoWindow> {
    Err(NoWindow::NotRunning { state, have, need: 30 })
}

#[test]
fn a_pump_that_is_off_or_starting_has_no_window() {
    let mut windower = speed_windower();
    let (runs, stands) = (Sample::Good(2950.0), Sample::Good(0.0));
    (0..40).for_each(|s| drop(push_speed(&mut windower, s, runs)));
    assert_eq!(push_speed(&mut windower, 40, stands)[0].window, not_running(OperatingState::Off, 0));
    for s in 41..70 {
        let placed = push_speed(&mut windower, s, runs);
        assert_eq!(placed[0].window, not_running(OperatingState::Starting, s as usize - 40));
    }
    assert!(push_speed(&mut windower, 70, runs)[0].window.is_ok());
}

#[test]
fn a_start_is_detected_over_a_gap() {
    let runs = Sample::Good(2950.0);
    for (before, expected) in [
        (Sample::Good(0.0), not_running(OperatingState::Starting, 1)),
        (runs, Err(NoWindow::Filling { have: 1, need: 30 })),
    ] {
        let mut windower = speed_windower();
        (0..40).for_each(|s| drop(push_speed(&mut windower, s, before)));
        assert!(push_speed(&mut windower, 70, runs).is_empty(), "69 may still come");
        assert_eq!(windower.flush()[0].window, expected);
    }
}

#[test]
fn a_pump_without_a_speed_value_has_a_missing_channel() {
    for unknown in [Sample::Missing, Sample::Bad(-7.0)] {
        let mut windower = speed_windower();
        (0..40).for_each(|s| drop(push_speed(&mut windower, s, Sample::Good(0.0))));
        for s in 40..45 {
            assert_eq!(push_speed(&mut windower, s, unknown)[0].window, not_running(OperatingState::Off, 0), "filled");
        }
        let placed = push_speed(&mut windower, 45, unknown);
        assert_eq!(placed[0].window, Err(NoWindow::Missing { channels: vec![0] }));
    }
}

/// Pushes the motor's speed and current of this second, as sent.
fn push_motor(windower: &mut Windower, second: i64, values: [f64; 2]) -> Vec<WindowedReading> {
    let profile = motor();
    let samples = profile.channels().iter().zip(values).map(|(channel, value)| channel.sample(value)).collect();
    windower.push(Reading { samples, ..reading(second * 1000, Sample::Missing) })
}

#[test]
fn a_drifted_zero_is_a_pump_that_is_off() {
    for zero in [[0.0, 0.0], [0.0, -0.1], [-0.4, 0.0], [-0.4, -0.1], [-75.0, -6.25]] {
        let mut windower = Windower::new(&motor());
        let off = not_running(OperatingState::Off, 0);
        let mut push_all = |seconds: std::ops::Range<i64>, values| -> Vec<WindowedReading> {
            seconds.flat_map(|second| push_motor(&mut windower, second, values)).collect()
        };
        let stands = push_all(0..10, zero);
        assert!(stands.iter().all(|placed| placed.window == off), "{zero:?}: off from the first reading");
        let starts = push_all(10..50, [2950.0, 30.0]);
        for (placed, have) in starts.iter().zip(1..30) {
            assert_eq!(placed.window, not_running(OperatingState::Starting, have), "{zero:?}");
        }
        assert!(starts[29..].iter().all(|placed| placed.window.is_ok()), "{zero:?}: it has settled");
        let stops = push_all(50..60, zero);
        assert!(stops.iter().all(|placed| placed.window == off), "{zero:?}: no window during a stop");
        assert_eq!(stops[0].reading.samples[1].value(), Some(zero[1]), "the sent value is stored");
    }
}

#[test]
fn a_drifted_zero_is_0_in_a_window() {
    let mut windower = Windower::new(&small());
    let q = |value: f64| small().channels()[1].sample(value);
    let mut last = Vec::new();
    for (second, value) in (0..30).map(|second| (second, if second % 2 == 0 { -62.5 } else { 7.0 })) {
        last = windower.push(reading(second * 1000, q(value)));
    }
    assert_eq!(last_flows(&last[0])[26..], [0.0, 7.0, 0.0, 7.0]);
}

#[test]
fn of_two_readings_in_a_step_the_last_decides_whether_it_runs() {
    let mut windower = speed_windower();
    (0..40).for_each(|s| drop(push_speed(&mut windower, s, Sample::Good(2950.0))));
    push_speed(&mut windower, 40, Sample::Good(0.0));
    let mut late = reading(40_400, Sample::Good(30.0));
    late.samples = [Sample::Good(2950.0), Sample::Good(30.0)].into();
    assert!(windower.push(late).is_empty());
    assert!(push_speed(&mut windower, 41, Sample::Good(2950.0))[0].window.is_ok());
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
        // The first reading starts the window, so it has to come first.
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

    /// So does a stream through admission in which any reading is also sent again, once or more, at any later time.
    #[test]
    fn duplicates_change_nothing(
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

        let limits = TimestampLimits { max_ahead_ms: 30_000, max_current_offset_ms: 60_000, max_age_ms: 86_400_000 };
        let mut admission = Admission::new("P-1".parse().expect("a name"), &small(), limits);
        let mut windower = Windower::new(&small());
        let (mut stored, mut placed) = (BTreeMap::new(), Vec::new());
        for (_, s) in sent {
            let Reading { at, samples, .. } = reading(s * 1000, Sample::Good(s as f64));
            let known = stored.get(&at);
            let found = LookupResult { readings: known.cloned().into_iter().collect(), ..LookupResult::default() };
            let batch = vec![(0, Draft { pump: None, profile: small(), timestamp: TimestampSource::Device(at), samples })];
            let AdmissionResult { mut outcomes, mut readings } = admission.admit(batch, at, &found);
            match outcomes.pop().expect("one outcome").1 {
                DraftOutcome::New { late } => {
                    let new = readings.pop().expect("a reading").reading;
                    prop_assert!(known.is_none() && !late && !new.late, "{} is new", s);
                    placed.extend(windower.push(new.clone()));
                    admission.complete(at, true);
                    stored.insert(at, new);
                }
                DraftOutcome::Duplicate { at: duplicate_at } => prop_assert!(known.is_some() && duplicate_at == at),
                DraftOutcome::Rejected(why) | DraftOutcome::Deferred(why) => {
                    prop_assert!(false, "{} is refused: {}", s, why.message)
                }
            }
        }
        placed.extend(windower.flush());
        let mut ordered = Windower::new(&small());
        let mut expected = run(&mut ordered, seconds);
        expected.extend(ordered.flush());
        prop_assert_eq!(placed, expected);
    }
}

/// The small profile, whose flow holds for `hold_s` seconds.
fn flow_holds(hold_s: i64) -> Profile {
    small().with_channel_hold(1, hold_s)
}

/// The samples of the flow that are sent, by second.
type Sent = &'static [(i64, Sample)];
/// A window's last flows, NaN where missing, and whether the flow was held in it.
type Expected = ([f64; 2], bool);

#[test]
fn a_channel_reported_on_change_holds_within_its_limit() {
    use Sample::{Bad, Good, Missing};
    const M: f64 = f64::NAN;
    // `hold_s`, the samples of the flow by second, the last second, and what its window has.
    let cases: [(&str, i64, Sent, i64, Expected); 8] = [
        ("as any channel", 0, &[(0, Good(7.0)), (40, Good(8.0))], 45, ([M, 8.0], false)),
        ("for 60 s", 60, &[(0, Good(7.0))], 60, ([7.0, 7.0], true)),
        ("and no longer", 60, &[(0, Good(7.0))], 61, ([7.0, M], true)),
        ("a new value", 60, &[(0, Good(7.0)), (50, Good(8.0))], 50, ([7.0, 8.0], true)),
        ("null and nothing are the same", 60, &[(0, Good(7.0)), (40, Missing)], 50, ([7.0, 7.0], true)),
        ("a bad one is no value", 60, &[(0, Good(7.0)), (40, Bad(9e9))], 40, ([7.0, 7.0], true)),
        ("and ends the hold after five steps", 60, &[(0, Good(7.0)), (40, Bad(9e9))], 45, ([7.0, M], true)),
        ("until there is a good one", 60, &[(0, Good(7.0)), (40, Bad(9e9)), (70, Good(9.0))], 110, ([9.0, 9.0], true)),
    ];
    for (what, hold_s, sent, until, (expected, held)) in cases {
        let mut windower = Windower::new(&flow_holds(hold_s));
        for second in 0..=until {
            let flow = sent.iter().find(|(at, _)| *at == second).map_or(Missing, |(_, flow)| *flow);
            let placed = windower.push(reading(second * 1000, flow));
            let Some(WindowedReading { window, .. }) = placed.last().filter(|_| second == until) else { continue };
            let is_whole = expected.iter().all(|value| !value.is_nan());
            assert_eq!(window.is_ok(), is_whole, "{what}: {window:?}");
            if let Ok(window) = window {
                assert_eq!(last_flows(&placed[0])[28..], expected, "{what}");
                assert_eq!((window.held.contains(1), window.held.contains(0)), (held, false), "{what}");
            }
        }
    }
}

/// The values, held channels and state of a step are returned with or without a window.
#[test]
fn each_placed_step_has_its_row() {
    use Sample::{Bad, Good, Missing};
    let starting = |have| StepState::Starting { have, need: 4 };
    let (runs, lags) = ([Good(2950.0), Good(30.0)], [Good(0.0), Good(90.0)]);
    // The samples of one step after the other, the last one's row and state.
    let cases = [
        ("running at the first step", &[runs][..], [2950.0, 30.0], StepState::Running),
        ("settled", &[[Good(0.0), Good(0.0)], lags, runs, runs, runs], [2950.0, 30.0], StepState::Running),
        ("off", &[[Good(0.0), Good(0.0)]], [0.0, 0.0], StepState::Off),
        ("a drifted zero is 0", &[[Good(-0.4), Good(0.0)]], [0.0, 0.0], StepState::Off),
        ("starting", &[[Good(0.0), Good(0.0)], lags, runs], [2950.0, 30.0], starting(2)),
        ("coasting down", &[runs, [Good(1500.0), Good(0.0)]], [1500.0, 0.0], StepState::Stopping),
        ("in a fall", &[runs, [Good(2770.0), Good(18.0)]], [2770.0, 18.0], StepState::Stopping),
        ("the current is filled", &[runs, [Good(2940.0), Missing]], [2940.0, 30.0], StepState::Running),
        ("nothing to see", &[[Bad(9e9), Missing]], [f64::NAN, f64::NAN], StepState::Unknown),
    ];
    for (what, samples, values, state) in cases {
        let mut windower = Windower::new(&motor());
        let placed = samples.iter().zip(0..).flat_map(|(samples, second)| {
            windower.push(Reading { samples: (*samples).into(), ..reading(second * 1000, Missing) })
        });
        let last = placed.last().expect("placed");
        assert_eq!(last.step, StepRow { values: values.into(), held: ChannelSet::default(), state }, "{what}");
        assert!(last.window.is_err(), "{what}");
    }
}

#[test]
fn a_step_row_says_which_channels_are_held() {
    let mut windower = Windower::new(&flow_holds(60));
    let mut placed = windower.push(reading(0, Sample::Good(7.0)));
    placed.extend((1..62).flat_map(|second| windower.push(reading(second * 1000, Sample::Missing))));
    for (second, flow, held) in
        [(0, 7.0, false), (5, 7.0, false), (6, 7.0, true), (60, 7.0, true), (61, f64::NAN, false)]
    {
        let held = if held { ChannelSet::default().with(1) } else { ChannelSet::default() };
        let expected = StepRow { values: [40.0, flow].into(), held, state: StepState::Running };
        assert_eq!(placed[second].step, expected, "{second}");
    }
}

#[test]
fn where_all_channels_hold_silence_is_no_gap_until_the_shortest_hold() {
    for (hold_s, silent_s, window) in [(300, 250, true), (300, 301, false), (0, 20, false)] {
        let mut windower = Windower::new(&small().with_hold(hold_s));
        run(&mut windower, 0..40);
        let mut placed = windower.push(reading((39 + silent_s) * 1000, Sample::Good(5.0)));
        placed.extend(windower.flush());
        assert_eq!(placed[0].window.is_ok(), window, "{hold_s} {silent_s}");
    }
}

#[test]
fn values_of_one_step_are_merged_in_any_order() {
    use Sample::{Bad, Good, Missing};
    let part = |ms: i64, samples: [Sample; 2]| Reading { samples: samples.into(), ..reading(ms, Missing) };
    let parts = [
        part(30_010, [Good(41.0), Missing]),
        part(30_020, [Missing, Good(7.0)]),
        part(30_030, [Missing, Bad(9e9)]),
        part(30_040, [Good(42.0), Missing]),
    ];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        // Placed at once, or after waiting for second 29.
        for from in [0, 1] {
            let mut windower = Windower::new(&small());
            run(&mut windower, 0..30 - from);
            order.iter().for_each(|&n| drop(windower.push(parts[n].clone())));
            let placed = match from {
                0 => windower.push(reading(31_000, Good(1.0))),
                _ => [windower.push(reading(29_000, Good(1.0))), windower.push(reading(31_000, Good(1.0)))].concat(),
            };
            let window = placed.last().expect("placed").window.as_ref().expect("a window");
            assert_eq!(window.values[56..58], [42.0, 7.0], "{order:?} {from}");
        }
    }
}

/// The value of a channel in a second by the rules, and when it was sent: its last good value since the last gap, while
/// it holds.
fn value_of(sent: &BTreeMap<i64, Sample>, hold: i64, since: i64, second: i64) -> Option<(i64, f64)> {
    let mut known = None;
    for (&at, sample) in sent.range(since..=second.max(since)).filter(|(at, _)| **at <= second) {
        match (sample, known) {
            (Sample::Good(value), _) => known = Some((at, *value, at + hold.max(5))),
            (Sample::Bad(_), Some((from, value, until))) => known = Some((from, value, until.min(at + 4))),
            _ => {}
        }
    }
    known.filter(|(_, _, until)| second <= *until).map(|(at, value, _)| (at, value))
}

proptest! {
    /// A channel that is reported every 20 to 200 s, now and then with a bad value, among one that comes each second
    /// but for a silence of all: each window follows the rules, and no value is held over a gap or beyond its limit.
    #[test]
    fn no_value_is_held_beyond_its_limit_or_over_a_gap(
        hold_s in prop_oneof![Just(0_i64), 1_i64..=300],
        reports in prop::collection::vec((20_i64..=200, 0_u8..6), 3..12),
        silent in (40_i64..500, 0_i64..60),
    ) {
        let mut flows: BTreeMap<i64, Sample> = [(0, Sample::Good(0.0))].into();
        let mut second = 0;
        for (after, kind) in reports {
            second += after;
            flows.insert(second, if kind == 0 { Sample::Bad(9e9) } else { Sample::Good(second as f64) });
        }
        let is_sent = |s: &i64| !(silent.0..silent.0 + silent.1).contains(s);
        flows.retain(|second, _| is_sent(second));
        let seconds: Vec<i64> = (0..=second + 40).filter(is_sent).collect();
        let mut windower = Windower::new(&flow_holds(hold_s));
        let mut placed = Vec::new();
        for &s in &seconds {
            placed.extend(windower.push(reading(s * 1000, flows.get(&s).copied().unwrap_or(Sample::Missing))));
        }
        placed.extend(windower.flush());
        let temperatures: BTreeMap<i64, Sample> = seconds.iter().map(|&s| (s, Sample::Good(40.0))).collect();
        // The silence is a gap where two readings are more than 15 s apart.
        let silence_end = silent.0 + silent.1;
        let since = |s: i64| if s >= silence_end && silent.1 >= 15 { silence_end } else { 0 };
        prop_assert_eq!(placed.len(), seconds.len());
        for (s, WindowedReading { window, .. }) in seconds.into_iter().zip(placed) {
            let first = s - 29;
            let steps = (first..=s).map(|step| {
                let of = |sent, hold| value_of(sent, hold, since(s), step);
                Some((of(&temperatures, 0)?, of(&flows, hold_s)?, step))
            });
            let steps: Option<Vec<_>> = steps.collect();
            let expected = steps.filter(|_| first >= since(s)).map(|steps| {
                let held = steps.iter().any(|(_, (at, _), step)| step - at > 5);
                (steps.iter().map(|(_, (_, flow), _)| *flow).collect::<Vec<_>>(), held)
            });
            let found = window.ok().map(|window| {
                (window.values.chunks(2).map(|row| row[1]).collect::<Vec<_>>(), window.held.contains(1))
            });
            prop_assert_eq!(found, expected, "{}", s);
        }
    }
}

#[test]
fn the_rules_follow_from_the_interval_and_settle_s() {
    // Interval in ms, `settle_s`; longest gap in ms, readings that restore a windower.
    for (interval_ms, settle_s, gap_ms, recalled) in [
        (100, 60, 15_000, 663),
        (1000, 60, 15_000, 123),
        (1000, 29, 15_000, 92),
        (1000, 30, 15_000, 93),
        (1500, 60, 15_000, 103),
        (1501, 60, 15_010, 102),
        (60_000, 60, 600_000, 92),
        (3_600_000, 1, 36_000_000, 92),
    ] {
        let text = SMALL.replace("interval_ms = 1000", &format!("interval_ms = {interval_ms}\nsettle_s = {settle_s}"));
        let profile = Profile::from_toml(&text).expect("a profile");
        let config = WindowConfig::for_profile(&profile);
        let slack_steps = if interval_ms >= 60_000 { 1 } else { 3 };
        let expected = WindowConfig { interval_ms, len: 30, slack_steps, fill_steps: 5, gap_ms };
        assert_eq!(
            (config, WindowConfig::restore_readings(&profile)),
            (expected, recalled),
            "{interval_ms} {settle_s}"
        );
    }
}

/// A reading's time in milliseconds, and the times of the readings that are placed by it.
type Push = (i64, &'static [i64]);

/// After thirty seconds without a hole.
#[test]
fn which_readings_wait() {
    let cases: [(&str, &[Push]); 9] = [
        ("in order, none waits", &[(30_000, &[30_000]), (31_400, &[31_400]), (32_000, &[32_000])]),
        ("one out of order waits for the missing one", &[(31_000, &[]), (30_000, &[30_000, 31_000])]),
        ("and so do two", &[(32_000, &[]), (31_000, &[]), (30_400, &[30_400, 31_000, 32_000])]),
        (
            "the third after the missing one ends the wait",
            &[(31_000, &[]), (32_000, &[]), (33_000, &[31_000, 32_000, 33_000])],
        ),
        ("a later one ends the wait for as many", &[(34_000, &[]), (31_000, &[31_000])]),
        (
            "the other missing ones are waited for",
            &[(34_000, &[]), (31_000, &[31_000]), (33_000, &[]), (32_000, &[32_000, 33_000, 34_000])],
        ),
        (
            "of two in one step the later waits",
            &[(31_000, &[]), (31_400, &[]), (31_200, &[]), (30_000, &[30_000, 31_400])],
        ),
        (
            "a reading after the wait is too late",
            &[(31_000, &[]), (33_000, &[31_000]), (30_000, &[]), (32_000, &[32_000, 33_000])],
        ),
        ("a reading of a placed step is too late", &[(29_400, &[]), (12_000, &[]), (30_000, &[30_000])]),
    ];
    for (what, steps) in cases {
        let mut windower = Windower::new(&small());
        run(&mut windower, 0..30);
        for &(ms, expected) in steps {
            let placed = windower.push(reading(ms, Sample::Good(1.0)));
            let times: Vec<i64> = placed.iter().map(|placed| placed.reading.at.millis() - START).collect();
            assert_eq!(times, expected, "{what}: {ms}");
        }
    }
}

#[test]
fn of_two_readings_of_one_time_the_first_counts() {
    // Placed at once, and one that waits for second 29.
    for (sent, expected) in [
        ([(29_000, 1.0), (29_000, 99.0), (30_000, 5.0)], [1.0, 5.0]),
        ([(30_000, 1.0), (30_000, 99.0), (29_000, 5.0)], [5.0, 1.0]),
    ] {
        let mut windower = Windower::new(&small());
        run(&mut windower, 0..29);
        let placed = sent.map(|(ms, flow)| windower.push(reading(ms, Sample::Good(flow))));
        assert_eq!(last_flows(placed.iter().flatten().last().expect("placed"))[28..], expected);
    }
}

/// One that is placed at once, and one that waits for second 29.
#[test]
fn parts_with_the_same_time_are_merged() {
    let part = |ms: i64, samples: [Sample; 2]| Reading { samples: samples.into(), ..reading(ms, Sample::Good(0.0)) };
    let temperature = |ms: i64| part(ms, [Sample::Good(41.0), Sample::Missing]);
    let flow = |ms: i64| part(ms, [Sample::Missing, Sample::Good(7.0)]);
    for second in [29, 30] {
        let mut windower = Windower::new(&small());
        run(&mut windower, 0..29);
        let ms = second * 1000;
        assert!(!windower.step_has_begun(temperature(ms).at));
        windower.push(temperature(ms));
        assert_eq!(
            windower.step_has_begun(flow(ms).at),
            second == 29,
            "the reading is placed, or pending and takes the part"
        );
        windower.push(flow(ms));
        let mut placed = Vec::new();
        for next in [29, 31, 32, 33].map(|second| second * 1000).into_iter().filter(|next| *next != ms) {
            placed.extend(windower.push(reading(next, Sample::Good(1.0))));
        }
        placed.extend(windower.flush());
        let window = placed.last().expect("placed").window.as_ref().expect("a window");
        let rows: Vec<&[f64]> = window.values.chunks(2).collect();
        assert!(rows.contains(&[41.0, 7.0].as_slice()), "{rows:?}");
    }
}

#[test]
fn of_two_readings_in_a_step_one_has_the_window() {
    let at = |ms: i64| reading(ms, Sample::Good(1.0));
    // The readings pushed before, the reading that arrives, and the one without a window.
    for (pushed, comes, displaced) in [
        (&[0, 1000][..], 2000, None),
        (&[0, 1000], 1400, Some(1400)),
        (&[0, 1000], 900, Some(900)),
        (&[0, 1000], 3000, None),
        (&[0, 3000], 3400, Some(3000)),
        (&[0, 3400], 3000, Some(3000)),
        (&[0, 3000], 2000, None),
    ] {
        let mut windower = Windower::new(&small());
        pushed.iter().for_each(|&ms| drop(windower.push(at(ms))));
        let has_begun = windower.step_has_begun(at(comes).at);
        let mut placed = windower.push(at(comes));
        placed.extend(windower.flush());
        let mut found: Vec<Timestamp> = placed.iter().flat_map(|placed| &placed.displaced).map(|r| r.at).collect();
        found.extend(has_begun.then_some(at(comes).at));
        assert_eq!(
            found,
            displaced.map(|ms: i64| at(ms).at).into_iter().collect::<Vec<_>>(),
            "{comes} after {pushed:?}"
        );
        let has_window = placed.iter().any(|placed| placed.reading.at == at(comes).at);
        assert_eq!(has_window, displaced != Some(comes), "{comes} after {pushed:?}");
    }
}

#[test]
fn a_windower_restarts_where_times_go_back() {
    let mut windower = Windower::new(&small());
    assert!(!windower.is_too_late(reading(0, Sample::Good(1.0)).at), "nothing was pushed");
    run(&mut windower, 0..40);
    windower.push(reading(60_000, Sample::Good(1.0)));
    for (ms, passed) in [(12_000, true), (57_500, true), (57_501, false), (60_000, false), (61_000, false)] {
        assert_eq!(windower.is_too_late(reading(ms, Sample::Good(1.0)).at), passed, "{ms} ms");
    }
    let waited = windower.restart();
    assert_eq!(waited.len(), 1, "the pending reading is placed");
    let placed = run(&mut windower, 10..40);
    assert!(placed.last().expect("placed").window.is_ok() && placed.len() == 30, "the thirtieth has a window");
    assert!(placed[28].window.is_err());
}

#[test]
fn a_gap_is_longer_than_fifteen_seconds() {
    for (silence_ms, expected) in
        [(15_000, NoWindow::Missing { channels: vec![0, 1] }), (15_001, NoWindow::Filling { have: 1, need: 30 })]
    {
        let mut windower = Windower::new(&small());
        run(&mut windower, 0..40);
        let mut placed = windower.push(reading(39_000 + silence_ms, Sample::Good(1.0)));
        placed.extend(windower.flush());
        assert_eq!(placed[0].window, Err(expected), "{silence_ms} ms");
    }
}

/// A stop whose fall only shows against one of the three steps before.
#[test]
fn a_fall_shows_over_up_to_three_steps() {
    for (what, steps, stops) in [
        ("three back", &[(2950.0, 30.0), (2900.0, 27.0), (2870.0, 25.5), (2840.0, 23.0)][..], true),
        ("four back", &[(2950.0, 30.0), (2900.0, 27.0), (2880.0, 26.0), (2870.0, 25.5), (2850.0, 23.0)], false),
        ("one back", &[(2950.0, 30.0), (2840.0, 23.0)], true),
    ] {
        let mut windower = Windower::new(&motor());
        let all: Vec<(f64, f64)> = std::iter::repeat_n(steps[0], 40).chain(steps[1..].iter().copied()).collect();
        let mut last = None;
        for (second, (rpm, current)) in all.iter().enumerate() {
            let mut reading = reading(second as i64 * 1000, Sample::Missing);
            reading.samples = [Sample::Good(*rpm), Sample::Good(*current)].into();
            last = windower.push(reading).pop();
        }
        let expected = not_running(OperatingState::Stopping, 0);
        assert_eq!(last.expect("placed").window == expected, stops, "{what}");
    }
}

/// The window after the last of these readings, which are in order, computed directly from the rules in the module's
/// head.
fn expected_window(readings: &[Reading], phase_ms: i64) -> Result<Vec<f64>, NoWindow> {
    let step = |reading: &Reading| (reading.at.millis() - phase_ms).div_euclid(1000);
    let gap = |pair: &[Reading]| pair[1].at.since_ms(pair[0].at) > 15_000;
    let first = readings.windows(2).rposition(gap).map_or(0, |place| place + 1);
    let (run, last) = (&readings[first..], step(readings.last().expect("a reading")));
    let value = |channel: usize, at: i64| -> f64 {
        let good = |reading: &Reading| Some((step(reading), reading.samples[channel].good()?));
        let known = run.iter().filter_map(good).rfind(|(since, _)| *since <= at);
        known.filter(|(since, _)| at - since <= 5).map_or(f64::NAN, |(_, value)| value)
    };
    let steps = step(&run[0]).max(last - 29)..=last;
    let rows: Vec<[f64; 2]> = steps.map(|at| [value(0, at), value(1, at)]).collect();
    let missing: Vec<usize> = (0..2).filter(|&channel| rows.iter().any(|row| row[channel].is_nan())).collect();
    match (missing.is_empty(), rows.len()) {
        (false, _) => Err(NoWindow::Missing { channels: missing }),
        (true, 30) => Ok(rows.concat()),
        (true, have) => Err(NoWindow::Filling { have, need: 30 }),
    }
}

proptest! {
    /// Holes, gaps and missing values of any kind give the windows of the rules.
    #[test]
    fn a_window_follows_the_rules(
        phase_ms in 0_i64..1000,
        // Seconds to the reading before (mostly one), how late it is, and which channels have a value.
        stream in prop::collection::vec((prop_oneof![9 => Just(1_i64), 2 => 2_i64..8, 1 => 14_i64..18], 0_i64..200, 0_u8..12), 1..120),
    ) {
        let (mut windower, mut readings, mut second) = (Windower::new(&small()), Vec::new(), 0);
        for (seconds, late_ms, kind) in stream {
            second += seconds;
            let flow = if kind == 0 { Sample::Missing } else { Sample::Good(second as f64) };
            let mut next = reading(second * 1000 + phase_ms + late_ms, flow);
            if kind == 1 {
                next.samples = [Sample::Bad(-99.0), flow].into();
            }
            readings.push(next.clone());
            let mut placed = windower.push(next);
            placed.extend(windower.flush());
            prop_assert_eq!(placed.len(), 1);
            let window = placed.remove(0).window.map(|window| window.values.to_vec());
            prop_assert_eq!(window, expected_window(&readings, phase_ms), "at {}", second);
        }
    }
}

#[test]
fn lengths_by_interval() {
    for (interval_ms, slack_steps, gap_ms) in [
        (100, 3, 15_000),
        (1_000, 3, 15_000),
        (10_000, 3, 100_000),
        (20_000, 3, 200_000),
        (30_000, 2, 300_000),
        (60_000, 1, 600_000),
        (300_000, 1, 3_000_000),
        (3_600_000, 1, 36_000_000),
    ] {
        let expected = WindowConfig { interval_ms, len: 30, slack_steps, fill_steps: 5, gap_ms };
        assert_eq!(WindowConfig::for_profile(&small().with_interval(interval_ms).expect("allowed")), expected);
    }
}

#[test]
fn at_intervals_from_a_minute_no_reading_waits() {
    for interval_s in [60, 300, 900, 3_600] {
        let mut windower = Windower::new(&small().with_interval(interval_s * 1_000).expect("allowed"));
        let mut placed = run(&mut windower, (0..40).filter(|n| *n != 33).map(|n| n * interval_s));
        assert!(!windower.is_waiting(), "{interval_s}");
        assert_eq!(placed.len(), 39);
        assert!(placed.split_off(29).iter().all(|placed| placed.window.is_ok()), "{interval_s}");
    }
}

/// The readings of a device that sends once a second, at this phase: by how much each is off, and whether it is lost.
fn device(phase_ms: i64, sent: &[(i64, bool)]) -> Vec<Reading> {
    let readings = (0..).zip(sent).filter(|(_, (_, lost))| !lost);
    readings.map(|(n, (off_ms, _))| reading(1000 * n + phase_ms + off_ms, Sample::Good(n as f64))).collect()
}

fn placed_in_order(readings: &[Reading]) -> Vec<WindowedReading> {
    let mut windower = Windower::new(&small());
    let mut placed: Vec<_> = readings.iter().flat_map(|reading| windower.push(reading.clone())).collect();
    placed.extend(windower.flush());
    placed
}

proptest! {
    /// Wherever in the second a device sends and however its times jitter, its windows have one row per reading.
    #[test]
    fn windows_are_the_same_at_any_phase_and_jitter(
        phase_ms in 0_i64..1000,
        sent in prop::collection::vec((-449_i64..450, Just(false)), 120),
    ) {
        let placed = placed_in_order(&device(phase_ms, &sent));
        // Among the first twenty, two may share a step.
        for (placed, n) in placed.iter().rev().zip((50..120).rev()) {
            prop_assert_eq!(last_flows(placed), (n - 29..=n).map(f64::from).collect::<Vec<_>>());
        }
    }

    /// A missing reading is one hole, which has the value before it.
    #[test]
    fn a_missing_reading_is_one_hole(
        phase_ms in 0_i64..1000,
        sent in prop::collection::vec((-249_i64..250, Just(false)), 100),
        missing in 70_usize..98,
    ) {
        let mut sent = sent;
        sent[missing].1 = true;
        let placed = placed_in_order(&device(phase_ms, &sent));
        let expected = (70..100).map(|n| if n == missing { n - 1 } else { n } as f64);
        prop_assert_eq!(last_flows(placed.last().expect("placed")), expected.collect::<Vec<_>>());
    }

    /// The order of arrival within the slack does not matter.
    #[test]
    fn jitter_and_disorder_within_the_slack_change_nothing(
        phase_ms in 0_i64..1000,
        sent in prop::collection::vec((-120_i64..120, prop::bool::weighted(0.1)), 80),
        delays in prop::collection::vec(0.0..1.6, 80),
    ) {
        let readings = device(phase_ms, &sent);
        let mut arrival: Vec<(f64, Reading)> =
            readings.iter().zip(&delays).map(|(r, delay)| (r.at.millis() as f64 + 1000.0 * delay, r.clone())).collect();
        // The first reading starts the window, so it has to come first.
        arrival[1..].sort_by(|a, b| a.0.total_cmp(&b.0));
        let arrival: Vec<Reading> = arrival.into_iter().map(|(_, reading)| reading).collect();
        prop_assert_eq!(placed_in_order(&arrival), placed_in_order(&readings));
    }

    /// A windower that is restored from the last readings makes the same windows as one that has them all.
    #[test]
    fn the_windows_after_a_restart_are_the_same(
        phase_ms in 0_i64..1000,
        most in 0_i64..450,
        sent in prop::collection::vec((-1.0..1.0, prop::bool::weighted(0.05)), 250),
        // The readings in the second half of each step: a device that sends more often than once a second.
        twice in any::<bool>(),
    ) {
        let sent: Vec<(i64, bool)> = sent.iter().map(|(off, lost)| ((off * most as f64) as i64, *lost)).collect();
        let mut readings = device(phase_ms, &sent);
        if twice {
            let second = readings.iter().map(|r| Reading { at: r.at.plus_ms(470), ..r.clone() });
            readings = readings.iter().cloned().chain(second).collect();
            readings.sort_by_key(|reading| reading.at);
            readings.dedup_by_key(|reading| reading.at);
        }
        let restored = WindowConfig::restore_readings(&small());
        let from = readings.len() - restored - 50;
        let (whole, later) = (placed_in_order(&readings), placed_in_order(&readings[from..]));
        let since = readings[from + restored].at;
        let after = |placed: &[WindowedReading]| placed.iter().filter(|p| p.reading.at >= since).cloned().collect::<Vec<_>>();
        prop_assert_eq!(after(&later), after(&whole));
    }
}

/// A log with a row an hour, written between 10 minutes before and 10 after a quarter past: the pump stands for three
/// hours, starts, and runs. One row is lost, and later seven, and then eleven.
#[test]
fn an_hourly_log() {
    let profile = Profile::from_toml(HOURLY).expect("a profile");
    let mut windower = Windower::new(&profile);
    let mut placed = BTreeMap::new();
    let is_lost = |hour: i64| hour == 20 || (60..67).contains(&hour) || (110..121).contains(&hour);
    for hour in (0..160).filter(|hour| !is_lost(*hour)) {
        let minute = 15 + 10 * [0, -1, 1, 1, 0, -1][hour as usize % 6];
        let power = if hour < 3 { 0.0 } else { 300.0 + hour as f64 };
        let values = [power, 1_900.0, 52.0, 88.0, 4.1, 70.0];
        let samples = profile.channels().iter().zip(values).map(|(channel, value)| channel.sample(value)).collect();
        let reading = Reading { samples, ..reading((60 * hour + minute) * 60_000, Sample::Missing) };
        assert!(!windower.step_has_begun(reading.at));
        let step = windower.push(reading).pop().expect("no reading waits");
        placed.insert(hour, step);
    }
    let states = (0..7).map(|hour| placed[&hour].step.state).collect::<Vec<_>>();
    let (off, runs) = (StepState::Off, StepState::Running);
    assert_eq!(states, [off, off, off, StepState::Starting { have: 1, need: 2 }, runs, runs, runs]);
    let starting = |have| Err(NoWindow::NotRunning { state: OperatingState::Starting, have, need: 30 });
    assert_eq!((&placed[&3].window, &placed[&31].window), (&starting(1), &starting(29)));
    let powers = |hour: i64| -> Vec<f64> {
        placed[&hour].window.as_ref().expect("a window").values.chunks(6).map(|row| row[0]).collect()
    };
    let expected = |hour: i64| if hour == 20 { 319.0 } else { 300.0 + hour as f64 };
    assert_eq!(powers(32), (3..33).map(expected).collect::<Vec<_>>(), "thirty hours, of which one is filled");
    assert!(placed[&59].window.is_ok());
    let missing = Err(NoWindow::Missing { channels: (0..6).collect() });
    assert_eq!((&placed[&67].window, &placed[&95].window), (&missing, &missing), "five of the seven hours are filled");
    assert!(placed[&96].window.is_ok());
    let filling = |have| Err(NoWindow::Filling { have, need: 30 });
    assert_eq!((&placed[&121].window, &placed[&149].window), (&filling(1), &filling(29)), "over ten hours are a gap");
    assert!(placed[&150].window.is_ok());
}
