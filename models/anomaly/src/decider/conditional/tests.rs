//! The conditional detector in the decider, on the synthetic pump of its own tests.

use std::sync::Arc;

use volute_plant::Detection;

use crate::{
    Baseline, ChannelBaseline, ChannelScore, ConditionalBaseline, Decider, DeciderCheckpoint, Detector, Score,
    StepInput, TimedSamples,
    conditional::tests::pump::{FLOW, Pump, SPEED, profile},
    testing::model,
};

const DAY_S: f64 = 86_400.0;

/// A pump that was commissioned for a day, and its readings.
fn commissioned() -> (Arc<Baseline>, Vec<TimedSamples>, Pump) {
    let mut pump = Pump::new(1, 60.0);
    let rows = pump.run(DAY_S);
    let conditional = ConditionalBaseline::learn(&profile(), &rows).expect("a baseline");
    let channel = ChannelBaseline {
        level: 0.5,
        reach: 0.3,
        short_spread: 0.1,
        long_spread: 0.1,
        error: 0.05,
        error_spread: 0.01,
        stuck_below: 0.05,
        level_weight: 1.0,
        error_weight: 1.0,
    };
    let mut baseline = Baseline::clone(model().baseline().expect("one pump's"));
    baseline.detector = Detector::Conditional;
    baseline.channels = vec![channel; profile().channels().len()];
    baseline.conditional = Some(conditional);
    baseline.id = baseline.expected_id();
    (Arc::new(baseline), rows, pump)
}

/// The score of a window; the channel `stuck`, if there is one, does not change in it.
fn score(stuck: Option<usize>) -> Score {
    let channel = |channel| ChannelScore {
        mean_change: if stuck == Some(channel) { 0.01 } else { 0.2 },
        ..ChannelScore::default()
    };
    let channels: Vec<ChannelScore> = (0..profile().channels().len()).map(channel).collect();
    Score { loss: 0.0, channels: channels.into(), dynamics: None }
}

fn values(row: &TimedSamples) -> Vec<f64> {
    row.samples.iter().map(|sample| sample.good().unwrap_or(f64::NAN)).collect()
}

fn decide(decider: &mut Decider, row: &TimedSamples, values: &[f64], score: Option<&Score>) -> Option<Detection> {
    let pump = "P-1".parse().expect("a name");
    let step = decider.push_step(&StepInput { at: row.at, values, is_settled: true });
    decider.decide(&pump, row.at, step.as_ref(), score)
}

#[test]
fn a_step_without_a_window_is_tested_and_a_fault_is_named() {
    let (baseline, rows, mut pump) = commissioned();
    let mut decider = Decider::after(baseline.clone(), &rows);
    for row in pump.run(3_600.0) {
        let detection = decide(&mut decider, &row, &values(&row), None).expect("a detection");
        assert!(!detection.is_anomaly && detection.loss <= detection.threshold, "{detection:?}");
    }
    let mut found = None;
    for row in pump.run(3_600.0) {
        let mut values = values(&row);
        values[FLOW] *= 0.9;
        let detection = decide(&mut decider, &row, &values, None).expect("a detection");
        if detection.is_anomaly && found.is_none() {
            found = Some(detection);
        }
    }
    let found = found.expect("the fault is found");
    let largest = found.contributions.iter().copied().fold(0.0, f64::max);
    assert_eq!(found.contributions[FLOW], largest, "{found:?}");
}

#[test]
fn a_pump_that_has_not_settled_and_a_time_that_goes_back_have_no_detection() {
    let (baseline, rows, mut pump) = commissioned();
    let mut decider = Decider::after(baseline, &rows);
    let row = pump.next();
    assert!(decider.push_step(&StepInput { at: row.at, values: &values(&row), is_settled: false }).is_none());
    assert!(decider.push_step(&StepInput { at: row.at, values: &values(&row), is_settled: true }).is_none());
    let pump = "P-1".parse().expect("a name");
    assert_eq!(decider.decide(&pump, row.at, None, Some(&score(None))), None, "a score alone is no evidence");
}

#[test]
fn a_stuck_channel_is_an_episode_until_it_moves_again() {
    let (baseline, rows, mut pump) = commissioned();
    let mut decider = Decider::after(baseline, &rows);
    let mut anomalous = Vec::new();
    for (number, row) in pump.run(600.0).iter().enumerate() {
        let stuck = (3..6).contains(&number).then_some(2);
        let detection = decide(&mut decider, row, &values(row), Some(&score(stuck))).expect("a detection");
        if stuck.is_some() {
            assert!(detection.contributions[2] > 0.9, "{detection:?}");
        }
        anomalous.push(detection.is_anomaly);
    }
    let expected = [false, false, false, true, true, true, true, false, false, false];
    assert_eq!(anomalous, expected, "it ends with the second window that moves");
}

/// An inverter holds its speed.
#[test]
fn a_set_speed_that_does_not_change_is_normal() {
    let (baseline, rows, mut pump) = commissioned();
    let mut decider = Decider::after(baseline, &rows);
    for row in pump.run(600.0) {
        let detection = decide(&mut decider, &row, &values(&row), Some(&score(Some(SPEED)))).expect("a detection");
        assert!(!detection.is_anomaly, "{detection:?}");
    }
}

/// A decider that is restored from a checkpoint of each step decides as one that is not restarted, also if it was ahead of
/// its decisions when the checkpoint was taken.
#[test]
fn a_restart_changes_no_detection() {
    let (baseline, rows, mut pump) = commissioned();
    let (mut whole, mut ahead) = (Decider::after(baseline.clone(), &rows), Decider::after(baseline.clone(), &rows));
    let later = pump.run(3_600.0);
    let expected: Vec<_> = later.iter().map(|row| decide(&mut whole, row, &values(row), Some(&score(None)))).collect();
    let checkpoint = {
        let id = "P-1".parse().expect("a name");
        let mut steps = Vec::new();
        for row in &later[..20] {
            let step = ahead.push_step(&StepInput { at: row.at, values: &values(row), is_settled: true });
            steps.push((step, ahead.step_state()));
        }
        for (row, (step, _)) in later[..10].iter().zip(&steps) {
            ahead.decide(&id, row.at, step.as_ref(), Some(&score(None)));
        }
        serde_json::to_string(&ahead.checkpoint(steps[9].1.clone())).expect("JSON")
    };
    let checkpoint: DeciderCheckpoint = serde_json::from_str(&checkpoint).expect("the same");
    let mut restored = Decider::with_checkpoint(baseline, checkpoint).expect("its own checkpoint");
    let again: Vec<_> =
        later[10..].iter().map(|row| decide(&mut restored, row, &values(row), Some(&score(None)))).collect();
    assert_eq!(again, expected[10..]);
}
