//! The flags of `evaluate`.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, ValueEnum};
use volute_plant::Profile;

use super::{
    Damage, DialectArgs, Format, TrainingArgs,
    train::interval_ms,
    values::{finite, whole_from_1},
};
use crate::profiles;

pub(super) const EVALUATE_EXAMPLES: &str = "\
Examples:
  volute evaluate --profile skab --data ~/SKAB/data --out results/skab
      Writes predictions (CSV) and a plot (SVG) for each recording below the folder, at the same path below --out,
      and prints the figures beside the figures published for SKAB.
  volute evaluate --profile skab --data ~/SKAB/data --out results/skab --seeds 5 --detector lstm-autoencoder
      The plain recipe, and how much its results vary with the seed.
  volute evaluate --profile skab --data ~/SKAB/data --out results/skab --damage dropout=0.1,drift.Pressure=3
      The same with a tenth of the cells missing, and a pressure sensor that drifts by three standard deviations.
  volute evaluate --profile skab --data ~/SKAB/data --out results/skab --seeds 2 --cross-validate 2000
      How the constants of the detector `fused` were chosen.
  volute evaluate --simulated --model models/pretrained/centrifugal --pumps 25 --days 2
      Simulated pumps: false episodes, faults found, delays, and whether the right channel is named.
  volute evaluate --simulated --plant variable-speed --pumps 6 --days 28 --season-k 15
      Variable-speed pumps, a reading per minute, with a network trained on other pumps of that plant, while it gets 15 K
      warmer. With --network own each pump has a network of its own.";

/// The arguments of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// The profile: centrifugal, skab, or a path such as ./mine.toml; by default centrifugal, or that of the simulated
    /// plant.
    #[arg(long, value_name = "NAME", value_parser = profiles::load)]
    pub profile: Option<Profile>,
    /// The interval between two readings, in milliseconds, 100 to 86400000; by default the profile's, or that of a
    /// recording's rows if it is longer. For recordings and variable-speed pumps.
    #[arg(long, value_name = "MS", value_parser = interval_ms)]
    pub interval_ms: Option<i64>,
    /// Folder of labelled recordings (CSV), with its subfolders. The label is `anomaly`, or a `machine_status` that is
    /// not NORMAL; with a `machine_status`, only NORMAL rows are trained on.
    #[arg(long, value_name = "DIR", required_unless_present = "simulated")]
    pub data: Option<PathBuf>,
    /// How to read the recordings, as far as this cannot be detected from the files.
    #[command(flatten)]
    pub dialect: DialectArgs,
    /// Folder for predictions and plots: a new or empty one, or that of an earlier evaluation of the same recordings.
    #[arg(long, value_name = "DIR", required_unless_present = "simulated")]
    pub out: Option<PathBuf>,
    /// How to train.
    #[command(flatten)]
    pub training: TrainingArgs,
    /// The number of seeds to measure with, beginning with --seed; the spread is printed. For recordings and
    /// variable-speed pumps.
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole_from_1)]
    pub seeds: NonZeroUsize,
    /// Choose the constants of the detector `fused` among N candidates by leave-one-recording-out cross-validation, and
    /// print the result. Nothing is written.
    #[arg(long, value_name = "N", conflicts_with = "simulated", value_parser = whole_from_1)]
    pub cross_validate: Option<NonZeroUsize>,
    /// The number of first rows of each recording to train on, from 100. By default 400, as in the benchmark SKAB.
    #[arg(long, value_name = "N", default_value = "400", conflicts_with = "simulated", value_parser = training_rows)]
    pub training_rows: NonZeroUsize,
    /// Damage each recording after its training rows, the same for the same --seed: dropout=SHARE of the cells missing,
    /// jitter=SECONDS by which times move at most, noise.CHANNEL=N and drift.CHANNEL=N. Noise (its standard deviation)
    /// and drift (at the last row) are in standard deviations of the channel in the training rows. Separate several
    /// with commas.
    #[arg(long, value_name = "DAMAGE", conflicts_with = "simulated")]
    pub damage: Option<Damage>,
    /// Recordings or pumps to work on at once; by default one per core.
    #[arg(long, value_name = "N", value_parser = whole_from_1)]
    pub jobs: Option<NonZeroUsize>,
    /// The output format.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Measure on simulated pumps, which are commissioned first, instead of on recordings.
    #[arg(long, conflicts_with_all = ["data", "out"])]
    pub simulated: bool,
    /// The kind of simulated pumps.
    #[arg(long, value_enum, default_value_t = Plant::FixedSpeed, requires = "simulated")]
    pub plant: Plant,
    /// Folder of the model for --simulated. Without it, variable-speed pumps get a network trained as --network says.
    #[arg(long, value_name = "DIR", requires = "simulated")]
    pub model: Option<PathBuf>,
    /// What the network of a variable-speed pump is trained on.
    #[arg(long, value_enum, default_value_t = NetworkSource::Shared, requires = "simulated", conflicts_with = "model")]
    pub network: NetworkSource,
    /// The number of other pumps that a shared network is trained on, 14 days of each.
    #[arg(long, value_name = "N", default_value = "4", requires = "simulated", value_parser = whole_from_1)]
    pub training_pumps: NonZeroUsize,
    /// The number of simulated pumps; by default 25, or 6 variable-speed pumps.
    #[arg(long, value_name = "N", requires = "simulated", value_parser = whole_from_1)]
    pub pumps: Option<NonZeroUsize>,
    /// Days for which each healthy pump is watched; by default 2, or 28 days with those of commissioning for
    /// variable-speed pumps.
    #[arg(long, value_name = "N", requires = "simulated", value_parser = whole_from_1)]
    pub days: Option<NonZeroUsize>,
    /// Hours of commissioning for each pump, 0.1 to 1000. With several (0.25,1,4) each is measured.
    #[arg(
        long, value_name = "HOURS", default_value = "24", value_delimiter = ',', value_parser = hours, requires = "simulated"
    )]
    pub commissioning_hours: Vec<f64>,
    /// Leave out the faults.
    #[arg(long, requires = "simulated")]
    pub healthy_only: bool,
    /// For variable-speed pumps: by how many kelvins the ambient temperature rises within 28 days.
    #[arg(long, value_name = "K", default_value_t = 0.0, allow_negative_numbers = true, requires = "simulated", value_parser = finite)]
    pub season_k: f64,
    /// For variable-speed pumps: by how many kelvins the ambient temperature is higher on one day, half way.
    #[arg(long, value_name = "K", default_value_t = 0.0, allow_negative_numbers = true, requires = "simulated", value_parser = finite)]
    pub hot_day_k: f64,
    /// For variable-speed pumps: run for 1 to 3 hours, then stand for 8 to 22 hours.
    #[arg(long, requires = "simulated")]
    pub standby: bool,
}

/// A family of simulated pumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Plant {
    /// Pumps like those that the pretrained model was trained on, with a reading per second.
    FixedSpeed,
    /// Pumps with frequency inverters and other physics, with a reading per minute.
    VariableSpeed,
}

/// What a network is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NetworkSource {
    /// Other pumps of the plant.
    Shared,
    /// The windows of the pump's own commissioning.
    Own,
}

impl EvaluateArgs {
    /// Returns an error if a flag does not fit the plant.
    pub fn check(&self) -> Result<(), &'static str> {
        if !self.simulated || self.plant == Plant::VariableSpeed {
            return Ok(());
        }
        if self.model.is_none() {
            return Err("--simulated needs --model, or --plant variable-speed");
        }
        let is_default = self.season_k == 0.0 && self.hot_day_k == 0.0 && !self.standby;
        if !is_default || self.interval_ms.is_some() || self.network == NetworkSource::Own || self.seeds.get() > 1 {
            return Err("--season-k, --hot-day-k, --standby, --interval-ms, --network own and --seeds need \
                        --plant variable-speed with --simulated");
        }
        Ok(())
    }
}

fn training_rows(text: &str) -> Result<NonZeroUsize, String> {
    let allowed = || "allowed: a number of rows from 100".to_owned();
    text.parse().ok().filter(|rows: &NonZeroUsize| rows.get() >= 100).ok_or_else(allowed)
}

fn hours(text: &str) -> Result<f64, String> {
    let allowed = || "allowed: hours from 0.1 to 1000".to_owned();
    text.parse().ok().filter(|hours| (0.1..=1_000.0).contains(hours)).ok_or_else(allowed)
}
