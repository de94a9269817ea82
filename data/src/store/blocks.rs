//! Blocks in the database: what a minute's rows are, read back in order and page by page.
//!
//! Deliberately absent: writing them (`flush`), and the rows that are still in the head.

use std::collections::BTreeMap;

use surrealdb::types::{RecordId, SurrealValue};
use volute_plant::{Detection, PumpId, Reading, Timestamp};

use super::{
    StoreError,
    engine::Engine,
    head::minute_start,
    ids::{pump_and_start, unreadable},
    page::{Enough, walk},
    rows::{DetectionsRow, ReadingsRow},
    series::{Row, Series},
    types::{Order, Range},
};
use crate::block::{decode_detections, decode_readings};

/// What can be in blocks.
pub(crate) trait InBlocks: Sized {
    /// The row that holds a block of them.
    type Row: Row;

    /// The pump's blocks of them.
    fn series(pump: &PumpId) -> Series<'_>;

    /// When it is from.
    fn at(&self) -> Timestamp;

    /// What the block holds, oldest first.
    fn unpack(row: &Self::Row) -> Result<Vec<Self>, StoreError>;
}

impl InBlocks for Reading {
    type Row = ReadingsRow;

    fn series(pump: &PumpId) -> Series<'_> {
        Series::readings(pump)
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn unpack(row: &ReadingsRow) -> Result<Vec<Self>, StoreError> {
        let (pump, _) = pump_and_start(&row.id)?;
        decode_readings(&pump, &row.block).map_err(|error| unreadable(&row.id, error))
    }
}

impl InBlocks for Detection {
    type Row = DetectionsRow;

    fn series(pump: &PumpId) -> Series<'_> {
        Series::detections(pump)
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn unpack(row: &DetectionsRow) -> Result<Vec<Self>, StoreError> {
        let (pump, _) = pump_and_start(&row.id)?;
        decode_detections(&pump, &row.block).map_err(|error| unreadable(&row.id, error))
    }
}

/// The first rows of a range, in its order, at most as many as it says.
pub(crate) async fn page<T: InBlocks>(engine: &Engine, pump: &PumpId, range: &Range) -> Result<Vec<T>, StoreError> {
    let (from, to) = range.bounds_ms();
    let mut rows = Vec::new();
    if from >= to || range.limit == 0 {
        return Ok(rows);
    }
    let within = |row: &T| (from..to).contains(&row.at().millis());
    let take = |block: T::Row| {
        let mut block = T::unpack(&block)?;
        if range.order == Order::NewestFirst {
            block.reverse();
        }
        rows.extend(block.into_iter().filter(within));
        Ok(if rows.len() >= range.limit { Enough::Yes } else { Enough::No })
    };
    walk(engine, &T::series(pump), (minute_start(from), to), range.order, take).await?;
    rows.truncate(range.limit);
    Ok(rows)
}

/// The blocks of these minutes that there are, by pump and minute.
pub(crate) async fn of_minutes<T: InBlocks>(
    engine: &Engine,
    minutes: &[(PumpId, i64)],
) -> Result<BTreeMap<(PumpId, i64), Vec<T>>, StoreError> {
    let mut blocks = BTreeMap::new();
    for minutes in minutes.chunks(1000) {
        let ids: Vec<RecordId> = minutes.iter().map(|(pump, start_ms)| T::series(pump).id(*start_ms)).collect();
        let rows: Vec<T::Row> = engine.rows("SELECT * FROM $ids", [("ids", ids.into_value())]).await?;
        for row in rows {
            blocks.insert(pump_and_start(row.id())?, T::unpack(&row)?);
        }
    }
    Ok(blocks)
}
