//! The commands, one module for each.

mod access;
mod audit;
mod backup;
mod bench;
mod check_config;
mod confirm_clock;
mod data_folder;
mod evaluate;
mod export;
mod import;
mod kind_reports;
mod kinds_of_node;
mod models;
mod notes;
mod notifications;
mod notify;
mod open_store;
mod profiles;
mod progress;
mod pump_reports;
mod pumps;
mod replay;
mod restore;
mod serve;
mod simulate;
mod stopped_audit;
mod train;
mod windows;

use std::{
    io::{self, Write},
    num::NonZeroUsize,
    thread,
};

use anyhow::Context;
use volute_anomaly::{Model, Recipe};
use volute_plant::Profile;
use volute_simulator::variable_speed;

use crate::{
    cli::{Command, EvaluateArgs, NetworkSource, Plant, TrainingArgs},
    config::Settings,
    model_versions::check_model_folder,
};

/// Runs a command.
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
        Command::User(args) => access::run_user(args, &settings.config, &mut io::stdout().lock()),
        Command::Token(args) => access::run_token(args, &settings.config, &mut io::stdout().lock()),
        Command::Audit(args) => audit::run(args, &settings.config, &mut io::stdout().lock()),
        Command::Notify(_) => notify::run(&settings.config, &mut io::stdout().lock()),
        Command::Pumps(args) => pumps::run(&args, &settings.config, &mut io::stdout().lock()),
        Command::Bench(args) => bench::run(&args, &mut io::stdout().lock()),
        Command::CheckConfig(_) => check_config::run(settings, &mut io::stdout().lock()),
    }
}

fn evaluate(args: EvaluateArgs, output: &mut dyn Write) -> anyhow::Result<()> {
    match (args.simulated, args.plant) {
        (false, _) => evaluate_recordings(args, output),
        (true, Plant::FixedSpeed) => evaluate_fixed_speed(args, output),
        (true, Plant::VariableSpeed) => evaluate_variable_speed(args, output),
    }
}

fn evaluate_recordings(args: EvaluateArgs, output: &mut dyn Write) -> anyhow::Result<()> {
    // The command line requires both.
    let (Some(data), Some(out)) = (args.data, args.out) else { return Ok(()) };
    let evaluation = evaluate::Evaluation {
        profile: profile_or(args.profile, crate::profiles::CENTRIFUGAL)?,
        protocol: evaluate::Protocol {
            interval_ms: args.interval_ms,
            dialect: args.dialect.into(),
            training_rows: args.training_rows,
            damage: args.damage.unwrap_or_default(),
        },
        data,
        out,
        recipe: recipe(&args.training),
        seeds: args.seeds,
        jobs: jobs(args.jobs),
        format: args.format,
    };
    match args.cross_validate {
        Some(candidates) => evaluate::choose_tuning(&evaluation, candidates, output),
        None => evaluate::run(&evaluation, output),
    }
}

fn evaluate_fixed_speed(args: EvaluateArgs, output: &mut dyn Write) -> anyhow::Result<()> {
    let profile = profile_or(args.profile, crate::profiles::CENTRIFUGAL)?;
    let dir = args.model.context("--simulated needs --model")?;
    check_model_folder(&dir)?;
    let simulated = evaluate::Simulated {
        model: Model::load(&dir, &profile)?,
        profile,
        id: "simulated".parse()?,
        commissioning: recipe(&args.training).commissioning(),
        pumps: args.pumps.unwrap_or(const { NonZeroUsize::new(25).unwrap() }),
        commissioning_hours: args.commissioning_hours,
        healthy_only: args.healthy_only,
        seed: args.training.seed,
        healthy_days: args.days.unwrap_or(const { NonZeroUsize::new(2).unwrap() }),
        jobs: jobs(args.jobs),
        format: args.format,
    };
    evaluate::run_simulated(&simulated, output)
}

fn evaluate_variable_speed(args: EvaluateArgs, output: &mut dyn Write) -> anyhow::Result<()> {
    let mut profile = profile_or(args.profile, variable_speed::PROFILE)?;
    if let Some(interval_ms) = args.interval_ms {
        profile = profile.with_interval(interval_ms).context("--interval-ms is not a valid interval of a pump")?;
    }
    let network = match (args.model, args.network) {
        (Some(dir), _) => {
            check_model_folder(&dir)?;
            evaluate::Network::Given(Box::new(Model::load(&dir, &profile)?))
        }
        (None, NetworkSource::Own) => evaluate::Network::Own,
        (None, NetworkSource::Shared) => evaluate::Network::OtherPumps(args.training_pumps),
    };
    let days = args.days.unwrap_or(const { NonZeroUsize::new(28).unwrap() });
    let hot_day = (args.hot_day_k != 0.0).then_some((days.get() as u32 / 2, args.hot_day_k));
    let bench = evaluate::VariableSpeed {
        profile,
        plan: variable_speed::Plan {
            runs: if args.standby {
                variable_speed::RunPattern::Standby
            } else {
                variable_speed::RunPattern::Continuous
            },
            ambient: variable_speed::AmbientPlan { season_k: args.season_k, hot_day },
        },
        network,
        recipe: recipe(&args.training),
        seeds: args.seeds,
        pumps: args.pumps.unwrap_or(const { NonZeroUsize::new(6).unwrap() }),
        commissioning_hours: args.commissioning_hours,
        days,
        healthy_only: args.healthy_only,
        jobs: jobs(args.jobs),
        format: args.format,
    };
    evaluate::run_variable_speed(&bench, output)
}

fn profile_or(profile: Option<Profile>, default: &str) -> anyhow::Result<Profile> {
    profile.map_or_else(|| Ok(Profile::from_toml(default)?), Ok)
}

fn jobs(jobs: Option<NonZeroUsize>) -> NonZeroUsize {
    jobs.or(thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
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
