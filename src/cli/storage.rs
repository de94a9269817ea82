//! Flags of the commands about what is stored: `backup`, `restore`, `export`, `import`, `confirm-clock`, `pumps`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use volute_data::ExportFormat;
use volute_plant::{HOLDS_S, PumpId, PumpName, Timestamp};

use super::DialectArgs;
use crate::config::Flag;

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  volute backup /mnt/backups/line-3
      Of the node on this machine, whether it runs or not.
  volute backup /mnt/backups/line-3 --config /etc/volute.toml

A running node makes the backup itself and goes on taking readings; it writes as the user that it runs as. Each backup
is a folder named after its time, complete by itself; files that have not changed since the one before take no room.
Keep a repository for each node. Old backups may be deleted, in any order.";

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  volute restore /mnt/backups/line-3 --list
  volute restore /mnt/backups/line-3 --config /etc/volute.toml
      The newest backup, into the configured folder, which must be empty or absent.
  volute restore /mnt/backups/line-3 --which 2026-11-25T06-20-00Z --data-dir ./volute-data

Every file is compared with the backup's manifest first; a damaged backup is not restored.";

pub(super) const EXPORT_EXAMPLES: &str = "\
Examples:
  volute export --pump line-3 --out line-3.csv
  volute export --pump line-3 --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z --format parquet --out nov.parquet

A running node writes the file itself, as the user that it runs as. `train`, `replay` and `import` read the CSV form.";

pub(super) const IMPORT_EXAMPLES: &str = "\
Examples:
  volute import old-system.csv --pump line-3
  volute import run.csv --pump skab-1 --profile skab --config /etc/volute.toml

  volute import logger.csv --pump line-3 --time-format '%d.%m.%Y %H:%M:%S' --time-zone Europe/Berlin --dry-run
      Says all about the file and what would be stored, and stores nothing.
  volute import minutes.csv --pump line-3 --interval-ms 60000
      A row a minute, of a profile of one a second: its pump goes by windows of one-minute steps. Without the flag, what the
      rows' cadence asks for is said.
  volute import --original ./old --pump line-3
      The original system's recordings, readings and maintenance events; docs/upgrade.md has the whole way.

Only while no node runs on the folder. Rows become history: they raise no alarms. Rows that are stored already are left
out, so an import that was cut short can be repeated. Where a row has other values than another one of its time, nothing
of the file is stored, and the exit code is 1. To send a recording to a running node: volute replay.

A recording is CSV with a header: timestamp and at least one channel of the profile. Delimiter, decimal mark, encoding and
the forms of numbers and times are found where they have one meaning; where they have several, the error names the flag.";

pub(super) const CONFIRM_CLOCK_EXAMPLES: &str = "\
Examples:
  date -u && volute confirm-clock
  date -u && volute confirm-clock --config /etc/volute.toml

A node whose clock is a week or more ahead of the last time it ran, as after a long stop, deletes nothing for its age and
refuses readings without a time until this is said; /readyz and the dashboard tell. Look at the time first: by a wrong
clock, all history can be too old to be kept.";

pub(super) const PROFILES_EXAMPLES: &str = "\
Examples:
  volute profiles list
  volute profiles add skab --model ./models/skab
  volute profiles add ./bearing.toml";

pub(super) const PUMPS_EXAMPLES: &str = "\
Examples:
  volute pumps list
  volute pumps settings line-3
  volute pumps set-interval line-3 60000
      It reads once a minute. What is normal for it is learned anew, for windows of one-minute steps.
  volute pumps set-hold line-3 600 --channel Vibration_mm_s
      This channel is reported when it changes: its last value holds for at most 10 minutes.
  volute pumps rename 'P-101A/B' 'Feed pump 3'
  volute pumps remove line-3 --config /etc/volute.toml

What is set for a pump is durable, and goes before its profile. Removed are its readings, detections, baselines and maintenance events. There is no way back but a backup; the audit log
stays. A pump that posts by this id afterwards is a new one. An id that begins with - goes behind --, as in
`volute pumps remove -- -M1`, and behind =, as in `volute export --pump=-M1`.";

/// How long a value holds.
fn hold_s(text: &str) -> Result<i64, String> {
    let allowed = || format!("allowed: seconds from {} to {}", HOLDS_S.start(), HOLDS_S.end());
    text.parse().ok().filter(|s| HOLDS_S.contains(s)).ok_or_else(allowed)
}

/// Which data directory.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// A configuration file (TOML) over the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the database [store.dir].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
}

impl StoreArgs {
    pub(super) fn flags(&self) -> Vec<Flag> {
        let flag = |value: &String| Flag { name: "--data-dir", key: "store.dir", value: value.clone() };
        self.data_dir.iter().map(flag).collect()
    }
}

/// Where a backup goes.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The folder that holds the backups; made if it is not there.
    #[arg(value_name = "REPOSITORY")]
    pub repository: PathBuf,
    /// Of what.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Which backup is put back.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The folder that holds the backups, or one of them.
    #[arg(value_name = "REPOSITORY")]
    pub repository: PathBuf,
    /// The backup's name; the newest if not given.
    #[arg(long, value_name = "STAMP")]
    pub which: Option<String>,
    /// Only list the backups.
    #[arg(long, conflicts_with = "which")]
    pub list: bool,
    /// Where to.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// What is exported.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The pump.
    #[arg(long, value_name = "ID")]
    pub pump: PumpId,
    /// From this time on (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// Up to and without this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub to: Option<Timestamp>,
    /// csv: what was sent, as a recording; parquet: all that is stored of each reading.
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    pub format: ExportFormat,
    /// The file to be made, which must not exist; or a folder, where it is named by the pump's id.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// From where.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Whose clock is right.
#[derive(Debug, Args)]
pub struct ConfirmClockArgs {
    /// Of which node.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// What is done with the pumps.
#[derive(Debug, Args)]
pub struct PumpsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PumpsCommand,
}

/// What can be done with the pumps.
#[derive(Debug, Subcommand)]
pub enum PumpsCommand {
    /// List the pumps.
    List {
        /// Of what.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Set the time between two readings of one pump, in place of its profile's. What is normal for it is learned anew then, from
    /// the same stretch of readings.
    SetInterval {
        /// The pump.
        #[arg(value_name = "ID")]
        pump: PumpId,
        /// In milliseconds, 100 to 3600000; without it, its profile's again.
        #[arg(value_name = "MS", value_parser = super::train::interval_ms)]
        interval_ms: Option<i64>,
        /// Of what.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Assign another profile to a pump, of the same channels. What is normal for it is learned anew.
    SetProfile {
        /// The pump.
        #[arg(value_name = "ID")]
        pump: PumpId,
        /// The name of the profile; see `volute profiles list`.
        #[arg(value_name = "NAME")]
        profile: String,
        /// Of what.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Give a pump a name for people, beside its id, which stays; or take it away.
    Rename {
        /// The pump.
        #[arg(value_name = "ID")]
        pump: PumpId,
        /// Its name, 1 to 80 characters; without it, the pump has none any more.
        #[arg(value_name = "NAME")]
        name: Option<PumpName>,
        /// Of what.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Set how long a channel's last value holds where no new one is sent, of a pump that reports what has changed; in place of what
    /// its profile says.
    SetHold {
        /// The pump.
        #[arg(value_name = "NAME")]
        pump: PumpId,
        /// In seconds, 0 to 86400; without it, as its profile says again.
        #[arg(value_name = "S", value_parser = hold_s)]
        hold_s: Option<i64>,
        /// Of this channel alone; without it, of all of them.
        #[arg(long, value_name = "NAME")]
        channel: Option<String>,
        /// Of what.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Show what is set for one pump alone.
    Settings {
        /// The pump.
        #[arg(value_name = "NAME")]
        pump: PumpId,
        /// Of what.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Remove a pump with all that is stored of it.
    Remove {
        /// The pump; one that an earlier version took may be `.` or `..`.
        #[arg(value_name = "ID", value_parser = PumpId::stored)]
        pump: PumpId,
        /// From where.
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

/// What is done with the kinds of pumps.
#[derive(Debug, Args)]
pub struct ProfilesArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ProfilesCommand,
}

/// What can be done with the kinds of pumps.
#[derive(Debug, Subcommand)]
pub enum ProfilesCommand {
    /// List the profiles that the node's pumps may be of.
    List {
        /// Of what.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Add a profile, and a model for it if there is one. Both are checked whole before anything of them is taken. A profile that
    /// is there may be given another model: it is used for pumps that come from then on, and for all after a restart.
    Add {
        /// The profile: centrifugal, skab, or a path, as ./mine.toml.
        #[arg(value_name = "PROFILE")]
        profile: String,
        /// The folder of a trained model.
        #[arg(long, value_name = "DIR")]
        model: Option<PathBuf>,
        /// Of what.
        #[command(flatten)]
        store: StoreArgs,
    },
}

impl ProfilesArgs {
    pub(super) fn store(&self) -> &StoreArgs {
        match &self.command {
            ProfilesCommand::List { store } | ProfilesCommand::Add { store, .. } => store,
        }
    }
}

/// What is imported.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The recording (CSV).
    #[arg(value_name = "FILE", required_unless_present = "original")]
    pub file: Option<PathBuf>,
    /// The original system's history: a folder with recordings, sensor_readings.csv and maintenance_events.csv.
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    pub original: Option<PathBuf>,
    /// Which columns of the original's tables are what (TOML); see docs/upgrade.md.
    #[arg(long, value_name = "FILE", requires = "original")]
    pub mapping: Option<PathBuf>,
    /// The pump that it is of, registered if it is new; with --original, of what names no pump.
    #[arg(long, value_name = "ID", required_unless_present = "original")]
    pub pump: Option<PumpId>,
    /// Kind of pump: centrifugal, skab, or a path to a profile, as ./mine.toml [model.profile].
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// What the recording does not say itself.
    #[command(flatten)]
    pub dialect: DialectArgs,
    /// Set the pump's interval to this as well, in milliseconds (volute pumps set-interval); without it, what the rows' cadence asks
    /// for is only said.
    #[arg(long, value_name = "MS", value_parser = super::train::interval_ms, conflicts_with = "original")]
    pub interval_ms: Option<i64>,
    /// Of two values for one time the first one counts, a stored one before all; without it, nothing is stored then.
    #[arg(long)]
    pub keep_first: bool,
    /// Say all, and store nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Where to.
    #[command(flatten)]
    pub store: StoreArgs,
}

impl ImportArgs {
    pub(super) fn flags(&self) -> Vec<Flag> {
        let flag = |value: &String| Flag { name: "--profile", key: "model.profile", value: value.clone() };
        self.store.flags().into_iter().chain(self.profile.iter().map(flag)).collect()
    }
}
