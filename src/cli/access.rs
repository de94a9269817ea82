//! The flags of the commands on users and tokens: `user` and `token`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use volute_access::{Name, Role};
use volute_plant::PumpId;

use super::StoreArgs;

pub(super) const USER_EXAMPLES: &str = "\
Examples:
  volute user add ada --role admin
      Adds a user, and prints the link with which the user sets a password. From then on the node requires a login.
  volute user reset ada
      Ends the user's password and sessions, and prints a new link.

The node may be running or stopped. A link works once, within a day. Roles: viewer, engineer, plant-head, manager, admin;
docs/security.md says what each may do.";

pub(super) const TOKEN_EXAMPLES: &str = "\
Examples:
  volute token add gateway-1 --pump line-3 --pump line-4 --register
      Prints the token, once. The gateway sends it with each post: Authorization: Bearer vpt_...
  volute token add gateway-2 --pumps-file pumps.txt --expires-days 365
  volute token revoke 0123456789abcdef

The node may be running or stopped. A device or gateway may have two valid tokens, so that one can be replaced without a gap.";

/// The arguments of `user`.
#[derive(Debug, Args)]
pub struct UserArgs {
    /// The command.
    #[command(subcommand)]
    pub command: UserCommand,
}

/// The commands of `user`.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List the users.
    List {
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Add a user, and print the link with which the user sets a password.
    Add {
        /// The user's name.
        #[arg(value_name = "NAME")]
        name: Name,
        /// viewer, engineer, plant-head, manager or admin.
        #[arg(long, value_name = "ROLE", value_parser = role)]
        role: Role,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// End a user's password and sessions, enable the user, and print a new link.
    Reset {
        /// The user's name.
        #[arg(value_name = "NAME")]
        name: Name,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Give a user another role.
    SetRole {
        /// The user's name.
        #[arg(value_name = "NAME")]
        name: Name,
        /// viewer, engineer, plant-head, manager or admin.
        #[arg(value_name = "ROLE", value_parser = role)]
        role: Role,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Let a disabled user of the identity provider log in again; a user with a password needs a reset.
    Enable {
        /// The user's name.
        #[arg(value_name = "NAME")]
        name: Name,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Disable a user, and end the user's sessions.
    Disable {
        /// The user's name.
        #[arg(value_name = "NAME")]
        name: Name,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
}

impl UserArgs {
    pub(super) fn store(&self) -> &StoreArgs {
        match &self.command {
            UserCommand::List { store }
            | UserCommand::Add { store, .. }
            | UserCommand::Reset { store, .. }
            | UserCommand::SetRole { store, .. }
            | UserCommand::Enable { store, .. }
            | UserCommand::Disable { store, .. } => store,
        }
    }
}

/// The arguments of `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The command.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// The commands of `token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List the pump tokens, without their secrets.
    List {
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Add a token with which a device or gateway posts readings of its pumps, and print it.
    Add {
        /// The name of the device or gateway.
        #[arg(value_name = "NAME")]
        name: Name,
        /// A pump whose readings the token may post; may be given several times.
        #[arg(long = "pump", value_name = "ID", required_unless_present = "pumps_file")]
        pumps: Vec<PumpId>,
        /// A file with the ids of further pumps, one per line.
        #[arg(long, value_name = "FILE")]
        pumps_file: Option<PathBuf>,
        /// Allow the token to register those of its pumps that are new.
        #[arg(long)]
        register: bool,
        /// The number of days after which the token expires; by default it never expires.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
        expires_days: Option<u32>,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Revoke a token.
    Revoke {
        /// The token's id, as `volute token list` prints it.
        #[arg(value_name = "ID")]
        id: String,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
}

impl TokenArgs {
    pub(super) fn store(&self) -> &StoreArgs {
        match &self.command {
            TokenCommand::List { store } | TokenCommand::Add { store, .. } | TokenCommand::Revoke { store, .. } => {
                store
            }
        }
    }
}

fn role(name: &str) -> Result<Role, String> {
    Role::named(name).ok_or_else(|| format!("allowed: {}", Role::ALL.map(Role::as_str).join(", ")))
}
