//! What databases of before migration 4 hold: a row per reading and per detection. Read once, into the journal.
//!
//! The rows go through the journal before the migration removes their tables, so a crash on the way loses none, and the
//! blocks that come of them are written as all others are.

use std::sync::Arc;

use surrealdb::types::{RecordId, SurrealValue};
use volute_plant::{Detection, PumpId, Reading, Sample, Timestamp};

use super::{
    StoreError,
    engine::Engine,
    page::{Enough, Row, Series, walk},
    rows::{MetricsRow, NODE, owner_and_number, time, unreadable},
    types::{Batch, Order, SystemMetrics},
};

/// Rows in one record of the journal.
const ROWS: usize = 5_000;

/// Hands on all rows of these pumps and of the node, in batches.
pub(crate) async fn read<F: AsyncFnMut(Batch) -> Result<(), StoreError>>(
    engine: &Engine,
    pumps: &[PumpId],
    mut hand_on: F,
) -> Result<(), StoreError> {
    for pump in pumps {
        let rows: Vec<ReadingRow> = all(engine, &Series::readings(pump)).await?;
        for rows in chunks(rows) {
            let readings = rows.into_iter().map(Reading::try_from).collect::<Result<_, _>>()?;
            hand_on(Batch { readings, ..Batch::default() }).await?;
        }
        let rows: Vec<DetectionRow> = all(engine, &Series::detections(pump)).await?;
        for rows in chunks(rows) {
            let detections = rows.into_iter().map(Detection::try_from).collect::<Result<_, _>>()?;
            hand_on(Batch { detections, ..Batch::default() }).await?;
        }
    }
    let rows: Vec<MetricsRow> = all(engine, &Series::metrics(NODE)).await?;
    for rows in chunks(rows) {
        let metrics = rows.into_iter().map(SystemMetrics::try_from).collect::<Result<_, _>>()?;
        hand_on(Batch { metrics, ..Batch::default() }).await?;
    }
    Ok(())
}

async fn all<T: Row>(engine: &Engine, series: &Series<'_>) -> Result<Vec<T>, StoreError> {
    let mut rows = Vec::new();
    let take = |row| {
        rows.push(row);
        Ok(Enough::No)
    };
    walk(engine, series, (0, i64::MAX), Order::OldestFirst, take).await?;
    Ok(rows)
}

fn chunks<T>(rows: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let chunk: Vec<T> = rows.by_ref().take(ROWS).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
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
    Ok((owner.parse().map_err(|error| unreadable(id, error))?, time(id, ms)?))
}
