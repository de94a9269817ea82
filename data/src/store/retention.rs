//! What is too old goes: readings, aggregates, detections and figures, each by its own age.
//!
//! Deleted is in slices of a day of one pump and table, so that nobody waits long, and where nothing is too old nothing is
//! asked: the oldest row of each series is remembered. Maintenance events, baselines and the audit log have no age.
//! Deliberately absent: when to sweep, and what is worth keeping.

use std::{collections::HashMap, time::Duration};

use volute_plant::Timestamp;

use super::{
    Store, StoreError,
    engine::Engine,
    page::{Series, hour, hours_before, oldest},
    rows::NODE,
    types::Swept,
};
use crate::points::reach;

const DAY_MS: i64 = 86_400_000;
/// Slices deleted, or asked for, in one sweep.
const SLICES: usize = 64;

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Readings.
    pub readings: Duration,
    /// Rollups per minute and per hour.
    pub aggregates: Duration,
    /// Detections.
    pub detections: Duration,
    /// The node's own figures.
    pub metrics: Duration,
}

/// The oldest row of each series, as far as known; [`i64::MAX`]: it had none.
#[derive(Default)]
pub(crate) struct Oldest(HashMap<(&'static str, String), i64>);

impl Store {
    /// Deletes some of what is too old at `now`. Says whether there may be more.
    pub async fn sweep(&self, retention: &Retention, now: Timestamp) -> Result<Swept, StoreError> {
        let mut oldest = self.0.oldest.lock().await;
        let mut swept = Swept::default();
        let before = |age: Duration| now.millis() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let of_pumps = [
            ("sensor_readings", before(retention.readings)),
            ("anomaly_detections", before(retention.detections)),
            ("rollup_minute", before(retention.aggregates)),
            ("rollup_hour", before(retention.aggregates)),
        ];
        let listed = before(retention.readings.max(retention.detections));
        for pump in self.0.roster.pumps() {
            for (table, cutoff) in of_pumps {
                self.sweep_series(table, pump.as_str(), cutoff, &mut oldest, &mut swept).await?;
            }
            self.sweep_hours(pump.as_str(), listed, &mut oldest, &mut swept).await?;
            if swept.slices >= SLICES {
                return Ok(swept);
            }
        }
        let cutoff = before(retention.metrics);
        self.sweep_series("system_metrics", NODE, cutoff, &mut oldest, &mut swept).await?;
        self.sweep_hours(NODE, cutoff, &mut oldest, &mut swept).await?;
        Ok(swept)
    }

    async fn sweep_series(
        &self,
        table: &'static str,
        owner: &str,
        cutoff: i64,
        oldest_known: &mut Oldest,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let key = (table, owner.to_owned());
        if oldest_known.0.get(&key).is_some_and(|&known| known >= cutoff) {
            return Ok(());
        }
        let engine = self.engine().await?;
        let series = Series::new(table, owner);
        swept.slices += 1;
        let first = oldest(&engine, &series).await?;
        let Some(first) = first.filter(|&first| first < cutoff) else {
            // A series without rows is asked again once a row that comes now would be too old.
            oldest_known.0.insert(key, first.unwrap_or(cutoff + DAY_MS));
            return Ok(());
        };
        let to = cutoff.min(first - first.rem_euclid(DAY_MS) + DAY_MS);
        delete(&engine, &series, first, to).await?;
        oldest_known.0.insert(key, to);
        swept.deleted += 1;
        swept.more |= to < cutoff;
        Ok(())
    }

    /// The directory of hours goes with the rows that it leads to.
    async fn sweep_hours(
        &self,
        owner: &str,
        cutoff: i64,
        oldest_known: &mut Oldest,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let key = ("recorded_hour", owner.to_owned());
        let known = oldest_known.0.get(&key).copied().unwrap_or(i64::MIN);
        if hour(cutoff) <= known {
            return Ok(());
        }
        let engine = self.engine().await?;
        swept.slices += 1;
        engine.execute("DELETE $range RETURN NONE", [("range", hours_before(owner, hour(cutoff)))]).await?;
        oldest_known.0.insert(key, hour(cutoff));
        Ok(())
    }
}

async fn delete(engine: &Engine, series: &Series<'_>, from: i64, to: i64) -> Result<(), StoreError> {
    reach("sweep").map_err(|error| StoreError::Database(error.into()))?;
    engine.execute("DELETE $range RETURN NONE", [("range", series.between(from, to))]).await?;
    reach("swept").map_err(|error| StoreError::Database(error.into()))
}
