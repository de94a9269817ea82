//! Pages of a time series, in either direction, at a cost that follows the page and not the table.
//!
//! Read in SurrealDB 3.3.5: a range of ids is scanned forward only; `ORDER BY id DESC LIMIT n` reads
//! the whole range and sorts it, and even a forward `LIMIT` is applied after the whole range was read
//! (`exec/operators/scan/record_id.rs`), except where the source is computed while the query runs
//! (`dynamic.rs`). Hence [`SCAN`]'s closure, and hence a directory of the minutes in which a series
//! has rows, whose ids run backwards: newest first is a walk through it, minute by minute.

use surrealdb::types::{Array, RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue, Value};
use volute_plant::{PumpId, Timestamp};

use super::{
    StoreError,
    engine::Engine,
    types::{Order, Range},
};

/// The identity closure is what lets the engine stop at the limit; see the module's head. A test asks for the plan.
pub(crate) const SCAN: &str = "SELECT * FROM (|$range| $range)($range) LIMIT $limit";
const MINUTES: &str = "SELECT VALUE id[1] FROM (|$range| $range)($range) LIMIT $limit";

/// The most minutes read at a time, walking back: 3,840 rows of a pump that posts every second.
const MAX_MINUTES: usize = 64;

/// One pump's rows in one table.
pub(crate) struct Series<'a> {
    table: &'static str,
    owner: &'a str,
}

impl<'a> Series<'a> {
    pub(crate) fn readings(pump: &'a PumpId) -> Self {
        Self { table: "sensor_readings", owner: pump.as_str() }
    }

    pub(crate) fn detections(pump: &'a PumpId) -> Self {
        Self { table: "anomaly_detections", owner: pump.as_str() }
    }

    pub(crate) fn metrics(node: &'a str) -> Self {
        Self { table: "system_metrics", owner: node }
    }

    /// The directory of this series.
    fn minutes(&self) -> Self {
        Self { table: "recorded_minute", owner: self.owner }
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

/// The id of the directory's entry for a minute.
pub(crate) fn minute_id(owner: &str, minute: i64) -> RecordId {
    Series { table: "recorded_minute", owner }.id(-minute)
}

/// The minute since 1970 that a time falls into.
pub(crate) fn minute(at_ms: i64) -> i64 {
    at_ms.div_euclid(60_000)
}

/// A limit as SurrealDB takes it.
pub(crate) fn limit(limit: usize) -> Value {
    i64::try_from(limit).unwrap_or(i64::MAX).into_value()
}

/// The rows of a series in a range.
pub(crate) async fn page<T: SurrealValue + Send + 'static>(
    engine: &Engine,
    series: &Series<'_>,
    range: &Range,
) -> Result<Vec<T>, StoreError> {
    let (from, to) = range.bounds_ms();
    if from >= to || range.limit == 0 {
        return Ok(Vec::new());
    }
    match range.order {
        Order::OldestFirst => scan(engine, series.between(from, to), range.limit).await,
        Order::NewestFirst => walk_back(engine, series, (from, to), range.limit).await,
    }
}

/// Cuts sorted rows after `limit`, and then on to the end of the moment that the cut is in.
pub(crate) fn whole_moments<T>(mut rows: Vec<T>, limit: usize, at: fn(&T) -> Timestamp) -> Vec<T> {
    if let Some(last) = limit.checked_sub(1).and_then(|last| rows.get(last)).map(at) {
        let end = rows.iter().skip(limit).take_while(|row| at(row) == last).count();
        rows.truncate(limit + end);
    } else if limit == 0 {
        rows.clear();
    }
    rows
}

async fn scan<T: SurrealValue + Send + 'static>(
    engine: &Engine,
    ids: Value,
    at_most: usize,
) -> Result<Vec<T>, StoreError> {
    engine.rows(SCAN, [("range", ids), ("limit", limit(at_most))]).await
}

async fn walk_back<T: SurrealValue + Send + 'static>(
    engine: &Engine,
    series: &Series<'_>,
    (from, mut to): (i64, i64),
    at_most: usize,
) -> Result<Vec<T>, StoreError> {
    let mut rows = Vec::new();
    let mut minutes_at_once = 1;
    while rows.len() < at_most && from < to {
        let ids = series.minutes().between(-minute(to - 1), 1 - minute(from));
        let vars = [("range", ids), ("limit", limit(minutes_at_once))];
        let minutes: Vec<i64> = engine.rows(MINUTES, vars).await?;
        let Some(oldest) = minutes.last() else { break };
        let start = from.max(-oldest * 60_000);
        let stretch: Vec<T> = scan(engine, series.between(start, to), usize::MAX).await?;
        rows.extend(stretch.into_iter().rev());
        to = start;
        minutes_at_once = (minutes_at_once * 2).min(MAX_MINUTES);
    }
    rows.truncate(at_most);
    Ok(rows)
}
