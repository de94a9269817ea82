//! The commands, one module for each.

mod backup;
mod bench;
mod check_config;
mod confirm_clock;
mod data_folder;
mod evaluate;
mod export;
mod import;
mod kind_reports;
mod models;
mod notes;
mod open_store;
mod profiles;
mod progress;
mod pump_reports;
mod pumps;
mod replay;
mod restore;
mod serve;
mod simulate;
mod train;
mod windows;

use std::{
    io::{self, Write},
    num::NonZeroUsize,
    thread,
};

use volute_anomaly::{Model, Recipe};

use crate::{
    cli::{Command, EvaluateArgs, TrainingArgs},
    config::Settings,
};

/// Runs a command, and returns when it has ended.
pub fn run(command: Command, settings: &Settings) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(&settings.config, args.demo),
        Command::Train(args) => {
            let recipe = recipe(&args.training);
            let rows = args.rows.map(NonZeroUsize::get);
            let (each_its_own_pump, profile, dialect) = (args.each_its_own_pump, args.profile, args.dialect.into());
            let (interval_ms, csv, every, out, replace) =
                (args.interval_ms, args.csv, args.every, args.out, args.replace);
            let training = train::Training {
                profile,
                interval_ms,
                csv,
                dialect,
                each_its_own_pump,
                every,
                rows,
                out,
                replace,
                recipe,
            };
            train::run(&training)
        }
        Command::Models(args) => {
            let models = models::Models { profile: args.profile, dir: args.dir, activate: args.activate };
            models::run(&models, &mut io::stdout().lock())
        }
        Command::Simulate(args) => simulate::run(&args, &mut io::stdout().lock()),
        Command::Evaluate(args) => evaluate(args, &mut io::stdout().lock()),
        Command::Replay(args) => replay::run(&args, &mut io::stdout().lock()),
        Command::Backup(args) => backup::run(&args, &settings.config, &mut io::stdout().lock()),
        Command::Restore(args) => restore::run(&args, &settings.config, &mut io::stdout().lock()),
        Command::Export(args) => export::run(&args, &settings.config, &mut io::stdout().lock()),
        Command::Import(args) => import::run(&args, &settings.config, &mut io::stdout().lock()),
        Command::ConfirmClock(args) => confirm_clock::run(&args, &settings.config, &mut io::stdout().lock()),
        Command::Profiles(args) => profiles::run(&args, &settings.config, &mut io::stdout().lock()),
        Command::Pumps(args) => pumps::run(&args, &settings.config, &mut io::stdout().lock()),
        Command::Bench(args) => bench::run(&args, &mut io::stdout().lock()),
        Command::CheckConfig(_) => check_config::run(settings, &mut io::stdout().lock()),
    }
}

fn evaluate(args: EvaluateArgs, output: &mut dyn Write) -> anyhow::Result<()> {
    let recipe = recipe(&args.training);
    let jobs = args.jobs.or(thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let (profile, interval_ms, format, dialect) = (args.profile, args.interval_ms, args.format, args.dialect.into());
    match (args.model, args.data, args.out) {
        (Some(dir), ..) => {
            let (commissioning, model, id) =
                (recipe.commissioning(), Model::load(&dir, &profile)?, "simulated".parse()?);
            let EvaluateArgs { pumps, commissioning_hours, days: healthy_days, .. } = args;
            let simulated = evaluate::Simulated {
                profile,
                id,
                model,
                commissioning,
                pumps,
                commissioning_hours,
                healthy_days,
                jobs,
                format,
            };
            evaluate::run_simulated(&simulated, output)
        }
        (None, Some(data), Some(out)) => {
            let evaluation = evaluate::Evaluation {
                profile,
                interval_ms,
                data,
                dialect,
                out,
                recipe,
                seeds: args.seeds,
                jobs,
                format,
            };
            match args.cross_validate {
                Some(candidates) => evaluate::choose_tuning(&evaluation, candidates, output),
                None => evaluate::run(&evaluation, output),
            }
        }
        // The command line requires either --model, or --data and --out.
        (None, ..) => Ok(()),
    }
}

fn recipe(args: &TrainingArgs) -> Recipe {
    let default = Recipe::default();
    Recipe {
        epochs: args.epochs.map_or(default.epochs, NonZeroUsize::get),
        seed: args.seed,
        threshold_quantile: args.threshold_quantile.unwrap_or(default.threshold_quantile),
        detector: args.detector,
        ..default
    }
}
