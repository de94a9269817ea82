//! The commands, one file each.

mod check_config;
mod replay;

use std::io;

use anyhow::bail;

pub use replay::{NodeUrl, Speed};

use crate::{cli::Command, config::Settings};

/// Runs a command to its end.
pub fn run(command: Command, settings: &Settings) -> anyhow::Result<()> {
    match command {
        Command::Serve(_) => bail!("`serve` is not in this build yet"),
        Command::Train(_) => bail!("`train` is not in this build yet"),
        Command::Evaluate(_) => bail!("`evaluate` is not in this build yet"),
        Command::Replay(args) => replay::run(&args, &mut io::stdout().lock()),
        Command::CheckConfig(_) => check_config::run(settings, &mut io::stdout().lock()),
    }
}
