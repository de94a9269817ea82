//! The command line: commands, flags and their help.
//!
//! Values are parsed and checked here, so that a command gets only valid ones. Does not run the commands; see
//! [`crate::commands`].

use std::{
    env,
    ffi::OsString,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};
use volute_plant::{Profile, PumpId};

mod access;
mod audit;
mod bench;
mod damage;
mod evaluate;
mod notify;
mod recording;
mod simulate;
mod storage;
mod train;
mod values;

pub use access::{TokenArgs, TokenCommand, UserArgs, UserCommand};
pub use audit::{AuditArgs, AuditCommand};
pub use bench::{Bench, BenchArgs, InferenceArgs, IngestArgs};
pub use damage::{Damage, DamageError};
pub use evaluate::{EvaluateArgs, NetworkSource, Plant};
pub use notify::{NotifyArgs, NotifyCommand};
pub use recording::DialectArgs;
pub use simulate::SimulateArgs;
pub use storage::{
    BackupArgs, ConfirmClockArgs, ExportArgs, ImportArgs, ProfilesArgs, ProfilesCommand, PumpsArgs, PumpsCommand,
    RestoreArgs, StoreArgs,
};
pub use train::{ModelsArgs, TrainArgs, TrainingArgs};
pub use values::{Format, NodeUrl, NodeUrlError, Speed, SpeedError};

use access::{TOKEN_EXAMPLES, USER_EXAMPLES};
use audit::AUDIT_EXAMPLES;
use evaluate::EVALUATE_EXAMPLES;
use notify::NOTIFY_EXAMPLES;
use storage::{
    BACKUP_EXAMPLES, CONFIRM_CLOCK_EXAMPLES, EXPORT_EXAMPLES, IMPORT_EXAMPLES, PROFILES_EXAMPLES, PUMPS_EXAMPLES,
    RESTORE_EXAMPLES,
};
use train::{MODELS_EXAMPLES, TRAIN_EXAMPLES};

use crate::{config::Flag, profiles};
use values::batch;

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  failure; the reason is on standard error
  2  wrong usage or configuration; all mistakes are on standard error";

/// Watches pumps: learns what is normal for each, detects anomalies, and names the sensors that explain them.
#[derive(Debug, Parser)]
#[command(name = "volute", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Parses the arguments of a command line, the program's name first.
    ///
    /// Each flag is checked on its own, and then the combination of flags.
    pub fn read(words: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(words)?;
        let value_error = |error: String| (ErrorKind::ValueValidation, error);
        let combination = match &cli.command {
            Command::Simulate(args) => args.fault().map(|_| ()).map_err(value_error),
            Command::Export(args) => args.check_range().map_err(value_error),
            Command::Evaluate(args) => args.check().map_err(|error| (ErrorKind::ArgumentConflict, error.to_owned())),
            _ => Ok(()),
        };
        combination.map_err(|(kind, error)| Self::command().error(kind, error))?;
        Ok(cli)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node: accept readings of pumps, score them, serve the dashboard.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Train a model on recordings of normal running.
    #[command(after_help = TRAIN_EXAMPLES)]
    Train(TrainArgs),
    /// List the versions of a model folder, or activate an earlier one.
    #[command(after_help = MODELS_EXAMPLES)]
    Models(ModelsArgs),
    /// Make a labelled recording of a simulated pump, healthy or with a fault.
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateArgs),
    /// Measure detection on labelled recordings: for each file, train on its first rows and score the others.
    #[command(after_help = EVALUATE_EXAMPLES)]
    Evaluate(EvaluateArgs),
    /// Post a recording to a running node, as if the pump sent it. The recorded times are kept, so readings older than
    /// 60 s raise no alarm.
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Make a backup of everything that a node has stored; the node may be running or stopped.
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup(BackupArgs),
    /// Restore a backup as a data directory, or list the backups.
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(RestoreArgs),
    /// Write a pump's readings to a CSV or Parquet file; the node may be running or stopped.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Import a recording into the store of a stopped node, as a pump's history.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Confirm that the clock of the node on this machine is right, when the node does not trust it.
    #[command(after_help = CONFIRM_CLOCK_EXAMPLES)]
    ConfirmClock(ConfirmClockArgs),
    /// List a node's pumps, change the settings of one, or remove one with all its data; the node may be running or
    /// stopped.
    #[command(after_help = PUMPS_EXAMPLES)]
    Pumps(PumpsArgs),
    /// List the profiles of a node, add one, or remove one; the node may be running or stopped.
    #[command(after_help = PROFILES_EXAMPLES)]
    Profiles(ProfilesArgs),
    /// List a node's users, add one, reset a password, or disable one; the node may be running or stopped.
    #[command(after_help = USER_EXAMPLES)]
    User(UserArgs),
    /// List a node's pump tokens, add or revoke one; the node may be running or stopped.
    #[command(after_help = TOKEN_EXAMPLES)]
    Token(TokenArgs),
    /// Send a test message to everybody who is notified of alarms; the node may be running or stopped.
    #[command(after_help = NOTIFY_EXAMPLES)]
    Notify(NotifyArgs),
    /// Verify the audit log; the node may be running or stopped.
    #[command(after_help = AUDIT_EXAMPLES)]
    Audit(AuditArgs),
    /// Print the configuration that `serve` would use, with the origin of each value.
    #[command(after_help = CHECK_CONFIG_EXAMPLES)]
    CheckConfig(SettingsArgs),
    /// Measure the performance of this machine.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArgs),
}

impl Command {
    /// Returns the configuration file that was given.
    pub fn config_file(&self) -> Option<&Path> {
        match self {
            Self::Serve(args) => args.settings.config.as_deref(),
            Self::CheckConfig(args) => args.config.as_deref(),
            Self::Backup(BackupArgs { store, .. })
            | Self::Restore(RestoreArgs { store, .. })
            | Self::Export(ExportArgs { store, .. })
            | Self::ConfirmClock(ConfirmClockArgs { store })
            | Self::Import(ImportArgs { store, .. }) => store.config.as_deref(),
            Self::Pumps(args) => args.store().config.as_deref(),
            Self::Profiles(args) => args.store().config.as_deref(),
            Self::User(args) => args.store().config.as_deref(),
            Self::Token(args) => args.store().config.as_deref(),
            Self::Audit(args) => args.store().config.as_deref(),
            Self::Notify(args) => args.store().config.as_deref(),
            Self::Train(_)
            | Self::Models(_)
            | Self::Simulate(_)
            | Self::Evaluate(_)
            | Self::Replay(_)
            | Self::Bench(_) => None,
        }
    }

    /// Returns whether the command reads or writes what a node stores. Files that others write and read, such as models
    /// and recordings, are not among that.
    pub fn has_store(&self) -> bool {
        match self {
            Self::Serve(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Export(_)
            | Self::Import(_)
            | Self::ConfirmClock(_)
            | Self::Pumps(_)
            | Self::Profiles(_)
            | Self::User(_)
            | Self::Token(_)
            | Self::Audit(_) => true,
            Self::CheckConfig(_)
            | Self::Notify(_)
            | Self::Train(_)
            | Self::Models(_)
            | Self::Simulate(_)
            | Self::Evaluate(_)
            | Self::Replay(_)
            | Self::Bench(_) => false,
        }
    }

    /// Returns the flags that set keys of the configuration.
    pub fn flags(&self) -> Vec<Flag> {
        match self {
            Self::Serve(args) => args.flags(),
            Self::CheckConfig(args) => args.flags(),
            Self::Backup(BackupArgs { store, .. })
            | Self::Restore(RestoreArgs { store, .. })
            | Self::Export(ExportArgs { store, .. })
            | Self::ConfirmClock(ConfirmClockArgs { store }) => store.flags(),
            Self::Import(args) => args.flags(),
            Self::Pumps(args) => args.store().flags(),
            Self::Profiles(args) => args.flags(),
            Self::User(args) => args.store().flags(),
            Self::Token(args) => args.store().flags(),
            Self::Audit(args) => args.store().flags(),
            Self::Notify(args) => args.store().flags(),
            Self::Train(_)
            | Self::Models(_)
            | Self::Simulate(_)
            | Self::Evaluate(_)
            | Self::Replay(_)
            | Self::Bench(_) => Vec::new(),
        }
    }
}

const SERVE_EXAMPLES: &str = "\
Examples:
  volute serve --demo
      Six simulated pumps, their faults and a dashboard, at http://127.0.0.1:5000.
  volute serve
      Reachable from this machine only, at http://127.0.0.1:5000, without a model: readings are stored, not scored.
  volute serve --listen 0.0.0.0:5000 --tls self-signed
      Reachable from the network, with a certificate of the node's own; needs a user (`volute user add`).
  volute serve --config /etc/volute.toml --model /var/lib/volute-models/line-3
      A plant's node, with a model that `volute train` wrote.

Every setting, flags included, is in config/default.toml; see also `volute check-config`.";

const CHECK_CONFIG_EXAMPLES: &str = "\
Examples:
  volute check-config --config /etc/volute.toml
  VOLUTE__STORE__LINGER_MS=5 volute check-config

All wrong keys are listed at once, each with its source and what is allowed; the exit code is then 2.";

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Flags that override the configuration.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Simulate six pumps with their faults, in a separate folder (./volute-demo-data unless --data-dir is given).
    #[arg(long, conflicts_with = "profile")]
    pub demo: bool,
}

impl ServeArgs {
    /// Returns the flags that set keys of the configuration. A demo watches centrifugal pumps, and never uses the
    /// configured folder.
    fn flags(&self) -> Vec<Flag> {
        let mut flags = self.settings.flags();
        if self.demo {
            flags.push(Flag { name: "--demo", key: "model.profile", value: "centrifugal".into() });
            if self.settings.data_dir.is_none() {
                flags.push(Flag { name: "--demo", key: "store.dir", value: "./volute-demo-data".into() });
            }
        }
        flags
    }
}

/// Flags that override the configuration. They are checked together with the configuration.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// A configuration file (TOML), which overrides the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port to listen on, for example 0.0.0.0:5000 [server.listen].
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// TLS: off, self-signed, or the path of a certificate, such as ./tls.pem [server.tls].
    #[arg(long, value_name = "MODE")]
    pub tls: Option<String>,
    /// The data directory [store.dir].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// The profile: centrifugal, skab, or a path such as ./mine.toml [model.profile].
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The folder of a trained model [model.dir].
    #[arg(long, value_name = "DIR")]
    pub model: Option<String>,
}

impl SettingsArgs {
    fn flags(&self) -> Vec<Flag> {
        let all = [
            ("--listen", "server.listen", &self.listen),
            ("--tls", "server.tls", &self.tls),
            ("--data-dir", "store.dir", &self.data_dir),
            ("--profile", "model.profile", &self.profile),
            ("--model", "model.dir", &self.model),
        ];
        let given = |(name, key, value): (_, _, &Option<String>)| value.clone().map(|value| Flag { name, key, value });
        all.into_iter().filter_map(given).collect()
    }
}

const SIMULATE_EXAMPLES: &str = "\
Examples:
  volute simulate --rows 7200 --out normal.csv
      Two hours of a healthy pump.
  volute simulate --fault bearing_wear --severity 0.8 --seed 7 --rows 7200 --out worn.csv --plot worn.svg
      The fault begins after a third of the rows, grows, stays and fades within the rest.
  volute simulate --fault sensor_stuck --channel flow --load steps --rows 600 --out stuck.csv

The same flags give the same bytes. The columns are timestamp, the profile's channels, machine_status (NORMAL,
BROKEN, RECOVERING) and fault; `volute train` and `volute replay` read them.";

const REPLAY_EXAMPLES: &str = "\
Examples:
  volute replay --csv line-3.csv
      In real time, one reading per post, to the node on this machine.
  volute replay --profile skab --csv run.csv --pump skab-1 --speed 60
      Sixty times as fast.
  volute replay --csv line-3.csv --speed 0 --batch 500
      As fast as the node accepts the readings.

If the node is busy (429, 503), the command waits as long as the node asks. Posting a recording twice is harmless:
the node reports `duplicate`. The exit code is 1 if the node rejected a reading.";

const BENCH_EXAMPLES: &str = "\
Examples:
  volute bench inference
  volute bench inference --threads 2 --batch 32,128 --format json";

/// The URL of the node that the environment configures, or else the default URL.
static NODE_URL: LazyLock<String> = LazyLock::new(|| {
    let listen = env::var("VOLUTE__SERVER__LISTEN").unwrap_or_else(|_| "127.0.0.1:5000".into());
    format!("http://{listen}")
});

/// The arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The profile: centrifugal, skab, or a path such as ./mine.toml. Its name is posted with the readings, so a new
    /// pump gets this profile, which the node must have. Without the flag, the recording is read with the profile
    /// centrifugal, and no profile is posted.
    #[arg(long, value_name = "NAME", value_parser = profiles::load)]
    pub profile: Option<Profile>,
    /// The recording (CSV).
    #[arg(long, value_name = "FILE")]
    pub csv: PathBuf,
    /// How to read the recording, as far as this cannot be detected from the file.
    #[command(flatten)]
    pub dialect: DialectArgs,
    /// The node's URL; by default http:// and VOLUTE__SERVER__LISTEN, or http://127.0.0.1:5000 if that is not set.
    #[arg(long, value_name = "URL", default_value = NODE_URL.as_str(), hide_default_value = true)]
    pub url: NodeUrl,
    /// The pump whose readings these are.
    #[arg(long, value_name = "ID", default_value = "pump-1")]
    pub pump: PumpId,
    /// The speed, as a multiple of real time; 0 posts as fast as the node accepts the readings.
    #[arg(long, value_name = "X", default_value = "1")]
    pub speed: Speed,
    /// Readings per post, at most 10000.
    #[arg(long, value_name = "N", default_value = "1", value_parser = batch)]
    pub batch: NonZeroUsize,
    /// A file with the pump token to post with, if the node needs one.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A file with the certificate to trust (PEM), if the node's URL begins with https:// and its certificate is
    /// self-signed or that of a plant.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, ErrorKind> {
        Cli::read(line.split(' ').map(Into::into)).map(|cli| cli.command).map_err(|error| error.kind())
    }

    #[test]
    fn the_surface_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_override_keys() {
        let command = parse("volute serve --config a.toml --listen 0.0.0.0:1 --data-dir d").expect("fine");
        assert_eq!(command.config_file(), Some(Path::new("a.toml")));
        let keys: Vec<_> = command.flags().into_iter().map(|flag| (flag.name, flag.key, flag.value)).collect();
        assert_eq!(keys, [("--listen", "server.listen", "0.0.0.0:1".into()), ("--data-dir", "store.dir", "d".into())]);
    }

    #[test]
    fn the_data_directory_is_given_as_for_serve() {
        for line in [
            "volute backup r --config a.toml --data-dir d",
            "volute restore r --config a.toml --data-dir d",
            "volute export --pump P --out o --config a.toml --data-dir d",
            "volute import f --pump P --config a.toml --data-dir d",
            "volute pumps list --config a.toml --data-dir d",
            "volute pumps rename P --config a.toml --data-dir d",
            "volute pumps remove P --config a.toml --data-dir d",
        ] {
            let command = parse(line).expect("fine");
            assert_eq!(command.config_file(), Some(Path::new("a.toml")), "{line}");
            let keys: Vec<_> = command.flags().into_iter().map(|flag| (flag.key, flag.value)).collect();
            assert_eq!(keys, [("store.dir", "d".into())], "{line}");
        }
        let import = parse("volute import f --pump P --profile skab").expect("fine");
        assert_eq!(import.flags().first().map(|flag| flag.key), Some("model.profile"));
    }

    #[test]
    fn a_demo_has_a_separate_folder() {
        let keys = |line| {
            let flags = parse(line).expect("fine").flags();
            flags.into_iter().map(|flag| (flag.name, flag.key, flag.value)).collect::<Vec<_>>()
        };
        let profile = ("--demo", "model.profile", "centrifugal".to_owned());
        assert_eq!(
            keys("volute serve --demo"),
            [profile.clone(), ("--demo", "store.dir", "./volute-demo-data".into())]
        );
        assert_eq!(keys("volute serve --demo --data-dir d"), [("--data-dir", "store.dir", "d".into()), profile]);
        assert!(matches!(parse("volute serve --demo --profile skab"), Err(ErrorKind::ArgumentConflict)));
    }

    #[test]
    fn wrong_values_are_rejected_by_the_parser() {
        for (line, kind) in [
            ("volute replay --csv a.csv --speed -1", ErrorKind::UnknownArgument),
            ("volute replay --csv a.csv --speed=-1", ErrorKind::ValueValidation),
            ("volute replay --csv a.csv --speed nan", ErrorKind::ValueValidation),
            ("volute replay --csv a.csv --batch 0", ErrorKind::ValueValidation),
            ("volute replay --csv a.csv --url localhost:5000", ErrorKind::ValueValidation),
            ("volute replay --csv a.csv --pump ..", ErrorKind::ValueValidation),
            ("volute replay --csv a.csv --profile gear", ErrorKind::ValueValidation),
            ("volute train --out m", ErrorKind::MissingRequiredArgument),
            ("volute evaluate --data d --out o --jobs 0", ErrorKind::ValueValidation),
            ("volute train --csv a.csv --out m --threshold-quantile 1.5", ErrorKind::ValueValidation),
            ("volute simulate --out a.csv --fault rust", ErrorKind::InvalidValue),
            ("volute simulate --out a.csv --fault sensor_stuck", ErrorKind::ValueValidation),
            ("volute simulate --out a.csv --fault sensor_stuck --channel Torque", ErrorKind::ValueValidation),
            ("volute simulate --out a.csv --fault dry_run --channel flow", ErrorKind::ValueValidation),
            ("volute simulate --out a.csv --channel flow", ErrorKind::MissingRequiredArgument),
            ("volute simulate --out a.csv --fault dry_run --severity 1.1", ErrorKind::ValueValidation),
            ("volute simulate --out a.csv --load full", ErrorKind::InvalidValue),
            ("volute simulate --out a.csv --design mine", ErrorKind::InvalidValue),
            ("volute simulate --out a.csv --rows 0", ErrorKind::ValueValidation),
            ("volute simulate --out a.csv --start yesterday", ErrorKind::ValueValidation),
            ("volute backup", ErrorKind::MissingRequiredArgument),
            ("volute restore r --list --which x", ErrorKind::ArgumentConflict),
            ("volute export --out a.csv", ErrorKind::MissingRequiredArgument),
            ("volute export --pump P --out a.csv --format xlsx", ErrorKind::ValueValidation),
            ("volute export --pump P --out a.csv --from yesterday", ErrorKind::ValueValidation),
            ("volute import a.csv --pump *", ErrorKind::ValueValidation),
            ("volute import a.csv --pump A --time-format %d.%m.%Y", ErrorKind::ValueValidation),
            ("volute import a.csv --pump A --time-zone Berlin", ErrorKind::ValueValidation),
            ("volute import a.csv --pump A --time-zone Europe/Berlin --repeated-hour 2", ErrorKind::ValueValidation),
            ("volute import a.csv --pump A --column Drehzahl", ErrorKind::ValueValidation),
            ("volute import a.csv --pump A --time-format %F_%T_%Z", ErrorKind::ValueValidation),
            ("volute train --csv a.csv --out m --decimal dot", ErrorKind::ValueValidation),
            ("volute evaluate --data d --out o --time-zone Berlin", ErrorKind::ValueValidation),
            ("volute replay --csv a.csv --time-zone Berlin", ErrorKind::ValueValidation),
            ("volute pumps", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("volute pumps remove", ErrorKind::MissingRequiredArgument),
            ("volute pumps remove *", ErrorKind::ValueValidation),
            ("volute fly", ErrorKind::InvalidSubcommand),
        ] {
            assert_eq!(parse(line).expect_err(line), kind, "{line}");
        }
    }

    #[test]
    fn several_recordings_are_accepted() {
        let Ok(Command::Train(args)) = parse("volute train --csv a.csv b.csv --rows 400 --out m --seed 7") else {
            panic!("train")
        };
        assert_eq!((args.csv.len(), args.training.seed, args.training.epochs), (2, 7, None));
    }
}
