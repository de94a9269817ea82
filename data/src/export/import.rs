//! Imports a recording into a store, batch by batch.
//!
//! The rows become history: no detections are computed for them and no alarms raised. The whole recording is read and
//! compared with the stored readings before the first row is stored, so it is imported completely or not at all:
//!
//! ```text
//! row of the file           stored reading         outcome
//! 10:14:33  2950  61.5      none                   stored
//! 10:14:34  2950  61.5      2950  61.5             already stored, left out
//! 10:14:34  2950  61.5      2950  -                stored: the store merges the parts of a reading
//! 10:14:35  2950  61.5      2950  61.9             another value: nothing of the file is stored;
//!                                                  with `keep_first`, only this row is left out
//! ```
//!
//! Does not store the labels of the recording: the store has no field for them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use volute_plant::{Cadence, CadenceMeter, Profile, PumpId, Reading, Sample, Timestamp};

use crate::{
    Batch, Dialect, Finding, Notes, PumpRecord, RecordingError, RecordingFile, Store, StoreError, open_recording,
    recording::{NumberedRow, RowComparison, compare_samples, count_finding},
};

/// The number of rows that are committed together.
const BATCH_ROWS: usize = 10_000;

/// A request to import a recording.
#[derive(Debug, Clone, Copy)]
pub struct ImportRequest<'a> {
    /// The recording.
    pub file: &'a Path,
    /// How the file is to be read.
    pub dialect: &'a Dialect,
    /// The pump of the recording. It is registered if it is new.
    pub pump: &'a PumpId,
    /// The profile of the pump's kind.
    pub profile: &'a Profile,
    /// The current time: when the rows are received. Rows after it are an error.
    pub now: Timestamp,
    /// If there are several values for one time, use the first and leave out the others. A stored value takes
    /// precedence over all values of the file.
    pub keep_first: bool,
}

/// The report of an import, or of a dry run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportReport {
    /// The number of rows that were stored.
    pub stored: u64,
    /// The number of stored rows that add channels to a reading that was stored before.
    pub merged: u64,
    /// The number of rows that were left out because the pump has the same reading already.
    pub already_stored: u64,
    /// The number of rows that were left out because they have no value.
    pub empty: u64,
    /// The number of rows with a label. Labels are not stored.
    pub labelled: u64,
    /// The rows that were left out because the pump has a reading of that time with other values.
    pub conflicting: Option<Finding>,
    /// The first stored time.
    pub first: Option<Timestamp>,
    /// The last stored time.
    pub last: Option<Timestamp>,
    /// The interval between its rows, including those that were left out.
    pub cadence: Cadence,
    /// Remarks about the recording.
    pub notes: Notes,
    /// The rows whose time is in the future.
    future: Option<Finding>,
}

impl ImportReport {
    /// Whether no row had a value that could be stored, or was stored already.
    pub fn found_nothing(&self) -> bool {
        self.stored == 0 && self.already_stored == 0 && self.conflicting.is_none()
    }
}

/// Why a recording was not imported, or not completely.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// It cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It contradicts itself or the stored readings, or has times in the future. Nothing of it is stored.
    #[error("{}: nothing is stored:{}", path.display(), findings.iter().map(|f| format!("\n  {f}")).collect::<String>())]
    Refused {
        /// The recording.
        path: PathBuf,
        /// The reasons, each with its first line.
        findings: Vec<Finding>,
    },
}

/// Stores a recording's rows as readings of a pump, which is registered with its first row.
///
/// Stored readings are not changed, so an interrupted import can be repeated. Memory holds at most one batch of rows
/// besides the store's own memory, and a part of the recording if its rows are out of order.
pub async fn import(store: &Store, request: &ImportRequest<'_>) -> Result<ImportReport, ImportError> {
    let recording = open_recording(request.file, request.profile, request.dialect)?;
    compare_with(Some(store), &recording, request).await?;
    let report = process_rows(Some(store), true, &recording, request).await?;
    store.flush_all().await?;
    Ok(report)
}

/// Returns the report that [`import`] would return, and stores nothing. Without a store, assumes an empty one.
pub async fn dry_run_import(store: Option<&Store>, request: &ImportRequest<'_>) -> Result<ImportReport, ImportError> {
    let recording = open_recording(request.file, request.profile, request.dialect)?;
    compare_with(store, &recording, request).await
}

/// Compares the whole recording with the store. Fails if they contradict each other.
async fn compare_with(
    store: Option<&Store>,
    recording: &RecordingFile,
    request: &ImportRequest<'_>,
) -> Result<ImportReport, ImportError> {
    let report = process_rows(store, false, recording, request).await?;
    let mut findings: Vec<Finding> = report.future.iter().cloned().collect();
    if !request.keep_first {
        let zone_hint = report.notes.conflict_hint();
        let within_file =
            report.notes.order.conflicts.iter().map(|finding| (finding, "; --keep-first keeps the first value"));
        let with_stored = report.conflicting.iter().map(|finding| (finding, "; --keep-first keeps the stored values"));
        findings.extend(within_file.chain(with_stored).map(|(finding, hint)| {
            let why = format!("{}{zone_hint}{hint}", finding.why);
            finding.clone().why(why)
        }));
    }
    match findings.is_empty() {
        true => Ok(report),
        false => Err(ImportError::Refused { path: request.file.to_owned(), findings }),
    }
}

/// Reads all rows in the order of their times. Stores the new ones if `store_rows` is set.
async fn process_rows(
    store: Option<&Store>,
    store_rows: bool,
    recording: &RecordingFile,
    request: &ImportRequest<'_>,
) -> Result<ImportReport, ImportError> {
    let mut rows = recording.rows_by_time(request.keep_first).map_err(|error| recording.read_error(error))?;
    let (mut report, mut meter) = (ImportReport::default(), CadenceMeter::for_recording());
    let mut is_at_end = false;
    while !is_at_end {
        let mut batch = Vec::new();
        while batch.len() < BATCH_ROWS {
            let Some(row) = rows.next().map_err(|error| recording.read_error(error))? else {
                is_at_end = true;
                break;
            };
            meter.push(row.row.at);
            batch.push(row);
        }
        let readings = new_readings(store, request, batch, &mut report).await?;
        if let (true, Some(store), false) = (store_rows, store, readings.is_empty()) {
            store.commit(&Batch { pumps: vec![registration(request)], readings, ..Batch::default() }).await?;
            // Writes the batch to the database, so that the journal can release it.
            store.flush_all().await?;
            store.flush(request.now).await?;
        }
    }
    report.cadence = meter.cadence();
    report.notes = rows.notes(recording.notes());
    Ok(report)
}

/// Returns the registration of the pump. An existing registration is not changed, and must have the same channels.
fn registration(request: &ImportRequest<'_>) -> PumpRecord {
    let channels = request.profile.channel_names().map(str::to_owned).collect();
    let (id, profile) = (request.pump.clone(), request.profile.name().to_owned());
    PumpRecord { id, profile, channels, registered_at: request.now }
}

/// Returns the new readings of a batch, and counts the other rows.
async fn new_readings(
    store: Option<&Store>,
    request: &ImportRequest<'_>,
    rows: Vec<NumberedRow>,
    report: &mut ImportReport,
) -> Result<Vec<Reading>, ImportError> {
    let times: Vec<Timestamp> = rows.iter().map(|numbered| numbered.row.at).collect();
    let stored = match store {
        Some(store) if !times.is_empty() => store.readings_at(request.pump, &times).await?.into_complete()?,
        _ => Vec::new(),
    };
    let mut readings = Vec::new();
    for NumberedRow { line, row } in rows {
        report.labelled += u64::from(row.normal.is_some() || row.anomaly.is_some());
        if row.at > request.now {
            count_finding(&mut report.future, || {
                let why = format!("is after now ({}): is the clock wrong, or its time not UTC?", request.now);
                Finding::new(line, format!("{:?}", row.recorded_at)).why(why)
            });
        }
        let known = stored.binary_search_by_key(&row.at, |reading| reading.at).ok().map(|index| &stored[index]);
        if row.samples.iter().all(|sample| sample.value().is_none()) {
            report.empty += 1;
        } else {
            let samples = match known.map(|known| compare_samples(&known.samples, &row.samples)) {
                None => row.samples,
                Some(RowComparison::Complement) => {
                    report.merged += 1;
                    known.map_or_else(|| row.samples.clone(), |known| additional_samples(&known.samples, &row.samples))
                }
                Some(RowComparison::Repeat) => {
                    report.already_stored += 1;
                    continue;
                }
                Some(RowComparison::Conflict(channel)) => {
                    let name = &request.profile.channels()[channel].name;
                    count_finding(&mut report.conflicting, || conflict(line, &row.recorded_at, name));
                    continue;
                }
            };
            let pump = request.pump.clone();
            readings.push(Reading { pump, at: row.at, received: request.now, samples, late: false });
        }
    }
    let times = || readings.iter().map(|reading| reading.at);
    let (first, last) = (times().min(), times().max());
    report.first = report.first.into_iter().chain(first).min();
    report.last = report.last.into_iter().chain(last).max();
    report.stored += readings.len() as u64;
    Ok(readings)
}

/// Returns the samples that a row adds to the stored reading of its time.
fn additional_samples(stored: &[Sample], row: &[Sample]) -> Arc<[Sample]> {
    let pairs = stored.iter().zip(row);
    pairs.map(|(stored, row)| if stored.value().is_some() { Sample::Missing } else { *row }).collect()
}

fn conflict(line: u64, recorded_at: &str, channel: &str) -> Finding {
    Finding::new(line, format!("at {recorded_at:?}")).why(format!("{channel} has another value than the stored one"))
}
