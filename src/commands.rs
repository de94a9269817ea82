//! The commands, one file each.

mod bench;
mod check_config;
mod evaluate;
mod progress;
mod replay;
mod serve;
mod simulate;
mod train;
mod windows;

use std::{io, num::NonZeroUsize, thread};

use volute_anomaly::Recipe;

pub use replay::{NodeUrl, Speed};

use crate::{
    cli::{Command, TrainingArgs},
    config::Settings,
};

/// Runs a command to its end.
pub fn run(command: Command, settings: &Settings) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(&settings.config, args.demo),
        Command::Train(args) => {
            let recipe = recipe(&args.training);
            let rows = args.rows.map(NonZeroUsize::get);
            train::run(&train::Training { profile: args.profile, csv: args.csv, rows, out: args.out, recipe })
        }
        Command::Simulate(args) => simulate::run(&args, &mut io::stdout().lock()),
        Command::Evaluate(args) => {
            let recipe = recipe(&args.training);
            let jobs = args.jobs.or(thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
            let (profile, data, out) = (args.profile, args.data, args.out);
            evaluate::run(&evaluate::Evaluation { profile, data, out, recipe, jobs }, &mut io::stdout().lock())
        }
        Command::Replay(args) => replay::run(&args, &mut io::stdout().lock()),
        Command::Bench(args) => bench::run(&args, &mut io::stdout().lock()),
        Command::CheckConfig(_) => check_config::run(settings, &mut io::stdout().lock()),
    }
}

fn recipe(args: &TrainingArgs) -> Recipe {
    let default = Recipe::default();
    Recipe {
        epochs: args.epochs.map_or(default.epochs, NonZeroUsize::get),
        seed: args.seed,
        threshold_quantile: args.threshold_quantile.unwrap_or(default.threshold_quantile),
        ..default
    }
}
