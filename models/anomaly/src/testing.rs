//! Shared test fixtures: small profiles, regular windows, and one trained model.

use std::sync::LazyLock;

use volute_plant::{Profile, Timestamp, Window};

use crate::{Model, Provenance, Recipe, Score, ScoreInput, Scorer, train};

const START_MS: i64 = 1_773_051_273_000;

/// A profile of `channels` channels, C0, C1 and so on, with a reading a second.
pub(crate) fn profile(channels: usize) -> Profile {
    let mut text = "name = \"test\"\ntitle = \"A pump for tests\"\ninterval_ms = 1000\n".to_owned();
    for channel in 0..channels {
        text += &format!(
            "[[channels]]\nname = \"C{channel}\"\nquantity = \"flow\"\nunit = \"L/min\"\n\
             plausible = [-1000, 1000]\nresolution = 0.5\n"
        );
    }
    Profile::from_toml(&text).expect("the test profile is valid")
}

/// A window of pump P-1 that ends `second` seconds after the start.
pub(crate) fn window(second: usize, values: Vec<f64>) -> Window {
    let at = Timestamp::from_millis(START_MS + 1000 * second as i64).expect("a time");
    Window { pump: "P-1".parse().expect("a name"), at, values: values.into(), held: Default::default() }
}

/// Successive windows of channels that oscillate by 10 around 100, each with its own frequency.
pub(crate) fn waves(channels: usize, count: usize) -> Vec<Window> {
    let value = |second: usize, channel: usize| {
        100.0 + 10.0 * (second as f64 * (0.05 + 0.01 * channel as f64) + channel as f64).sin()
    };
    let values = |first: usize| {
        let seconds = first..first + 30;
        seconds.flat_map(|second| (0..channels).map(move |channel| value(second, channel))).collect()
    };
    (0..count).map(|first| window(first + 29, values(first))).collect()
}

/// A recipe that trains in a moment.
pub(crate) fn quick() -> Recipe {
    Recipe { units: 8, epochs: 6, batch: 16, learning_rate: 1e-2, ..Recipe::default() }
}

pub(crate) fn provenance() -> Provenance {
    Provenance {
        data_hash: "0".repeat(64),
        rows: 189,
        sources: vec!["waves".into()],
        trained_at: Timestamp::from_millis(START_MS).expect("a time"),
    }
}

/// A model trained on two waves.
pub(crate) fn train_with_seed(seed: u64) -> Model {
    let recipe = Recipe { seed, ..quick() };
    train(&profile(2), &waves(2, 160), &recipe, provenance(), &mut |_| {}).expect("a model")
}

/// The model of seed 1, trained once for all tests.
pub(crate) fn model() -> &'static Model {
    static MODEL: LazyLock<Model> = LazyLock::new(|| train_with_seed(1));
    &MODEL
}

/// Scores windows with the baseline of a one-pump model.
pub(crate) fn scores(model: &Model, windows: &[Window]) -> Vec<Score> {
    let scaler = &model.baseline().expect("one pump's").scaler;
    let inputs: Vec<ScoreInput> = windows.iter().map(|window| ScoreInput::window(window, scaler)).collect();
    Scorer::new(model).score(&inputs).expect("scores").iter().collect()
}
