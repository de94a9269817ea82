//! From normal windows to a model: scale, learn, and where it is one pump's, say what is normal for it.
//!
//! Every window given counts as normal. Each pump's windows are scaled by its own scaler, so that the network learns
//! how channels go together and not how large a pump is. The newest windows are kept from learning, to tell when to
//! stop. Deliberately absent: choosing the normal windows.

use std::collections::BTreeMap;

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};
use volute_plant::{Profile, PumpId, Timestamp, Window};

use crate::{
    Baseline, Commissioning, CommissioningError, LossQuantiles, Manifest, Metrics, Model, Provenance, Recipe,
    RecipeError, Scaler, ScalerError, ScoreError,
    commissioning::MIN_WINDOWS,
    hex::sha256,
    model::{ARCHITECTURE, FORMAT_VERSION, TUNING_CHOSEN, shape},
    network::{Learner, NetworkError},
    quantile::quantile,
    score::{Autoencoder, Task},
    weights::{Shape, Weights},
};

/// One pass over the windows. Losses are mean absolute errors over scaled windows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Its number, from 1.
    pub number: usize,
    /// The most epochs that there will be.
    pub of: usize,
    /// The mean over its batches, each before its step.
    pub train_loss: f64,
    /// The mean over the validation windows, after it; the training loss where there are none.
    pub validation_loss: f64,
    /// Whether its weights are the best so far.
    pub best: bool,
}

/// There is no model.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The recipe makes no sense.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Too little to learn from.
    #[error("{found} training windows; expected: at least {MIN_WINDOWS}")]
    TooFew {
        /// Windows given.
        found: usize,
    },
    /// A window of another size than the profile's.
    #[error("the window of {pump} at {at} holds {found} values; expected: {expected}")]
    Size {
        /// Whose window it is.
        pump: PumpId,
        /// The time of its last reading.
        at: Timestamp,
        /// Values in the window.
        found: usize,
        /// Values in a window of the profile: readings times channels.
        expected: usize,
    },
    /// A window with infinity or NaN in it.
    #[error("the window of {pump} at {at} holds {value} in {channel}; expected: finite numbers")]
    NotFinite {
        /// Whose window it is.
        pump: PumpId,
        /// The time of its last reading.
        at: Timestamp,
        /// The channel's name.
        channel: String,
        /// What it holds.
        value: f64,
    },
    /// Values too far apart for arithmetic.
    #[error("the windows cannot be scaled: {0}")]
    Scaler(#[from] ScalerError),
    /// Learning went astray; a smaller learning rate may help.
    #[error("the loss or the weights are no longer finite after epoch {epoch}")]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
    },
    /// The network failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The pump's baseline could not be learned.
    #[error(transparent)]
    Commissioning(#[from] CommissioningError),
    /// The weights cannot be turned into bytes: a defect of this crate.
    #[error("the weights cannot be written: {0}")]
    Encode(String),
}

/// Trains a model on normal windows of a profile's pumps, all finite, each pump's oldest first.
///
/// Where they are of one pump, the model carries what is normal for it. `progress` is told of every epoch. The same
/// windows, recipe and machine give the same model.
pub fn train(
    profile: &Profile,
    windows: &[Window],
    recipe: &Recipe,
    provenance: Provenance,
    progress: &mut dyn FnMut(&Epoch),
) -> Result<Model, TrainError> {
    recipe.check()?;
    let shape = shape(profile, recipe.units);
    check(profile, shape, windows)?;
    let scaled = Scaled::of(profile, windows)?;
    let (best, epochs) = Course::new(shape, scaled.tasks(windows), recipe)?.run(progress)?;
    let mut losses = losses(&best.weights, &scaled.tasks(windows), best.epoch.number)?;
    losses.sort_by(f64::total_cmp);
    let bytes = best.weights.to_bytes().map_err(|error| TrainError::Encode(error.to_string()))?;
    let mut manifest = Manifest {
        format_version: FORMAT_VERSION,
        id: String::new(),
        architecture: ARCHITECTURE.into(),
        profile: profile.name().into(),
        profile_hash: profile.hash().into(),
        channels: profile.channel_names().map(str::to_owned).collect(),
        interval_ms: profile.interval_ms(),
        window: shape.len,
        units: shape.units,
        baseline: None,
        tuning_chosen: TUNING_CHOSEN.into(),
        weights_sha256: sha256(&bytes),
        recipe: recipe.clone(),
        provenance,
        metrics: Metrics {
            epochs,
            best_epoch: best.epoch.number,
            train_loss: best.epoch.train_loss,
            validation_loss: best.epoch.validation_loss,
            windows: windows.len(),
            losses: LossQuantiles {
                p50: quantile(&losses, 0.5),
                p95: quantile(&losses, 0.95),
                p99: quantile(&losses, 0.99),
                max: quantile(&losses, 1.0),
            },
        },
    };
    manifest.id = manifest.expected_id();
    let model = Model::new(manifest, best.weights);
    if scaled.scalers.len() > 1 {
        return Ok(model);
    }
    let how = Commissioning { own_network: true, ..recipe.commissioning() };
    let baseline = Baseline::learn(&model, profile, windows, &how)?;
    Ok(model.with_baseline(baseline))
}

fn check(profile: &Profile, shape: Shape, windows: &[Window]) -> Result<(), TrainError> {
    if windows.len() < MIN_WINDOWS {
        return Err(TrainError::TooFew { found: windows.len() });
    }
    for Window { pump, at, values, held: _ } in windows {
        let (pump, at) = (pump.clone(), *at);
        if values.len() != shape.window_size() {
            return Err(TrainError::Size { pump, at, found: values.len(), expected: shape.window_size() });
        }
        if let Some((place, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            let channel = profile.channels()[place % shape.channels].name.clone();
            return Err(TrainError::NotFinite { pump, at, channel, value });
        }
    }
    Ok(())
}

/// Each pump's scaler.
struct Scaled<'a> {
    scalers: BTreeMap<&'a PumpId, Scaler>,
}

impl<'a> Scaled<'a> {
    fn of(profile: &Profile, windows: &'a [Window]) -> Result<Self, ScalerError> {
        let mut of_pump: BTreeMap<&PumpId, Vec<&Window>> = BTreeMap::new();
        for window in windows {
            of_pump.entry(&window.pump).or_default().push(window);
        }
        let mut scalers = BTreeMap::new();
        for (pump, windows) in of_pump {
            scalers.insert(pump, Scaler::learn(profile.channels(), windows)?);
        }
        Ok(Scaled { scalers })
    }

    fn tasks<'b>(&'b self, windows: &'b [Window]) -> Vec<Task<'b>> {
        let task = |window: &'b Window| self.scalers.get(&window.pump).map(|scaler| Task { window, scaler });
        windows.iter().filter_map(task).collect()
    }
}

/// One training run.
struct Course<'a> {
    recipe: &'a Recipe,
    learner: Learner,
    learning: Vec<Task<'a>>,
    validation: Vec<Task<'a>>,
    rng: Xoshiro256PlusPlus,
}

/// An epoch and what had been learned by its end.
struct Snapshot {
    epoch: Epoch,
    weights: Weights,
}

impl<'a> Course<'a> {
    fn new(shape: Shape, tasks: Vec<Task<'a>>, recipe: &'a Recipe) -> Result<Self, NetworkError> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(recipe.seed);
        let learner = Learner::new(&Weights::random(shape, &mut rng), recipe.learning_rate)?;
        let (learning, validation) = split(tasks, recipe.validation_share);
        Ok(Course { recipe, learner, learning, validation, rng })
    }

    /// Runs until the recipe's last epoch, or until the validation loss no longer falls. Answers with the
    /// best epoch and the number of epochs that were run.
    fn run(mut self, progress: &mut dyn FnMut(&Epoch)) -> Result<(Snapshot, usize), TrainError> {
        let mut best = self.epoch(1)?;
        progress(&best.epoch);
        for number in 2..=self.recipe.epochs {
            let mut next = self.epoch(number)?;
            next.epoch.best = next.epoch.validation_loss < best.epoch.validation_loss;
            progress(&next.epoch);
            if next.epoch.best {
                best = next;
            } else if number - best.epoch.number >= self.recipe.patience {
                return Ok((best, number));
            }
        }
        Ok((best, self.recipe.epochs))
    }

    fn epoch(&mut self, number: usize) -> Result<Snapshot, TrainError> {
        let train_loss = self.pass()?;
        let shape = self.learner.shape();
        let weights = Weights::from_arrays(shape, self.learner.arrays()?);
        let weights = weights.map_err(|_| TrainError::Diverged { epoch: number })?;
        let validation_loss =
            if self.validation.is_empty() { train_loss } else { mean(&losses(&weights, &self.validation, number)?) };
        if !(train_loss.is_finite() && validation_loss.is_finite()) {
            return Err(TrainError::Diverged { epoch: number });
        }
        let epoch = Epoch { number, of: self.recipe.epochs, train_loss, validation_loss, best: true };
        Ok(Snapshot { epoch, weights })
    }

    /// Learns from every window once, in a new order. Answers with the mean loss.
    fn pass(&mut self) -> Result<f64, NetworkError> {
        self.learning.shuffle(&mut self.rng);
        let mut scaled = Vec::new();
        let mut total = 0.0;
        for batch in self.learning.chunks(self.recipe.batch) {
            scaled.clear();
            for task in batch {
                task.scaler.scale(&task.window.values, &mut scaled);
            }
            total += self.learner.step(&scaled)? * batch.len() as f64;
        }
        Ok(total / self.learning.len() as f64)
    }
}

/// The windows to learn from, and the newest `share` of all, for validation.
fn split(mut learning: Vec<Task>, share: f64) -> (Vec<Task>, Vec<Task>) {
    learning.sort_by(|a, b| (a.window.at, &a.window.pump).cmp(&(b.window.at, &b.window.pump)));
    let kept = (learning.len() as f64 * share) as usize;
    let validation = learning.split_off(learning.len() - kept);
    (learning, validation)
}

/// The windows' losses, as a [`crate::Scorer`] will give them.
fn losses(weights: &Weights, tasks: &[Task], epoch: usize) -> Result<Vec<f64>, TrainError> {
    match Autoencoder::new(weights).score(tasks) {
        Ok(scores) => Ok(scores.views().map(|(loss, _)| loss).collect()),
        Err(ScoreError::Network(error)) => Err(error.into()),
        // The windows have been checked, so it is the loss.
        Err(_) => Err(TrainError::Diverged { epoch }),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{model, profile, provenance, quick, scores, train_with_seed, waves, window};

    fn error_of(windows: &[Window], recipe: &Recipe) -> TrainError {
        train(&profile(2), windows, recipe, provenance(), &mut |_| {}).expect_err("must be refused")
    }

    #[test]
    fn training_reduces_the_loss_and_keeps_the_best_epoch() {
        let mut epochs = Vec::new();
        let recipe = Recipe { epochs: 12, ..quick() };
        let trained = train(&profile(2), &waves(2, 200), &recipe, provenance(), &mut |epoch| epochs.push(*epoch));
        let metrics = trained.expect("a model").manifest().metrics.clone();
        assert!(epochs.iter().map(|e| (e.number, e.of)).eq((1..=metrics.epochs).map(|number| (number, 12))));
        assert!(epochs[metrics.epochs - 1].train_loss < 0.5 * epochs[0].train_loss, "{epochs:?}");
        let best = epochs.iter().min_by(|a, b| a.validation_loss.total_cmp(&b.validation_loss)).expect("an epoch");
        assert_eq!((metrics.best_epoch, metrics.validation_loss), (best.number, best.validation_loss));
        assert_eq!(epochs.iter().rev().find(|e| e.best).expect("a best").number, best.number);
    }

    #[test]
    fn without_patience_the_first_worse_epoch_ends_it() {
        // Steps this large do not only go down.
        let recipe = Recipe { learning_rate: 0.3, patience: 1, epochs: 50, ..quick() };
        let mut epochs = Vec::new();
        train(&profile(2), &waves(2, 120), &recipe, provenance(), &mut |e| epochs.push(*e)).expect("a model");
        assert!(epochs.len() < 50);
        assert!(epochs.iter().map(|e| e.best).eq((1..=epochs.len()).map(|number| number < epochs.len())));
    }

    #[test]
    fn one_seed_is_one_model() {
        assert_eq!(train_with_seed(1).manifest(), model().manifest());
        assert_ne!(train_with_seed(2).id(), model().id());
    }

    #[test]
    fn the_order_of_the_windows_does_not_matter() {
        let mut windows = waves(2, 160);
        windows.reverse();
        let trained = train(&profile(2), &windows, &quick(), provenance(), &mut |_| {}).expect("a model");
        assert_eq!(trained.id(), model().id());
    }

    #[test]
    fn the_recipes_threshold_is_the_quantile_of_what_a_scorer_says() {
        let scores = scores(model(), &waves(2, 160));
        let baseline = model().baseline().expect("one pump's");
        let above = scores.iter().filter(|score| score.loss > baseline.loss_threshold).count();
        assert_eq!(above, 2, "two of 160 are above the 99th percentile");
        let worst = scores.iter().map(|score| score.loss).max_by(f64::total_cmp).expect("a loss");
        assert_eq!(model().manifest().metrics.losses.max, worst);
    }

    #[test]
    fn a_model_of_several_pumps_has_no_baseline() {
        let mut windows = waves(2, 160);
        for window in &mut windows[80..] {
            window.pump = "P-2".parse().expect("a name");
            window.values = window.values.iter().map(|value| 50.0 * value).collect();
        }
        let trained = train(&profile(2), &windows, &quick(), provenance(), &mut |_| {}).expect("a model");
        assert!(trained.baseline().is_none());
        assert!(trained.manifest().metrics.losses.p50 < 0.3, "a pump fifty times as large is learned like the other");
    }

    #[test]
    fn what_cannot_be_trained_on_is_refused() {
        let windows = waves(2, 100);
        assert!(matches!(error_of(&windows, &Recipe { units: 0, ..quick() }), TrainError::Recipe(_)));
        assert!(matches!(error_of(&windows[1..], &quick()), TrainError::TooFew { found: 99 }));
        let mut mixed = windows.clone();
        mixed[7] = window(7, vec![1.0; 58]);
        assert!(matches!(error_of(&mixed, &quick()), TrainError::Size { found: 58, expected: 60, .. }));
        let mut values = vec![1.0; 60];
        values[3] = f64::NAN;
        mixed[7] = window(7, values);
        let error = error_of(&mixed, &quick());
        assert!(matches!(&error, TrainError::NotFinite { channel, .. } if channel == "C1"), "{error}");
        mixed[7] = window(7, [f64::MIN, 1.0].repeat(30));
        mixed[8] = window(8, [f64::MAX, 1.0].repeat(30));
        assert!(matches!(error_of(&mixed, &quick()), TrainError::Scaler(_)));
    }

    #[test]
    fn learning_that_goes_astray_says_when() {
        let recipe = Recipe { learning_rate: 1e38, ..quick() };
        assert!(matches!(error_of(&waves(2, 100), &recipe), TrainError::Diverged { epoch: 1 | 2 }));
    }

    #[test]
    fn validation_takes_the_newest() {
        let mut windows = waves(2, 20);
        windows.reverse();
        let scaled = Scaled::of(&profile(2), &windows).expect("scalers");
        let (learning, validation) = split(scaled.tasks(&windows), 0.1);
        assert_eq!((learning.len(), validation.len()), (18, 2));
        assert!(learning.iter().all(|w| validation.iter().all(|v| w.window.at < v.window.at)));
    }
}
