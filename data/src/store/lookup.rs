//! What a pump's door asks before it lets readings in: which readings have these times, and which time is free.
//!
//! Head and database are asked as one. Where the database does not answer, the head does: times after
//! [`Store::moved_until`] cannot be in the database, and of earlier ones that the head does not have whole the answer is open.
//! A reading that came in parts may have some here and some there.

use std::collections::BTreeSet;

use volute_plant::{FreeTime, Lookup, LookupResult, PumpId, Reading, Timestamp};

use super::{
    Store, StoreError,
    blocks::of_minutes,
    database::State,
    head::{MINUTE_MS, join_parts, minute_start},
    types::{Answer, Reach},
};

impl Store {
    /// What is stored of a lookup's times. Times that the database would have to be asked for are left open where it does
    /// not answer.
    pub async fn look_up(&self, pump: &PumpId, lookup: &Lookup) -> Result<LookupResult, StoreError> {
        let Answer { rows: readings, reach } = self.readings_at(pump, &lookup.at).await?;
        let unknown = match reach {
            Reach::Whole => BTreeSet::new(),
            Reach::Since { .. } => {
                let whole = readings.iter().filter(|reading| is_whole(reading));
                let known: BTreeSet<Timestamp> = whole.map(|reading| reading.at).collect();
                let moved_until = self.moved_until(pump);
                let unread = lookup.at.iter().filter(|at| !known.contains(at) && Some(**at) <= moved_until);
                unread.copied().collect()
            }
        };
        let free = match &lookup.free {
            None => None,
            Some(free) => match self.free_time(pump, free).await {
                Ok(at) => Some(at),
                Err(error) => {
                    let reason = error.outage()?;
                    tracing::debug!(pump = pump.as_str(), reason, "no free time was looked up");
                    None
                }
            },
        };
        Ok(LookupResult { readings, unknown, free })
    }

    /// Those of a pump's readings that were taken at exactly these times, oldest first. Where the database does not answer,
    /// those that wait for it.
    pub async fn readings_at(&self, pump: &PumpId, at: &[Timestamp]) -> Result<Answer<Reading>, StoreError> {
        let state = self.0.database.read().await;
        let mut found = Vec::new();
        let mut minutes = Vec::new();
        {
            let head = self.0.head();
            let moved_until = head.moved_until(pump);
            for at in at {
                let here = head.readings(pump, at.millis(), at.millis() + 1)?;
                // The database may have another part of it.
                let all = here.first().is_some_and(|reading| is_whole(reading) || Some(reading.at) > moved_until);
                if !all {
                    minutes.push((pump.clone(), minute_start(at.millis())));
                }
                found.extend(here);
            }
        }
        minutes.sort_unstable();
        minutes.dedup();
        let mut reach = Reach::Whole;
        match blocks(&state, &minutes).await {
            Ok(mut blocks) => {
                blocks.retain(|reading| at.contains(&reading.at));
                // As after a start by a clock that was set back while the node was off.
                if let Some(latest) = blocks.iter().map(|reading| reading.at).max() {
                    self.0.head().note_moved(pump, latest);
                }
                // The database's parts came first.
                drop(found.splice(0..0, blocks));
            }
            Err(error) => reach = Reach::Since { from: None, reason: error.outage()? },
        }
        found.sort_by_key(|reading| reading.at);
        join_parts(&mut found);
        Ok(Answer { rows: found, reach })
    }

    /// The first time that is neither spoken for nor a stored reading's.
    async fn free_time(&self, pump: &PumpId, free: &FreeTime) -> Result<Timestamp, StoreError> {
        let state = self.0.database.read().await;
        let mut from = free.from;
        loop {
            let (start_ms, end_ms) = (minute_start(from.millis()), minute_start(from.millis()) + MINUTE_MS);
            let waiting = self.0.head().readings(pump, from.millis(), end_ms)?;
            let stored = match blocks(&state, &[(pump.clone(), start_ms)]).await {
                Err(error) if Some(from) > self.moved_until(pump) => error.outage().map(|_| Vec::new())?,
                stored => stored?,
            };
            let taken: BTreeSet<Timestamp> =
                waiting.iter().chain(&stored).map(|reading| reading.at).chain(free.taken.iter().copied()).collect();
            while taken.contains(&from) {
                from = from.plus_ms(1);
            }
            if from.millis() < end_ms || from.plus_ms(1) == from {
                return Ok(from);
            }
        }
    }

    /// The database holds no reading of the pump that is later than this: later ones can be told without it.
    pub fn moved_until(&self, pump: &PumpId) -> Option<Timestamp> {
        self.0.head().moved_until(pump)
    }
}

/// Whether no channel is left that another part of it could have.
pub(crate) fn is_whole(reading: &Reading) -> bool {
    reading.samples.iter().all(|sample| sample.value().is_some())
}

/// The readings in the blocks of these minutes.
async fn blocks(state: &State, minutes: &[(PumpId, i64)]) -> Result<Vec<Reading>, StoreError> {
    if minutes.is_empty() {
        return Ok(Vec::new());
    }
    let blocks = of_minutes::<Reading>(state.engine()?, minutes).await?;
    Ok(blocks.into_values().flatten().collect())
}
