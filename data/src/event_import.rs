//! Imports the maintenance events of the original system, from a CSV export of its table `maintenance_events`.
//!
//! ```text
//! id,created_at,severity,description,estimated_cost,status
//! 17,2024-05-01 08:00:00,high,"Bearing replaced, seal checked",15000,completed
//! ```
//!
//! This row becomes an event of the rule `imported` (the table has no column for the kind), opened on 2024-05-01
//! 08:00:00 and resolved at the same time, with the source `imported: maintenance_events.csv` and the status
//! `completed` in its advice.
//!
//! Imported events are history: all of them are resolved. An event's id consists of its pump, kind and time, so a
//! second import changes nothing. Does not import readings; those are a recording, see [`crate::import()`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io,
    path::Path,
};

use serde::Deserialize;
use volute_plant::{Currency, MaintenanceEvent, Money, PumpId, Severity, Timestamp, event_status::StatusHistory};

use crate::{
    Batch, Dialect, Document, EventFilter, PageRange, PumpRecord, RecordingError, Store, StoreError,
    recording::{Findings, Localized, ParsedTime, decode, localize, parse_time, quoted, timestamp},
};

/// The number of events that are committed together.
const BATCH_EVENTS: usize = 1_000;

/// The columns of the table. A column that is not given here is found by its usual names.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventMapping {
    /// The name of the file in the folder; default: `maintenance_events.csv`.
    pub file: Option<String>,
    /// When the event was opened; usual names: `timestamp`, `created_at`, `opened_at`, `event_time` or `date`.
    pub opened: Option<String>,
    /// When the event was resolved; usual names: `resolved_at`, `completed_at` or `closed_at`.
    pub resolved: Option<String>,
    /// The pump; usual names: `pump_id`, `pump`, `machine_id` or `equipment_id`.
    pub pump: Option<String>,
    /// The kind of event; usual names: `event_type`, `rule`, `type` or `category`.
    pub kind: Option<String>,
    /// The description of the problem; usual names: `title`, `description`, `message` or `issue`.
    pub title: Option<String>,
    /// The recommended action; usual names: `advice`, `recommendation`, `recommended_action`, `action` or `notes`.
    pub advice: Option<String>,
    /// The severity; usual names: `severity`, `priority` or `level`.
    pub severity: Option<String>,
    /// The cost; usual names: `estimated_cost` or `cost`.
    pub cost: Option<String>,
    /// The status; usual names: `status` or `state`.
    pub status: Option<String>,
    /// The currency of all costs; default: that of the profile's first rule.
    pub currency: Option<String>,
    /// Additional words for severities; each maps to `low`, `medium`, `high` or `critical`.
    pub severities: BTreeMap<String, String>,
}

/// The events of a table, and remarks about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventsFile {
    /// The events in the order of the file, without repeats.
    pub events: Vec<MaintenanceEvent>,
    /// What was left out or assumed.
    pub remarks: Vec<String>,
}

/// The report of an import of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventImportReport {
    /// The number of events that were not stored before.
    pub new: u64,
    /// The number of events that were stored before and differ now.
    pub changed: u64,
    /// The number of events that were stored already and are equal.
    pub unchanged: u64,
}

/// Reads the events of a file. `pump` is the pump of rows that name none. `currency` is the currency of the costs if
/// the mapping names none.
pub fn read_events(
    path: &Path,
    mapping: &EventMapping,
    pump: Option<&PumpId>,
    currency: Currency,
    dialect: &Dialect,
) -> Result<EventsFile, RecordingError> {
    let file_error = |source| RecordingError::File { path: path.to_owned(), source };
    let delimiter = delimiter(path).map_err(file_error)?;
    let text = decode(File::open(path).map_err(file_error)?).map_err(file_error)?;
    let mut csv = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).trim(csv::Trim::All).from_reader(text);
    let header = csv.headers().map_err(|error| file_error(error.into()))?.clone();
    let currency = match &mapping.currency {
        None => currency,
        Some(name) => Currency::try_from(name.clone()).map_err(|error| file_error(io::Error::other(error)))?,
    };
    let columns = Columns::of(path, &header, mapping)?;
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let source = format!("imported: {file}");
    let mut reader = EventReader { columns, mapping, pump, currency, dialect, source, findings: Findings::default() };
    let mut events = Vec::new();
    let mut record = csv::StringRecord::new();
    while csv.read_record(&mut record).map_err(|error| file_error(error.into()))? {
        let line = record.position().map_or(0, csv::Position::line);
        events.extend(reader.event(line, &record));
    }
    if !reader.findings.is_empty() {
        return Err(RecordingError::Invalid { path: path.to_owned(), findings: reader.findings.into_vec() });
    }
    Ok(with_distinct_ids(events, reader.columns.remarks(&header)))
}

/// Returns the most frequent delimiter in the header.
fn delimiter(path: &Path) -> io::Result<u8> {
    let mut header = String::new();
    io::BufRead::read_line(&mut decode(File::open(path)?)?, &mut header)?;
    let count = |delimiter: u8| header.bytes().filter(|byte| *byte == delimiter).count();
    Ok([b',', b';', b'\t'].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b','))
}

/// Leaves out exact repeats, and appends a number to the kind of different events with the same pump, kind and time.
fn with_distinct_ids(events: Vec<MaintenanceEvent>, mut remarks: Vec<String>) -> EventsFile {
    let mut distinct: Vec<MaintenanceEvent> = Vec::new();
    let mut by_id: HashMap<(PumpId, String, Timestamp), Vec<usize>> = HashMap::new();
    let mut repeats = 0;
    for mut event in events {
        let same_id = by_id.entry((event.pump.clone(), event.rule.clone(), event.opened_at)).or_default();
        let is_repeat =
            |index: &usize| MaintenanceEvent { rule: event.rule.clone(), ..distinct[*index].clone() } == event;
        if same_id.iter().any(is_repeat) {
            repeats += 1;
            continue;
        }
        same_id.push(distinct.len());
        if same_id.len() > 1 {
            event.rule = format!("{}-{}", event.rule, same_id.len());
        }
        distinct.push(event);
    }
    if repeats > 0 {
        remarks.push(format!("{repeats} rows left out: exact repeats"));
    }
    EventsFile { events: distinct, remarks }
}

/// The indices of the columns.
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
        let header_error = |column: &str, problem: &str| RecordingError::Header {
            path: path.to_owned(),
            column: column.to_owned(),
            problem: problem.to_owned(),
            allowed: format!("the table has {}", header.iter().collect::<Vec<_>>().join(", ")),
            findings: Vec::new(),
        };
        let find_column = |named: &Option<String>, usual_names: &[&str]| match named {
            Some(name) => header
                .iter()
                .position(|column| column == name)
                .map(Some)
                .ok_or_else(|| header_error(name, "of the mapping does not exist")),
            None => Ok(usual_names.iter().find_map(|name| header.iter().position(|c| c.eq_ignore_ascii_case(name)))),
        };
        let opened = find_column(&mapping.opened, &["timestamp", "created_at", "opened_at", "event_time", "date"])?;
        let severity = find_column(&mapping.severity, &["severity", "priority", "level"])?;
        const WHERE_TO_SAY: &str = "below [maintenance_events] in a file for --mapping";
        let missing_column = |name: &str, key: &str, what: &str| {
            header_error(name, &format!("is missing: say which column is {what}, as {key} = \"NAME\" {WHERE_TO_SAY}"))
        };
        Ok(Self {
            opened: opened.ok_or_else(|| missing_column("timestamp", "opened", "the time an event was opened"))?,
            severity: severity.ok_or_else(|| missing_column("severity", "severity", "the severity"))?,
            resolved: find_column(&mapping.resolved, &["resolved_at", "completed_at", "closed_at"])?,
            pump: find_column(&mapping.pump, &["pump_id", "pump", "machine_id", "equipment_id"])?,
            kind: find_column(&mapping.kind, &["event_type", "rule", "type", "category"])?,
            title: find_column(&mapping.title, &["title", "description", "message", "issue"])?,
            advice: find_column(
                &mapping.advice,
                &["advice", "recommendation", "recommended_action", "action", "notes"],
            )?,
            cost: find_column(&mapping.cost, &["estimated_cost", "cost"])?,
            status: find_column(&mapping.status, &["status", "state"])?,
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
            .filter(|(index, name)| !used.contains(index) && !name.is_empty())
            .map(|(_, name)| quoted(name))
            .collect();
        let mut remarks = Vec::new();
        if !unused.is_empty() {
            remarks.push(format!("columns that are not used: {}", unused.join(", ")));
        }
        if cost.is_none() {
            remarks.push("no cost column, such as estimated_cost: all costs are 0".to_owned());
        }
        remarks
    }
}

struct EventReader<'a> {
    columns: Columns,
    mapping: &'a EventMapping,
    pump: Option<&'a PumpId>,
    currency: Currency,
    dialect: &'a Dialect,
    source: String,
    findings: Findings,
}

impl EventReader<'_> {
    fn event(&mut self, line: u64, record: &csv::StringRecord) -> Option<MaintenanceEvent> {
        let cell = |column: Option<usize>| column.and_then(|column| record.get(column)).unwrap_or_default();
        let is_known = |text: &&str| !text.is_empty() && !matches!(*text, "NULL" | "null" | "\\N");
        let text = |column| Some(cell(column)).filter(is_known);
        let opened_at = self.time(line, "the time", cell(Some(self.columns.opened)));
        let resolved_at = match text(self.columns.resolved) {
            Some(time) => self.time(line, "the end", time),
            None => opened_at,
        };
        let severity = self.severity(line, cell(Some(self.columns.severity)));
        let amount = text(self.columns.cost).map_or(Some(0.0), |cost| self.cost(line, cost));
        let pump = self.pump(line, text(self.columns.pump));
        let kind = text(self.columns.kind).map_or_else(|| "imported".to_owned(), rule_name);
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
            work: StatusHistory::default(),
            recommendation: None,
            evidence: Vec::new(),
        })
    }

    fn time(&mut self, line: u64, what: &str, text: &str) -> Option<Timestamp> {
        use crate::RepeatedHour::{First, Second};
        let zone = self.dialect.time_zone;
        let utc = match parse_time(text, self.dialect.time_format.as_ref()) {
            Some(ParsedTime::Absolute(time)) => Some(time),
            Some(ParsedTime::Local(local)) => match (localize(zone, local), self.dialect.repeated_hour) {
                (Localized::Single(time), _)
                | (Localized::Ambiguous(time, _), Some(First))
                | (Localized::Ambiguous(_, time), Some(Second)) => Some(time),
                (Localized::Ambiguous(..), None) => {
                    let why = "occurs twice in the zone: say which with --repeated-hour first or second";
                    self.findings.add_of_kind(line, "twice", format!("{what}: {}", quoted(text)), why);
                    return None;
                }
                (Localized::Skipped, _) => None,
            },
            None => None,
        };
        let at = utc.and_then(|utc| timestamp(utc).ok());
        if at.is_none() {
            let why = "is not an unambiguous time; say its format with --time-format";
            self.findings.add_of_kind(line, what, format!("{what}: {}", quoted(text)), why);
        }
        at
    }

    fn severity(&mut self, line: u64, text: &str) -> Option<Severity> {
        let word = text.to_ascii_lowercase();
        let user_defined = self.mapping.severities.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let severity = match user_defined.map_or(word.as_str(), |(_, severity)| severity.as_str()) {
            "low" | "info" | "minor" => Some(Severity::Low),
            "medium" | "moderate" | "warning" => Some(Severity::Medium),
            "high" | "major" | "severe" => Some(Severity::High),
            "critical" | "emergency" => Some(Severity::Critical),
            _ => None,
        };
        if severity.is_none() {
            let why = "; allowed: low, medium, high, critical, or a word of the mapping's severities";
            self.findings.add(line, format!("the severity: {}", quoted(text)), why);
        }
        severity
    }

    fn cost(&mut self, line: u64, text: &str) -> Option<f64> {
        let number = text.trim_matches(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '-' | '.' | ','));
        let amount = number.parse().ok().filter(|amount: &f64| amount.is_finite() && *amount >= 0.0);
        if amount.is_none() {
            let why = "; allowed: a number from 0, without a separator of thousands";
            self.findings.add(line, format!("the cost: {}", quoted(text)), why);
        }
        amount
    }

    fn pump(&mut self, line: u64, text: Option<&str>) -> Option<PumpId> {
        match (text, self.pump) {
            (Some(text), _) => text
                .parse()
                .inspect_err(|error| {
                    self.findings.add(line, format!("the pump: {}", quoted(text)), &format!("; {error}"));
                })
                .ok(),
            (None, Some(pump)) => Some(pump.clone()),
            (None, None) => {
                self.findings.add(line, "no pump is named".to_owned(), ": say it with --pump");
                None
            }
        }
    }
}

/// Converts a kind to the form of a rule's name: `Bearing Failure` becomes `bearing-failure`.
fn rule_name(text: &str) -> String {
    let letters = text.chars().map(|letter| if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { '-' });
    let name: String = letters.take(60).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "imported".to_owned() } else { parts.join("-") }
}

/// Stores new and changed events. Only counts them in a dry run or without a store.
///
/// `registration` returns the registration of a pump that does not exist yet.
pub async fn import_events(
    store: Option<&Store>,
    events: &[MaintenanceEvent],
    registration: impl Fn(&PumpId) -> PumpRecord,
    is_dry_run: bool,
) -> Result<EventImportReport, StoreError> {
    let mut imported = EventImportReport::default();
    let stored = stored_events(store, events).await?;
    let mut to_store = Vec::new();
    for event in events {
        match stored.iter().find(|other| has_same_id(other, event)) {
            Some(other) if other == event => imported.unchanged += 1,
            other => {
                *(if other.is_some() { &mut imported.changed } else { &mut imported.new }) += 1;
                to_store.push(event.clone());
            }
        }
    }
    if let (Some(store), false) = (store, is_dry_run) {
        for batch in to_store.chunks(BATCH_EVENTS) {
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

fn has_same_id(one: &MaintenanceEvent, other: &MaintenanceEvent) -> bool {
    (&one.pump, &one.rule, one.opened_at) == (&other.pump, &other.rule, other.opened_at)
}

/// Returns the stored events in the time range of these events.
async fn stored_events(
    store: Option<&Store>,
    events: &[MaintenanceEvent],
) -> Result<Vec<MaintenanceEvent>, StoreError> {
    let times = || events.iter().map(|event| event.opened_at);
    let (Some(store), Some(from), Some(last)) = (store, times().min(), times().max()) else { return Ok(Vec::new()) };
    let range = PageRange { from: Some(from), to: Some(last.plus_ms(1)), ..PageRange::default() };
    store.events(&EventFilter { range, ..EventFilter::default() }).await?.into_complete()
}

#[cfg(test)]
mod tests;
