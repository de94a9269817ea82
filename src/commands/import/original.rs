//! `volute import --original DIR`: imports the history of the original system from its recordings and CSV exports of
//! its tables.
//!
//! ```text
//! DIR/sensor_readings.csv       readings of one pump, or of the pumps in its column pump_id
//! DIR/maintenance_events.csv    maintenance events; they become history with the file as their source
//! DIR/*.csv                     recordings; a file that is not a recording is reported and left out
//! ```
//!
//! All files are read and compared with the store before anything is stored; if any has an error, nothing is stored. A
//! second run stores nothing, because everything is stored already.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use volute_data::{
    Dialect, EventMapping, EventsFile, ImportRequest, PumpRecord, Store, dialects_of, dry_run_import, import,
    import_events, pumps_of, read_events,
};
use volute_plant::{Currency, Profile, PumpId, Timestamp};

use super::{
    cadence,
    limits::{check_pump_limit, retention_start},
    report::report,
};
use crate::{cli::ImportArgs, config::Config};

/// The mapping file: the names of files and columns. All entries are optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mapping {
    sensor_readings: ReadingsMapping,
    maintenance_events: EventMapping,
}

/// The mapping of the table of readings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReadingsMapping {
    /// The file's name in the folder, by default `sensor_readings.csv`.
    file: Option<String>,
    /// The meaning of columns, by their names in the table: a channel's name, `timestamp`, `machine_status` or
    /// `pump_id`.
    columns: BTreeMap<String, String>,
}

impl Mapping {
    fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        toml::from_str(&text).map_err(|error| anyhow!("{}: {error}", path.display()))
    }
}

/// The readings of one pump in one file.
struct PumpReadings {
    file: PathBuf,
    dialect: Dialect,
    pump: PumpId,
}

/// The contents of the folder.
struct OriginalFolder<'a> {
    args: &'a ImportArgs,
    config: &'a Config,
    now: Timestamp,
    readings: Vec<PumpReadings>,
    events: Option<EventsFile>,
    /// Errors in the files. If there is any, nothing is stored.
    errors: Vec<String>,
}

/// Imports the folder. Without a store, only reports what would be stored in an empty store.
pub(super) async fn run(
    dir: &Path,
    args: &ImportArgs,
    config: &Config,
    now: Timestamp,
    store: Option<&Store>,
    output: &mut dyn Write,
) -> Result<()> {
    let mapping = args.mapping.as_deref().map(Mapping::load).transpose()?.unwrap_or_default();
    let mut folder = OriginalFolder { args, config, now, readings: Vec::new(), events: None, errors: Vec::new() };
    folder.scan(dir, &mapping, output)?;
    folder.check(store).await?;
    if let (Some(store), false) = (store, args.dry_run) {
        let event_pumps = folder.events.iter().flat_map(|file| &file.events).map(|event| &event.pump);
        let pumps = folder.readings.iter().map(|readings| &readings.pump).chain(event_pumps);
        check_pump_limit(store, pumps, config)?;
    }
    folder.import(store, output).await
}

impl OriginalFolder<'_> {
    fn profile(&self) -> &Profile {
        &self.config.model.profile
    }

    /// Finds the tables and recordings of the folder.
    fn scan(&mut self, dir: &Path, mapping: &Mapping, output: &mut dyn Write) -> Result<()> {
        let table = |name: &Option<String>, default_name: &str| -> Result<PathBuf> {
            let path = dir.join(name.as_deref().unwrap_or(default_name));
            ensure!(name.is_none() || path.is_file(), "{} is named in the mapping, and is not there", path.display());
            Ok(path)
        };
        let sensor_readings = table(&mapping.sensor_readings.file, "sensor_readings.csv")?;
        let maintenance_events = table(&mapping.maintenance_events.file, "maintenance_events.csv")?;
        let (events, recordings): (Vec<PathBuf>, Vec<PathBuf>) =
            files(dir)?.into_iter().partition(|path| *path == maintenance_events);
        for path in events {
            match self.read_events(&path, &mapping.maintenance_events) {
                Ok(events) => self.events = Some(events),
                Err(error) => self.errors.push(error.to_string()),
            }
        }
        let dialects = dialects_of(&recordings, self.profile(), &self.args.dialect.clone().into())?;
        for (path, mut dialect) in recordings.into_iter().zip(dialects) {
            if path == sensor_readings {
                dialect.columns.extend(mapping.sensor_readings.columns.clone());
            }
            match pumps_of(&path, self.profile(), &dialect) {
                Ok(pumps) => {
                    let added = self.add(&path, &dialect, pumps);
                    self.errors.extend(added.err().map(|error| error.to_string()));
                }
                Err(error) if error.is_not_a_recording() && path != sensor_readings => {
                    writeln!(output, "left out, not a recording: {error}")?;
                }
                Err(error) => self.errors.push(error.to_string()),
            }
        }
        ensure!(
            !self.errors.is_empty() || self.events.is_some() || !self.readings.is_empty(),
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

    /// Adds a file's readings for each pump that it names, or for the pump of the command line if it names none.
    fn add(&mut self, path: &Path, dialect: &Dialect, pumps: impl IntoIterator<Item = String>) -> Result<()> {
        let mut names: Vec<String> = pumps.into_iter().collect();
        if let Some(selected) = &dialect.pump {
            names.retain(|name| name == selected);
        }
        if names.is_empty() {
            let Some(pump) = self.args.pump.clone() else {
                bail!("{}: no column pump_id names the pump: use --pump", path.display());
            };
            self.readings.push(PumpReadings { file: path.to_owned(), dialect: dialect.clone(), pump });
        }
        for name in names {
            let pump = name.parse().map_err(|error| anyhow!("{}: the pump {name:?}: {error}", path.display()))?;
            let dialect = Dialect { pump: Some(name), ..dialect.clone() };
            self.readings.push(PumpReadings { file: path.to_owned(), dialect, pump });
        }
        Ok(())
    }

    fn request<'a>(&'a self, readings: &'a PumpReadings) -> ImportRequest<'a> {
        let PumpReadings { file, dialect, pump } = readings;
        let (profile, now, keep_first) = (self.profile(), self.now, self.args.keep_first);
        ImportRequest { file, dialect, pump, profile, now, keep_first }
    }

    /// Compares all files with the store. Returns an error that lists all errors in the files.
    async fn check(&self, store: Option<&Store>) -> Result<()> {
        let mut errors = self.errors.clone();
        for readings in &self.readings {
            errors.extend(dry_run_import(store, &self.request(readings)).await.err().map(|error| error.to_string()));
        }
        ensure!(errors.is_empty(), "nothing is stored:\n{}", errors.join("\n"));
        Ok(())
    }

    async fn import(&self, store: Option<&Store>, output: &mut dyn Write) -> Result<()> {
        for readings in &self.readings {
            writeln!(output, "{}:", readings.file.display())?;
            let request = self.request(readings);
            let imported = match store {
                Some(store) if !self.args.dry_run => import(store, &request).await?,
                _ => dry_run_import(store, &request).await?,
            };
            report(self.args.dry_run, &readings.pump, &imported, retention_start(self.config, self.now), output)?;
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
            writeln!(output, "{} of them were stored before with other contents, and are replaced", imported.changed)?;
        }
        if imported.unchanged > 0 {
            writeln!(output, "{} events left out: they are stored already", imported.unchanged)?;
        }
        Ok(())
    }
}

/// Returns the CSV files in a folder, sorted by name.
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
