//! The maintenance events of the original system, from a CSV export of its table `maintenance_events`.
//!
//! ```text
//! id,created_at,severity,description,estimated_cost,status
//! 17,2024-05-01 08:00:00,high,"Bearing replaced, seal checked",15000,completed
//! ```
//!
//! They become history: each is resolved, names the file as its source, and its advice says which status it had. An event's
//! id is made of its pump, kind and time, so that a second run changes nothing. Does not read the readings: those are a
//! recording.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io,
    path::Path,
};

use serde::Deserialize;
use volute_plant::{Currency, MaintenanceEvent, Money, PumpId, Severity, Timestamp};

use crate::{
    Batch, Dialect, Document, EventFilter, PumpRecord, Range, RecordingError, Store, StoreError,
    recording::{Findings, Localized, Moment, decoded, localize, quoted, read_time, timestamp},
};

/// Events that are committed together.
const BATCH: usize = 1_000;

/// Which column of the table is what. What is not named is looked for by the usual names.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventMapping {
    /// The file's name in the folder; `maintenance_events.csv`.
    pub file: Option<String>,
    /// When it was opened: `timestamp`, `created_at`, `opened_at`, `event_time` or `date`.
    pub opened: Option<String>,
    /// When it was done with: `resolved_at`, `completed_at` or `closed_at`.
    pub resolved: Option<String>,
    /// Whose it is: `pump_id`, `pump`, `machine_id` or `equipment_id`.
    pub pump: Option<String>,
    /// What kind it is: `event_type`, `rule`, `type` or `category`.
    pub kind: Option<String>,
    /// What is wrong: `title`, `description`, `message` or `issue`.
    pub title: Option<String>,
    /// What to do: `advice`, `recommendation`, `recommended_action`, `action` or `notes`.
    pub advice: Option<String>,
    /// How bad it is: `severity`, `priority` or `level`.
    pub severity: Option<String>,
    /// What it costs: `estimated_cost` or `cost`.
    pub cost: Option<String>,
    /// Its state: `status` or `state`.
    pub status: Option<String>,
    /// The currency of all costs; that of the profile's first rule.
    pub currency: Option<String>,
    /// Further words for severities, each with `low`, `medium`, `high` or `critical`.
    pub severities: BTreeMap<String, String>,
}

/// The events of a table, and what there is to say about them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventsFile {
    /// In the file's order, each once.
    pub events: Vec<MaintenanceEvent>,
    /// What is left out or taken for something.
    pub remarks: Vec<String>,
}

/// What became of the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventsImported {
    /// Those that were not stored before.
    pub new: u64,
    /// Those that were stored, and say something else now.
    pub changed: u64,
    /// Those that were stored already.
    pub known: u64,
}

/// Reads the events; those of no pump are `pump`'s. `currency` is that of the costs where the mapping names none.
pub fn read_events(
    path: &Path,
    mapping: &EventMapping,
    pump: Option<&PumpId>,
    currency: Currency,
    dialect: &Dialect,
) -> Result<EventsFile, RecordingError> {
    let failed = |source| RecordingError::File { path: path.to_owned(), source };
    let delimiter = delimiter(path).map_err(failed)?;
    let text = decoded(File::open(path).map_err(failed)?).map_err(failed)?;
    let mut csv = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).trim(csv::Trim::All).from_reader(text);
    let header = csv.headers().map_err(|error| failed(error.into()))?.clone();
    let currency = match &mapping.currency {
        None => currency,
        Some(name) => Currency::try_from(name.clone()).map_err(|error| failed(io::Error::other(error)))?,
    };
    let columns = Columns::of(path, &header, mapping)?;
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let source = format!("imported: {file}");
    let mut reader = Reader { columns, mapping, pump, currency, dialect, source, trouble: Findings::default() };
    let mut events = Vec::new();
    let mut record = csv::StringRecord::new();
    while csv.read_record(&mut record).map_err(|error| failed(error.into()))? {
        let line = record.position().map_or(0, csv::Position::line);
        events.extend(reader.event(line, &record));
    }
    if !reader.trouble.is_empty() {
        return Err(RecordingError::Trouble { path: path.to_owned(), findings: reader.trouble.into_vec() });
    }
    Ok(told_apart(events, reader.columns.remarks(&header)))
}

/// The delimiter that the header has most of.
fn delimiter(path: &Path) -> io::Result<u8> {
    let mut header = String::new();
    io::BufRead::read_line(&mut decoded(File::open(path)?)?, &mut header)?;
    let count = |delimiter: u8| header.bytes().filter(|byte| *byte == delimiter).count();
    Ok([b',', b';', b'\t'].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b','))
}

/// Leaves exact repeats out, and gives events of one kind and time names of their own.
fn told_apart(events: Vec<MaintenanceEvent>, mut remarks: Vec<String>) -> EventsFile {
    let mut told: Vec<MaintenanceEvent> = Vec::new();
    let mut seen: HashMap<(PumpId, String, Timestamp), Vec<usize>> = HashMap::new();
    let mut repeats = 0;
    for mut event in events {
        let alike = seen.entry((event.pump.clone(), event.rule.clone(), event.opened_at)).or_default();
        let is_repeat = |place: &usize| MaintenanceEvent { rule: event.rule.clone(), ..told[*place].clone() } == event;
        if alike.iter().any(is_repeat) {
            repeats += 1;
            continue;
        }
        alike.push(told.len());
        if alike.len() > 1 {
            event.rule = format!("{}-{}", event.rule, alike.len());
        }
        told.push(event);
    }
    if repeats > 0 {
        remarks.push(format!("{repeats} rows left out: exact repeats"));
    }
    EventsFile { events: told, remarks }
}

/// The places of the columns.
struct Columns {
    opened: usize,
    severity: usize,
    resolved: Option<usize>,
    pump: Option<usize>,
    kind: Option<usize>,
    title: Option<usize>,
    advice: Option<usize>,
    cost: Option<usize>,
    status: Option<usize>,
}

impl Columns {
    fn of(path: &Path, header: &csv::StringRecord, mapping: &EventMapping) -> Result<Self, RecordingError> {
        let wrong = |column: &str, problem: &str| RecordingError::Header {
            path: path.to_owned(),
            column: column.to_owned(),
            problem: problem.to_owned(),
            allowed: format!("the table has {}", header.iter().collect::<Vec<_>>().join(", ")),
            findings: Vec::new(),
        };
        let place = |named: &Option<String>, usual: &[&str]| match named {
            Some(name) => header
                .iter()
                .position(|column| column == name)
                .map(Some)
                .ok_or_else(|| wrong(name, "of the mapping is not there")),
            None => Ok(usual.iter().find_map(|name| header.iter().position(|c| c.eq_ignore_ascii_case(name)))),
        };
        let opened = place(&mapping.opened, &["timestamp", "created_at", "opened_at", "event_time", "date"])?;
        let severity = place(&mapping.severity, &["severity", "priority", "level"])?;
        const SAY: &str = "below [maintenance_events] in a file for --mapping";
        let missing = |name: &str, key: &str, what: &str| {
            wrong(name, &format!("is missing: say which one is {what}, as {key} = \"NAME\" {SAY}"))
        };
        Ok(Self {
            opened: opened.ok_or_else(|| missing("timestamp", "opened", "when an event was opened"))?,
            severity: severity.ok_or_else(|| missing("severity", "severity", "how bad it is"))?,
            resolved: place(&mapping.resolved, &["resolved_at", "completed_at", "closed_at"])?,
            pump: place(&mapping.pump, &["pump_id", "pump", "machine_id", "equipment_id"])?,
            kind: place(&mapping.kind, &["event_type", "rule", "type", "category"])?,
            title: place(&mapping.title, &["title", "description", "message", "issue"])?,
            advice: place(&mapping.advice, &["advice", "recommendation", "recommended_action", "action", "notes"])?,
            cost: place(&mapping.cost, &["estimated_cost", "cost"])?,
            status: place(&mapping.status, &["status", "state"])?,
        })
    }

    fn remarks(&self, header: &csv::StringRecord) -> Vec<String> {
        let Self { opened, severity, resolved, pump, kind, title, advice, cost, status } = *self;
        let used: BTreeSet<usize> = [Some(opened), Some(severity), resolved, pump, kind, title, advice, cost, status]
            .into_iter()
            .flatten()
            .collect();
        let unused: Vec<String> = header
            .iter()
            .enumerate()
            .filter(|(place, name)| !used.contains(place) && !name.is_empty())
            .map(|(_, name)| quoted(name))
            .collect();
        let mut remarks = Vec::new();
        if !unused.is_empty() {
            remarks.push(format!("columns that are not used: {}", unused.join(", ")));
        }
        if cost.is_none() {
            remarks.push("no column is a cost, as estimated_cost: 0 is taken".to_owned());
        }
        remarks
    }
}

struct Reader<'a> {
    columns: Columns,
    mapping: &'a EventMapping,
    pump: Option<&'a PumpId>,
    currency: Currency,
    dialect: &'a Dialect,
    source: String,
    trouble: Findings,
}

impl Reader<'_> {
    fn event(&mut self, line: u64, record: &csv::StringRecord) -> Option<MaintenanceEvent> {
        let cell = |place: Option<usize>| place.and_then(|place| record.get(place)).unwrap_or_default();
        let is_known = |text: &&str| !text.is_empty() && !matches!(*text, "NULL" | "null" | "\\N");
        let text = |place| Some(cell(place)).filter(is_known);
        let opened_at = self.time(line, "the time", cell(Some(self.columns.opened)));
        let resolved_at = match text(self.columns.resolved) {
            Some(time) => self.time(line, "the end", time),
            None => opened_at,
        };
        let severity = self.severity(line, cell(Some(self.columns.severity)));
        let amount = text(self.columns.cost).map_or(Some(0.0), |cost| self.cost(line, cost));
        let pump = self.pump(line, text(self.columns.pump));
        let kind = text(self.columns.kind).map_or_else(|| "imported".to_owned(), kind_of);
        let title = text(self.columns.title).unwrap_or("Maintenance event").to_owned();
        let status = text(self.columns.status).map(|status| format!("Status in the system that it is from: {status}."));
        let advice: Vec<String> = text(self.columns.advice).map(str::to_owned).into_iter().chain(status).collect();
        let (opened_at, resolved_at) = (opened_at?, resolved_at?.max(opened_at?));
        Some(MaintenanceEvent {
            pump: pump?,
            rule: kind,
            title,
            advice: advice.join(" "),
            severity: severity?,
            cost: Money { amount: amount?, currency: self.currency },
            channel: String::new(),
            limit: None,
            peak: None,
            peak_loss: None,
            model: None,
            opened_at,
            last_seen_at: opened_at,
            resolved_at: Some(resolved_at),
            source: Some(self.source.clone()),
        })
    }

    fn time(&mut self, line: u64, what: &str, text: &str) -> Option<Timestamp> {
        use crate::RepeatedHour::{First, Second};
        let zone = self.dialect.time_zone;
        let utc = match read_time(text, self.dialect.time_format.as_ref()) {
            Some(Moment::Absolute(time)) => Some(time),
            Some(Moment::Local(local)) => match (localize(zone, local), self.dialect.repeated_hour) {
                (Localized::Once(time), _)
                | (Localized::Twice(time, _), Some(First))
                | (Localized::Twice(_, time), Some(Second)) => Some(time),
                (Localized::Twice(..), None) => {
                    let why = "stands twice in the zone: say which with --repeated-hour first or second";
                    self.trouble.add_alike(line, "twice", format!("{what}: {}", quoted(text)), why);
                    return None;
                }
                (Localized::Never, _) => None,
            },
            None => None,
        };
        let at = utc.and_then(|utc| timestamp(utc).ok());
        if at.is_none() {
            let why = "is no time that has one meaning; --time-format says how it is written";
            self.trouble.add_alike(line, what, format!("{what}: {}", quoted(text)), why);
        }
        at
    }

    fn severity(&mut self, line: u64, text: &str) -> Option<Severity> {
        let word = text.to_ascii_lowercase();
        let further = self.mapping.severities.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let severity = match further.map_or(word.as_str(), |(_, severity)| severity.as_str()) {
            "low" | "info" | "minor" => Some(Severity::Low),
            "medium" | "moderate" | "warning" => Some(Severity::Medium),
            "high" | "major" | "severe" => Some(Severity::High),
            "critical" | "emergency" => Some(Severity::Critical),
            _ => None,
        };
        if severity.is_none() {
            let why = "; allowed: low, medium, high, critical, or a word of the mapping's severities";
            self.trouble.add(line, format!("the severity: {}", quoted(text)), why);
        }
        severity
    }

    fn cost(&mut self, line: u64, text: &str) -> Option<f64> {
        let number = text.trim_matches(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '-' | '.' | ','));
        let amount = number.parse().ok().filter(|amount: &f64| amount.is_finite() && *amount >= 0.0);
        if amount.is_none() {
            let why = "; allowed: a number from 0, without a separator of thousands";
            self.trouble.add(line, format!("the cost: {}", quoted(text)), why);
        }
        amount
    }

    fn pump(&mut self, line: u64, text: Option<&str>) -> Option<PumpId> {
        match (text, self.pump) {
            (Some(text), _) => text
                .parse()
                .inspect_err(|error| {
                    self.trouble.add(line, format!("the pump: {}", quoted(text)), &format!("; {error}"));
                })
                .ok(),
            (None, Some(pump)) => Some(pump.clone()),
            (None, None) => {
                self.trouble.add(line, "no pump is named".to_owned(), ": say it with --pump");
                None
            }
        }
    }
}

/// A kind as a rule's name is written: `Bearing Failure` is `bearing-failure`.
fn kind_of(text: &str) -> String {
    let letters = text.chars().map(|letter| if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { '-' });
    let name: String = letters.take(60).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "imported".to_owned() } else { parts.join("-") }
}

/// Stores what is new or says something else now, or only counts it without a store to write to.
///
/// `registration` is for pumps that are not there yet.
pub async fn import_events(
    store: Option<&Store>,
    events: &[MaintenanceEvent],
    registration: impl Fn(&PumpId) -> PumpRecord,
    is_dry_run: bool,
) -> Result<EventsImported, StoreError> {
    let mut imported = EventsImported::default();
    let stored = stored(store, events).await?;
    let mut fresh = Vec::new();
    for event in events {
        match stored.iter().find(|other| is_same(other, event)) {
            Some(other) if other == event => imported.known += 1,
            other => {
                *(if other.is_some() { &mut imported.changed } else { &mut imported.new }) += 1;
                fresh.push(event.clone());
            }
        }
    }
    if let (Some(store), false) = (store, is_dry_run) {
        for batch in fresh.chunks(BATCH) {
            let pumps: BTreeSet<&PumpId> = batch.iter().map(|event| &event.pump).collect();
            let pumps = pumps.into_iter().map(&registration).collect();
            store
                .commit(&Batch { pumps, documents: batch.iter().map(Document::of).collect(), ..Batch::default() })
                .await?;
        }
        store.flush_all().await?;
    }
    Ok(imported)
}

fn is_same(one: &MaintenanceEvent, other: &MaintenanceEvent) -> bool {
    (&one.pump, &one.rule, one.opened_at) == (&other.pump, &other.rule, other.opened_at)
}

/// The stored events of the same time.
async fn stored(store: Option<&Store>, events: &[MaintenanceEvent]) -> Result<Vec<MaintenanceEvent>, StoreError> {
    let times = || events.iter().map(|event| event.opened_at);
    let (Some(store), Some(from), Some(last)) = (store, times().min(), times().max()) else { return Ok(Vec::new()) };
    let range = Range { from: Some(from), to: Some(last.plus_ms(1)), ..Range::default() };
    store.events(&EventFilter { range, ..EventFilter::default() }).await?.all()
}

#[cfg(test)]
mod tests;
