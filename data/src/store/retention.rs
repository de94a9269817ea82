//! Retention: rows that are too old are deleted, each kind by its own age.
//!
//! A pass goes over every pump and then the node. [`Store::sweep`] does a bounded part of a pass and goes on the next time
//! where it stopped, so that no pump waits for ever behind others. For example, with `retention.readings_days = 400` and
//! 200 pumps:
//!
//! 1. The first sweep looks at pumps 1 to 32 (at most [`SLICES`] queries) and says that there is more.
//! 2. The keeper sweeps again at its next look, from pump 33 on, until the pass is through.
//! 3. A series with more than a day of rows to delete loses one day and goes to the end of the pass.
//!
//! A series is asked only where it may hold something: the start of its oldest row is remembered ([`Oldest`]). It is
//! lowered by every write of an older row, be it late, imported or replayed. A series' rows go in steps of up to an hour
//! ([`step_ms`]), so a row is deleted between its age and its age plus a step, its block's length and one pass.
//!
//! | Table | Its age |
//! | --- | --- |
//! | `sensor_readings`, `anomaly_detections`, `system_metrics` | their own |
//! | `rollup_minute`, `rollup_hour` | `aggregates`, whole hours, so that an hour goes with its minutes |
//! | `recorded_hour` | with the last block that it leads to |
//!
//! Documents are kept as long as their kind says ([`DocumentKind::AGE`](super::document::DocumentKind::AGE)): a pass looks
//! at them once an hour. `maintenance_events` and `audit_log` are kept for good. No age have: `pump`, `pump_state`,
//! `pump_setting`, `active_baseline` and `commissioning` (one row a pump), `baseline`, `journal_mark` and `migration`.
//!
//! Does not delete removed pumps (`removal`), decide when to sweep, or whether the clock can be believed; see the engine's keeper.

use std::time::Duration;

use surrealdb::types::{RecordId, SurrealValue};
use volute_journal::points::reach;
use volute_plant::Timestamp;

use super::{
    Inner, Store, StoreError, document, documents,
    engine::Engine,
    head::MINUTE_MS,
    ids::unreadable,
    kinds::{self, KINDS, KindInfo},
    oldest::{Aged, Pass},
    page::{Enough, limit, oldest},
    rows::NODE,
    series::{HOUR_MS, Series, hour, hours_before},
    types::Swept,
};

const DAY_MS: i64 = 86_400_000;
/// Queries in one sweep, after which the rest of the pass waits for the next.
const SLICES: usize = 64;
/// Entries of the directory of hours that are deleted at once.
const HOURS: usize = 1_000;
/// Documents of a kind that are deleted at once.
const DOCUMENTS: usize = 1_000;
/// Documents are looked at once in so long.
const DOCUMENTS_EVERY_MS: i64 = HOUR_MS;
const FIRST_HOURS: &str = "SELECT VALUE id FROM (|$range| $range)($range) LIMIT $limit";

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

/// What is deleted of a table: series with a row that starts before `due_ms` lose all rows that start before `cutoff_ms`.
#[derive(Clone, Copy)]
struct Cutoff {
    table: Aged,
    due_ms: i64,
    cutoff_ms: i64,
}

impl Cutoff {
    /// A row is too old when all of it is: it begins a `row_ms` before its end.
    fn new(table: Aged, age: Duration, row_ms: i64, now: Timestamp) -> Self {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let oldest_ms = now.millis().saturating_sub(age_ms);
        let cutoff_ms = oldest_ms - oldest_ms.rem_euclid(row_ms);
        Self { table, due_ms: cutoff_ms - step_ms(age), cutoff_ms }
    }
}

/// How much is deleted of a series at once, at least: a hundredth of its age, from a minute to an hour. With 20,000 pumps
/// that is a deletion every 90 ms, and not 700 a second.
fn step_ms(age: Duration) -> i64 {
    i64::try_from(age.as_millis() / 100).unwrap_or(i64::MAX).clamp(MINUTE_MS, HOUR_MS)
}

impl Store {
    /// Deletes some of what is too old at `now`. Says whether the pass has more to look at.
    pub async fn sweep(&self, retention: &Retention, now: Timestamp) -> Result<Swept, StoreError> {
        let mut pass = self.0.pass.lock().await;
        if pass.owners.is_empty() {
            pass.owners.extend(self.0.roster.pumps().iter().map(ToString::to_string));
            pass.owners.push_back(NODE.to_owned());
        }
        let engine = self.engine().await?;
        let of_pumps = [
            Cutoff::new(Aged::Readings, retention.readings, MINUTE_MS, now),
            Cutoff::new(Aged::Detections, retention.detections, MINUTE_MS, now),
            Cutoff::new(Aged::MinuteRollups, retention.aggregates, HOUR_MS, now),
            Cutoff::new(Aged::HourRollups, retention.aggregates, HOUR_MS, now),
        ];
        let of_node = [Cutoff::new(Aged::Metrics, retention.metrics, 1, now)];
        let mut swept = Swept::default();
        for _ in 0..pass.owners.len() {
            if swept.slices >= SLICES {
                break;
            }
            let Some(owner) = pass.owners.pop_front() else { break };
            // The directory leads to blocks, and not to rollups.
            let (cutoffs, listed) = if owner == NODE { (&of_node[..], 1) } else { (&of_pumps[..], 2) };
            if self.0.sweep_owner(&engine, &owner, cutoffs, listed, &mut swept).await? {
                pass.owners.push_back(owner);
            }
        }
        if pass.owners.is_empty() {
            sweep_documents(&engine, &mut pass, now, &mut swept).await?;
        }
        swept.more |= !pass.owners.is_empty();
        Ok(swept)
    }
}

impl Inner {
    /// Returns whether there is more of this owner's.
    async fn sweep_owner(
        &self,
        engine: &Engine,
        owner: &str,
        cutoffs: &[Cutoff],
        listed: usize,
        swept: &mut Swept,
    ) -> Result<bool, StoreError> {
        let mut more = false;
        for cutoff in cutoffs {
            more |= self.sweep_series(engine, owner, *cutoff, swept).await?;
        }
        let listed_ms = cutoffs.iter().take(listed).map(|cutoff| cutoff.due_ms).min();
        match listed_ms {
            // What it leads to goes first.
            Some(listed_ms) if !more => self.sweep_hours(engine, owner, hour(listed_ms), swept).await,
            _ => Ok(more),
        }
    }

    /// Deletes at most a day of a series. Returns whether there is more.
    async fn sweep_series(
        &self,
        engine: &Engine,
        owner: &str,
        Cutoff { table, due_ms, cutoff_ms }: Cutoff,
        swept: &mut Swept,
    ) -> Result<bool, StoreError> {
        let series = Series::new(table.table(), owner);
        let known = self.oldest.get(owner, table);
        let first = match known {
            Some(known) if known >= due_ms => return Ok(false),
            Some(known) if cutoff_ms - known <= DAY_MS => known,
            _ => {
                swept.slices += 1;
                let first = self.ask_oldest(engine, owner, table, &series).await?;
                if first >= due_ms {
                    return Ok(false);
                }
                first
            }
        };
        let to = cutoff_ms.min(first + DAY_MS);
        swept.slices += 1;
        // Before the deletion: a row that is written meanwhile lowers it again.
        self.oldest.set(owner, table, Some(to));
        if let Err(error) = delete(engine, &series, first, to).await {
            self.oldest.set(owner, table, None);
            return Err(error);
        }
        swept.deleted += 1;
        Ok(to < due_ms)
    }

    async fn ask_oldest(
        &self,
        engine: &Engine,
        owner: &str,
        table: Aged,
        series: &Series<'_>,
    ) -> Result<i64, StoreError> {
        // Before the question, for the same reason.
        self.oldest.set(owner, table, Some(i64::MAX));
        match oldest(engine, series).await {
            Ok(first) => {
                let first = first.unwrap_or(i64::MAX);
                self.oldest.note(owner, table, first);
                Ok(first)
            }
            Err(error) => {
                self.oldest.set(owner, table, None);
                Err(error)
            }
        }
    }

    /// Deletes directory entries of hours before this one. Returns whether there are more.
    async fn sweep_hours(
        &self,
        engine: &Engine,
        owner: &str,
        before: i64,
        swept: &mut Swept,
    ) -> Result<bool, StoreError> {
        let known = self.oldest.get(owner, Aged::Hours);
        if known.is_some_and(|known| known >= before) {
            return Ok(false);
        }
        swept.slices += 1;
        self.oldest.set(owner, Aged::Hours, Some(before));
        let delete = async {
            let vars = [("range", hours_before(owner, before)), ("limit", limit(HOURS))];
            let ids: Vec<RecordId> = engine.rows(FIRST_HOURS, vars).await?;
            let more = ids.len() == HOURS;
            if !ids.is_empty() {
                swept.slices += 1;
                engine.execute("DELETE $ids RETURN NONE", [("ids", ids.into_value())]).await?;
            }
            Ok(more)
        };
        let deleted = delete.await;
        if !matches!(deleted, Ok(false)) {
            self.oldest.set(owner, Aged::Hours, None);
        }
        deleted
    }
}

async fn delete(engine: &Engine, series: &Series<'_>, from: i64, to: i64) -> Result<(), StoreError> {
    reach("sweep").map_err(|error| StoreError::Database(error.into()))?;
    engine.execute("DELETE $range RETURN NONE", [("range", series.between(from, to))]).await?;
    reach("swept").map_err(|error| StoreError::Database(error.into()))
}

/// Deletes documents that are too old, of each kind some at a time.
async fn sweep_documents(
    engine: &Engine,
    pass: &mut Pass,
    now: Timestamp,
    swept: &mut Swept,
) -> Result<(), StoreError> {
    // Sooner too where the clock was set back.
    if pass.documents_at.is_some_and(|at| (0..DOCUMENTS_EVERY_MS).contains(&now.since_ms(at))) {
        return Ok(());
    }
    let mut more = false;
    for kind in KINDS {
        let Some(age) = kind.age else { continue };
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let ids = documents_before(engine, kind, now.millis().saturating_sub(age_ms)).await?;
        swept.slices += 1;
        if !ids.is_empty() {
            more |= ids.len() == DOCUMENTS;
            engine.execute("DELETE $ids RETURN NONE", [("ids", ids.into_value())]).await?;
            swept.deleted += 1;
        }
    }
    swept.more = more;
    pass.documents_at = (!more).then_some(now);
    Ok(())
}

/// The first documents of a kind whose time is before this one.
async fn documents_before(engine: &Engine, kind: &KindInfo, before_ms: i64) -> Result<Vec<RecordId>, StoreError> {
    let mut ids = Vec::new();
    documents::scan(engine, kind.table, documents::all_ids(), |id, row| {
        let at = document::time(&kinds::from_row(row), kind.time).map_err(|error| unreadable(id, error))?;
        if at.millis() < before_ms {
            ids.push(id.clone());
        }
        Ok(if ids.len() == DOCUMENTS { Enough::Yes } else { Enough::No })
    })
    .await?;
    Ok(ids)
}
