//! Tests of the whole path, on residuals that are noise.

use std::sync::LazyLock;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::*;

const CHANNELS: usize = 3;
/// The windows of a commissioning.
const COMMISSIONING: usize = 3_000;

/// Uniform noise of standard deviation 1 for each channel but the last, which is not measured.
struct Noise {
    rng: Xoshiro256PlusPlus,
    /// Per channel.
    factors: [f64; 2],
}

impl Noise {
    fn new(seed: u64) -> Noise {
        Noise { rng: Xoshiro256PlusPlus::seed_from_u64(seed), factors: [1.0; 2] }
    }

    fn row(&mut self) -> Vec<Option<f64>> {
        let limit = 3f64.sqrt();
        let mut row: Vec<Option<f64>> =
            self.factors.iter().map(|factor| Some(factor * self.rng.random_range(-limit..limit))).collect();
        row.push(None);
        row
    }

    fn windows(&mut self, history: &mut ResidualHistory, readings: usize) -> Vec<ResidualWindow> {
        (0..readings).filter_map(|_| history.push(&self.row())).collect()
    }
}

fn run(readings: usize) -> ResidualRun {
    let mut run = ResidualRun::new(CHANNELS);
    let mut noise = Noise::new(1);
    (0..readings).for_each(|_| run.push(&noise.row()));
    run
}

fn train(steps: usize, losses: &mut Vec<f64>) -> DynamicsNetwork {
    let settings = DynamicsTraining { steps, ..DynamicsTraining::default() };
    DynamicsNetwork::train(CHANNELS, &[run(10), run(500)], &settings, &mut |_, loss| losses.push(loss))
        .expect("trained")
}

/// A commissioned pump of noise.
struct Commissioned {
    network: DynamicsNetwork,
    history: ResidualHistory,
    windows: Vec<WindowDynamics>,
    baseline: DynamicsBaseline,
}

static COMMISSIONED: LazyLock<Commissioned> = LazyLock::new(|| {
    let network = DynamicsNetwork::untrained(CHANNELS, 1).expect("a network");
    let mut history = ResidualHistory::new(CHANNELS);
    let windows = Noise::new(2).windows(&mut history, COMMISSIONING + DYNAMICS_WINDOW - 1);
    let windows = DynamicsScorer::new(&network).score(&windows).expect("scored");
    let baseline = DynamicsBaseline::learn(network.id(), CHANNELS, &windows).expect("a baseline");
    Commissioned { network, history, windows, baseline }
});

/// Runs a commissioned pump, healthy for 2,000 readings and then with these factors on the noise.
fn results(factors: [f64; 2], readings: usize) -> (Vec<DynamicsResult>, Vec<DynamicsResult>) {
    let Commissioned { network, history, baseline, .. } = &*COMMISSIONED;
    let (mut history, mut noise) = (history.clone(), Noise::new(3));
    let mut scorer = DynamicsScorer::new(network);
    let mut state = DynamicsState::new(baseline);
    let mut step = |noise: &mut Noise, readings| -> Vec<DynamicsResult> {
        let windows = scorer.score(&noise.windows(&mut history, readings)).expect("scored");
        windows.iter().map(|window| state.step(baseline, window)).collect()
    };
    let healthy = step(&mut noise, 2_000);
    noise.factors = factors;
    (healthy, step(&mut noise, readings))
}

fn first_suspect(results: &[DynamicsResult]) -> (usize, Suspect) {
    let index = results.iter().position(|result| result.in_episode).expect("found");
    (index, results[index].suspect.expect("a suspect"))
}

#[test]
fn a_healthy_pump_has_no_episode_and_louder_noise_is_named() {
    let (healthy, faulty) = results([1.0, 2.0], 300);
    assert!(healthy.iter().all(|result| !result.in_episode && result.score < 1.0));
    let (after, suspect) = first_suspect(&faulty);
    assert!(after < 60, "{after}");
    assert_eq!((suspect.channel, suspect.is_high), (1, true));
}

#[test]
fn a_sensor_that_becomes_quiet_is_named() {
    let (_, faulty) = results([0.3, 1.0], 300);
    let (after, suspect) = first_suspect(&faulty);
    assert!(after < 60, "{after}");
    assert_eq!((suspect.channel, suspect.is_high), (0, false));
}

#[test]
fn an_episode_ends_after_thirty_quiet_windows() {
    let Commissioned { windows, baseline, .. } = &*COMMISSIONED;
    let mut state = DynamicsState::new(baseline);
    windows[..200].iter().for_each(|window| assert!(!state.step(baseline, window).in_episode));
    let loud: WindowDynamics = windows[0]
        .iter()
        .map(|channel| channel.map(|channel| ChannelDynamics { change: 5.0 * channel.change, ..channel }))
        .collect();
    let raised = (0..50).filter(|_| state.step(baseline, &loud).in_episode).count();
    assert!(raised > 30, "{raised}");
    let results: Vec<DynamicsResult> = windows[200..800].iter().map(|window| state.step(baseline, window)).collect();
    let end = results.iter().position(|result| !result.in_episode).expect("it ends");
    assert!(results[end - 29..=end].iter().all(|result| result.score < 0.85));
    assert!(results[end - 30].score >= 0.85);
}

#[test]
fn a_stored_state_continues_with_the_same_results() {
    let Commissioned { windows, baseline, .. } = &*COMMISSIONED;
    let mut state = DynamicsState::new(baseline);
    assert!(windows[..100].iter().all(|window| !state.step(baseline, window).in_episode));
    let text = serde_json::to_string(&state).expect("JSON");
    assert!(text.len() < 300 * CHANNELS, "{} bytes", text.len());
    let mut restored: DynamicsState = serde_json::from_str(&text).expect("a state");
    restored.check(baseline).expect("valid");
    for window in &windows[100..200] {
        assert_eq!(state.step(baseline, window), restored.step(baseline, window));
    }
    let text = serde_json::to_string(baseline).expect("JSON");
    let restored: DynamicsBaseline = serde_json::from_str(&text).expect("a baseline");
    restored.check(baseline.network(), CHANNELS).expect("valid");
    assert_eq!(&restored, baseline);
}

#[test]
fn a_vote_has_to_be_earned_on_held_back_windows() {
    let Commissioned { windows, baseline, .. } = &*COMMISSIONED;
    for (channel, earned) in [(0, true), (1, true), (2, false)] {
        for measure in Measure::ALL {
            let vote = baseline.vote(channel, measure).expect("a channel");
            assert_eq!(matches!(vote, Vote::Earned(_)), earned, "{channel} {measure:?} {vote:?}");
        }
    }
    assert_eq!(baseline.vote(2, Measure::Error), Some(Vote::NotMeasured));
    let mut windows = windows.clone();
    for channel in windows[2_500..].iter_mut().filter_map(|window| window[0].as_mut()) {
        channel.error *= 3.0;
    }
    let baseline = DynamicsBaseline::learn("network", CHANNELS, &windows).expect("a baseline");
    assert!(matches!(baseline.vote(0, Measure::Error), Some(Vote::Refused(score)) if score > 1.0));
    assert!(matches!(baseline.vote(0, Measure::Change), Some(Vote::Earned(_))));
    let mut state = DynamicsState::new(&baseline);
    for window in &windows {
        assert!(!state.step(&baseline, window).in_episode, "a refused vote does not count");
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let Commissioned { network, windows, baseline, .. } = &*COMMISSIONED;
    let few = DynamicsBaseline::learn("network", CHANNELS, &windows[..1_179]).expect_err("must be refused");
    assert_eq!(few, DynamicsError::TooFew { found: 1_179, expected: 1_180 });
    assert!(DynamicsBaseline::learn("network", CHANNELS, &windows[..1_180]).is_ok());
    let wide = DynamicsBaseline::learn("network", 2, windows).expect_err("must be refused");
    assert_eq!(wide, DynamicsError::Channels { found: 3, expected: 2 });
    assert!(matches!(baseline.check("another", CHANNELS), Err(DynamicsError::Id { .. })));
    assert!(matches!(baseline.check(network.id(), 2), Err(DynamicsError::Channels { .. })));
    let text = serde_json::to_string(baseline).expect("JSON");
    let changed: DynamicsBaseline =
        serde_json::from_str(&text.replace("\"windows\":3000", "\"windows\":3001")).expect("JSON");
    assert!(matches!(changed.check(network.id(), CHANNELS), Err(DynamicsError::Id { .. })));
    let other = DynamicsBaseline::learn("network", CHANNELS, windows).expect("a baseline");
    assert!(matches!(DynamicsState::new(&other).check(baseline), Err(DynamicsError::Id { .. })));
    let window = ResidualHistory::new(2);
    assert!(!window.is_valid(CHANNELS) && window.is_valid(2));
}

#[test]
fn a_history_gives_a_window_from_the_thirtieth_reading_on_and_begins_anew() {
    let mut history = ResidualHistory::new(2);
    let row = |index: usize| [Some(index as f64), None];
    assert!((1..30).all(|index| history.push(&row(index)).is_none()));
    let window = history.push(&row(30)).expect("a window");
    assert_eq!((window.values()[0], window.values()[58]), (1.0, 30.0));
    assert!(window.values()[1].is_nan());
    assert_eq!(history.push(&row(31)).expect("a window").values()[0], 2.0);
    let text = serde_json::to_string(&history).expect("JSON");
    let restored: ResidualHistory = serde_json::from_str(&text).expect("a history");
    assert!(restored == history && restored.is_valid(2));
    history.interrupt();
    assert!((1..30).all(|index| history.push(&row(index)).is_none()));
    assert!(history.push(&[Some(1.0)]).is_none(), "a row of another length");
    assert!((1..30).all(|index| history.push(&row(index)).is_none()));
}

#[test]
fn training_reduces_the_loss_and_is_reproducible() {
    let mut losses = Vec::new();
    let network = train(200, &mut losses);
    assert_eq!(losses.len(), 2);
    assert!(losses[1] < losses[0], "{losses:?}");
    assert_eq!(network.id(), train(200, &mut Vec::new()).id());
    let bytes = network.to_bytes().expect("bytes");
    assert_eq!(DynamicsNetwork::from_bytes(CHANNELS, &bytes).expect("a network").id(), network.id());
    assert!(matches!(DynamicsNetwork::from_bytes(4, &bytes), Err(DynamicsError::Weights(_))));
    let none = DynamicsNetwork::train(CHANNELS, &[run(29)], &DynamicsTraining::default(), &mut |_, _| {});
    assert!(matches!(none, Err(DynamicsTrainError::NoWindow { channels: CHANNELS })));
}

#[test]
fn a_channel_that_is_mostly_missing_has_no_measures() {
    let mut history = ResidualHistory::new(CHANNELS);
    let mut noise = Noise::new(5);
    let mut windows = Vec::new();
    for index in 0..DYNAMICS_WINDOW {
        let mut row = noise.row();
        if index % 3 == 0 {
            row[0] = None;
        }
        if index < 11 {
            row[1] = None;
        }
        windows.extend(history.push(&row));
    }
    let network = &COMMISSIONED.network;
    let measured = DynamicsScorer::new(network).score(&windows).expect("scored");
    assert_eq!(measured[0].iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_window_is_scored_the_same_in_any_batch(seed: u64, count in 1_usize..70) {
        let windows = Noise::new(seed).windows(&mut ResidualHistory::new(CHANNELS), count + DYNAMICS_WINDOW - 1);
        let mut scorer = DynamicsScorer::new(&COMMISSIONED.network);
        let together = scorer.score(&windows).expect("scored");
        prop_assert_eq!(together.len(), count);
        for (window, together) in windows.iter().zip(&together) {
            prop_assert_eq!(&scorer.score(std::slice::from_ref(window)).expect("scored")[0], together);
        }
    }
}
