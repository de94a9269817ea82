//! The flags of `train` and `evaluate`: how to learn, and what to measure.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use volute_anomaly::{Detector, Recipe};
use volute_plant::{INTERVALS_MS, Profile};

use super::{DialectArgs, Format};
use crate::{model_versions::Replace, profiles};

pub(super) const TRAIN_EXAMPLES: &str = "\
Examples:
  volute train --csv line-3-2026-05.csv line-3-2026-06.csv --out models/line-3
      Learns from the rows whose machine_status is NORMAL, or from all rows where there is no such column.
  volute train --profile skab --csv run.csv --rows 400 --out models/run
      Learns from the first 400 rows.

Where the folder holds a model of the profile already, the new one takes its place only if it reconstructs the newest
windows, which neither learns from, better: by mean absolute error in spreads of the channels. The other one is kept in
DIR/versions/; `volute models DIR` lists them.";

pub(super) const MODELS_EXAMPLES: &str = "\
Examples:
  volute models models/line-3
      Lists them: when each was trained, its error on held-back windows, which is in use, and why.
  volute models models/line-3 --use 64c5e8c18ce8
      Puts that one back. A node takes it at its next start, and commissions its pumps anew from the same readings.";

/// What to learn from.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Kind of pump: centrifugal, skab, or a path to a profile, as ./mine.toml.
    #[arg(long, value_name = "NAME", default_value = "centrifugal", value_parser = profiles::load)]
    pub profile: Profile,
    /// Time between two readings, in milliseconds, 100 to 3600000; without it, the profile's, or that of the rows where they
    /// are sparser: a recording of a row a minute is learned in steps of a minute.
    #[arg(long, value_name = "MS", value_parser = interval_ms)]
    pub interval_ms: Option<i64>,
    /// Recordings of normal running (CSV), one or more.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub csv: Vec<PathBuf>,
    /// What the recordings do not say themselves.
    #[command(flatten)]
    pub dialect: DialectArgs,
    /// Each recording is of another pump, and scaled by itself; without it, all are of one pump. A model of several pumps
    /// has no baseline: each pump is commissioned on the node.
    #[arg(long)]
    pub each_its_own_pump: bool,
    /// Learn from every Nth window only: neighbours have 29 of 30 readings in common.
    #[arg(long, value_name = "N", default_value = "1")]
    pub every: NonZeroUsize,
    /// Use only the first N rows of each recording.
    #[arg(long, value_name = "N")]
    pub rows: Option<NonZeroUsize>,
    /// Folder to write the model into.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// When the new model takes the place of the one in the folder.
    #[arg(long, value_enum, default_value_t = Replace::Better)]
    pub replace: Replace,
    /// How hard and how repeatably to learn.
    #[command(flatten)]
    pub training: TrainingArgs,
}

/// Which models.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Folder that `volute train` wrote.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Kind of pump: centrifugal, skab, or a path to a profile, as ./mine.toml.
    #[arg(long, value_name = "NAME", default_value = "centrifugal", value_parser = profiles::load)]
    pub profile: Profile,
    /// Put this one back: its name, or the end of it.
    #[arg(long = "use", value_name = "ID")]
    pub put_back: Option<String>,
}

pub(super) const EVALUATE_EXAMPLES: &str = "\
Examples:
  volute evaluate --profile skab --data ~/SKAB/data --out results/skab
      Writes predictions (CSV) and a picture (SVG) for each recording below the folder, at the same place below --out,
      and prints the figures beside the published ones.
  volute evaluate --profile skab --data ~/SKAB/data --out results/skab --seeds 5 --detector lstm-autoencoder
      The recipe alone, and how much it hangs on chance.
  volute evaluate --profile skab --data ~/SKAB/data --out results/skab --seeds 2 --cross-validate 2000
      How the default detector's numbers were chosen.
  volute evaluate --simulated --model models/pretrained/centrifugal --pumps 25 --days 2
      Simulated pumps: false episodes, faults found, delays, and whether the right channel is named.";

/// What to measure on.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// Kind of pump: centrifugal, skab, or a path to a profile, as ./mine.toml.
    #[arg(long, value_name = "NAME", default_value = "centrifugal", value_parser = profiles::load)]
    pub profile: Profile,
    /// Time between two readings, in milliseconds, 100 to 3600000; without it, the profile's, or that of a recording's rows
    /// where they are sparser.
    #[arg(long, value_name = "MS", value_parser = interval_ms, conflicts_with = "simulated")]
    pub interval_ms: Option<i64>,
    /// Folder of labelled recordings (CSV), with its subfolders. The label is `anomaly`, or a `machine_status` that is not
    /// NORMAL; of the latter only NORMAL rows are learned from.
    #[arg(long, value_name = "DIR", required_unless_present = "simulated")]
    pub data: Option<PathBuf>,
    /// What the recordings do not say themselves.
    #[command(flatten)]
    pub dialect: DialectArgs,
    /// Folder to write predictions and pictures into.
    #[arg(long, value_name = "DIR", required_unless_present = "simulated")]
    pub out: Option<PathBuf>,
    /// How hard and how repeatably to learn.
    #[command(flatten)]
    pub training: TrainingArgs,
    /// Measure with so many seeds, the first of them --seed, and print the spread.
    #[arg(long, value_name = "N", default_value = "1")]
    pub seeds: NonZeroUsize,
    /// Choose the default detector's numbers anew among N candidates, by leaving whole recordings out, and print how
    /// well that goes. Nothing is written.
    #[arg(long, value_name = "N", conflicts_with = "simulated")]
    pub cross_validate: Option<NonZeroUsize>,
    /// Recordings or pumps to work on at once; without it, one for each core.
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// How the figures are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Measure on simulated pumps that are commissioned first, instead of on recordings.
    #[arg(long, conflicts_with_all = ["data", "out"], requires = "model")]
    pub simulated: bool,
    /// Folder of the model for --simulated.
    #[arg(long, value_name = "DIR", requires = "simulated")]
    pub model: Option<PathBuf>,
    /// Simulated pumps.
    #[arg(long, value_name = "N", default_value = "25", requires = "simulated")]
    pub pumps: NonZeroUsize,
    /// Days for which each is watched while nothing is wrong.
    #[arg(long, value_name = "N", default_value = "2", requires = "simulated")]
    pub days: NonZeroUsize,
    /// Hours for which each is commissioned.
    #[arg(long, value_name = "N", default_value = "24", requires = "simulated")]
    pub commissioning_hours: NonZeroUsize,
}

/// How hard and how repeatably to learn.
#[derive(Debug, Args)]
pub struct TrainingArgs {
    /// Times that training goes through all windows; without it, as often as the recipe does.
    #[arg(long, value_name = "N")]
    pub epochs: Option<NonZeroUsize>,
    /// Start of the random numbers: the same seed and data give the same model.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The quantile of the training windows' losses that becomes the threshold; without it, the recipe's 0.99.
    #[arg(long, value_name = "Q", value_parser = threshold_quantile)]
    pub threshold_quantile: Option<f64>,
    /// How detections are made: fused or lstm-autoencoder.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub detector: Detector,
}

/// A time between two readings of a pump.
pub(super) fn interval_ms(text: &str) -> Result<i64, String> {
    let allowed = || format!("allowed: milliseconds from {} to {}", INTERVALS_MS.start(), INTERVALS_MS.end());
    text.parse().ok().filter(|ms| INTERVALS_MS.contains(ms)).ok_or_else(allowed)
}

fn threshold_quantile(text: &str) -> Result<f64, String> {
    let threshold_quantile = text.parse().map_err(|_| "allowed: a number above 0, to 1".to_owned())?;
    let recipe = Recipe { threshold_quantile, ..Recipe::default() };
    recipe.check().map(|()| threshold_quantile).map_err(|error| error.to_string())
}
