//! Time series in the database: rows of one pump or of the node in one table, numbered by time.
//!
//! Their ids are `[owner, number]`, so a stretch of time is a range of ids. How they are read: `page.rs`.

use surrealdb::types::{Array, RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue, Value};
use volute_plant::PumpId;

pub(crate) const HOUR_MS: i64 = 3_600_000;

/// One pump's or the node's rows in one table.
pub(crate) struct Series<'a> {
    table: &'static str,
    pub(super) owner: &'a str,
}

impl<'a> Series<'a> {
    pub(crate) fn new(table: &'static str, owner: &'a str) -> Self {
        Self { table, owner }
    }

    pub(crate) fn readings(pump: &'a PumpId) -> Self {
        Self::new("sensor_readings", pump.as_str())
    }

    pub(crate) fn detections(pump: &'a PumpId) -> Self {
        Self::new("anomaly_detections", pump.as_str())
    }

    pub(crate) fn metrics(node: &'a str) -> Self {
        Self::new("system_metrics", node)
    }

    /// The id of a row.
    pub(crate) fn id(&self, number: i64) -> RecordId {
        RecordId::new(self.table, self.key(number))
    }

    /// The ids from `from` up to and without `to`.
    pub(crate) fn between(&self, from: i64, to: i64) -> Value {
        let range = RecordIdKeyRange::from(self.key(from)..self.key(to));
        RecordId::new(self.table, RecordIdKey::Range(Box::new(range))).into_value()
    }

    fn key(&self, number: i64) -> RecordIdKey {
        RecordIdKey::Array(Array::from(vec![self.owner.to_owned().into_value(), number.into_value()]))
    }
}

/// A row of a series.
pub(crate) trait Row: SurrealValue + Send + 'static {
    /// Its id, `[owner, number]`.
    fn id(&self) -> &RecordId;
}

/// The id of the directory's entry for an hour.
pub(crate) fn hour_id(owner: &str, hour: i64) -> RecordId {
    directory(owner).id(-hour)
}

/// The hour since 1970 that a time falls into.
pub(crate) fn hour(at_ms: i64) -> i64 {
    at_ms.div_euclid(HOUR_MS)
}

/// The directory's entries of hours before this one.
pub(crate) fn hours_before(owner: &str, hour: i64) -> Value {
    directory(owner).between(1 - hour, i64::MAX)
}

/// The hours in which a pump or the node has rows, newest first.
pub(super) fn directory(owner: &str) -> Series<'_> {
    Series::new("recorded_hour", owner)
}

/// The id of an hour's rollup.
pub(crate) fn hourly_id(pump: &PumpId, hour_ms: i64) -> RecordId {
    Series::new("rollup_hour", pump.as_str()).id(hour_ms)
}
