//! A recording taken into a store, batch by batch.
//!
//! Its rows become history: nothing judges them, and no alarm comes of them. A recording is read to its end before the
//! first row is stored, and compared with what is stored: it goes in as a whole or not at all.
//!
//! ```text
//! the file has              the store has          what becomes of it
//! 10:14:33  2950  61.5      nothing                stored
//! 10:14:34  2950  61.5      2950  61.5             known, left out
//! 10:14:34  2950  61.5      2950  -                stored: the store joins a reading's parts
//! 10:14:35  2950  61.5      2950  61.9             "same time, other values": nothing of the file is stored,
//!                                                  or the row is left out where the first value is to count
//! ```
//!
//! Does not store the recording's labels, for which the store has no place.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use volute_plant::{Cadence, CadenceMeter, Profile, PumpId, Reading, Sample, Timestamp};

use crate::{
    Batch, Dialect, Finding, Notes, PumpRecord, RecordingError, RecordingFile, Store, StoreError, open_recording,
    recording::{Numbered, Together, compare, count},
};

/// Rows that are committed together.
const BATCH: usize = 10_000;

/// What is to be imported.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    /// The recording.
    pub file: &'a Path,
    /// What is said about it.
    pub dialect: &'a Dialect,
    /// The pump that it is of; registered if it is new.
    pub pump: &'a PumpId,
    /// The pump's kind.
    pub profile: &'a Profile,
    /// When the rows are received, and until when they may be.
    pub now: Timestamp,
    /// Of two values for one time the first counts, the stored one before all, and the others are left out.
    pub keep_first: bool,
}

/// What became of a recording's rows, or would become of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    /// Rows that are stored now.
    pub stored: u64,
    /// Those of them that hold further channels of a reading that is stored.
    pub joined: u64,
    /// Rows that were left out because the pump has the same reading already.
    pub known: u64,
    /// Rows that were left out because they hold no value.
    pub empty: u64,
    /// Rows with a label, which is not stored.
    pub labelled: u64,
    /// Rows that were left out because the pump has a reading of that time with other values.
    pub contradicted: Option<Finding>,
    /// The first time that was stored.
    pub first: Option<Timestamp>,
    /// The last time that was stored.
    pub last: Option<Timestamp>,
    /// How often its rows come, those that are left out among them.
    pub cadence: Cadence,
    /// What there is to say about the recording.
    pub notes: Notes,
    /// Rows of times that have not come yet.
    future: Option<Finding>,
}

impl Imported {
    /// Whether the recording held nothing that could be stored, or was.
    pub fn found_nothing(&self) -> bool {
        self.stored == 0 && self.known == 0 && self.contradicted.is_none()
    }
}

/// Why a recording was not imported, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// It cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It contradicts itself or what is stored, or is of times that have not come yet. Nothing of it is stored.
    #[error("{}: nothing is stored:{}", path.display(), findings.iter().map(|f| format!("\n  {f}")).collect::<String>())]
    Refused {
        /// The recording.
        path: PathBuf,
        /// Why, each kind with its first line.
        findings: Vec<Finding>,
    },
}

/// Stores a recording's rows as readings of a pump, which is registered with its first row.
///
/// What is stored already stands, so that an import which was cut short can simply be repeated. At most a batch of rows is in
/// memory beside the store's own, and a piece of the recording where its rows are out of order.
pub async fn import(store: &Store, what: &Import<'_>) -> Result<Imported, ImportError> {
    let recording = open_recording(what.file, what.profile, what.dialect)?;
    compare_with(Some(store), &recording, what).await?;
    let imported = pass(Some(store), true, &recording, what).await?;
    store.flush_all().await?;
    Ok(imported)
}

/// Says what [`import`] would do, and stores nothing; without a store, what it would do in an empty one.
pub async fn try_import(store: Option<&Store>, what: &Import<'_>) -> Result<Imported, ImportError> {
    let recording = open_recording(what.file, what.profile, what.dialect)?;
    compare_with(store, &recording, what).await
}

/// Reads the whole recording beside the store, and refuses it where the two do not go together.
async fn compare_with(
    store: Option<&Store>,
    recording: &RecordingFile,
    what: &Import<'_>,
) -> Result<Imported, ImportError> {
    let imported = pass(store, false, recording, what).await?;
    let mut findings: Vec<Finding> = imported.future.iter().cloned().collect();
    if !what.keep_first {
        const KEEP: &str = "; --keep-first takes the first of them and leaves the others out";
        let hint = imported.notes.hint();
        let conflicts = imported.notes.order.conflicts.iter().chain(&imported.contradicted);
        findings.extend(conflicts.cloned().map(|finding| {
            let why = format!("{}{hint}{KEEP}", finding.why);
            finding.why(why)
        }));
    }
    match findings.is_empty() {
        true => Ok(imported),
        false => Err(ImportError::Refused { path: what.file.to_owned(), findings }),
    }
}

/// Reads all rows by their times, and stores what is new if it is to be stored.
async fn pass(
    store: Option<&Store>,
    is_to_be_stored: bool,
    recording: &RecordingFile,
    what: &Import<'_>,
) -> Result<Imported, ImportError> {
    let mut rows = recording.by_time(what.keep_first).map_err(|error| recording.failed(error))?;
    let (mut imported, mut meter) = (Imported::default(), CadenceMeter::for_recording());
    let mut ended = false;
    while !ended {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let Some(row) = rows.next().map_err(|error| recording.failed(error))? else {
                ended = true;
                break;
            };
            meter.push(row.row.at);
            batch.push(row);
        }
        let readings = new_readings(store, what, batch, &mut imported).await?;
        if let (true, Some(store), false) = (is_to_be_stored, store, readings.is_empty()) {
            store.commit(&Batch { pumps: vec![registration(what)], readings, ..Batch::default() }).await?;
            // The database takes all of it at once, and the journal may forget it.
            store.flush_all().await?;
            store.flush(what.now).await?;
        }
    }
    imported.cadence = meter.cadence();
    imported.notes = rows.notes(recording.notes());
    Ok(imported)
}

/// The pump's registration; one that is there already stands, and must have the same channels.
fn registration(what: &Import<'_>) -> PumpRecord {
    let channels = what.profile.channel_names().map(str::to_owned).collect();
    let (id, profile) = (what.pump.clone(), what.profile.name().to_owned());
    PumpRecord { id, profile, channels, registered_at: what.now }
}

/// What of a batch is new; the rest is counted.
async fn new_readings(
    store: Option<&Store>,
    what: &Import<'_>,
    rows: Vec<Numbered>,
    imported: &mut Imported,
) -> Result<Vec<Reading>, ImportError> {
    let times: Vec<Timestamp> = rows.iter().map(|numbered| numbered.row.at).collect();
    let stored = match store {
        Some(store) if !times.is_empty() => store.readings_at(what.pump, &times).await?.all()?,
        _ => Vec::new(),
    };
    let mut readings = Vec::new();
    for Numbered { line, row } in rows {
        imported.labelled += u64::from(row.normal.is_some() || row.anomaly.is_some());
        if row.at > what.now {
            count(&mut imported.future, || {
                let why = format!("is after now ({}): is the clock wrong, or its time not UTC?", what.now);
                Finding::new(line, format!("{:?}", row.recorded_at)).why(why)
            });
        }
        let known = stored.binary_search_by_key(&row.at, |reading| reading.at).ok().map(|index| &stored[index]);
        if row.samples.iter().all(|sample| sample.value().is_none()) {
            imported.empty += 1;
        } else {
            let samples = match known.map(|known| compare(&known.samples, &row.samples)) {
                None => row.samples,
                Some(Together::Parts) => {
                    imported.joined += 1;
                    known.map_or_else(|| row.samples.clone(), |known| further(&known.samples, &row.samples))
                }
                Some(Together::Repeat) => {
                    imported.known += 1;
                    continue;
                }
                Some(Together::Conflict(channel)) => {
                    let name = &what.profile.channels()[channel].name;
                    count(&mut imported.contradicted, || contradiction(line, &row.recorded_at, name));
                    continue;
                }
            };
            let pump = what.pump.clone();
            readings.push(Reading { pump, at: row.at, received: what.now, samples, late: false });
        }
    }
    let times = || readings.iter().map(|reading| reading.at);
    let (first, last) = (times().min(), times().max());
    imported.first = imported.first.into_iter().chain(first).min();
    imported.last = imported.last.into_iter().chain(last).max();
    imported.stored += readings.len() as u64;
    Ok(readings)
}

/// What a row has beyond the stored reading of its time.
fn further(stored: &[Sample], row: &[Sample]) -> Arc<[Sample]> {
    let pairs = stored.iter().zip(row);
    pairs.map(|(stored, row)| if stored.value().is_some() { Sample::Missing } else { *row }).collect()
}

fn contradiction(line: u64, recorded_at: &str, channel: &str) -> Finding {
    let why = format!("than what is stored: {channel}");
    Finding::new(line, format!("same time, other values: {recorded_at:?}")).why(why)
}
