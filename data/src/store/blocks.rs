//! Reading blocks from the database, as pages of rows or by minute.
//!
//! Does not write blocks (see `flush.rs`), and does not read the head.

use std::{collections::BTreeMap, ops::ControlFlow};

use surrealdb::types::{RecordId, SurrealValue};
use volute_plant::{Detection, PumpId, Reading, Timestamp};

use super::{
    StoreError,
    engine::DatabaseEngine,
    head::minute_start,
    ids::{pump_and_start, unreadable},
    page::walk,
    rows::{DetectionsRow, ReadingsRow},
    series::{Row, Series},
    types::{PageRange, SortOrder},
};
use crate::block::{decode_detections, decode_readings};

/// A kind of row that is stored in blocks.
pub(crate) trait BlockSeries: Sized {
    /// The database row that holds a block.
    type Row: Row;

    /// Returns the series of a pump's blocks.
    fn series(pump: &PumpId) -> Series<'_>;

    /// Returns the row's time.
    fn at(&self) -> Timestamp;

    /// Decodes a block, oldest row first.
    fn unpack(row: &Self::Row) -> Result<Vec<Self>, StoreError>;
}

impl BlockSeries for Reading {
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

impl BlockSeries for Detection {
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

/// Returns the first rows of a range, in the range's order and up to its limit.
pub(crate) async fn page<T: BlockSeries>(
    engine: &DatabaseEngine,
    pump: &PumpId,
    range: &PageRange,
) -> Result<Vec<T>, StoreError> {
    let (from, to) = range.bounds_ms();
    let mut rows = Vec::new();
    if from >= to || range.limit == 0 {
        return Ok(rows);
    }
    let within = |row: &T| (from..to).contains(&row.at().millis());
    let take = |block: T::Row| {
        let mut block = T::unpack(&block)?;
        if range.order == SortOrder::NewestFirst {
            block.reverse();
        }
        rows.extend(block.into_iter().filter(within));
        Ok(if rows.len() >= range.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    walk(engine, &T::series(pump), (minute_start(from), to), range.order, take).await?;
    rows.truncate(range.limit);
    Ok(rows)
}

/// Returns the blocks of these minutes, by pump and minute. A minute without a block is left out.
pub(crate) async fn blocks_of_minutes<T: BlockSeries>(
    engine: &DatabaseEngine,
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
