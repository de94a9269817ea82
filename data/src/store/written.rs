//! What a flush knows of the database's newest rows, so that it need not ask for each minute.

use std::collections::HashMap;

use volute_plant::PumpId;

use super::{
    StoreError,
    engine::Engine,
    head::Share,
    page::{first_from, newest_hour},
    series::{HOUR_MS, Series},
};
use crate::block::Aggregates;

/// What is known of the pumps' newest blocks without asking the database.
#[derive(Default)]
pub(crate) struct Written {
    pub(super) pumps: HashMap<PumpId, Last>,
    /// Minutes of the past that were written since everything was.
    pub(super) past_minutes: usize,
}

/// What is known of a pump's newest block and hour.
pub(crate) struct Last {
    /// No block begins later.
    pub(super) newest_ms: i64,
    pub(super) hour_ms: i64,
    pub(super) hourly: Hourly,
}

/// The rollup of an hour.
#[derive(Clone, Default)]
pub(crate) struct Hourly {
    pub(super) readings: i64,
    pub(super) aggregates: Aggregates,
}

impl Written {
    /// Learns of the share's pumps what the database has of them.
    pub(super) async fn learn(&mut self, engine: &Engine, share: &Share) -> Result<(), StoreError> {
        for due in &share.due {
            if !self.pumps.contains_key(&due.pump) {
                let newest_hour = newest_hour(engine, due.pump.as_str()).await?;
                let end_ms = newest_hour.map_or(i64::MIN, |hour| (hour + 1) * HOUR_MS);
                // The directory forgets hours whose blocks are deleted; their rollups may be there still.
                let rollups = Series::new("rollup_hour", due.pump.as_str());
                let newest_ms = match first_from(engine, &rollups, end_ms).await? {
                    None => end_ms.saturating_sub(1),
                    Some(_) => i64::MAX,
                };
                let last = Last { newest_ms, hour_ms: i64::MIN, hourly: Hourly::default() };
                self.pumps.insert(due.pump.clone(), last);
            }
        }
        Ok(())
    }

    /// Forgets a pump that is removed.
    pub(super) fn forget(&mut self, pump: &PumpId) {
        self.pumps.remove(pump);
    }

    pub(super) fn note_hour(&mut self, pump: PumpId, hour_ms: i64, hourly: Hourly) {
        match self.pumps.get_mut(&pump) {
            Some(last) if last.hour_ms > hour_ms => {}
            Some(last) => (last.hour_ms, last.hourly) = (hour_ms, hourly),
            None => {}
        }
    }

    pub(super) fn note_minute(&mut self, pump: &PumpId, start_ms: i64) {
        if let Some(last) = self.pumps.get_mut(pump) {
            last.newest_ms = last.newest_ms.max(start_ms);
        }
    }

    /// Whether the database may have a block or a rollup of this minute.
    pub(super) fn may_have(&self, pump: &PumpId, start_ms: i64) -> bool {
        self.pumps.get(pump).is_none_or(|last| start_ms <= last.newest_ms)
    }
}
