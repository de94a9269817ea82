//! Restarted anywhere, a decider decides as one that never was; what is not its own memory is refused.

use proptest::prelude::*;
use volute_plant::Detection;

use super::*;
use crate::{
    ChannelBaseline, ChannelScore, Score, Thresholds,
    testing::{model, window},
};

const HOME: f64 = 0.5;
const SPREAD: f64 = 0.1;

/// Two channels; an episode begins at five spreads of one of them.
fn baseline(detector: Detector, raise_after: usize, settle_steps: u32) -> Arc<Baseline> {
    let channel = ChannelBaseline {
        level: HOME,
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
    baseline.tuning.settle_steps = settle_steps;
    baseline.id = baseline.expected_id();
    Arc::new(baseline)
}

/// A stretch of a pump's life: how long it stays at which levels, with which errors, lively or stuck. Some stay home,
/// some leave far enough for an episode, some come back to elsewhere.
fn stretches() -> impl Strategy<Value = Vec<Score>> {
    let level = prop_oneof![
        3 => Just(HOME),
        2 => (-3.0..3.0_f64).prop_map(|spreads| HOME + spreads * SPREAD),
        2 => (-30.0..30.0_f64).prop_map(|spreads| HOME + spreads * SPREAD),
    ];
    let error = prop_oneof![4 => Just(0.05), 1 => 0.0..0.3_f64];
    let liveliness = prop_oneof![6 => Just(0.2), 1 => Just(0.0)];
    let stretch = (1_usize..70, [level.clone(), level], [error.clone(), error], [liveliness.clone(), liveliness]);
    let wobble = |step: usize| 0.3 * SPREAD * (step as f64 * 0.7).sin();
    prop::collection::vec(stretch, 1..8).prop_map(move |stretches| {
        let mut scores = Vec::new();
        for (steps, levels, errors, livelinesses) in stretches {
            for _ in 0..steps {
                let wobble = wobble(scores.len());
                let channel = |place: usize| ChannelScore {
                    error: errors[place],
                    short: levels[place] + wobble,
                    long: levels[place] - wobble / 2.0,
                    liveliness: livelinesses[place],
                };
                scores.push(Score { loss: errors[0] + errors[1], channels: [channel(0), channel(1)].into() });
            }
        }
        scores
    })
}

fn decide(decider: &mut Decider, second: usize, score: &Score) -> Detection {
    let window = window(second, Vec::new());
    decider.decide(&window.pump, window.at, score)
}

/// Through JSON and back, as at rest.
fn restarted(decider: &Decider) -> Decider {
    let text = serde_json::to_string(&decider.memory()).expect("JSON");
    let memory: DeciderMemory = serde_json::from_str(&text).expect("the same");
    assert_eq!(memory, decider.memory());
    Decider::with_memory(decider.baseline().clone(), memory).expect("its own memory")
}

/// Goes on from the memory as it was before the loss that is held was noted.
fn of_older_program(decider: &Decider) -> Decider {
    let mut memory = serde_json::to_value(decider.memory()).expect("JSON");
    if let Some(episode) = memory.pointer_mut("/fused/phase/episode").and_then(|episode| episode.as_object_mut()) {
        episode.remove("held").expect("it is noted now");
    }
    let memory = serde_json::from_value(memory).expect("it can be read");
    Decider::with_memory(decider.baseline().clone(), memory).expect("its own memory")
}

fn bits(detection: &Detection) -> (u64, bool, Vec<u64>) {
    let shares = detection.contributions.iter().map(|share| share.to_bits()).collect();
    (detection.loss.to_bits(), detection.is_anomaly, shares)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Restarted anywhere, any number of times, it decides as one that never was; windows that are left out, as in a
    /// gap, are left out of both.
    #[test]
    fn a_restart_changes_no_decision(
        scores in stretches(),
        fused in prop::bool::weighted(0.9),
        raise_after in 1_usize..4,
        settle_steps in prop_oneof![Just(0_u32), Just(1), Just(45)],
        restarts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        gaps in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let detector = if fused { Detector::Fused } else { Detector::LstmAutoencoder };
        let baseline = baseline(detector, raise_after, settle_steps);
        let (mut steady, mut interrupted) = (Decider::new(baseline.clone()), Decider::new(baseline));
        let restarts: Vec<usize> = restarts.iter().map(|at| at.index(scores.len())).collect();
        let gaps: Vec<usize> = gaps.iter().map(|at| at.index(scores.len())).collect();
        for (second, score) in scores.iter().enumerate() {
            if restarts.contains(&second) {
                interrupted = restarted(&interrupted);
            }
            if gaps.contains(&second) {
                continue;
            }
            let (expected, found) = (decide(&mut steady, second, score), decide(&mut interrupted, second, score));
            prop_assert_eq!(bits(&expected), bits(&found), "at {}", second);
            prop_assert_eq!(expected, found);
        }
        prop_assert_eq!(steady.memory(), interrupted.memory());
        prop_assert_eq!(steady.in_episode(), interrupted.in_episode());
    }

    /// A window is anomalous where its loss is above its threshold, and for the fused detector that is where an episode
    /// is open; also where an older program, which did not note the loss that is held, wrote the memory.
    #[test]
    fn what_is_shown_is_what_was_decided_on(
        scores in stretches(),
        fused in prop::bool::weighted(0.9),
        raise_after in 1_usize..4,
        clear_after in 1_usize..4,
        settle_steps in prop_oneof![Just(0_u32), Just(1), Just(45)],
        upgrades in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let detector = if fused { Detector::Fused } else { Detector::LstmAutoencoder };
        let mut baseline = Baseline::clone(&baseline(detector, raise_after, settle_steps));
        baseline.tuning.clear_after = clear_after;
        baseline.id = baseline.expected_id();
        let mut decider = Decider::new(Arc::new(baseline));
        let upgrades: Vec<usize> = upgrades.iter().map(|at| at.index(scores.len())).collect();
        for (second, score) in scores.iter().enumerate() {
            if upgrades.contains(&second) {
                decider = of_older_program(&decider);
            }
            let Detection { loss, threshold, is_anomaly, .. } = decide(&mut decider, second, score);
            prop_assert_eq!(is_anomaly, loss > threshold, "a loss of {} at {}", loss, second);
            if fused {
                prop_assert_eq!(is_anomaly, decider.in_episode(), "a loss of {} at {}", loss, second);
            }
        }
    }

    /// Saved and restored before every single window.
    #[test]
    fn it_may_be_restarted_before_every_window(scores in stretches()) {
        let baseline = baseline(Detector::Fused, 1, 45);
        let (mut steady, mut interrupted) = (Decider::new(baseline.clone()), Decider::new(baseline));
        for (second, score) in scores.iter().enumerate() {
            interrupted = restarted(&interrupted);
            let (expected, found) = (decide(&mut steady, second, score), decide(&mut interrupted, second, score));
            prop_assert_eq!(bits(&expected), bits(&found), "at {}", second);
        }
    }
}

/// At `spreads` from home in the second channel.
fn at(spreads: f64) -> Score {
    let channel = |level| ChannelScore { error: 0.05, short: level, long: level, liveliness: 0.2 };
    Score { loss: 0.1, channels: [channel(HOME), channel(HOME + spreads * SPREAD)].into() }
}

/// The property above would hold as well if nothing were ever remembered and nothing ever happened.
#[test]
fn an_open_episode_and_followed_levels_outlive_a_restart() {
    let baseline = baseline(Detector::Fused, 1, 45);
    let mut decider = Decider::new(baseline.clone());
    for second in 0..600 {
        decide(&mut decider, second, &at(2.0));
    }
    let drifted = at(6.0);
    assert!(decide(&mut Decider::new(baseline.clone()), 600, &drifted).is_anomaly, "a false alarm without the memory");
    assert!(!decide(&mut restarted(&decider), 600, &drifted).is_anomaly, "none with it");

    assert!(decide(&mut decider, 600, &at(20.0)).is_anomaly && decider.in_episode());
    let mut again = restarted(&decider);
    assert!(again.in_episode());
    // Too little to begin an episode, too much to end one.
    assert!(decide(&mut again, 601, &at(5.5)).is_anomaly);
    assert!(!decide(&mut Decider::new(baseline), 601, &at(4.5)).is_anomaly);
}

#[test]
fn what_is_not_its_own_memory_is_refused() {
    let own = baseline(Detector::Fused, 1, 45);
    let other = baseline(Detector::Fused, 2, 45);
    let loss = baseline(Detector::LstmAutoencoder, 1, 45);
    let memory = || {
        let mut decider = Decider::new(own.clone());
        assert!(decide(&mut decider, 0, &at(20.0)).is_anomaly);
        decider.memory()
    };
    let refuse = |memory: DeciderMemory| Decider::with_memory(own.clone(), memory).expect_err("must be refused");
    let theirs = |baseline: &Arc<Baseline>| Decider::new(baseline.clone()).memory();
    let expected = MemoryError::Baseline { found: other.id.clone(), expected: own.id.clone() };
    assert_eq!(refuse(theirs(&other)), expected);
    assert_eq!(refuse(DeciderMemory { version: 2, ..memory() }), MemoryError::Version { found: 2 });
    assert_eq!(
        refuse(DeciderMemory { baseline: own.id.clone(), ..theirs(&loss) }),
        MemoryError::Shape("detector is another")
    );
    let changes: [fn(&mut FusedMemory); 7] = [
        |fused| fused.levels.truncate(1),
        |fused| fused.homes.push(0.0),
        |fused| fused.levels[1] = f64::NAN,
        |fused| fused.phase = Phase::Settling { done: 45, paused: None },
        |fused| fused.phase = Phase::Settling { done: 1, paused: Some(Box::default()) },
        |fused| match &mut fused.phase {
            Phase::Episode(episode) => episode.change.clear(),
            phase => panic!("{phase:?}"),
        },
        |fused| match &mut fused.phase {
            Phase::Episode(episode) => episode.worst = f64::INFINITY,
            phase => panic!("{phase:?}"),
        },
    ];
    for change in changes {
        let mut memory = memory();
        change(memory.fused.as_mut().expect("fused"));
        assert!(matches!(refuse(memory), MemoryError::Shape(_)));
    }
    assert!(Decider::with_memory(own.clone(), memory()).is_ok());
    assert!(
        serde_json::from_str::<DeciderMemory>("{\"version\":1,\"baseline\":\"x\"}").is_ok_and(|m| m.fused.is_none())
    );
    assert!(serde_json::from_str::<DeciderMemory>("{\"version\":1}").is_err());
}

#[test]
fn it_is_small() {
    let mut baseline = Baseline::clone(&baseline(Detector::Fused, 1, 45));
    baseline.channels = vec![baseline.channels[0]; 10];
    let channel = ChannelScore { error: 0.05, short: 1.234_567_890_123, long: 9.0, liveliness: 0.2 };
    let score = Score { loss: 0.1, channels: vec![channel; 10].into() };
    let mut decider = Decider::new(Arc::new(baseline));
    assert!(decide(&mut decider, 0, &score).is_anomaly);
    let text = serde_json::to_string(&decider.memory()).expect("JSON");
    assert!(text.len() < 1024, "{} bytes: {text}", text.len());
}
