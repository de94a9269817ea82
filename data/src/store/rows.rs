//! The rows of the database's tables, and conversions from and to them. `schema/*.surql` describes the fields.

use std::collections::BTreeMap;

use surrealdb::types::{Bytes, RecordId, RecordIdKey, SurrealValue};
use volute_plant::PumpId;

use super::{
    StoreError,
    ids::{owner_and_number, time, unreadable},
    series::{Row, Series},
    types::{PumpRecord, SystemMetrics},
};

/// The owner of the node's own metrics in place of a pump's id. No pump can have this id.
pub(crate) const NODE: &str = "*";

/// A registered pump.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct PumpRow {
    id: RecordId,
    profile: String,
    channels: Vec<String>,
    registered_ms: i64,
}

/// A block of readings.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct ReadingsRow {
    pub(crate) id: RecordId,
    pub(crate) readings: i64,
    pub(crate) block: Bytes,
}

/// A block of detections.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct DetectionsRow {
    pub(crate) id: RecordId,
    pub(crate) detections: i64,
    pub(crate) anomalies: i64,
    pub(crate) block: Bytes,
}

/// The aggregates of a minute or an hour.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct RollupRow {
    pub(crate) id: RecordId,
    pub(crate) readings: i64,
    pub(crate) aggregates: Bytes,
}

/// The node's own metrics at one time.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct MetricsRow {
    id: RecordId,
    figures: BTreeMap<String, f64>,
}

/// An entry of the hour index: the pump or the node has rows in this hour.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct HourRow {
    pub(crate) id: RecordId,
}

/// The low-water mark: the database has all journal records below it.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct MarkRow {
    pub(crate) id: RecordId,
    pub(crate) seq: i64,
}

macro_rules! rows_of_a_series {
    ($($row:ident),*) => {
        $(impl Row for $row {
            fn id(&self) -> &RecordId {
                &self.id
            }
        })*
    };
}

rows_of_a_series!(ReadingsRow, DetectionsRow, RollupRow, MetricsRow);

impl From<&PumpRecord> for PumpRow {
    fn from(pump: &PumpRecord) -> Self {
        Self {
            id: RecordId::new("pump", pump.id.as_str()),
            profile: pump.profile.clone(),
            channels: pump.channels.clone(),
            registered_ms: pump.registered_at.millis(),
        }
    }
}

impl TryFrom<PumpRow> for PumpRecord {
    type Error = StoreError;

    fn try_from(row: PumpRow) -> Result<Self, StoreError> {
        let RecordIdKey::String(name) = &row.id.key else { return Err(unreadable(&row.id, "its id is not a text")) };
        Ok(Self {
            id: PumpId::from_stored(name).map_err(|error| unreadable(&row.id, error))?,
            registered_at: time(&row.id, row.registered_ms)?,
            profile: row.profile,
            channels: row.channels,
        })
    }
}

impl From<&SystemMetrics> for MetricsRow {
    fn from(metrics: &SystemMetrics) -> Self {
        Self { id: Series::metrics(NODE).id(metrics.at.millis()), figures: metrics.figures.clone() }
    }
}

impl TryFrom<MetricsRow> for SystemMetrics {
    type Error = StoreError;

    fn try_from(row: MetricsRow) -> Result<Self, StoreError> {
        let (_, ms) = owner_and_number(&row.id)?;
        Ok(Self { at: time(&row.id, ms)?, figures: row.figures })
    }
}
