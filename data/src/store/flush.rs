//! The flush: moves minutes that are due from the head into the database, as blocks with their rollups.
//!
//! One transaction holds the blocks of some minutes, their rollups, and the journal's low-water mark. The rows leave
//! the head when the transaction is done. A minute that has a block already, because a reading or some channels of one
//! arrived late, gets a new block with all of its rows. One flush runs at a time.
//!
//! Does not decide when to flush, or what to do when a flush fails; see the flusher in the `actors` crate.
//!
//! **Rollups are kept longer than readings**, so a minute without a block is not always a minute without readings. An
//! example, with readings kept for 400 days and rollups for 3,650 days:
//!
//! 1. Minute M gets 60 readings: a block of 60, `rollup_minute` 60, `rollup_hour` 60.
//! 2. After 400 days its block is deleted. Both rollups stay.
//! 3. One more reading of M arrives: resent, imported, or replayed from the journal after a kill. It is no longer known
//!    whether it is one of the 60. It gets a separate block, so that it is not lost, and the rollups stay as they
//!    are.
//!
//! The rule: a flush updates a minute's rollups only if block and rollup cover the same readings.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use surrealdb::types::{RecordId, SurrealValue, Value};
use volute_journal::{Seq, failpoints::fail_point};
use volute_plant::{Detection, PumpId, Reading, SampleOverlap, Timestamp};

use super::{
    Store, StoreError, StoreInner,
    audit_head::ChainEndRecord,
    blocks::{BlockSeries, blocks_of_minutes},
    checkpoints::CheckpointRow,
    document::DocumentKind,
    documents,
    engine::DatabaseEngine,
    flush_cache::{FlushCache, HourRollup},
    head::{DueMinute, DuePolicy, FlushBatch, OtherRows, StoredRows},
    ids::{pump_and_start, unreadable},
    oldest_rows::RetainedTable,
    removal,
    rows::{DetectionsRow, HourRow, MarkRow, MetricsRow, NODE, PumpRow, ReadingsRow, RollupRow},
    series::{HOUR_MS, Row, Series, hour, hour_entry_id, hour_rollup_id},
    types::FlushReport,
};
use crate::block::{Aggregates, decode_aggregates, encode_aggregates, encode_detections, encode_readings};

/// The maximum number of minutes in one transaction. It takes some tens of milliseconds, during which readers wait.
const MINUTES_PER_TRANSACTION: usize = 256;

/// The number of past minutes after which one flush writes everything, so that the low-water mark advances.
const PAST_MINUTES_PER_FULL_FLUSH: usize = if cfg!(test) { 100 } else { 10_000 };

const WRITE: &str = "
    BEGIN;
    INSERT IGNORE INTO pump $pumps RETURN NONE;
    INSERT IGNORE INTO recorded_hour $hours RETURN NONE;
    INSERT INTO sensor_readings $readings
        ON DUPLICATE KEY UPDATE readings = $input.readings, block = $input.block RETURN NONE;
    INSERT INTO anomaly_detections $detections
        ON DUPLICATE KEY UPDATE
            detections = $input.detections, anomalies = $input.anomalies, block = $input.block RETURN NONE;
    INSERT INTO rollup_minute $rollups
        ON DUPLICATE KEY UPDATE readings = $input.readings, aggregates = $input.aggregates RETURN NONE;
    INSERT INTO rollup_hour $hourly
        ON DUPLICATE KEY UPDATE readings = $input.readings, aggregates = $input.aggregates RETURN NONE;
    INSERT IGNORE INTO system_metrics $metrics RETURN NONE;
    INSERT INTO pump_state $states
        ON DUPLICATE KEY UPDATE
            document = IF $input.at_ms >= at_ms { $input.document } ELSE { document },
            at_ms = IF $input.at_ms >= at_ms { $input.at_ms } ELSE { at_ms }
        RETURN NONE;
    FOR $document IN $documents { UPSERT $document.id CONTENT $document RETURN NONE };
    UPSERT $mark.id CONTENT $mark RETURN NONE;
    COMMIT;
";

impl Store {
    /// Writes what is due at `now` into the database, and lets the journal delete what the database has.
    pub async fn flush(&self, now: Timestamp) -> Result<FlushReport, StoreError> {
        let flushed = self.flush_due(now).await?;
        self.release_journal(now);
        Ok(flushed)
    }

    /// Writes what is due at `now` into the database.
    pub async fn flush_due(&self, now: Timestamp) -> Result<FlushReport, StoreError> {
        if let Err(error) = self.0.flushed_until_file.observe_clock(now) {
            tracing::warn!(%error, "the clock was set back, and the time that it showed before could not be saved");
        }
        let pressure = self.0.head().bytes() > self.0.settings.pressure_bytes();
        self.flush_with(if pressure { DuePolicy::UnderPressure(now) } else { DuePolicy::Normal(now) }, Some(now)).await
    }

    /// Lets the journal delete segments whose records are all in the database, once they are older than the configured
    /// age at `now`, or the journal is larger than its configured size.
    pub fn release_journal(&self, now: Timestamp) {
        self.0.journal.release(self.0.low_water(), now.millis());
    }

    /// Writes everything into the database.
    pub async fn flush_all(&self) -> Result<FlushReport, StoreError> {
        self.flush_with(DuePolicy::All, None).await
    }

    async fn flush_with(&self, policy: DuePolicy, now: Option<Timestamp>) -> Result<FlushReport, StoreError> {
        let mut flush_cache = self.0.flush_cache.lock().await;
        let mut flushed = FlushReport::default();
        // The journal is replayed from the low-water mark at a start, and a single minute that is not due holds the
        // mark back.
        let policy = if flush_cache.past_minutes < PAST_MINUTES_PER_FULL_FLUSH { policy } else { DuePolicy::All };
        loop {
            let engine = self.0.database.engine().await?;
            let mut batch = self.0.head().next_flush_batch(policy, MINUTES_PER_TRANSACTION);
            if let Err(error) = batch.unpack() {
                self.0.head().abort_flush(&batch);
                return Err(error);
            }
            if let Some(latest) = batch.latest()
                && Some(latest) > now
                && let Err(error) = self.0.flushed_until_file.raise(latest)
            {
                self.0.head().abort_flush(&batch);
                return Err(error);
            }
            if batch.other_rows.has_documents(ChainEndRecord::TABLE)
                && let Err(error) = self.0.audit_chain.save(&self.0.dir)
            {
                self.0.head().abort_flush(&batch);
                return Err(error);
            }
            let low_water = batch.low_water;
            if batch.due.is_empty() && batch.other_rows.is_empty() && batch.removals.is_empty() {
                if low_water > self.0.low_water() {
                    self.0.write_batch(&engine, batch, &mut flush_cache).await?;
                }
                break;
            }
            let more = batch.more;
            flushed.minutes += batch.due.len();
            flushed.readings += batch.due.iter().map(|due| due.readings.len()).sum::<usize>();
            flush_cache.past_minutes += batch.due.iter().filter(|due| due.past).count();
            self.0.write_batch(&engine, batch, &mut flush_cache).await?;
            if !more {
                break;
            }
        }
        if let DuePolicy::All = policy {
            flush_cache.past_minutes = 0;
        }
        Ok(flushed)
    }
}

impl StoreInner {
    /// Writes a batch and returns how many of its readings were new. On an error its rows stay in the head.
    pub(crate) async fn write_batch(
        &self,
        engine: &DatabaseEngine,
        batch: FlushBatch,
        flush_cache: &mut FlushCache,
    ) -> Result<usize, StoreError> {
        let outcome = self.try_write_batch(engine, &batch, flush_cache).await;
        if outcome.is_err() {
            self.head().abort_flush(&batch);
        }
        outcome
    }

    async fn try_write_batch(
        &self,
        engine: &DatabaseEngine,
        batch: &FlushBatch,
        flush_cache: &mut FlushCache,
    ) -> Result<usize, StoreError> {
        flush_cache.load(engine, batch).await?;
        let rows = TransactionRows::of(engine, batch, flush_cache).await?;
        let other_rows = &batch.other_rows;
        let vars = [
            ("pumps", other_rows.pumps.iter().map(|(_, pump)| PumpRow::from(pump)).collect::<Vec<_>>().into_value()),
            ("hours", rows.hours(other_rows).into_value()),
            ("readings", rows.readings.into_value()),
            ("detections", rows.detections.into_value()),
            ("rollups", rows.rollups.into_value()),
            ("hourly", rows.hourly.iter().map(hourly_row).collect::<Result<Vec<_>, _>>()?.into_value()),
            ("metrics", other_rows.metrics.iter().map(|(_, m)| MetricsRow::from(m)).collect::<Vec<_>>().into_value()),
            ("documents", other_rows.all_documents().map(documents::row).collect::<Result<Vec<_>, _>>()?.into_value()),
            (
                "states",
                other_rows
                    .checkpoints
                    .values()
                    .map(|(_, checkpoint)| CheckpointRow::from(checkpoint))
                    .collect::<Vec<_>>()
                    .into_value(),
            ),
            ("mark", mark(batch.low_water)),
        ];
        // No query may run while the rows move, or it would see them twice or not at all.
        let guard = self.database.write().await;
        // Fails if the database was closed in the meantime.
        guard.engine()?;
        removal::write_all(engine, &batch.removals, self.low_water()).await?;
        documents::define_unknown(engine, other_rows.all_documents()).await?;
        let outcome = engine.write(WRITE, vars).await;
        // The bounds are lowered on an error too, since the rows may have been written nevertheless.
        self.lower_oldest(batch);
        outcome?;
        let conflicts = batch.conflicts + rows.conflicts;
        {
            let mut head = self.head();
            head.remove_flushed(batch);
            head.record_conflicts(conflicts);
        }
        drop(guard);
        if conflicts > 0 {
            tracing::error!(
                readings = conflicts,
                "acknowledged readings were dropped: other readings have their times"
            );
        }
        self.set_low_water(batch.low_water);
        if !other_rows.pumps.is_empty() || !batch.removals.is_empty() {
            self.save_pump_list_copy();
        }
        for ((pump, hour_ms), hourly) in rows.hourly {
            flush_cache.record_hour(pump, hour_ms, hourly);
        }
        for due in &batch.due {
            flush_cache.record_minute(&due.pump, due.start_ms);
        }
        Ok(rows.new_readings)
    }

    /// Updates the lower bounds of the oldest rows, which retention uses.
    fn lower_oldest(&self, batch: &FlushBatch) {
        for due in &batch.due {
            let (pump, start_ms) = (due.pump.as_str(), due.start_ms);
            let hour = hour(start_ms);
            self.oldest_rows.lower(pump, RetainedTable::Readings, start_ms);
            self.oldest_rows.lower(pump, RetainedTable::Detections, start_ms);
            self.oldest_rows.lower(pump, RetainedTable::MinuteRollups, start_ms);
            self.oldest_rows.lower(pump, RetainedTable::HourRollups, hour * HOUR_MS);
            self.oldest_rows.lower(pump, RetainedTable::Hours, hour);
        }
        for (_, metrics) in &batch.other_rows.metrics {
            self.oldest_rows.lower(NODE, RetainedTable::Metrics, metrics.at.millis());
            self.oldest_rows.lower(NODE, RetainedTable::Hours, hour(metrics.at.millis()));
        }
    }

    /// Removes rows from the head that came from the replay of the journal and that the database has already.
    pub(crate) async fn discard_stored_rows(&self, engine: &DatabaseEngine) -> Result<(), StoreError> {
        fail_point("head-forget").map_err(|error| StoreError::Database(error.into()))?;
        let (with_readings, with_detections) = {
            let head = self.head();
            (head.minutes_with_readings(), head.minutes_with_detections())
        };
        let mut known: BTreeMap<(PumpId, i64), StoredRows> = BTreeMap::new();
        for (key, rows) in blocks_of_minutes::<Reading>(engine, &with_readings).await? {
            known.entry(key).or_default().readings = rows.into_iter().map(|row| (row.at, row)).collect();
        }
        for (key, rows) in blocks_of_minutes::<Detection>(engine, &with_detections).await? {
            known.entry(key).or_default().detections = times(&rows);
        }
        let mut head = self.head();
        for ((pump, start_ms), stored) in known {
            head.discard_stored(&pump, start_ms, &stored)?;
        }
        fail_point("head-forgotten").map_err(|error| StoreError::Database(error.into()))
    }
}

/// Reads the low-water mark from the database.
pub(crate) async fn read_mark(engine: &DatabaseEngine) -> Result<Seq, StoreError> {
    let rows: Vec<MarkRow> = engine.rows("SELECT * FROM $id", [("id", mark_id().into_value())]).await?;
    let Some(row) = rows.first() else { return Ok(Seq::ZERO) };
    let seq = u64::try_from(row.seq).map_err(|error| unreadable(&row.id, error))?;
    Ok(Seq::new(seq))
}

/// The rows of a flush transaction.
#[derive(Default)]
struct TransactionRows {
    readings: Vec<ReadingsRow>,
    detections: Vec<DetectionsRow>,
    rollups: Vec<RollupRow>,
    hourly: BTreeMap<(PumpId, i64), HourRollup>,
    changed_hours: BTreeSet<(PumpId, i64)>,
    new_readings: usize,
    /// The number of due readings that are left out, because the block has other values at their time.
    conflicts: usize,
    recorded_hours: BTreeSet<(PumpId, i64)>,
}

impl TransactionRows {
    async fn of(engine: &DatabaseEngine, batch: &FlushBatch, flush_cache: &FlushCache) -> Result<Self, StoreError> {
        let may_exist: Vec<(PumpId, i64)> = batch
            .due
            .iter()
            .filter(|due| flush_cache.may_have_block(&due.pump, due.start_ms))
            .map(|due| (due.pump.clone(), due.start_ms))
            .collect();
        let mut readings: BTreeMap<_, Vec<Reading>> = blocks_of_minutes(engine, &may_exist).await?;
        let mut detections: BTreeMap<_, Vec<Detection>> = blocks_of_minutes(engine, &may_exist).await?;
        let rollup_counts = rollup_counts(engine, &may_exist).await?;
        let mut rows = Self { hourly: current_hour_rollups(engine, batch, flush_cache).await?, ..Self::default() };
        for due in &batch.due {
            let key = (due.pump.clone(), due.start_ms);
            let rollup_count = rollup_counts.get(&key).copied().unwrap_or(0);
            rows.add_readings(due, readings.remove(&key).unwrap_or_default(), rollup_count);
            rows.add_detections(due, detections.remove(&key).unwrap_or_default());
            rows.recorded_hours.insert((due.pump.clone(), hour(due.start_ms)));
        }
        // Rollups of hours that got no new readings are not written: an existing one stays as it is, and a deleted one
        // is not created again.
        let Self { hourly, changed_hours, .. } = &mut rows;
        hourly.retain(|key, _| changed_hours.contains(key));
        Ok(rows)
    }

    /// Adds the readings of a minute. `stored` is the minute's block, and `rollup_count` the number of readings in its
    /// rollup.
    fn add_readings(&mut self, due: &DueMinute, stored: Vec<Reading>, rollup_count: i64) {
        // If the counts are equal, block and rollup are taken to cover the same readings.
        let same_count = count(&stored) == rollup_count;
        let before = stored.len();
        let MergedReadings { all, added, conflicts } = MergedReadings::of(stored, &due.readings);
        self.conflicts += conflicts;
        if added.is_empty() {
            return;
        }
        let id = Series::readings(&due.pump).id(due.start_ms);
        self.readings.push(ReadingsRow { id, readings: count(&all), block: encode_readings(&all).into() });
        let new = all.len() - before;
        self.new_readings += new;
        if !same_count {
            return;
        }
        let id = Series::new("rollup_minute", due.pump.as_str()).id(due.start_ms);
        let aggregates = encode_aggregates(&Aggregates::of(&all)).into();
        self.rollups.push(RollupRow { id, readings: count(&all), aggregates });
        let key = (due.pump.clone(), hour(due.start_ms) * HOUR_MS);
        self.changed_hours.insert(key.clone());
        let hourly = self.hourly.entry(key).or_default();
        hourly.readings += i64::try_from(new).unwrap_or(i64::MAX);
        hourly.aggregates.merge(&Aggregates::of(&added));
    }

    fn add_detections(&mut self, due: &DueMinute, stored: Vec<Detection>) {
        let Some(all) = merge_rows(stored, &due.detections) else { return };
        let id = Series::detections(&due.pump).id(due.start_ms);
        let anomalies = all.iter().filter(|detection| detection.is_anomaly).count();
        let anomalies = i64::try_from(anomalies).unwrap_or(i64::MAX);
        let block = encode_detections(&all).into();
        self.detections.push(DetectionsRow { id, detections: count(&all), anomalies, block });
    }

    /// Returns rows of `recorded_hour`, which lists the hours in which a pump or the node has rows. Most exist already.
    fn hours(&self, other_rows: &OtherRows) -> Vec<HourRow> {
        let of_node = other_rows.metrics.iter().map(|(_, metrics)| (NODE, hour(metrics.at.millis())));
        let of_pumps = self.recorded_hours.iter().map(|(pump, hour)| (pump.as_str(), *hour));
        let hours: BTreeSet<(&str, i64)> = of_node.chain(of_pumps).collect();
        hours.into_iter().map(|(owner, hour)| HourRow { id: hour_entry_id(owner, hour) }).collect()
    }
}

/// Returns the number of readings in the stored rollups of these minutes.
async fn rollup_counts(
    engine: &DatabaseEngine,
    minutes: &[(PumpId, i64)],
) -> Result<HashMap<(PumpId, i64), i64>, StoreError> {
    let mut rollup_counts = HashMap::new();
    for minutes in minutes.chunks(1000) {
        let id = |(pump, start_ms): &(PumpId, i64)| Series::new("rollup_minute", pump.as_str()).id(*start_ms);
        let ids: Vec<RecordId> = minutes.iter().map(id).collect();
        let rows: Vec<RollupRow> = engine.rows("SELECT * FROM $ids", [("ids", ids.into_value())]).await?;
        for row in rows {
            rollup_counts.insert(pump_and_start(row.id())?, row.readings);
        }
    }
    Ok(rollup_counts)
}

/// Returns the current rollups of the hours that the batch adds to.
async fn current_hour_rollups(
    engine: &DatabaseEngine,
    batch: &FlushBatch,
    flush_cache: &FlushCache,
) -> Result<BTreeMap<(PumpId, i64), HourRollup>, StoreError> {
    let mut known = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for due in &batch.due {
        let hour_ms = hour(due.start_ms) * HOUR_MS;
        match flush_cache.pumps.get(&due.pump) {
            Some(last) if last.hour_ms == hour_ms => {
                known.insert((due.pump.clone(), hour_ms), last.hourly.clone());
            }
            // All blocks of the pump are earlier, so this hour has no rollup.
            Some(last) if last.newest_ms < hour_ms => {}
            _ => {
                unknown.insert((due.pump.clone(), hour_ms));
            }
        }
    }
    let ids: Vec<RecordId> = unknown.iter().map(|(pump, hour_ms)| hour_rollup_id(pump, *hour_ms)).collect();
    for ids in ids.chunks(1000) {
        let rows: Vec<RollupRow> = engine.rows("SELECT * FROM $ids", [("ids", ids.to_vec().into_value())]).await?;
        for row in rows {
            let aggregates = decode_aggregates(&row.aggregates).map_err(|error| unreadable(&row.id, error))?;
            known.insert(pump_and_start(row.id())?, HourRollup { readings: row.readings, aggregates });
        }
    }
    Ok(known)
}

fn hourly_row(((pump, hour_ms), hourly): (&(PumpId, i64), &HourRollup)) -> Result<RollupRow, StoreError> {
    let (id, aggregates) = (hour_rollup_id(pump, *hour_ms), encode_aggregates(&hourly.aggregates).into());
    Ok(RollupRow { id, readings: hourly.readings, aggregates })
}

fn mark_id() -> RecordId {
    RecordId::new("journal_mark", "low_water")
}

fn mark(low_water: Seq) -> Value {
    MarkRow { id: mark_id(), seq: i64::try_from(low_water.get()).unwrap_or(i64::MAX) }.into_value()
}

/// The readings of a minute, after merging its block with the due ones.
struct MergedReadings {
    all: Vec<Reading>,
    /// What was not in the block: new readings, and of known readings only the added channels.
    added: Vec<Reading>,
    /// Number of readings that have another value than the stored one, which is kept.
    conflicts: usize,
}

impl MergedReadings {
    /// Merges two lists that are sorted by time and have each time once.
    fn of(mut stored: Vec<Reading>, due: &[Reading]) -> Self {
        let (mut added, mut new, mut conflicts) = (Vec::new(), Vec::new(), 0);
        for reading in due {
            let Ok(index) = stored.binary_search_by_key(&reading.at, |known| known.at) else {
                new.push(reading.clone());
                added.push(reading.clone());
                continue;
            };
            let known = &mut stored[index];
            match known.overlap(&reading.samples) {
                SampleOverlap::Duplicate => {}
                SampleOverlap::Conflict { .. } => conflicts += 1,
                SampleOverlap::Adds => {
                    added.push(Reading { samples: known.new_samples(&reading.samples), ..reading.clone() });
                    *known = known.merged_with(&reading.samples);
                }
            }
        }
        let mut all = stored;
        all.extend(new);
        all.sort_by_key(|reading| reading.at);
        Self { all, added, conflicts }
    }
}

/// Returns the stored and the new rows of a minute, sorted by time; none if no row is new.
fn merge_rows<T: BlockSeries + Clone>(stored: Vec<T>, due: &[T]) -> Option<Vec<T>> {
    let known: BTreeSet<Timestamp> = times(&stored);
    let new: Vec<T> = due.iter().filter(|row| !known.contains(&row.at())).cloned().collect();
    if new.is_empty() {
        return None;
    }
    let mut all = stored;
    all.extend(new);
    all.sort_by_key(BlockSeries::at);
    Some(all)
}

fn times<T: BlockSeries>(rows: &[T]) -> BTreeSet<Timestamp> {
    rows.iter().map(BlockSeries::at).collect()
}

fn count<T>(rows: &[T]) -> i64 {
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}
