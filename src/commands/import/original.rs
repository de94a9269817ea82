//! `volute import --original DIR`: the history of the original system, from CSV exports of its tables and its recordings.
//!
//! ```text
//! DIR/sensor_readings.csv       the table: readings of one pump, or of those that its column pump_id names
//! DIR/maintenance_events.csv    the table: events, which become history with the file as their source
//! DIR/*.csv                     recordings; a file that is none is named and left out
//! ```
//!
//! All files are read and compared with the store before anything is stored. A second run finds all of it stored already.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use volute_data::{
    Dialect, EventMapping, EventsFile, Import, PumpRecord, Store, import, import_events, pumps_of, read_events,
    try_import,
};
use volute_plant::{Currency, Profile, PumpId, Timestamp};

use super::{
    cadence,
    limits::{oldest_kept, refuse_too_many},
    report::report,
};
use crate::{cli::ImportArgs, config::Config};

/// Which file and column is what; all that it does not say has a default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mapping {
    sensor_readings: ReadingsMapping,
    maintenance_events: EventMapping,
}

/// The table of readings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReadingsMapping {
    /// The file's name in the folder; `sensor_readings.csv`.
    file: Option<String>,
    /// What columns are, by their names in the table: a channel's name, `timestamp`, `machine_status` or `pump_id`.
    columns: BTreeMap<String, String>,
}

impl Mapping {
    fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        toml::from_str(&text).map_err(|error| anyhow!("{}: {error}", path.display()))
    }
}

/// A stretch of readings that is imported: a recording, or one pump of it.
struct Readings {
    file: PathBuf,
    dialect: Dialect,
    pump: PumpId,
}

/// What a folder has.
struct Folder<'a> {
    args: &'a ImportArgs,
    config: &'a Config,
    now: Timestamp,
    readings: Vec<Readings>,
    events: Option<EventsFile>,
    /// Why nothing of it is stored.
    trouble: Vec<String>,
}

/// Imports the folder; without a store, only says what would be stored in an empty one.
pub(super) async fn run(
    dir: &Path,
    args: &ImportArgs,
    config: &Config,
    now: Timestamp,
    store: Option<&Store>,
    output: &mut dyn Write,
) -> Result<()> {
    let mapping = args.mapping.as_deref().map(Mapping::load).transpose()?.unwrap_or_default();
    let mut folder = Folder { args, config, now, readings: Vec::new(), events: None, trouble: Vec::new() };
    folder.find(dir, &mapping, output)?;
    folder.check(store).await?;
    if let (Some(store), false) = (store, args.dry_run) {
        let of_events = folder.events.iter().flat_map(|file| &file.events).map(|event| &event.pump);
        let pumps = folder.readings.iter().map(|readings| &readings.pump).chain(of_events);
        refuse_too_many(store, pumps, config)?;
    }
    folder.import(store, output).await
}

impl Folder<'_> {
    fn profile(&self) -> &Profile {
        &self.config.model.profile
    }

    fn find(&mut self, dir: &Path, mapping: &Mapping, output: &mut dyn Write) -> Result<()> {
        let table = |named: &Option<String>, usual: &str| -> Result<PathBuf> {
            let path = dir.join(named.as_deref().unwrap_or(usual));
            ensure!(named.is_none() || path.is_file(), "{} is named in the mapping, and is not there", path.display());
            Ok(path)
        };
        let sensor_readings = table(&mapping.sensor_readings.file, "sensor_readings.csv")?;
        let maintenance_events = table(&mapping.maintenance_events.file, "maintenance_events.csv")?;
        for path in files(dir)? {
            if path == maintenance_events {
                match self.read_events(&path, &mapping.maintenance_events) {
                    Ok(events) => self.events = Some(events),
                    Err(error) => self.trouble.push(error.to_string()),
                }
                continue;
            }
            let mut dialect = Dialect::from(self.args.dialect.clone());
            if path == sensor_readings {
                dialect.columns.extend(mapping.sensor_readings.columns.clone());
            }
            match pumps_of(&path, self.profile(), &dialect) {
                Ok(pumps) => {
                    let added = self.add(&path, &dialect, pumps);
                    self.trouble.extend(added.err().map(|error| error.to_string()));
                }
                Err(error) if error.is_no_recording() && path != sensor_readings => {
                    writeln!(output, "left out, for it is no recording: {error}")?;
                }
                Err(error) => self.trouble.push(error.to_string()),
            }
        }
        ensure!(
            !self.trouble.is_empty() || self.events.is_some() || !self.readings.is_empty(),
            "{} has neither a recording, nor sensor_readings.csv, nor maintenance_events.csv",
            dir.display()
        );
        Ok(())
    }

    fn read_events(&self, path: &Path, mapping: &EventMapping) -> Result<EventsFile> {
        let currency = match self.profile().rules().first() {
            Some(rule) => rule.cost.currency,
            None => Currency::try_from("INR".to_owned())?,
        };
        let dialect = Dialect::from(self.args.dialect.clone());
        Ok(read_events(path, mapping, self.args.pump.as_ref(), currency, &dialect)?)
    }

    /// Takes a recording for its pumps: those that it names, or else the one of the command line.
    fn add(&mut self, path: &Path, dialect: &Dialect, pumps: impl IntoIterator<Item = String>) -> Result<()> {
        let mut named: Vec<String> = pumps.into_iter().collect();
        if let Some(wanted) = &dialect.pump {
            named.retain(|name| name == wanted);
        }
        if named.is_empty() {
            let Some(pump) = self.args.pump.clone() else {
                bail!("{}: no column pump_id says whose readings these are: say it with --pump", path.display());
            };
            self.readings.push(Readings { file: path.to_owned(), dialect: dialect.clone(), pump });
        }
        for name in named {
            let pump = name.parse().map_err(|error| anyhow!("{}: the pump {name:?}: {error}", path.display()))?;
            let dialect = Dialect { pump: Some(name), ..dialect.clone() };
            self.readings.push(Readings { file: path.to_owned(), dialect, pump });
        }
        Ok(())
    }

    fn what<'a>(&'a self, readings: &'a Readings) -> Import<'a> {
        let Readings { file, dialect, pump } = readings;
        let (profile, now, keep_first) = (self.profile(), self.now, self.args.keep_first);
        Import { file, dialect, pump, profile, now, keep_first }
    }

    /// Reads everything beside the store, and lists all that is wrong.
    async fn check(&self, store: Option<&Store>) -> Result<()> {
        let mut trouble = self.trouble.clone();
        for readings in &self.readings {
            trouble.extend(try_import(store, &self.what(readings)).await.err().map(|error| error.to_string()));
        }
        ensure!(trouble.is_empty(), "nothing is stored:\n{}", trouble.join("\n"));
        Ok(())
    }

    async fn import(&self, store: Option<&Store>, output: &mut dyn Write) -> Result<()> {
        for readings in &self.readings {
            writeln!(output, "{}:", readings.file.display())?;
            let what = self.what(readings);
            let imported = match store {
                Some(store) if !self.args.dry_run => import(store, &what).await?,
                _ => try_import(store, &what).await?,
            };
            report(self.args.dry_run, &readings.pump, &imported, oldest_kept(self.config, self.now), output)?;
            cadence::report(&readings.pump, &imported, self.args, self.config, store, output).await?;
        }
        let Some(EventsFile { events, remarks }) = &self.events else { return Ok(()) };
        writeln!(output, "maintenance events:")?;
        remarks.iter().try_for_each(|remark| writeln!(output, "{remark}"))?;
        let channels: Vec<String> = self.profile().channel_names().map(str::to_owned).collect();
        let registration = |pump: &PumpId| PumpRecord {
            id: pump.clone(),
            profile: self.profile().name().to_owned(),
            channels: channels.clone(),
            registered_at: self.now,
        };
        let imported = import_events(store, events, registration, self.args.dry_run).await?;
        let stored = if self.args.dry_run { "would be stored; this was a dry run" } else { "stored" };
        writeln!(output, "{} events {stored}", imported.new + imported.changed)?;
        if imported.changed > 0 {
            writeln!(output, "{} of them were stored before, and say something else now", imported.changed)?;
        }
        if imported.known > 0 {
            writeln!(output, "{} events left out: they are stored already", imported.known)?;
        }
        Ok(())
    }
}

/// The CSV files in a folder, by name.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        if is_csv && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
