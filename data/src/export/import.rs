//! A recording taken into a store, batch by batch.
//!
//! Its rows become history: nothing judges them, and no alarm comes of them. Deliberately absent: the recording's labels,
//! for which the store has no place.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use volute_plant::{Profile, PumpId, Reading, Timestamp};

use crate::{Batch, PumpRecord, RecordingError, Row, Store, StoreError, open_recording};

/// Rows that are committed together.
const BATCH: usize = 10_000;

/// What is to be imported.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    /// The recording.
    pub file: &'a Path,
    /// The pump that it is of; registered if it is new.
    pub pump: &'a PumpId,
    /// The pump's kind.
    pub profile: &'a Profile,
    /// When the rows are received, and until when they may be.
    pub now: Timestamp,
}

/// What became of a recording's rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows that are stored now.
    pub stored: u64,
    /// Rows that were left out because the pump has a reading of that time already, or the recording had it before.
    pub known: u64,
    /// Rows that were left out because they hold no value.
    pub empty: u64,
    /// Rows with a label, which is not stored.
    pub labelled: u64,
    /// The first time that was stored.
    pub first: Option<Timestamp>,
    /// The last time that was stored.
    pub last: Option<Timestamp>,
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
    /// A row is of a time that has not come yet.
    #[error("{}: a row is of {at}, which is after now ({now}): is the clock wrong, or its time not UTC?", path.display())]
    Future {
        /// The recording.
        path: PathBuf,
        /// The row's time.
        at: Timestamp,
        /// Now.
        now: Timestamp,
    },
}

/// Stores a recording's rows as readings of a pump, which is registered with its first row.
///
/// The whole recording is checked before any of it is stored: one with a fault stores nothing and registers no pump. What is
/// stored already stands, so that an import which was cut short can simply be repeated. At most a batch of rows is in memory
/// beside the store's own.
pub async fn import(store: &Store, what: &Import<'_>) -> Result<Imported, ImportError> {
    // What is read from a pipe comes only once.
    if what.file.is_file() {
        check(what)?;
    }
    let mut rows = open_recording(what.file, what.profile)?;
    let mut imported = Imported::default();
    loop {
        let batch: Vec<Row> = rows.by_ref().take(BATCH).collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        store_batch(store, what, batch, &mut imported).await?;
        // The database takes all of it at once, and the journal may forget it.
        store.flush_all().await?;
        store.flush(what.now).await?;
    }
    store.flush_all().await?;
    Ok(imported)
}

/// Reads the whole recording.
fn check(what: &Import<'_>) -> Result<(), ImportError> {
    open_recording(what.file, what.profile)?.try_for_each(|row| not_in_future(what, &row?))
}

fn not_in_future(what: &Import<'_>, row: &Row) -> Result<(), ImportError> {
    if row.at > what.now {
        return Err(ImportError::Future { path: what.file.to_owned(), at: row.at, now: what.now });
    }
    Ok(())
}

/// The pump's registration; one that is there already stands, and must have the same channels.
fn registration(what: &Import<'_>) -> PumpRecord {
    let channels = what.profile.channel_names().map(str::to_owned).collect();
    let (id, profile) = (what.pump.clone(), what.profile.name().to_owned());
    PumpRecord { id, profile, channels, registered_at: what.now }
}

async fn store_batch(
    store: &Store,
    what: &Import<'_>,
    rows: Vec<Row>,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    rows.iter().try_for_each(|row| not_in_future(what, row))?;
    let times: Vec<Timestamp> = rows.iter().map(|row| row.at).collect();
    let stored = store.readings_at(what.pump, &times).await?.all()?;
    let mut known: BTreeSet<Timestamp> = stored.iter().map(|reading| reading.at).collect();
    let mut readings = Vec::new();
    for row in rows {
        imported.labelled += u64::from(row.normal.is_some() || row.anomaly.is_some());
        if row.samples.iter().all(|sample| sample.value().is_none()) {
            imported.empty += 1;
        } else if !known.insert(row.at) {
            imported.known += 1;
        } else {
            let (pump, samples) = (what.pump.clone(), row.samples);
            readings.push(Reading { pump, at: row.at, received: what.now, samples, late: false });
        }
    }
    let times = || readings.iter().map(|reading| reading.at);
    let (first, last) = (times().min(), times().max());
    imported.first = imported.first.into_iter().chain(first).min();
    imported.last = imported.last.into_iter().chain(last).max();
    imported.stored += readings.len() as u64;
    if !readings.is_empty() {
        store.commit(&Batch { pumps: vec![registration(what)], readings, ..Batch::default() }).await?;
    }
    Ok(())
}
