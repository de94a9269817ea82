//! History from elsewhere, straight into blocks: imports, and the data that benchmarks ask.
//!
//! It does not pass through the journal: a transaction is durable when it is done, and whoever loads knows what it has
//! loaded. Deliberately absent: judging what is loaded.

use std::collections::BTreeMap;

use surrealdb::types::SurrealValue;
use volute_plant::{PumpId, Reading, Timestamp};

use super::{
    Store, StoreError,
    head::{Due, News, Share, minute_start},
    oldest::Aged,
    rows::RollupRow,
    series::hourly_id,
    types::{Batch, PumpRecord},
};
use crate::block::{Aggregates, encode_aggregates};

/// Minutes in one transaction.
const MINUTES: usize = 256;

impl Store {
    /// Stores readings of the past, durable when it returns `Ok`. Those whose time is stored already are passed over.
    ///
    /// Answers how many were new. Readings of minutes that are still in the head are no business of this.
    pub async fn load(&self, pump: &PumpRecord, readings: Vec<Reading>) -> Result<usize, StoreError> {
        let given = Batch { pumps: vec![pump.clone()], readings, ..Batch::default() };
        self.0.roster.check(&given)?;
        let given_latest = given.readings.iter().map(|reading| reading.at).max();
        let mut minutes: BTreeMap<i64, Vec<Reading>> = BTreeMap::new();
        for reading in given.readings {
            minutes.entry(minute_start(reading.at.millis())).or_default().push(reading);
        }
        let mut due: Vec<Due> =
            minutes.into_iter().map(|(start_ms, readings)| Due::loaded(&pump.id, start_ms, readings)).collect();
        if let Some(latest) = given_latest {
            self.0.moved.raise(latest)?;
        }
        let mut written = self.0.written.lock().await;
        let mut new = 0;
        while !due.is_empty() {
            let rest = due.split_off(due.len().min(MINUTES));
            let share = Share::loaded(due, News::of_pump(self.0.marked(), pump.clone()), self.0.marked());
            let engine = self.0.database.engine().await?;
            new += self.0.write_share(&engine, share, &mut written).await?;
            due = rest;
        }
        self.0.roster.note(&given.pumps);
        Ok(new)
    }

    /// Stores rollups of hours without their readings: what is left where readings are kept for less long.
    pub async fn load_hours(&self, pump: &PumpId, hours: &[(Timestamp, u64, Aggregates)]) -> Result<(), StoreError> {
        let engine = self.0.database.engine().await?;
        for hours in hours.chunks(1000) {
            let row = |(start, readings, aggregates): &(Timestamp, u64, Aggregates)| RollupRow {
                id: hourly_id(pump, start.millis()),
                readings: i64::try_from(*readings).unwrap_or(i64::MAX),
                aggregates: encode_aggregates(aggregates).into(),
            };
            let rows: Vec<RollupRow> = hours.iter().map(row).collect();
            let insert = "INSERT IGNORE INTO rollup_hour $rows RETURN NONE";
            let inserted = engine.execute(insert, [("rows", rows.into_value())]).await;
            for (start, ..) in hours {
                self.0.oldest.note(pump.as_str(), Aged::HourRollups, start.millis());
            }
            inserted?;
        }
        Ok(())
    }
}
