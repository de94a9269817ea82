//! The program `volute`: parses the command line, loads the configuration, starts logging and runs the command.
//!
//! Exit codes: 0 success, 1 failure, 2 wrong usage or configuration.

use std::{env, fmt::Display, process::ExitCode};

use rustix::{fs::Mode, process::umask};
use volute::{cli::Cli, commands, config, telemetry};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Applies the variable FAILPOINTS until the scenario is dropped.
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    let Cli { command } = Cli::read(env::args_os()).unwrap_or_else(|error| error.exit());
    if command.has_store() {
        // What is stored, backed up or exported is for the owner only. No other thread runs yet.
        umask(Mode::RWXG | Mode::RWXO);
    }
    let settings = match config::load(command.config_file(), env::vars_os(), &command.flags()) {
        Ok(settings) => settings,
        Err(error) => return fail(2, &error),
    };
    if let Err(error) = telemetry::init(&settings.config.log) {
        return fail(2, &error);
    }
    match commands::run(command, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &with_causes(&error)),
    }
}

/// Returns the error's text followed by its causes, except for those that the text already contains.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[expect(clippy::print_stderr, reason = "the error message of a command")]
fn fail(code: u8, error: &dyn Display) -> ExitCode {
    eprintln!("volute: {error}");
    ExitCode::from(code)
}
