//! Trains a model on normal windows: scales them, trains the network, and learns the baseline if all windows are of one
//! pump.
//!
//! Every given window counts as normal. Each pump's windows are scaled by the pump's own scaler, so that the network
//! learns the relations of the channels and not the size of a pump. The newest windows are kept for validation, which
//! decides when training stops. Does not select the normal windows.

use std::collections::BTreeMap;

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};
use volute_plant::{Profile, PumpId, Timestamp, Window};

use crate::{
    Baseline, Commissioning, CommissioningError, ConditionalBaseline, ConditionalState, DynamicsNetwork,
    DynamicsTrainError, DynamicsTraining, HealthyStep, LossQuantiles, Manifest, Metrics, Model, Provenance, Recipe,
    RecipeError, ResidualRun, Scaler, ScalerError, ScoreError, TimedSamples,
    commissioning::MIN_WINDOWS,
    hex::sha256,
    model::{ARCHITECTURE, FORMAT_VERSION, TUNING_SOURCE, shape},
    network::{NetworkError, Trainer},
    quantile::quantile,
    score::{Autoencoder, ScoreInput},
    weights::{Shape, Weights},
};

/// One pass over the windows. Losses are mean absolute errors over scaled windows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Its number, from 1.
    pub number: usize,
    /// The most epochs of this training.
    pub of: usize,
    /// The mean over its windows; the loss of a batch is computed before the batch's training step.
    pub train_loss: f64,
    /// The mean over the validation windows, after the epoch; the training loss if there are none.
    pub validation_loss: f64,
    /// Whether its weights are the best so far.
    pub best: bool,
}

/// The network of residuals (values less their predictions) is trained on at least this many windows. With fewer, a pump's dynamics
/// cannot be learned either.
const MIN_RESIDUAL_WINDOWS: usize = 1_000;
/// The network of residuals is trained on each window at most this many times. Residuals are nearly noise. A network that learns
/// them by heart has smaller errors on its training windows than on later ones, and the later windows would count as anomalous.
const MAX_RESIDUAL_PASSES: usize = 6;

/// The model cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The recipe is invalid.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Too few windows.
    #[error("{found} training windows; expected: at least {MIN_WINDOWS}")]
    TooFew {
        /// Number of windows.
        found: usize,
    },
    /// A window does not have the size of the profile's windows.
    #[error("the window of {pump} at {at} holds {found} values; expected: {expected}")]
    Size {
        /// The pump.
        pump: PumpId,
        /// The time of its last reading.
        at: Timestamp,
        /// Values in the window.
        found: usize,
        /// Values in a window of the profile: readings times channels.
        expected: usize,
    },
    /// A window has an infinite or NaN value.
    #[error("the window of {pump} at {at} holds {value} in {channel}; expected: finite numbers")]
    NotFinite {
        /// The pump.
        pump: PumpId,
        /// The time of its last reading.
        at: Timestamp,
        /// The channel's name.
        channel: String,
        /// Its value.
        value: f64,
    },
    /// The values are too far apart for arithmetic.
    #[error("the windows cannot be scaled: {0}")]
    Scaler(#[from] ScalerError),
    /// Training diverged; a smaller learning rate may help.
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
    /// The network of residuals cannot be trained.
    #[error("the network of residuals: {0}")]
    Residuals(#[from] DynamicsTrainError),
    /// The weights cannot be serialized. This is a defect of this crate.
    #[error("the weights cannot be written: {0}")]
    Encode(String),
}

/// Trains a model on normal windows of a profile's pumps, all finite, each pump's oldest first.
///
/// If they are all of one pump, the model includes its baseline. `progress` is called after every epoch. The same
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
    let scaled = PumpScalers::of(profile, windows)?;
    let (best, epochs) = TrainingRun::new(shape, scaled.inputs(windows), recipe)?.run(progress)?;
    let mut losses = losses(&best.weights, &scaled.inputs(windows), best.epoch.number)?;
    losses.sort_by(f64::total_cmp);
    let dynamics = train_dynamics(profile, windows, recipe)?;
    let second = dynamics.as_ref().map(DynamicsNetwork::weights);
    let bytes = best.weights.to_bytes_with(second).map_err(|error| TrainError::Encode(error.to_string()))?;
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
        tuning_chosen: TUNING_SOURCE.into(),
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
    let model = Model::new(manifest, best.weights, dynamics);
    if scaled.scalers.len() > 1 {
        return Ok(model);
    }
    let settings = Commissioning { own_network: true, ..recipe.commissioning() };
    let mut in_order = windows.to_vec();
    in_order.sort_by_key(|window| window.at);
    let baseline = Baseline::learn(&model, profile, &in_order, &settings)?;
    Ok(model.with_baseline(baseline))
}

/// Trains the network of residuals. The residuals of a pump are those of a conditional baseline that is learned from the pump's own
/// windows. `None` if there are too few windows.
fn train_dynamics(
    profile: &Profile,
    windows: &[Window],
    recipe: &Recipe,
) -> Result<Option<DynamicsNetwork>, TrainError> {
    if windows.len() < MIN_RESIDUAL_WINDOWS {
        return Ok(None);
    }
    let mut of_pump: BTreeMap<&PumpId, Vec<Window>> = BTreeMap::new();
    for window in windows {
        of_pump.entry(&window.pump).or_default().push(window.clone());
    }
    let mut runs = Vec::new();
    for mut windows in of_pump.into_values() {
        windows.sort_by_key(|window| window.at);
        let steps: Vec<TimedSamples> = HealthyStep::of_windows(profile, windows).map(|step| step.samples).collect();
        // A pump whose readings are too few or too odd for a conditional baseline has no residuals.
        if let Ok(baseline) = ConditionalBaseline::learn(profile, &steps) {
            runs.extend(residual_runs(profile, &baseline, &steps));
        }
    }
    if runs.is_empty() {
        return Ok(None);
    }
    let default = DynamicsTraining::default();
    let passes = recipe.epochs.min(MAX_RESIDUAL_PASSES);
    let steps = (passes * windows.len() / recipe.batch).clamp(1, default.steps);
    let settings = DynamicsTraining { steps, seed: recipe.seed, ..default };
    Ok(Some(DynamicsNetwork::train(profile.channels().len(), &runs, &settings, &mut |_, _| ())?))
}

/// Returns a pump's residuals as runs of successive readings. A run ends at a gap, a stop, or a speed outside of those of the
/// baseline.
fn residual_runs(profile: &Profile, baseline: &ConditionalBaseline, steps: &[TimedSamples]) -> Vec<ResidualRun> {
    let channels = profile.channels().len();
    let mut runs = vec![ResidualRun::new(channels)];
    let mut last = None;
    ConditionalState::after_observing(baseline, steps, |at, residuals| {
        let gap = last.is_some_and(|last: Timestamp| 2 * at.since_ms(last) > 3 * profile.interval_ms());
        if gap || residuals.is_none() {
            runs.push(ResidualRun::new(channels));
        }
        if let (Some(residuals), Some(run)) = (residuals, runs.last_mut()) {
            run.push(residuals);
        }
        last = Some(at);
    });
    runs.retain(|run| run.windows() > 0);
    runs
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
        if let Some((index, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            let channel = profile.channels()[index % shape.channels].name.clone();
            return Err(TrainError::NotFinite { pump, at, channel, value });
        }
    }
    Ok(())
}

/// The scaler of each pump.
struct PumpScalers<'a> {
    scalers: BTreeMap<&'a PumpId, Scaler>,
}

impl<'a> PumpScalers<'a> {
    fn of(profile: &Profile, windows: &'a [Window]) -> Result<Self, ScalerError> {
        let mut of_pump: BTreeMap<&PumpId, Vec<&Window>> = BTreeMap::new();
        for window in windows {
            of_pump.entry(&window.pump).or_default().push(window);
        }
        let mut scalers = BTreeMap::new();
        for (pump, windows) in of_pump {
            scalers.insert(pump, Scaler::learn(profile.channels(), windows)?);
        }
        Ok(PumpScalers { scalers })
    }

    fn inputs<'b>(&'b self, windows: &'b [Window]) -> Vec<ScoreInput<'b>> {
        let input =
            |window: &'b Window| self.scalers.get(&window.pump).map(|scaler| ScoreInput::window(window, scaler));
        windows.iter().filter_map(input).collect()
    }
}

/// One training run.
struct TrainingRun<'a> {
    recipe: &'a Recipe,
    trainer: Trainer,
    training: Vec<ScoreInput<'a>>,
    validation: Vec<ScoreInput<'a>>,
    rng: Xoshiro256PlusPlus,
}

/// An epoch and the weights after it.
struct Snapshot {
    epoch: Epoch,
    weights: Weights,
}

impl<'a> TrainingRun<'a> {
    fn new(shape: Shape, inputs: Vec<ScoreInput<'a>>, recipe: &'a Recipe) -> Result<Self, NetworkError> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(recipe.seed);
        let trainer = Trainer::new(&Weights::random(shape, &mut rng), recipe.learning_rate)?;
        let (training, validation) = split(inputs, recipe.validation_share);
        Ok(TrainingRun { recipe, trainer, training, validation, rng })
    }

    /// Trains until the recipe's last epoch, or until the validation loss has not fallen for `patience` epochs. Returns the
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
        let train_loss = self.train_epoch()?;
        let shape = self.trainer.shape();
        let weights = Weights::from_arrays(shape, self.trainer.arrays()?);
        let weights = weights.map_err(|_| TrainError::Diverged { epoch: number })?;
        let validation_loss =
            if self.validation.is_empty() { train_loss } else { mean(&losses(&weights, &self.validation, number)?) };
        if !(train_loss.is_finite() && validation_loss.is_finite()) {
            return Err(TrainError::Diverged { epoch: number });
        }
        let epoch = Epoch { number, of: self.recipe.epochs, train_loss, validation_loss, best: true };
        Ok(Snapshot { epoch, weights })
    }

    /// Trains on every window once, in a new order. Returns the mean loss.
    fn train_epoch(&mut self) -> Result<f64, NetworkError> {
        self.training.shuffle(&mut self.rng);
        let mut scaled = Vec::new();
        let mut total = 0.0;
        for batch in self.training.chunks(self.recipe.batch) {
            scaled.clear();
            for input in batch {
                input.scaler.scale(&input.window.values, &mut scaled);
            }
            total += self.trainer.step(&scaled)? * batch.len() as f64;
        }
        Ok(total / self.training.len() as f64)
    }
}

/// Splits the windows into those for training and the newest `share` for validation.
fn split(mut training: Vec<ScoreInput>, share: f64) -> (Vec<ScoreInput>, Vec<ScoreInput>) {
    training.sort_by(|a, b| (a.window.at, &a.window.pump).cmp(&(b.window.at, &b.window.pump)));
    let validation_len = (training.len() as f64 * share) as usize;
    let validation = training.split_off(training.len() - validation_len);
    (training, validation)
}

/// Returns the windows' losses, as a [`crate::Scorer`] computes them.
fn losses(weights: &Weights, inputs: &[ScoreInput], epoch: usize) -> Result<Vec<f64>, TrainError> {
    match Autoencoder::new(weights).score(inputs) {
        Ok(scores) => Ok(scores.views().map(|(loss, _)| loss).collect()),
        Err(ScoreError::Network(error)) => Err(error.into()),
        // The windows are already checked, so the loss is not finite.
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
    fn with_a_patience_of_one_the_first_worse_epoch_ends_training() {
        // With steps this large the loss does not only fall.
        let recipe = Recipe { learning_rate: 0.3, patience: 1, epochs: 50, ..quick() };
        let mut epochs = Vec::new();
        train(&profile(2), &waves(2, 120), &recipe, provenance(), &mut |e| epochs.push(*e)).expect("a model");
        assert!(epochs.len() < 50);
        assert!(epochs.iter().map(|e| e.best).eq((1..=epochs.len()).map(|number| number < epochs.len())));
    }

    #[test]
    fn the_same_seed_gives_the_same_model() {
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
    fn the_recipes_threshold_is_the_quantile_of_the_scores() {
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
        assert!(
            trained.manifest().metrics.losses.p50 < 0.3,
            "a pump fifty times as large is learned as well as the other"
        );
    }

    #[test]
    fn invalid_training_input_is_refused() {
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
    fn divergence_is_reported_with_its_epoch() {
        let recipe = Recipe { learning_rate: 1e38, ..quick() };
        assert!(matches!(error_of(&waves(2, 100), &recipe), TrainError::Diverged { epoch: 1 | 2 }));
    }

    #[test]
    fn validation_takes_the_newest() {
        let mut windows = waves(2, 20);
        windows.reverse();
        let scaled = PumpScalers::of(&profile(2), &windows).expect("scalers");
        let (training, validation) = split(scaled.inputs(&windows), 0.1);
        assert_eq!((training.len(), validation.len()), (18, 2));
        assert!(training.iter().all(|w| validation.iter().all(|v| w.window.at < v.window.at)));
    }
}
