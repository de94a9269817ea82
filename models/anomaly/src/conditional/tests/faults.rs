//! Faults are found in time, and the channel is named right first.

use volute_plant::Sample;

use super::{
    Episodes, MINUTE_S, learn,
    pump::{BEARING, DAY_S, FLOW, Fault, Pump, SPEED, VIBRATION, profile_of},
};
use crate::conditional::{ConditionalBaseline, ConditionalState, TimedSamples};

const HOUR_S: f64 = 3_600.0;

/// Returns the first episode after a fault that begins two days after a commissioning of one day: its delay in seconds, and
/// the channel that was named first.
fn first_episode(seed: u64, interval_s: f64, fault: Fault, seconds: f64) -> Option<(f64, usize)> {
    let mut pump = Pump::new(seed, interval_s);
    let learned = pump.run(DAY_S);
    let baseline = learn(&learned);
    let mut episodes = Episodes::after(&baseline, &learned);
    episodes.watch(&pump.run(2.0 * DAY_S));
    assert_eq!(episodes.began, [], "seed {seed}");
    pump.fault = Some((fault, pump.time_s()));
    let rows = pump.run(seconds);
    let onset_ms = rows[0].at.millis();
    episodes.watch(&rows);
    episodes.began.first().map(|(at, blamed)| ((at.millis() - onset_ms) as f64 / 1e3, *blamed))
}

#[test]
fn faults_are_found_in_time_and_named_right_first() {
    for seed in 1..=5 {
        for (fault, channel, within_s) in
            [(Fault::Vibration, VIBRATION, HOUR_S), (Fault::Flow, FLOW, 600.0), (Fault::Bearing, BEARING, 6.0 * HOUR_S)]
        {
            let (delay_s, blamed) = first_episode(seed, MINUTE_S, fault, 12.0 * HOUR_S)
                .unwrap_or_else(|| panic!("{fault:?} is not found with seed {seed}"));
            assert!(delay_s <= within_s, "{fault:?} after {delay_s} s with seed {seed}");
            assert_eq!(blamed, channel, "{fault:?} with seed {seed}");
        }
    }
}

#[test]
fn a_flow_fault_is_found_with_any_other_channel_absent() {
    let mut pump = Pump::new(1, MINUTE_S);
    let learned = pump.run(DAY_S);
    let baseline = learn(&learned);
    let healthy = pump.run(DAY_S);
    pump.fault = Some((Fault::Flow, pump.time_s()));
    let faulty = pump.run(600.0);
    for absent in (0..9).filter(|channel| *channel != FLOW) {
        let mask = |rows: &[TimedSamples]| -> Vec<TimedSamples> {
            rows.iter().map(|row| with(row, absent, Sample::Missing)).collect()
        };
        let mut episodes = Episodes::after(&baseline, &learned);
        episodes.watch(&mask(&healthy));
        assert_eq!(episodes.began, [], "without channel {absent}");
        assert_eq!(episodes.tested, 1_440, "without channel {absent}");
        episodes.watch(&mask(&faulty));
        assert_eq!(episodes.began.first().map(|(_, blamed)| *blamed), Some(FLOW), "without channel {absent}");
    }
}

#[test]
fn faults_are_found_by_the_current_if_the_speed_is_lost_or_was_never_there() {
    for learned_with_speed in [true, false] {
        for (fault, channel) in [(Fault::Vibration, VIBRATION), (Fault::Flow, FLOW)] {
            let mut pump = Pump::new(1, MINUTE_S);
            let mask = |rows: Vec<TimedSamples>| -> Vec<TimedSamples> {
                rows.iter().map(|row| with(row, SPEED, Sample::Missing)).collect()
            };
            let learned = pump.run(DAY_S);
            let learned = if learned_with_speed { learned } else { mask(learned) };
            let baseline = learn(&learned);
            assert_eq!(baseline.speed_range().is_some(), learned_with_speed);
            let mut episodes = Episodes::after(&baseline, &learned);
            episodes.watch(&mask(pump.run(3.0 * DAY_S)));
            assert_eq!(episodes.began, []);
            pump.fault = Some((fault, pump.time_s()));
            episodes.watch(&mask(pump.run(HOUR_S)));
            assert_eq!(episodes.began.first().map(|(_, blamed)| *blamed), Some(channel), "{fault:?}");
        }
    }
}

#[test]
fn an_episode_goes_on_when_the_speed_is_lost_and_when_it_comes_back() {
    let mut pump = Pump::new(1, MINUTE_S);
    let learned = pump.run(DAY_S);
    let baseline = learn(&learned);
    let mut episodes = Episodes::after(&baseline, &learned);
    pump.fault = Some((Fault::Flow, pump.time_s()));
    episodes.watch(&pump.run(HOUR_S));
    assert!(episodes.state.in_episode());
    let lost: Vec<TimedSamples> = pump.run(6.0 * HOUR_S).iter().map(|row| with(row, SPEED, Sample::Missing)).collect();
    episodes.watch(&lost);
    assert_eq!((episodes.state.in_episode(), episodes.began.len()), (true, 1), "the current shows the fault too");
    let stored = serde_json::to_string(&episodes.state).expect("JSON");
    let restored: ConditionalState = serde_json::from_str(&stored).expect("a state");
    assert_eq!((restored.check(&baseline), &restored), (Ok(()), &episodes.state));
    episodes.watch(&pump.run(HOUR_S));
    assert!(episodes.state.in_episode(), "back to the speed");
    pump.fault = None;
    episodes.watch(&pump.run(2.0 * HOUR_S));
    assert!(!episodes.state.in_episode());
}

#[test]
fn an_episode_of_a_fault_that_ends_while_the_speed_is_lost_ends() {
    let mut pump = Pump::new(1, MINUTE_S);
    let learned = pump.run(DAY_S);
    let baseline = learn(&learned);
    let mut episodes = Episodes::after(&baseline, &learned);
    pump.fault = Some((Fault::Flow, pump.time_s()));
    episodes.watch(&pump.run(HOUR_S));
    pump.fault = None;
    let lost: Vec<TimedSamples> = pump.run(2.0 * HOUR_S).iter().map(|row| with(row, SPEED, Sample::Missing)).collect();
    episodes.watch(&lost);
    assert!(!episodes.state.in_episode());
}

#[test]
fn a_standing_fault_is_one_episode() {
    let mut pump = Pump::new(2, MINUTE_S);
    let learned = pump.run(DAY_S);
    let baseline = learn(&learned);
    let mut episodes = Episodes::after(&baseline, &learned);
    pump.fault = Some((Fault::Vibration, pump.time_s()));
    episodes.watch(&pump.run(3.0 * DAY_S));
    assert_eq!(episodes.began.len(), 1, "{:?}", episodes.began);
    assert!(episodes.state.in_episode());
    pump.fault = None;
    episodes.watch(&pump.run(6.0 * HOUR_S));
    assert!(!episodes.state.in_episode(), "the episode ends with the fault");
    assert_eq!(episodes.began.len(), 1);
}

#[test]
fn a_pump_without_speed_and_ambient_is_tested_by_its_levels() {
    let channels = [2, 3, 4, 5, 6];
    let mut pump = Pump::new(3, 1.0);
    pump.demand_range = [0.8, 0.8];
    let take = |pump: &mut Pump, seconds: f64| -> Vec<TimedSamples> {
        let rows = pump.run(seconds);
        rows.iter().map(|row| TimedSamples { at: row.at, samples: channels.map(|c| row.samples[c]).into() }).collect()
    };
    let learned = take(&mut pump, 4.0 * HOUR_S);
    let baseline = ConditionalBaseline::learn(&profile_of(&channels), &learned).expect("a baseline");
    assert_eq!(baseline.speed_range(), None);
    let mut episodes = Episodes::after(&baseline, &learned);
    episodes.watch(&take(&mut pump, 600.0));
    assert_eq!(episodes.began, []);
    pump.fault = Some((Fault::Flow, pump.time_s()));
    episodes.watch(&take(&mut pump, 60.0));
    assert_eq!(episodes.began.first().map(|(_, blamed)| channels[*blamed]), Some(FLOW));
}

/// The reading with another sample of one channel.
fn with(row: &TimedSamples, channel: usize, sample: Sample) -> TimedSamples {
    let mut samples = row.samples.to_vec();
    samples[channel] = sample;
    TimedSamples { at: row.at, samples: samples.into() }
}
