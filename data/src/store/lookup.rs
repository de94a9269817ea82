//! Lookups of exact times before new readings are admitted: which readings are stored at these times, and which time is
//! unused.
//!
//! Head and database are read as one. While the database is unavailable, only the head is read. A time after
//! [`Store::flushed_until`] cannot be in the database. For an earlier time the result is unknown, unless the head has
//! the complete reading. For example, if `flushed_until` is 12:00:01 and the database is unavailable, a lookup of
//! 12:00:01 is unknown, and 12:00:02 is known to be unused. Of a reading that arrived in parts, some parts may be in
//! the head and some in the database.

use std::collections::BTreeSet;

use volute_plant::{FreeTimeSearch, Lookup, LookupResult, PumpId, Reading, Timestamp};

use super::{
    Store, StoreError,
    blocks::blocks_of_minutes,
    database::DatabaseState,
    head::{MINUTE_MS, merge_parts, minute_start},
    types::{Completeness, QueryResult},
};

impl Store {
    /// Returns the readings that are stored at the times of a lookup. While the database is unavailable, a time is
    /// unknown if the database may have a reading at it, or a part of one.
    pub async fn look_up(&self, pump: &PumpId, lookup: &Lookup) -> Result<LookupResult, StoreError> {
        let QueryResult { rows: readings, completeness } = self.readings_at(pump, &lookup.at).await?;
        let unknown = match completeness {
            Completeness::Complete => BTreeSet::new(),
            Completeness::Partial { .. } => {
                let complete = readings.iter().filter(|reading| has_all_channels(reading));
                let known: BTreeSet<Timestamp> = complete.map(|reading| reading.at).collect();
                let flushed_until = self.flushed_until(pump);
                let unread = lookup.at.iter().filter(|at| !known.contains(at) && Some(**at) <= flushed_until);
                unread.copied().collect()
            }
        };
        let free = match &lookup.free {
            None => None,
            Some(free) => match self.unique_timestamp(pump, free).await {
                Ok(at) => Some(at),
                Err(error) => {
                    let reason = error.into_outage_reason()?;
                    tracing::debug!(pump = pump.as_str(), reason, "no unused time was looked up");
                    None
                }
            },
        };
        Ok(LookupResult { readings, unknown, free })
    }

    /// Returns a pump's readings at exactly these times, oldest first. While the database is unavailable, only those in
    /// the head.
    pub async fn readings_at(&self, pump: &PumpId, at: &[Timestamp]) -> Result<QueryResult<Reading>, StoreError> {
        let state = self.0.database.read().await;
        let mut found = Vec::new();
        let mut minutes = Vec::new();
        {
            let head = self.0.head();
            let flushed_until = head.flushed_until(pump);
            for at in at {
                let in_head = head.readings(pump, at.millis(), at.millis() + 1)?;
                // If the reading is not complete, the database may have another part of it.
                let is_complete = in_head
                    .first()
                    .is_some_and(|reading| has_all_channels(reading) || Some(reading.at) > flushed_until);
                if !is_complete {
                    minutes.push((pump.clone(), minute_start(at.millis())));
                }
                found.extend(in_head);
            }
        }
        minutes.sort_unstable();
        minutes.dedup();
        let mut completeness = Completeness::Complete;
        match stored_readings(&state, &minutes).await {
            Ok(mut stored) => {
                stored.retain(|reading| at.contains(&reading.at));
                // `flushed_until` may be too low if the node's clock was set back while the node was off.
                if let Some(latest) = stored.iter().map(|reading| reading.at).max() {
                    self.0.head().record_flushed(pump, latest);
                }
                // The parts in the database arrived first. Of different values at one time, `merge_parts` keeps the
                // first.
                drop(found.splice(0..0, stored));
            }
            Err(error) => completeness = Completeness::Partial { from: None, reason: error.into_outage_reason()? },
        }
        found.sort_by_key(|reading| reading.at);
        merge_parts(&mut found);
        Ok(QueryResult { rows: found, completeness })
    }

    /// Returns the first time from `free.from` on at which no reading is stored and which `free.excluded` does not
    /// contain.
    async fn unique_timestamp(&self, pump: &PumpId, free: &FreeTimeSearch) -> Result<Timestamp, StoreError> {
        let state = self.0.database.read().await;
        let mut from = free.from;
        loop {
            let (start_ms, end_ms) = (minute_start(from.millis()), minute_start(from.millis()) + MINUTE_MS);
            let in_head = self.0.head().readings(pump, from.millis(), end_ms)?;
            // The database holds no reading after `flushed_until`, so its failure does not matter there.
            let stored = match stored_readings(&state, &[(pump.clone(), start_ms)]).await {
                Err(error) if Some(from) > self.flushed_until(pump) => {
                    error.into_outage_reason().map(|_| Vec::new())?
                }
                stored => stored?,
            };
            let taken: BTreeSet<Timestamp> =
                in_head.iter().chain(&stored).map(|reading| reading.at).chain(free.excluded.iter().copied()).collect();
            while taken.contains(&from) {
                from = from.plus_ms(1);
            }
            // At the last valid time `plus_ms` no longer advances: the search ends there.
            if from.millis() < end_ms || from.plus_ms(1) == from {
                return Ok(from);
            }
        }
    }

    /// Returns a time after which the database holds no reading of the pump. Later times can be looked up without the
    /// database.
    pub fn flushed_until(&self, pump: &PumpId) -> Option<Timestamp> {
        self.0.head().flushed_until(pump)
    }
}

/// Returns whether every channel has a value, so that no other part of the reading can exist.
pub(crate) fn has_all_channels(reading: &Reading) -> bool {
    reading.samples.iter().all(|sample| sample.value().is_some())
}

/// Returns the readings in the blocks of these minutes.
async fn stored_readings(state: &DatabaseState, minutes: &[(PumpId, i64)]) -> Result<Vec<Reading>, StoreError> {
    if minutes.is_empty() {
        return Ok(Vec::new());
    }
    let blocks = blocks_of_minutes::<Reading>(state.engine()?, minutes).await?;
    Ok(blocks.into_values().flatten().collect())
}
