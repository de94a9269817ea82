//! The command line of `volute notify`.

use clap::{Args, Subcommand};

use super::StoreArgs;

pub(super) const NOTIFY_EXAMPLES: &str = "\
Examples:
  volute notify test --config /etc/volute.toml

Sends one e-mail to each recipient, also to those of escalations, and calls the webhook, as [notify] of the configuration says.
Prints for each whether the server has accepted it. The exit code is 1 if one has not.";

/// The arguments of `notify`.
#[derive(Debug, Args)]
pub struct NotifyArgs {
    /// The command.
    #[command(subcommand)]
    pub command: NotifyCommand,
}

/// The commands of `notify`.
#[derive(Debug, Subcommand)]
pub enum NotifyCommand {
    /// Send a test message to everybody, and print the outcomes.
    Test {
        /// The configuration.
        #[command(flatten)]
        store: StoreArgs,
    },
}

impl NotifyArgs {
    /// Returns the arguments that name the configuration.
    pub fn store(&self) -> &StoreArgs {
        let NotifyCommand::Test { store } = &self.command;
        store
    }
}
