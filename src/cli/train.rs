//! The flags of `train` and `models`.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use volute_anomaly::{Detector, Recipe};
use volute_plant::{INTERVAL_RANGE_MS, Profile};

use super::{
    DialectArgs,
    values::{whole_from_0, whole_from_1},
};
use crate::{model_versions::Replace, profiles};

pub(super) const TRAIN_EXAMPLES: &str = "\
Examples:
  volute train --csv line-3-2026-05.csv line-3-2026-06.csv --out models/line-3
      Trains on the rows whose machine_status is NORMAL, or on all rows if there is no such column.
  volute train --profile skab --csv run.csv --rows 400 --out models/run
      Trains on the first 400 rows.

If the folder holds a model of the profile already, the new model replaces it only if it reconstructs the newest windows
better, measured by the mean absolute error in spreads of the channels. Neither was trained on these windows. The other model is
kept in DIR/versions/; `volute models DIR` lists them.";

pub(super) const MODELS_EXAMPLES: &str = "\
Examples:
  volute models models/line-3
      Lists the versions: when each was trained, its error on validation windows, which is active, and why.
  volute models models/line-3 --use 64c5e8c18ce8
      Activates that version. A node loads it at its next start, and commissions its pumps again from the same readings.";

/// The arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The profile: centrifugal, skab, or a path such as ./mine.toml.
    #[arg(long, value_name = "NAME", default_value = "centrifugal", value_parser = profiles::load)]
    pub profile: Profile,
    /// The interval between two readings, in milliseconds, 100 to 86400000; by default the profile's, or that of the
    /// rows if it is longer: a recording with one row per minute is trained on in steps of one minute.
    #[arg(long, value_name = "MS", value_parser = interval_ms)]
    pub interval_ms: Option<i64>,
    /// Recordings of normal running (CSV), one or more.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub csv: Vec<PathBuf>,
    /// How to read the recordings, as far as this cannot be detected from the files.
    #[command(flatten)]
    pub dialect: DialectArgs,
    /// Each recording is of another pump, and is scaled separately; by default all are of one pump. A model of several
    /// pumps has no baseline: each pump is commissioned on the node.
    #[arg(long)]
    pub each_its_own_pump: bool,
    /// Use only every Nth window, to train faster. Neighbouring windows share 29 of 30 steps.
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole_from_1)]
    pub every: NonZeroUsize,
    /// Use only the first N rows of each recording.
    #[arg(long, value_name = "N", value_parser = whole_from_1)]
    pub rows: Option<NonZeroUsize>,
    /// Folder to write the model into.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// When the new model replaces the model in the folder.
    #[arg(long, value_enum, default_value_t = Replace::Better)]
    pub replace: Replace,
    /// How to train.
    #[command(flatten)]
    pub training: TrainingArgs,
}

/// The arguments of `models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Folder that `volute train` wrote.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The profile: centrifugal, skab, or a path such as ./mine.toml.
    #[arg(long, value_name = "NAME", default_value = "centrifugal", value_parser = profiles::load)]
    pub profile: Profile,
    /// The version to activate: its id, or the last characters of its id.
    #[arg(long = "use", value_name = "ID")]
    pub activate: Option<String>,
}

/// How to train.
#[derive(Debug, Args)]
pub struct TrainingArgs {
    /// Training epochs; by default the recipe's number.
    #[arg(long, value_name = "N", value_parser = whole_from_1)]
    pub epochs: Option<NonZeroUsize>,
    /// The seed of the random numbers: the same seed and data give the same model.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole_from_0)]
    pub seed: u64,
    /// The quantile of the training windows' losses that becomes the threshold; by default 0.99.
    #[arg(long, value_name = "Q", value_parser = threshold_quantile)]
    pub threshold_quantile: Option<f64>,
    /// The detector: conditional, fused or lstm-autoencoder.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub detector: Detector,
}

/// Parses an interval.
pub(super) fn interval_ms(text: &str) -> Result<i64, String> {
    let allowed = || format!("allowed: milliseconds from {} to {}", INTERVAL_RANGE_MS.start(), INTERVAL_RANGE_MS.end());
    text.parse().ok().filter(|ms| INTERVAL_RANGE_MS.contains(ms)).ok_or_else(allowed)
}

fn threshold_quantile(text: &str) -> Result<f64, String> {
    let threshold_quantile = text.parse().map_err(|_| "allowed: a number above 0, to 1".to_owned())?;
    let recipe = Recipe { threshold_quantile, ..Recipe::default() };
    recipe.check().map(|()| threshold_quantile).map_err(|error| error.to_string())
}
