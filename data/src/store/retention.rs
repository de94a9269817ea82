//! Retention: deletes rows that are too old, each table by its own age.
//!
//! A pass visits every pump and then the node. [`Store::sweep`] does a bounded part of a pass, and the next call
//! continues from there, so that every pump is visited. For example, with `retention.readings_days = 400` and 200
//! pumps:
//!
//! 1. The first sweep visits pumps 1 to 32 (at most [`MAX_QUERIES_PER_SWEEP`] queries) and returns that there is more.
//! 2. The flusher calls sweep again, which continues with pump 33, until the pass is complete.
//! 3. A series with more than a day of rows to delete loses one day and is visited again at the end of the pass.
//!
//! A series is queried only if it may have rows to delete: a lower bound of the time of its oldest row is kept in
//! memory ([`OldestRows`](super::oldest_rows::OldestRows)), and every write of an older row (late, imported or
//! replayed) lowers it. Rows are deleted in steps of up to an hour ([`step_ms`]). So a row may outlive its age by a
//! step, the length of its block and one pass.
//!
//! | Table | Age |
//! | --- | --- |
//! | `sensor_readings`, `anomaly_detections`, `system_metrics` | their own |
//! | `rollup_minute`, `rollup_hour` | `aggregates`, in whole hours, so that an hour is deleted together with its minutes |
//! | `recorded_hour` | deleted with the last block of the hour |
//!
//! Documents are kept as long as their kind declares
//! ([`DocumentKind::RETENTION`](super::document::DocumentKind::RETENTION)); a pass checks them once an hour.
//! `audit_log` has an age of its own, and is deleted in the order of its chain (`audit_retention.rs`).
//! `maintenance_events` are kept for ever. No age applies to `pump`, `pump_name`, `pump_state`,
//! `pump_setting`, `pump_removal`, `active_baseline` and `commissioning` (at most one row per pump), `baseline`,
//! `journal_mark` and `migration`.
//!
//! Does not delete removed pumps (see `removal.rs`). Does not decide when to sweep, or whether the clock can be
//! trusted; see the flusher in the `actors` crate.

use std::{ops::ControlFlow, time::Duration};

use surrealdb::types::{RecordId, SurrealValue};
use volute_journal::failpoints::fail_point;
use volute_plant::Timestamp;

use super::{
    Store, StoreError, StoreInner, audit_retention, document,
    document_kinds::{self, DOCUMENT_KINDS, KindInfo},
    documents,
    engine::DatabaseEngine,
    head::MINUTE_MS,
    ids::unreadable,
    oldest_rows::{RetainedTable, SweepPass},
    page::{limit, oldest_number},
    rows::NODE,
    series::{HOUR_MS, Series, hour, hours_before},
    types::SweepReport,
};

const DAY_MS: i64 = 86_400_000;
/// The number of queries after which a sweep ends. The rest of the pass is left to the next sweep.
const MAX_QUERIES_PER_SWEEP: usize = 64;
/// The maximum number of entries of the hour index in one deletion.
const HOURS_PER_DELETE: usize = 1_000;
/// The maximum number of documents of a kind in one deletion.
const DOCUMENTS_PER_DELETE: usize = 1_000;
/// The minimum time between two checks of the documents.
const DOCUMENT_SWEEP_INTERVAL_MS: i64 = HOUR_MS;
const FIRST_HOURS: &str = "SELECT VALUE id FROM (|$range| $range)($range) LIMIT $limit";

/// How long rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Readings.
    pub readings: Duration,
    /// Rollups per minute and per hour.
    pub aggregates: Duration,
    /// Detections.
    pub detections: Duration,
    /// The node's own metrics.
    pub metrics: Duration,
    /// Entries of the audit log.
    pub audit: Duration,
}

/// What to delete from a table: a series with a row that starts before `due_ms` loses all rows that start before
/// `cutoff_ms`.
#[derive(Clone, Copy)]
struct Cutoff {
    table: RetainedTable,
    due_ms: i64,
    cutoff_ms: i64,
}

impl Cutoff {
    /// Creates the cutoff of a table whose rows cover `row_ms` each. A row is too old when all of it is too old.
    fn new(table: RetainedTable, age: Duration, row_ms: i64, now: Timestamp) -> Self {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let oldest_ms = now.millis().saturating_sub(age_ms);
        let cutoff_ms = oldest_ms - oldest_ms.rem_euclid(row_ms);
        Self { table, due_ms: cutoff_ms - step_ms(age), cutoff_ms }
    }
}

/// Returns the minimum time span of one deletion from a series: a hundredth of the age, between a minute and an hour.
/// With 20,000 pumps and steps of an hour there is one deletion every 90 ms; with steps of a minute there would be 700
/// per second.
fn step_ms(age: Duration) -> i64 {
    i64::try_from(age.as_millis() / 100).unwrap_or(i64::MAX).clamp(MINUTE_MS, HOUR_MS)
}

impl Store {
    /// Deletes some of the rows that are too old at `now`. Returns whether the pass has more to visit.
    pub async fn sweep(&self, retention: &Retention, now: Timestamp) -> Result<SweepReport, StoreError> {
        let mut pass = self.0.sweep_pass.lock().await;
        if pass.owners.is_empty() {
            pass.owners.extend(self.0.pump_registry.pumps().iter().map(ToString::to_string));
            pass.owners.push_back(NODE.to_owned());
        }
        let engine = self.engine().await?;
        let of_pumps = [
            Cutoff::new(RetainedTable::Readings, retention.readings, MINUTE_MS, now),
            Cutoff::new(RetainedTable::Detections, retention.detections, MINUTE_MS, now),
            Cutoff::new(RetainedTable::MinuteRollups, retention.aggregates, HOUR_MS, now),
            Cutoff::new(RetainedTable::HourRollups, retention.aggregates, HOUR_MS, now),
        ];
        let of_node = [Cutoff::new(RetainedTable::Metrics, retention.metrics, 1, now)];
        let mut swept = SweepReport::default();
        for _ in 0..pass.owners.len() {
            if swept.queries >= MAX_QUERIES_PER_SWEEP {
                break;
            }
            let Some(owner) = pass.owners.pop_front() else { break };
            // The first `listed` tables are those that the hour index lists: blocks and metrics, but not
            // rollups.
            let (cutoffs, listed) = if owner == NODE { (&of_node[..], 1) } else { (&of_pumps[..], 2) };
            if self.0.sweep_owner(&engine, &owner, cutoffs, listed, &mut swept).await? {
                pass.owners.push_back(owner);
            }
        }
        if pass.owners.is_empty() {
            sweep_documents(&engine, &mut pass, (retention, now), &mut swept).await?;
        }
        swept.more |= !pass.owners.is_empty();
        Ok(swept)
    }
}

impl StoreInner {
    /// Deletes rows of one owner (a pump or the node). Returns whether the owner has more to delete.
    async fn sweep_owner(
        &self,
        engine: &DatabaseEngine,
        owner: &str,
        cutoffs: &[Cutoff],
        listed: usize,
        swept: &mut SweepReport,
    ) -> Result<bool, StoreError> {
        let mut more = false;
        for cutoff in cutoffs {
            more |= self.sweep_series(engine, owner, *cutoff, swept).await?;
        }
        let listed_ms = cutoffs.iter().take(listed).map(|cutoff| cutoff.due_ms).min();
        match listed_ms {
            // Entries of the hour index are deleted after the rows that they list.
            Some(listed_ms) if !more => self.sweep_hours(engine, owner, hour(listed_ms), swept).await,
            _ => Ok(more),
        }
    }

    /// Deletes at most a day of a series. Returns whether there is more to delete.
    async fn sweep_series(
        &self,
        engine: &DatabaseEngine,
        owner: &str,
        Cutoff { table, due_ms, cutoff_ms }: Cutoff,
        swept: &mut SweepReport,
    ) -> Result<bool, StoreError> {
        let series = Series::new(table.table(), owner);
        let known = self.oldest_rows.get(owner, table);
        let first = match known {
            Some(known) if known >= due_ms => return Ok(false),
            Some(known) if cutoff_ms - known <= DAY_MS => known,
            _ => {
                swept.queries += 1;
                let first = self.query_oldest(engine, owner, table, &series).await?;
                if first >= due_ms {
                    return Ok(false);
                }
                first
            }
        };
        let to = cutoff_ms.min(first + DAY_MS);
        swept.queries += 1;
        // Set before the deletion, so that a row that is written meanwhile lowers it again.
        self.oldest_rows.set(owner, table, Some(to));
        if let Err(error) = delete(engine, &series, first, to).await {
            self.oldest_rows.set(owner, table, None);
            return Err(error);
        }
        swept.deleted += 1;
        Ok(to < due_ms)
    }

    async fn query_oldest(
        &self,
        engine: &DatabaseEngine,
        owner: &str,
        table: RetainedTable,
        series: &Series<'_>,
    ) -> Result<i64, StoreError> {
        // Set before the query, so that a row that is written meanwhile lowers it.
        self.oldest_rows.set(owner, table, Some(i64::MAX));
        match oldest_number(engine, series).await {
            Ok(first) => {
                let first = first.unwrap_or(i64::MAX);
                self.oldest_rows.lower(owner, table, first);
                Ok(first)
            }
            Err(error) => {
                self.oldest_rows.set(owner, table, None);
                Err(error)
            }
        }
    }

    /// Deletes entries of the hour index before this one. Returns whether there are more.
    async fn sweep_hours(
        &self,
        engine: &DatabaseEngine,
        owner: &str,
        before: i64,
        swept: &mut SweepReport,
    ) -> Result<bool, StoreError> {
        let known = self.oldest_rows.get(owner, RetainedTable::Hours);
        if known.is_some_and(|known| known >= before) {
            return Ok(false);
        }
        swept.queries += 1;
        self.oldest_rows.set(owner, RetainedTable::Hours, Some(before));
        let delete = async {
            let vars = [("range", hours_before(owner, before)), ("limit", limit(HOURS_PER_DELETE))];
            let ids: Vec<RecordId> = engine.rows(FIRST_HOURS, vars).await?;
            let more = ids.len() == HOURS_PER_DELETE;
            if !ids.is_empty() {
                swept.queries += 1;
                engine.execute("DELETE $ids RETURN NONE", [("ids", ids.into_value())]).await?;
            }
            Ok(more)
        };
        let deleted = delete.await;
        if !matches!(deleted, Ok(false)) {
            self.oldest_rows.set(owner, RetainedTable::Hours, None);
        }
        deleted
    }
}

async fn delete(engine: &DatabaseEngine, series: &Series<'_>, from: i64, to: i64) -> Result<(), StoreError> {
    fail_point("sweep").map_err(|error| StoreError::Database(error.into()))?;
    engine.execute("DELETE $range RETURN NONE", [("range", series.between(from, to))]).await?;
    fail_point("swept").map_err(|error| StoreError::Database(error.into()))
}

/// Deletes documents that are too old, a limited number of each kind.
async fn sweep_documents(
    engine: &DatabaseEngine,
    pass: &mut SweepPass,
    (retention, now): (&Retention, Timestamp),
    swept: &mut SweepReport,
) -> Result<(), StoreError> {
    // If the clock was set back, they are checked at once.
    if pass.documents_at.is_some_and(|at| (0..DOCUMENT_SWEEP_INTERVAL_MS).contains(&now.since_ms(at))) {
        return Ok(());
    }
    let audit_ms = i64::try_from(retention.audit.as_millis()).unwrap_or(i64::MAX);
    let mut more = audit_retention::sweep(engine, now.millis().saturating_sub(audit_ms)).await?;
    swept.queries += 1;
    for kind in DOCUMENT_KINDS {
        let Some(age) = kind.retention else { continue };
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let ids = documents_before(engine, kind, now.millis().saturating_sub(age_ms)).await?;
        swept.queries += 1;
        if !ids.is_empty() {
            more |= ids.len() == DOCUMENTS_PER_DELETE;
            engine.execute("DELETE $ids RETURN NONE", [("ids", ids.into_value())]).await?;
            swept.deleted += 1;
        }
    }
    swept.more = more;
    pass.documents_at = (!more).then_some(now);
    Ok(())
}

/// Returns the first documents of a kind with a time before this one.
async fn documents_before(
    engine: &DatabaseEngine,
    kind: &KindInfo,
    before_ms: i64,
) -> Result<Vec<RecordId>, StoreError> {
    let mut ids = Vec::new();
    documents::scan(engine, kind.table, documents::all_ids(), |id, row| {
        let at =
            document::time(&document_kinds::from_row(row), kind.time_field).map_err(|error| unreadable(id, error))?;
        if at.millis() < before_ms {
            ids.push(id.clone());
        }
        Ok(if ids.len() == DOCUMENTS_PER_DELETE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    .await?;
    Ok(ids)
}
