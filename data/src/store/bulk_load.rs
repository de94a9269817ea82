//! Loading history from other sources directly into blocks: imports, and the data for benchmarks.
//!
//! Loaded rows do not pass through the journal: each transaction is durable when it is done. After a failure the caller
//! loads the rows again, and those that are stored already are skipped. Does not validate the readings beyond what the
//! schema needs.

use std::collections::BTreeMap;

use surrealdb::types::SurrealValue;
use volute_plant::{PumpId, Reading, Timestamp};

use super::{
    Store, StoreError,
    head::{DueMinute, FlushBatch, OtherRows, minute_start},
    oldest_rows::RetainedTable,
    rows::RollupRow,
    series::hour_rollup_id,
    types::{Batch, PumpRecord},
};
use crate::block::{Aggregates, encode_aggregates};

/// The maximum number of minutes in one transaction.
const MINUTES_PER_TRANSACTION: usize = 256;

impl Store {
    /// Stores historical readings, durable when this returns `Ok`. Returns how many were new: those whose time is
    /// stored already are skipped. Does not handle readings of minutes that are still in the head.
    pub async fn load(&self, pump: &PumpRecord, readings: Vec<Reading>) -> Result<usize, StoreError> {
        let given = Batch { pumps: vec![pump.clone()], readings, ..Batch::default() };
        self.0.pump_registry.check(&given)?;
        let given_latest = given.readings.iter().map(|reading| reading.at).max();
        let mut minutes: BTreeMap<i64, Vec<Reading>> = BTreeMap::new();
        for reading in given.readings {
            minutes.entry(minute_start(reading.at.millis())).or_default().push(reading);
        }
        let mut due: Vec<DueMinute> =
            minutes.into_iter().map(|(start_ms, readings)| DueMinute::loaded(&pump.id, start_ms, readings)).collect();
        if let Some(latest) = given_latest {
            self.0.flushed_until_file.raise(latest)?;
        }
        let mut flush_cache = self.0.flush_cache.lock().await;
        let mut new = 0;
        while !due.is_empty() {
            let rest = due.split_off(due.len().min(MINUTES_PER_TRANSACTION));
            let batch =
                FlushBatch::loaded(due, OtherRows::with_pump(self.0.low_water(), pump.clone()), self.0.low_water());
            let engine = self.0.database.engine().await?;
            new += self.0.write_batch(&engine, batch, &mut flush_cache).await?;
            due = rest;
        }
        self.0.pump_registry.add(&given.pumps);
        Ok(new)
    }

    /// Stores hourly rollups without their readings. A database has such rollups if it keeps readings for a shorter
    /// time than rollups.
    pub async fn load_hours(&self, pump: &PumpId, hours: &[(Timestamp, u64, Aggregates)]) -> Result<(), StoreError> {
        let engine = self.0.database.engine().await?;
        for hours in hours.chunks(1000) {
            let row = |(start, readings, aggregates): &(Timestamp, u64, Aggregates)| RollupRow {
                id: hour_rollup_id(pump, start.millis()),
                readings: i64::try_from(*readings).unwrap_or(i64::MAX),
                aggregates: encode_aggregates(aggregates).into(),
            };
            let rows: Vec<RollupRow> = hours.iter().map(row).collect();
            let insert = "INSERT IGNORE INTO rollup_hour $rows RETURN NONE";
            let inserted = engine.execute(insert, [("rows", rows.into_value())]).await;
            for (start, ..) in hours {
                self.0.oldest_rows.lower(pump.as_str(), RetainedTable::HourRollups, start.millis());
            }
            inserted?;
        }
        Ok(())
    }
}
