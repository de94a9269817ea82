//! A decider that is restarted at any time decides as one that is not. A state that does not fit is refused.

use proptest::prelude::*;
use volute_plant::Detection;

use super::*;
use crate::{
    ChannelBaseline, ChannelScore, Score, Thresholds,
    testing::{model, window},
};

const NORMAL: f64 = 0.5;
const SPREAD: f64 = 0.1;

/// Two channels; an episode begins at five spreads of one of them.
fn baseline(detector: Detector, raise_after: usize, relearn_steps: u32) -> Arc<Baseline> {
    let channel = ChannelBaseline {
        level: NORMAL,
        reach: 0.3,
        short_spread: SPREAD,
        long_spread: SPREAD,
        error: 0.05,
        error_spread: 0.01,
        stuck_below: 0.05,
        level_weight: 1.0,
        error_weight: 1.0,
    };
    let mut baseline = Baseline::clone(model().baseline().expect("one pump's"));
    baseline.detector = detector;
    baseline.channels = vec![channel; 2];
    baseline.thresholds = Thresholds { short: 5.0, long: 5.0, error: 5.0 };
    baseline.tuning.raise_after = raise_after;
    baseline.tuning.relearn_steps = relearn_steps;
    baseline.id = baseline.expected_id();
    Arc::new(baseline)
}

/// Successive stretches of a pump's operation: their durations, levels, errors and mean changes. Some stay normal, some
/// deviate enough for an episode, some return to other levels.
fn stretches() -> impl Strategy<Value = Vec<Score>> {
    let level = prop_oneof![
        3 => Just(NORMAL),
        2 => (-3.0..3.0_f64).prop_map(|spreads| NORMAL + spreads * SPREAD),
        2 => (-30.0..30.0_f64).prop_map(|spreads| NORMAL + spreads * SPREAD),
    ];
    let error = prop_oneof![4 => Just(0.05), 1 => 0.0..0.3_f64];
    let mean_change = prop_oneof![6 => Just(0.2), 1 => Just(0.0)];
    let stretch = (1_usize..70, [level.clone(), level], [error.clone(), error], [mean_change.clone(), mean_change]);
    let wobble = |step: usize| 0.3 * SPREAD * (step as f64 * 0.7).sin();
    prop::collection::vec(stretch, 1..8).prop_map(move |stretches| {
        let mut scores = Vec::new();
        for (steps, levels, errors, mean_changes) in stretches {
            for _ in 0..steps {
                let wobble = wobble(scores.len());
                let channel = |place: usize| ChannelScore {
                    error: errors[place],
                    short: levels[place] + wobble,
                    long: levels[place] - wobble / 2.0,
                    mean_change: mean_changes[place],
                };
                scores.push(Score {
                    loss: errors[0] + errors[1],
                    channels: [channel(0), channel(1)].into(),
                    dynamics: None,
                });
            }
        }
        scores
    })
}

fn decide(decider: &mut Decider, second: usize, score: &Score) -> Detection {
    let window = window(second, Vec::new());
    decider.decide(&window.pump, window.at, None, Some(score)).expect("a detection")
}

/// Restores a decider from its stored form.
fn restarted(decider: &Decider) -> Decider {
    let text = serde_json::to_string(&decider.checkpoint(None)).expect("JSON");
    let checkpoint: DeciderCheckpoint = serde_json::from_str(&text).expect("the same");
    assert_eq!(checkpoint, decider.checkpoint(None));
    Decider::with_checkpoint(decider.baseline().clone(), checkpoint).expect("its own checkpoint")
}

/// Restores a decider from the state of an older version, which did not have the held loss.
fn restored_by_older_version(decider: &Decider) -> Decider {
    let mut checkpoint = serde_json::to_value(decider.checkpoint(None)).expect("JSON");
    if let Some(episode) = checkpoint.pointer_mut("/fused/phase/episode").and_then(|episode| episode.as_object_mut()) {
        episode.remove("held").expect("it is stored now");
    }
    let checkpoint = serde_json::from_value(checkpoint).expect("it can be read");
    Decider::with_checkpoint(decider.baseline().clone(), checkpoint).expect("its own checkpoint")
}

fn bits(detection: &Detection) -> (u64, bool, Vec<u64>) {
    let shares = detection.contributions.iter().map(|share| share.to_bits()).collect();
    (detection.loss.to_bits(), detection.is_anomaly, shares)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// With any number of restarts at any time it decides as an uninterrupted one. Windows that are missing, as in a
    /// gap, are missing for both.
    #[test]
    fn a_restart_changes_no_decision(
        scores in stretches(),
        fused in prop::bool::weighted(0.9),
        raise_after in 1_usize..4,
        relearn_steps in prop_oneof![Just(0_u32), Just(1), Just(45)],
        restarts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        gaps in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let detector = if fused { Detector::Fused } else { Detector::LstmAutoencoder };
        let baseline = baseline(detector, raise_after, relearn_steps);
        let (mut uninterrupted, mut interrupted) = (Decider::new(baseline.clone()), Decider::new(baseline));
        let restarts: Vec<usize> = restarts.iter().map(|at| at.index(scores.len())).collect();
        let gaps: Vec<usize> = gaps.iter().map(|at| at.index(scores.len())).collect();
        for (second, score) in scores.iter().enumerate() {
            if restarts.contains(&second) {
                interrupted = restarted(&interrupted);
            }
            if gaps.contains(&second) {
                continue;
            }
            let (expected, found) = (decide(&mut uninterrupted, second, score), decide(&mut interrupted, second, score));
            prop_assert_eq!(bits(&expected), bits(&found), "at {}", second);
            prop_assert_eq!(expected, found);
        }
        prop_assert_eq!(uninterrupted.checkpoint(None), interrupted.checkpoint(None));
        prop_assert_eq!(uninterrupted.in_episode(), interrupted.in_episode());
    }

    /// A window is anomalous exactly if its loss is above its threshold, which for the fused detector is while an episode
    /// is open. This also holds for a state that an older version wrote without the held loss.
    #[test]
    fn the_loss_is_the_decided_value(
        scores in stretches(),
        fused in prop::bool::weighted(0.9),
        raise_after in 1_usize..4,
        clear_after in 1_usize..4,
        relearn_steps in prop_oneof![Just(0_u32), Just(1), Just(45)],
        upgrades in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let detector = if fused { Detector::Fused } else { Detector::LstmAutoencoder };
        let mut baseline = Baseline::clone(&baseline(detector, raise_after, relearn_steps));
        baseline.tuning.clear_after = clear_after;
        baseline.id = baseline.expected_id();
        let mut decider = Decider::new(Arc::new(baseline));
        let upgrades: Vec<usize> = upgrades.iter().map(|at| at.index(scores.len())).collect();
        for (second, score) in scores.iter().enumerate() {
            if upgrades.contains(&second) {
                decider = restored_by_older_version(&decider);
            }
            let Detection { loss, threshold, is_anomaly, .. } = decide(&mut decider, second, score);
            prop_assert_eq!(is_anomaly, loss > threshold, "a loss of {} at {}", loss, second);
            if fused {
                prop_assert_eq!(is_anomaly, decider.in_episode(), "a loss of {} at {}", loss, second);
            }
        }
    }

    /// Restarted before every window.
    #[test]
    fn it_can_be_restarted_before_every_window(scores in stretches()) {
        let baseline = baseline(Detector::Fused, 1, 45);
        let (mut uninterrupted, mut interrupted) = (Decider::new(baseline.clone()), Decider::new(baseline));
        for (second, score) in scores.iter().enumerate() {
            interrupted = restarted(&interrupted);
            let (expected, found) = (decide(&mut uninterrupted, second, score), decide(&mut interrupted, second, score));
            prop_assert_eq!(bits(&expected), bits(&found), "at {}", second);
        }
    }
}

/// A score with the second channel `spreads` away from normal.
fn at(spreads: f64) -> Score {
    let channel = |level| ChannelScore { error: 0.05, short: level, long: level, mean_change: 0.2 };
    Score { loss: 0.1, channels: [channel(NORMAL), channel(NORMAL + spreads * SPREAD)].into(), dynamics: None }
}

/// Checks that state is really restored: the properties above would also hold for a decider without state.
#[test]
fn an_open_episode_and_tracked_levels_survive_a_restart() {
    let baseline = baseline(Detector::Fused, 1, 45);
    let mut decider = Decider::new(baseline.clone());
    for second in 0..600 {
        decide(&mut decider, second, &at(2.0));
    }
    let drifted = at(6.0);
    assert!(decide(&mut Decider::new(baseline.clone()), 600, &drifted).is_anomaly, "a false alarm without the state");
    assert!(!decide(&mut restarted(&decider), 600, &drifted).is_anomaly, "none with it");

    assert!(decide(&mut decider, 600, &at(20.0)).is_anomaly && decider.in_episode());
    let mut restored = restarted(&decider);
    assert!(restored.in_episode());
    // Too low to start an episode, too high to end one.
    assert!(decide(&mut restored, 601, &at(5.5)).is_anomaly);
    assert!(!decide(&mut Decider::new(baseline), 601, &at(4.5)).is_anomaly);
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let own = baseline(Detector::Fused, 1, 45);
    let other = baseline(Detector::Fused, 2, 45);
    let loss = baseline(Detector::LstmAutoencoder, 1, 45);
    let checkpoint = || {
        let mut decider = Decider::new(own.clone());
        assert!(decide(&mut decider, 0, &at(20.0)).is_anomaly);
        decider.checkpoint(None)
    };
    let refuse =
        |checkpoint: DeciderCheckpoint| Decider::with_checkpoint(own.clone(), checkpoint).expect_err("must be refused");
    let state_of = |baseline: &Arc<Baseline>| Decider::new(baseline.clone()).checkpoint(None);
    let expected = UnfitCheckpoint::Baseline { found: other.id.clone(), expected: own.id.clone() };
    assert_eq!(refuse(state_of(&other)), expected);
    assert_eq!(refuse(DeciderCheckpoint { version: 2, ..checkpoint() }), UnfitCheckpoint::Version { found: 2 });
    assert_eq!(
        refuse(DeciderCheckpoint { baseline: own.id.clone(), ..state_of(&loss) }),
        UnfitCheckpoint::Shape("it is of another detector")
    );
    let changes: [fn(&mut FusedCheckpoint); 7] = [
        |fused| fused.levels.truncate(1),
        |fused| fused.anchors.push(0.0),
        |fused| fused.levels[1] = f64::NAN,
        |fused| fused.phase = FusedPhase::Relearning { done: 45, paused: None },
        |fused| fused.phase = FusedPhase::Relearning { done: 1, paused: Some(Box::default()) },
        |fused| match &mut fused.phase {
            FusedPhase::Episode(episode) => episode.change.clear(),
            phase => panic!("{phase:?}"),
        },
        |fused| match &mut fused.phase {
            FusedPhase::Episode(episode) => episode.peak = f64::INFINITY,
            phase => panic!("{phase:?}"),
        },
    ];
    for change in changes {
        let mut checkpoint = checkpoint();
        change(checkpoint.fused.as_mut().expect("fused"));
        assert!(matches!(refuse(checkpoint), UnfitCheckpoint::Shape(_)));
    }
    assert!(Decider::with_checkpoint(own.clone(), checkpoint()).is_ok());
    assert!(
        serde_json::from_str::<DeciderCheckpoint>("{\"version\":1,\"baseline\":\"x\"}")
            .is_ok_and(|m| m.fused.is_none())
    );
    assert!(serde_json::from_str::<DeciderCheckpoint>("{\"version\":1}").is_err());
}

#[test]
fn the_stored_form_is_small() {
    let mut baseline = Baseline::clone(&baseline(Detector::Fused, 1, 45));
    baseline.channels = vec![baseline.channels[0]; 10];
    let channel = ChannelScore { error: 0.05, short: 1.234_567_890_123, long: 9.0, mean_change: 0.2 };
    let score = Score { loss: 0.1, channels: vec![channel; 10].into(), dynamics: None };
    let mut decider = Decider::new(Arc::new(baseline));
    assert!(decide(&mut decider, 0, &score).is_anomaly);
    let text = serde_json::to_string(&decider.checkpoint(None)).expect("JSON");
    assert!(text.len() < 1024, "{} bytes: {text}", text.len());
}
