//! Pages of a time series, in either direction, at a cost that follows the page and not the table.
//!
//! Read in SurrealDB 3.3.5: a range of ids is scanned forward only; `ORDER BY id DESC LIMIT n` reads
//! the whole range and sorts it, and even a forward `LIMIT` is applied after the whole range was read
//! (`exec/operators/scan/record_id.rs`), except where the source is computed while the query runs
//! (`dynamic.rs`). Hence [`SCAN`]'s closure, and hence a directory of the hours in which a pump has
//! rows, whose ids run backwards: newest first is a walk through it, hour by hour.

use surrealdb::types::{SurrealValue, Value};
use volute_plant::Timestamp;

use super::{
    StoreError,
    engine::Engine,
    ids::owner_and_number,
    series::{HOUR_MS, Row, Series, directory, hour},
    types::Order,
};

/// The identity closure is what lets the engine stop at the limit; see the module's head. A test asks for the plan.
pub(crate) const SCAN: &str = "SELECT * FROM (|$range| $range)($range) LIMIT $limit";
const NUMBERS: &str = "SELECT VALUE id[1] FROM (|$range| $range)($range) LIMIT $limit";

/// Rows read at a time, going forward: blocks of an hour.
const FORWARD_ROWS: usize = 64;
/// The most hours read at a time, walking back.
const MAX_HOURS: usize = 24;

/// A limit as SurrealDB takes it.
pub(crate) fn limit(limit: usize) -> Value {
    i64::try_from(limit).unwrap_or(i64::MAX).into_value()
}

/// Goes through a series' rows from `from` up to and without `to`, in the order, until `take` has enough.
pub(crate) async fn walk<T: Row>(
    engine: &Engine,
    series: &Series<'_>,
    (from, to): (i64, i64),
    order: Order,
    mut take: impl FnMut(T) -> Result<Enough, StoreError>,
) -> Result<(), StoreError> {
    match order {
        Order::OldestFirst => forward(engine, series, (from, to), &mut take).await,
        Order::NewestFirst => back(engine, series, (from, to), &mut take).await,
    }
}

/// Whether a walk may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enough {
    /// Nothing beyond is wanted.
    Yes,
    /// Go on.
    No,
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

/// The last hour since 1970 in which a pump or the node has rows.
pub(crate) async fn newest_hour(engine: &Engine, owner: &str) -> Result<Option<i64>, StoreError> {
    let vars = [("range", directory(owner).between(i64::MIN, i64::MAX)), ("limit", limit(1))];
    let hours: Vec<i64> = engine.rows(NUMBERS, vars).await?;
    Ok(hours.first().map(|hour| -hour))
}

/// The number of a series' first row.
pub(crate) async fn oldest(engine: &Engine, series: &Series<'_>) -> Result<Option<i64>, StoreError> {
    first_from(engine, series, i64::MIN).await
}

/// The number of a series' first row from this number on.
pub(crate) async fn first_from(engine: &Engine, series: &Series<'_>, from: i64) -> Result<Option<i64>, StoreError> {
    let vars = [("range", series.between(from, i64::MAX)), ("limit", limit(1))];
    let numbers: Vec<i64> = engine.rows(NUMBERS, vars).await?;
    Ok(numbers.first().copied())
}

/// The first rows of a series in a stretch, at most `limit`, oldest first.
pub(crate) async fn first_rows<T: Row>(
    engine: &Engine,
    series: &Series<'_>,
    (from, to): (i64, i64),
    limit: usize,
) -> Result<Vec<T>, StoreError> {
    scan(engine, series.between(from, to), limit).await
}

/// All rows of a series in a stretch, oldest first.
async fn stretch<T: Row>(engine: &Engine, series: &Series<'_>, span: (i64, i64)) -> Result<Vec<T>, StoreError> {
    first_rows(engine, series, span, usize::MAX).await
}

async fn forward<T: Row>(
    engine: &Engine,
    series: &Series<'_>,
    (mut from, to): (i64, i64),
    take: &mut impl FnMut(T) -> Result<Enough, StoreError>,
) -> Result<(), StoreError> {
    while from < to {
        let rows: Vec<T> = scan(engine, series.between(from, to), FORWARD_ROWS).await?;
        let full = rows.len() == FORWARD_ROWS;
        for row in rows {
            from = owner_and_number(row.id())?.1 + 1;
            if take(row)? == Enough::Yes {
                return Ok(());
            }
        }
        if !full {
            break;
        }
    }
    Ok(())
}

async fn back<T: Row>(
    engine: &Engine,
    series: &Series<'_>,
    (from, mut to): (i64, i64),
    take: &mut impl FnMut(T) -> Result<Enough, StoreError>,
) -> Result<(), StoreError> {
    let mut hours_at_once = 1;
    while from < to {
        let ids = directory(series.owner).between(-hour(to - 1), 1 - hour(from));
        let vars = [("range", ids), ("limit", limit(hours_at_once))];
        let hours: Vec<i64> = engine.rows(NUMBERS, vars).await?;
        let Some(oldest) = hours.last() else { break };
        let start = from.max(-oldest * HOUR_MS);
        let rows: Vec<T> = stretch(engine, series, (start, to)).await?;
        for row in rows.into_iter().rev() {
            if take(row)? == Enough::Yes {
                return Ok(());
            }
        }
        to = start;
        hours_at_once = (hours_at_once * 2).min(MAX_HOURS);
    }
    Ok(())
}

async fn scan<T: Row>(engine: &Engine, ids: Value, at_most: usize) -> Result<Vec<T>, StoreError> {
    engine.rows(SCAN, [("range", ids), ("limit", limit(at_most))]).await
}
