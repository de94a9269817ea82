//! A cache of what the database holds for the newest minutes, so that a flush need not query it for each minute.

use std::collections::HashMap;

use volute_plant::PumpId;

use super::{
    StoreError,
    engine::DatabaseEngine,
    head::FlushBatch,
    page::{first_from, newest_hour},
    series::{HOUR_MS, Series},
};
use crate::block::Aggregates;

/// The newest block and hour of each pump.
#[derive(Default)]
pub(crate) struct FlushCache {
    pub(super) pumps: HashMap<PumpId, NewestBlock>,
    /// Number of past minutes that were written since the last flush of everything.
    pub(super) past_minutes: usize,
}

/// A pump's newest block and hour.
pub(crate) struct NewestBlock {
    /// No block starts later than this, in milliseconds since 1970.
    pub(super) newest_ms: i64,
    pub(super) hour_ms: i64,
    pub(super) hourly: HourRollup,
}

/// The rollup of an hour.
#[derive(Clone, Default)]
pub(crate) struct HourRollup {
    pub(super) readings: i64,
    pub(super) aggregates: Aggregates,
}

impl FlushCache {
    /// Queries the database for the batch's pumps that are not in the cache.
    pub(super) async fn load(&mut self, engine: &DatabaseEngine, batch: &FlushBatch) -> Result<(), StoreError> {
        for due in &batch.due {
            if !self.pumps.contains_key(&due.pump) {
                let newest_hour = newest_hour(engine, due.pump.as_str()).await?;
                let end_ms = newest_hour.map_or(i64::MIN, |hour| (hour + 1) * HOUR_MS);
                // The table `recorded_hour` loses its entries when the blocks are deleted. The rollups may still exist.
                let rollups = Series::new("rollup_hour", due.pump.as_str());
                let newest_ms = match first_from(engine, &rollups, end_ms).await? {
                    None => end_ms.saturating_sub(1),
                    Some(_) => i64::MAX,
                };
                let last = NewestBlock { newest_ms, hour_ms: i64::MIN, hourly: HourRollup::default() };
                self.pumps.insert(due.pump.clone(), last);
            }
        }
        Ok(())
    }

    /// Removes a pump, because it is removed from the store.
    pub(super) fn remove(&mut self, pump: &PumpId) {
        self.pumps.remove(pump);
    }

    pub(super) fn record_hour(&mut self, pump: PumpId, hour_ms: i64, hourly: HourRollup) {
        match self.pumps.get_mut(&pump) {
            Some(last) if last.hour_ms > hour_ms => {}
            Some(last) => (last.hour_ms, last.hourly) = (hour_ms, hourly),
            None => {}
        }
    }

    pub(super) fn record_minute(&mut self, pump: &PumpId, start_ms: i64) {
        if let Some(last) = self.pumps.get_mut(pump) {
            last.newest_ms = last.newest_ms.max(start_ms);
        }
    }

    /// Returns whether the database may have a block or a rollup of this minute.
    pub(super) fn may_have_block(&self, pump: &PumpId, start_ms: i64) -> bool {
        self.pumps.get(pump).is_none_or(|last| start_ms <= last.newest_ms)
    }
}
