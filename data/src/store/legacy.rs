//! Reads databases from before migration 4, which have a row per reading and per detection, and passes the rows on to
//! the journal.
//!
//! The rows are committed to the journal before the migration removes their tables, so a crash in between loses none.
//! Blocks are then written from the journal's rows as usual. The rows are read and passed on batch by batch. The caller
//! packs them (about 30 bytes per reading), because all of them stay in memory until the migration has run.

use std::sync::Arc;

use surrealdb::types::{RecordId, SurrealValue};
use volute_plant::{Detection, PumpId, Reading, Sample, Timestamp};

use super::{
    StoreError,
    engine::DatabaseEngine,
    ids::{owner_and_number, time, unreadable},
    page::first_rows,
    rows::{MetricsRow, NODE},
    series::{Row, Series},
    types::{Batch, SystemMetrics},
};

/// The maximum number of rows in one record of the journal.
const ROWS_PER_RECORD: usize = 5_000;

/// Calls `commit` with all rows of these pumps and of the node, in batches.
pub(crate) async fn read<F: AsyncFnMut(Batch) -> Result<(), StoreError>>(
    engine: &DatabaseEngine,
    pumps: &[PumpId],
    mut commit: F,
) -> Result<(), StoreError> {
    for pump in pumps {
        let mut from = i64::MIN;
        while let Some(rows) = next::<ReadingRow>(engine, &Series::readings(pump), &mut from).await? {
            let readings = rows.into_iter().map(Reading::try_from).collect::<Result<_, _>>()?;
            commit(Batch { readings, ..Batch::default() }).await?;
        }
        let mut from = i64::MIN;
        while let Some(rows) = next::<DetectionRow>(engine, &Series::detections(pump), &mut from).await? {
            let detections = rows.into_iter().map(Detection::try_from).collect::<Result<_, _>>()?;
            commit(Batch { detections, ..Batch::default() }).await?;
        }
    }
    let mut from = i64::MIN;
    while let Some(rows) = next::<MetricsRow>(engine, &Series::metrics(NODE), &mut from).await? {
        let metrics = rows.into_iter().map(SystemMetrics::try_from).collect::<Result<_, _>>()?;
        commit(Batch { metrics, ..Batch::default() }).await?;
    }
    Ok(())
}

/// Returns the next rows of a series from `from` on and advances `from`; none at the end.
async fn next<T: Row>(
    engine: &DatabaseEngine,
    series: &Series<'_>,
    from: &mut i64,
) -> Result<Option<Vec<T>>, StoreError> {
    let rows: Vec<T> = first_rows(engine, series, (*from, i64::MAX), ROWS_PER_RECORD).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    *from = owner_and_number(last.id())?.1 + 1;
    Ok(Some(rows))
}

#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct ReadingRow {
    id: RecordId,
    values: Vec<Option<f64>>,
    quality: Option<String>,
    received_ms: i64,
    late: bool,
}

#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct DetectionRow {
    id: RecordId,
    loss: f64,
    threshold: f64,
    is_anomaly: bool,
    contributions: Vec<f64>,
    model: String,
}

impl Row for ReadingRow {
    fn id(&self) -> &RecordId {
        &self.id
    }
}

impl Row for DetectionRow {
    fn id(&self) -> &RecordId {
        &self.id
    }
}

impl TryFrom<ReadingRow> for Reading {
    type Error = StoreError;

    fn try_from(row: ReadingRow) -> Result<Self, StoreError> {
        let (pump, at) = pump_and_time(&row.id)?;
        let samples: Option<Arc<[Sample]>> = match &row.quality {
            None => row.values.iter().map(|value| value.map(Sample::Good)).collect(),
            Some(letters) if letters.len() != row.values.len() => None,
            Some(letters) => letters.chars().zip(&row.values).map(|(letter, value)| sample(letter, *value)).collect(),
        };
        let samples = samples.ok_or_else(|| unreadable(&row.id, "its values and its quality contradict each other"))?;
        Ok(Self { pump, at, received: time(&row.id, row.received_ms)?, samples, late: row.late })
    }
}

impl TryFrom<DetectionRow> for Detection {
    type Error = StoreError;

    fn try_from(row: DetectionRow) -> Result<Self, StoreError> {
        let (pump, at) = pump_and_time(&row.id)?;
        Ok(Self {
            pump,
            at,
            loss: row.loss,
            threshold: row.threshold,
            is_anomaly: row.is_anomaly,
            contributions: row.contributions.into(),
            model: row.model.into(),
        })
    }
}

fn sample(letter: char, value: Option<f64>) -> Option<Sample> {
    match (letter, value) {
        ('g', Some(value)) => Some(Sample::Good(value)),
        ('b', Some(value)) => Some(Sample::Bad(value)),
        ('f', None) => Some(Sample::Filled),
        ('m', None) => Some(Sample::Missing),
        _ => None,
    }
}

fn pump_and_time(id: &RecordId) -> Result<(PumpId, Timestamp), StoreError> {
    let (owner, ms) = owner_and_number(id)?;
    Ok((PumpId::from_stored(owner).map_err(|error| unreadable(id, error))?, time(id, ms)?))
}
