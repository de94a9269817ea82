//! The flags of the commands on a node's data: `backup`, `restore`, `export`, `import`, `confirm-clock`, `pumps`,
//! `profiles`. In the help, a key in brackets, such as `[store.dir]`, is the configuration key that the flag sets.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use volute_data::ExportFormat;
use volute_plant::{HOLD_RANGE_S, PumpId, PumpName, Timestamp};

use super::DialectArgs;
use crate::config::Flag;

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  volute backup /mnt/backups/line-3
      Makes a backup of the node on this machine, running or stopped.
  volute backup /mnt/backups/line-3 --config /etc/volute.toml

A running node makes the backup itself, as its own user, and continues to accept readings. Each backup is a folder named by
its time, and complete in itself; files that did not change since the last backup take no space. Keep one repository for each
node. Old backups may be deleted, in any order.";

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  volute restore /mnt/backups/line-3 --list
  volute restore /mnt/backups/line-3 --config /etc/volute.toml
      Restores the newest backup into the configured folder, which must be empty or absent.
  volute restore /mnt/backups/line-3 --which 2026-11-25T06-20-00Z --data-dir ./volute-data

Every file is checked against the backup's manifest first; a damaged backup is not restored.";

pub(super) const EXPORT_EXAMPLES: &str = "\
Examples:
  volute export --pump line-3 --out line-3.csv
  volute export --pump line-3 --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z --format parquet --out nov.parquet

A running node writes the file itself, as its own user. `train`, `replay` and `import` read the CSV format. If no reading
is in the range, no file is written, and the exit code is 1.";

pub(super) const IMPORT_EXAMPLES: &str = "\
Examples:
  volute import old-system.csv --pump line-3
  volute import run.csv --pump skab-1 --profile skab --config /etc/volute.toml

  volute import logger.csv --pump line-3 --time-format '%d.%m.%Y %H:%M:%S' --time-zone Europe/Berlin --dry-run
      Reports on the file and what would be stored, and stores nothing.
  volute import minutes.csv --pump line-3 --interval-ms 60000
      Also sets the pump's interval to one minute: the file has a row per minute, and the profile's interval is a second.
      Without the flag the command prints the interval that fits the rows.
  volute import --original ./old --pump line-3
      Imports the original system's recordings, readings and maintenance events; see docs/upgrade.md.

The node must be stopped. Rows become history: they raise no alarms. Rows that are stored already are left out, so an
interrupted import can be repeated. If two rows, or a row and a stored reading, of one time have different values, nothing is
stored, and the exit code is 1. To send a recording to a running node, use volute replay.

A recording is CSV with a header: timestamp and at least one channel of the profile. Delimiter, decimal mark, encoding and
the formats of numbers and times are detected if they are unambiguous; otherwise the error names the flag to use.";

pub(super) const CONFIRM_CLOCK_EXAMPLES: &str = "\
Examples:
  date -u && volute confirm-clock
  date -u && volute confirm-clock --config /etc/volute.toml

A node whose clock is more than a week ahead of the last time it ran, for example after a long stop, deletes no expired rows,
and refuses readings without a timestamp, until the clock is confirmed; /readyz and the dashboard report this. Check the time
first: with a wrong clock, the whole history may count as expired.";

pub(super) const PROFILES_EXAMPLES: &str = "\
Examples:
  volute profiles list
  volute profiles add skab --model ./models/skab
  volute profiles add ./bearing.toml
  volute profiles remove bearing
      Removes the profile bearing, unless a pump has it.";

pub(super) const PUMPS_EXAMPLES: &str = "\
Examples:
  volute pumps list
  volute pumps settings line-3
  volute pumps set-interval line-3 60000
      Sets the interval of a pump that is measured once per minute. Its baseline is learned again, for windows of one-minute
      steps.
  volute pumps set-hold line-3 600 --channel Vibration_mm_s
      Sets how long the last value of a channel remains valid: 10 minutes. For a channel that is reported only when it changes.
  volute pumps rename 'P-101A/B' 'Feed pump 3'
  volute pumps remove line-3 --config /etc/volute.toml

Settings of a pump are durable, and override its profile. `remove` deletes the pump's readings, detections, baselines and
maintenance events; only a backup brings them back. The audit log is kept. If the pump posts under this id later, it is a new
pump. Write an id that begins with - after --, as in `volute pumps remove -- -M1`, or after =, as in
`volute export --pump=-M1`.";

/// Parses a hold time.
fn hold_s(text: &str) -> Result<i64, String> {
    let allowed = || format!("allowed: seconds from {} to {}", HOLD_RANGE_S.start(), HOLD_RANGE_S.end());
    text.parse().ok().filter(|s| HOLD_RANGE_S.contains(s)).ok_or_else(allowed)
}

/// The data directory of a node.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// A configuration file (TOML), which overrides the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory [store.dir].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
}

impl StoreArgs {
    /// Returns the given flags with the configuration keys that they set.
    pub(super) fn flags(&self) -> Vec<Flag> {
        let flag = |value: &String| Flag { name: "--data-dir", key: "store.dir", value: value.clone() };
        self.data_dir.iter().map(flag).collect()
    }
}

/// The arguments of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The folder for backups; created if it does not exist.
    #[arg(value_name = "REPOSITORY")]
    pub repository: PathBuf,
    /// The node's data directory.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// The arguments of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The folder of backups, or one of the backups.
    #[arg(value_name = "REPOSITORY")]
    pub repository: PathBuf,
    /// The backup's name; by default the newest.
    #[arg(long, value_name = "STAMP")]
    pub which: Option<String>,
    /// Only list the backups.
    #[arg(long, conflicts_with = "which")]
    pub list: bool,
    /// The data directory to restore the backup to.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// The arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The pump.
    #[arg(long, value_name = "ID")]
    pub pump: PumpId,
    /// From this time on (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// Up to, but not including, this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub to: Option<Timestamp>,
    /// csv: the values as sent, readable as a recording; parquet: everything that is stored of each reading.
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    pub format: ExportFormat,
    /// The file to write, which must not exist; or a folder, in which the file is named after the pump's id.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The node's data directory.
    #[command(flatten)]
    pub store: StoreArgs,
}

impl ExportArgs {
    /// Returns an error if the time range is empty.
    pub(super) fn check_range(&self) -> Result<(), String> {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from >= to => Err(format!("--from {from} is not before --to {to}")),
            _ => Ok(()),
        }
    }
}

/// The arguments of `confirm-clock`.
#[derive(Debug, Args)]
pub struct ConfirmClockArgs {
    /// The node's data directory.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// The arguments of `pumps`.
#[derive(Debug, Args)]
pub struct PumpsArgs {
    /// The command.
    #[command(subcommand)]
    pub command: PumpsCommand,
}

/// The commands of `pumps`.
#[derive(Debug, Subcommand)]
pub enum PumpsCommand {
    /// List the pumps.
    List {
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Set the interval between two readings of one pump, which overrides its profile's. Its baseline is learned again,
    /// from the same stored readings.
    SetInterval {
        /// The pump.
        #[arg(value_name = "ID")]
        pump: PumpId,
        /// The interval in milliseconds, 100 to 86400000; without it, the interval of the profile applies again.
        #[arg(value_name = "MS", value_parser = super::train::interval_ms)]
        interval_ms: Option<i64>,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Assign another profile with the same channels to a pump, while the node runs. Its baseline is learned again.
    SetProfile {
        /// The pump.
        #[arg(value_name = "ID")]
        pump: PumpId,
        /// The name of the profile; see `volute profiles list`.
        #[arg(value_name = "PROFILE")]
        profile: String,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Set a pump's display name, or remove it. The id does not change.
    Rename {
        /// The pump.
        #[arg(value_name = "ID")]
        pump: PumpId,
        /// The display name, 1 to 80 characters; without it, the name is removed.
        #[arg(value_name = "NAME")]
        name: Option<PumpName>,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Set how long a channel's last value holds if no new one is sent, for a pump that reports only changes. It
    /// overrides the profile's `hold_s`.
    SetHold {
        /// The pump.
        #[arg(value_name = "ID")]
        pump: PumpId,
        /// The hold time in seconds, 0 to 86400; without it, the hold time of the profile applies again.
        #[arg(value_name = "S", value_parser = hold_s)]
        hold_s: Option<i64>,
        /// The channel; by default all channels.
        #[arg(long, value_name = "NAME")]
        channel: Option<String>,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Show the settings of one pump.
    Settings {
        /// The pump.
        #[arg(value_name = "ID")]
        pump: PumpId,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Remove a pump with everything that is stored of it.
    Remove {
        /// The pump's id.
        // Accepts an id that only earlier versions allowed, so that such a pump can still be removed.
        #[arg(value_name = "ID", value_parser = PumpId::from_stored)]
        pump: PumpId,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
}

impl PumpsArgs {
    pub(super) fn store(&self) -> &StoreArgs {
        match &self.command {
            PumpsCommand::List { store }
            | PumpsCommand::SetInterval { store, .. }
            | PumpsCommand::SetProfile { store, .. }
            | PumpsCommand::Rename { store, .. }
            | PumpsCommand::SetHold { store, .. }
            | PumpsCommand::Settings { store, .. }
            | PumpsCommand::Remove { store, .. } => store,
        }
    }
}

/// The arguments of `profiles`.
#[derive(Debug, Args)]
pub struct ProfilesArgs {
    /// The command.
    #[command(subcommand)]
    pub command: ProfilesCommand,
}

/// The commands of `profiles`.
#[derive(Debug, Subcommand)]
pub enum ProfilesCommand {
    /// List the node's profiles. For a stopped node, give the profile and model that it is started with, unless they
    /// are in its configuration file.
    List {
        /// The profile of the stopped node's configuration: centrifugal, skab, or a path such as ./mine.toml
        /// [model.profile].
        #[arg(long, value_name = "NAME")]
        profile: Option<String>,
        /// The folder of that profile's model [model.dir].
        #[arg(long, value_name = "DIR")]
        model: Option<String>,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Add a profile, and optionally its model. Both are checked completely before anything is stored. An existing
    /// profile may be given another model, which all its pumps use at once; they learn their baselines again. A profile
    /// that cannot be read is repaired by adding it again.
    Add {
        /// The profile: centrifugal, skab, or a path such as ./mine.toml.
        #[arg(value_name = "PROFILE")]
        profile: String,
        /// The folder of a trained model.
        #[arg(long, value_name = "DIR")]
        model: Option<PathBuf>,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Remove a profile, and its model. Refused while a pump has it, and for the profile of the node's configuration.
    Remove {
        /// The profile's name.
        #[arg(value_name = "NAME")]
        name: String,
        /// The node's data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
}

impl ProfilesArgs {
    pub(super) fn store(&self) -> &StoreArgs {
        match &self.command {
            ProfilesCommand::List { store, .. }
            | ProfilesCommand::Add { store, .. }
            | ProfilesCommand::Remove { store, .. } => store,
        }
    }

    pub(super) fn flags(&self) -> Vec<Flag> {
        let mut flags = self.store().flags();
        if let ProfilesCommand::List { profile, model, .. } = &self.command {
            let given = [("--profile", "model.profile", profile), ("--model", "model.dir", model)];
            let flag = |(name, key, value): (_, _, &Option<String>)| Some(Flag { name, key, value: value.clone()? });
            flags.extend(given.into_iter().filter_map(flag));
        }
        flags
    }
}

/// The arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The recording (CSV).
    #[arg(value_name = "FILE", required_unless_present = "original")]
    pub file: Option<PathBuf>,
    /// The history of the original system (docs/upgrade.md): a folder with recordings, sensor_readings.csv and
    /// maintenance_events.csv.
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    pub original: Option<PathBuf>,
    /// The mapping of the original's columns (TOML); see docs/upgrade.md.
    #[arg(long, value_name = "FILE", requires = "original")]
    pub mapping: Option<PathBuf>,
    /// The pump, registered if it is new; with --original, the pump of rows that name no pump.
    #[arg(long, value_name = "ID", required_unless_present = "original")]
    pub pump: Option<PumpId>,
    /// The profile: centrifugal, skab, or a path such as ./mine.toml [model.profile].
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// How to read the recording, as far as this cannot be detected from the file.
    #[command(flatten)]
    pub dialect: DialectArgs,
    /// Also set the pump's interval, in milliseconds (volute pumps set-interval); without it, the command prints the
    /// interval that fits the rows.
    #[arg(long, value_name = "MS", value_parser = super::train::interval_ms, conflicts_with = "original")]
    pub interval_ms: Option<i64>,
    /// If a channel has two values at one time, keep the first one in the file, or the one that is stored already.
    /// Without this flag, nothing is stored in that case.
    #[arg(long)]
    pub keep_first: bool,
    /// Report everything, and store nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The node's data directory.
    #[command(flatten)]
    pub store: StoreArgs,
}

impl ImportArgs {
    pub(super) fn flags(&self) -> Vec<Flag> {
        let flag = |value: &String| Flag { name: "--profile", key: "model.profile", value: value.clone() };
        self.store.flags().into_iter().chain(self.profile.iter().map(flag)).collect()
    }
}
