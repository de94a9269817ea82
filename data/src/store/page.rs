//! Reading pages of a time series in either direction, at a cost that depends on the size of the page, not of the
//! table.
//!
//! In SurrealDB 3.3.5 a range of ids is scanned forward only. `ORDER BY id DESC LIMIT n` reads the whole range and
//! sorts it. Even a forward `LIMIT` is applied after the whole range was read (`exec/operators/scan/record_id.rs`),
//! unless the source is computed while the query runs (`dynamic.rs`); therefore [`SCAN`] has a closure. For reading
//! backward there is a index of the hours in which a pump has rows, with ids in descending order of time. Reading
//! newest first walks through the index, hour by hour.
//!
//! For example, P-1 has rows in the hours 100, 101 and 250 since 1970. Its index has the ids `['P-1', -250]`,
//! `['P-1', -101]` and `['P-1', -100]`, in this order. Reading newest first reads the entry -250 and then the blocks of
//! hour 250, backwards; then the entries -101 and -100 together, and the blocks of these hours.

use std::ops::ControlFlow;

use surrealdb::types::{SurrealValue, Value};
use volute_plant::Timestamp;

use super::{
    StoreError,
    engine::DatabaseEngine,
    ids::owner_and_number,
    series::{HOUR_MS, Row, Series, hour, hour_index},
    types::SortOrder,
};

/// The identity closure makes the engine stop at the limit; see the module documentation. A test checks the query plan.
pub(crate) const SCAN: &str = "SELECT * FROM (|$range| $range)($range) LIMIT $limit";
const NUMBERS: &str = "SELECT VALUE id[1] FROM (|$range| $range)($range) LIMIT $limit";

/// The number of rows in one read going forward: at least the blocks of an hour (60).
const FORWARD_ROWS_PER_READ: usize = 64;
/// The maximum number of hours in one read going backward.
const MAX_HOURS_PER_READ: usize = 24;

/// Converts a limit to SurrealDB's type.
pub(crate) fn limit(limit: usize) -> Value {
    i64::try_from(limit).unwrap_or(i64::MAX).into_value()
}

/// Calls `take` with the rows of a series from `from` (inclusive) to `to` (exclusive), in this order, until `take`
/// breaks.
pub(crate) async fn walk<T: Row>(
    engine: &DatabaseEngine,
    series: &Series<'_>,
    (from, to): (i64, i64),
    order: SortOrder,
    mut take: impl FnMut(T) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    match order {
        SortOrder::OldestFirst => forward(engine, series, (from, to), &mut take).await,
        SortOrder::NewestFirst => backward(engine, series, (from, to), &mut take).await,
    }
}

/// Truncates sorted rows to `limit`, and keeps further rows that have the timestamp of the last one.
pub(crate) fn truncate_at_timestamp<T>(mut rows: Vec<T>, limit: usize, at: fn(&T) -> Timestamp) -> Vec<T> {
    if let Some(last) = limit.checked_sub(1).and_then(|last| rows.get(last)).map(at) {
        let end = rows.iter().skip(limit).take_while(|row| at(row) == last).count();
        rows.truncate(limit + end);
    } else if limit == 0 {
        rows.clear();
    }
    rows
}

/// Returns the last hour since 1970 in which a pump or the node has rows.
pub(crate) async fn newest_hour(engine: &DatabaseEngine, owner: &str) -> Result<Option<i64>, StoreError> {
    let vars = [("range", hour_index(owner).between(i64::MIN, i64::MAX)), ("limit", limit(1))];
    let hours: Vec<i64> = engine.rows(NUMBERS, vars).await?;
    Ok(hours.first().map(|hour| -hour))
}

/// Returns the number of a series' first row.
pub(crate) async fn oldest_number(engine: &DatabaseEngine, series: &Series<'_>) -> Result<Option<i64>, StoreError> {
    first_from(engine, series, i64::MIN).await
}

/// Returns the number of a series' first row from this number on.
pub(crate) async fn first_from(
    engine: &DatabaseEngine,
    series: &Series<'_>,
    from: i64,
) -> Result<Option<i64>, StoreError> {
    let vars = [("range", series.between(from, i64::MAX)), ("limit", limit(1))];
    let numbers: Vec<i64> = engine.rows(NUMBERS, vars).await?;
    Ok(numbers.first().copied())
}

/// Returns the first rows of a series in a range, at most `limit`, oldest first.
pub(crate) async fn first_rows<T: Row>(
    engine: &DatabaseEngine,
    series: &Series<'_>,
    (from, to): (i64, i64),
    limit: usize,
) -> Result<Vec<T>, StoreError> {
    scan(engine, series.between(from, to), limit).await
}

/// Returns all rows of a series in a range, oldest first.
async fn all_rows<T: Row>(
    engine: &DatabaseEngine,
    series: &Series<'_>,
    span: (i64, i64),
) -> Result<Vec<T>, StoreError> {
    first_rows(engine, series, span, usize::MAX).await
}

async fn forward<T: Row>(
    engine: &DatabaseEngine,
    series: &Series<'_>,
    (mut from, to): (i64, i64),
    take: &mut impl FnMut(T) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    while from < to {
        let rows: Vec<T> = scan(engine, series.between(from, to), FORWARD_ROWS_PER_READ).await?;
        let full = rows.len() == FORWARD_ROWS_PER_READ;
        for row in rows {
            from = owner_and_number(row.id())?.1 + 1;
            if take(row)?.is_break() {
                return Ok(());
            }
        }
        if !full {
            break;
        }
    }
    Ok(())
}

async fn backward<T: Row>(
    engine: &DatabaseEngine,
    series: &Series<'_>,
    (from, mut to): (i64, i64),
    take: &mut impl FnMut(T) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    // The number of hours doubles with each read: a small page needs few blocks, and a large one few reads.
    let mut hours_at_once = 1;
    while from < to {
        let ids = hour_index(series.owner).between(-hour(to - 1), 1 - hour(from));
        let vars = [("range", ids), ("limit", limit(hours_at_once))];
        let hours: Vec<i64> = engine.rows(NUMBERS, vars).await?;
        let Some(oldest) = hours.last() else { break };
        let start = from.max(-oldest * HOUR_MS);
        let rows: Vec<T> = all_rows(engine, series, (start, to)).await?;
        for row in rows.into_iter().rev() {
            if take(row)?.is_break() {
                return Ok(());
            }
        }
        to = start;
        hours_at_once = (hours_at_once * 2).min(MAX_HOURS_PER_READ);
    }
    Ok(())
}

async fn scan<T: Row>(engine: &DatabaseEngine, ids: Value, at_most: usize) -> Result<Vec<T>, StoreError> {
    engine.rows(SCAN, [("range", ids), ("limit", limit(at_most))]).await
}
