//! Time series in the database: the rows of one pump or of the node in one table, numbered by time.
//!
//! Their ids are `[owner, number]`, so a time span is a range of ids. For example, the block of P-1's readings in
//! the minute that starts at 1,773,051,240,000 ms has the id `sensor_readings:['P-1', 1773051240000]`. See `page.rs`
//! for reading them.

use surrealdb::types::{Array, RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue, Value};
use volute_plant::PumpId;

pub(crate) const HOUR_MS: i64 = 3_600_000;

/// The rows of one pump or of the node in one table.
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

    /// Returns the id of a row.
    pub(crate) fn id(&self, number: i64) -> RecordId {
        RecordId::new(self.table, self.key(number))
    }

    /// Returns the range of ids from `from` (inclusive) to `to` (exclusive).
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
    /// Returns its id, `[owner, number]`.
    fn id(&self) -> &RecordId;
}

/// Returns the id of an hour's entry in the hour index.
pub(crate) fn hour_entry_id(owner: &str, hour: i64) -> RecordId {
    hour_index(owner).id(-hour)
}

/// Returns the hour since 1970 that contains a time.
pub(crate) fn hour(at_ms: i64) -> i64 {
    at_ms.div_euclid(HOUR_MS)
}

/// Returns the range of the hour index before this hour.
pub(crate) fn hours_before(owner: &str, hour: i64) -> Value {
    hour_index(owner).between(1 - hour, i64::MAX)
}

/// Returns the hour index of a pump or the node: an entry for each hour in which it has rows, newest first.
pub(super) fn hour_index(owner: &str) -> Series<'_> {
    Series::new("recorded_hour", owner)
}

/// Returns the id of an hour's rollup.
pub(crate) fn hour_rollup_id(pump: &PumpId, hour_ms: i64) -> RecordId {
    Series::new("rollup_hour", pump.as_str()).id(hour_ms)
}
