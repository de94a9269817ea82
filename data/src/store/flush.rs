//! From the head into the database: minutes that are due become blocks, and their rollups follow.
//!
//! One transaction holds some minutes' blocks, their rollups, and the journal's low-water mark; the rows leave the head
//! when it is done. A minute that has a block already, because a reading came late, or channels of one did, gets a new one
//! with both. One flush runs at a time. Deliberately absent: when to flush, and what to do where it fails.
//!
//! **Rollups outlive readings**, so a minute without a block is not always a minute without readings. An example, with
//! readings kept for 400 days and rollups for 3,650:
//!
//! 1. Minute M gets 60 readings: a block of 60, `rollup_minute` 60, `rollup_hour` 60.
//! 2. After 400 days its block is deleted. Both rollups stay.
//! 3. One more reading of M comes: resent, imported, or replayed from the journal after a kill. Whether it is one of the
//!    60 cannot be told any more. It gets a block of its own, so that it is not lost, and the rollups stay as they are.
//!
//! The rule: a minute's rollups follow its block only while both are of the same readings.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use surrealdb::types::{RecordId, SurrealValue, Value};
use volute_journal::{Seq, points::reach};
use volute_plant::{Beside, Detection, PumpId, Reading, Timestamp};

use super::{
    Inner, Store, StoreError,
    blocks::{InBlocks, of_minutes},
    documents,
    engine::Engine,
    head::{Due, News, Share, Stored, Until},
    ids::{pump_and_start, unreadable},
    oldest::Aged,
    removal,
    rows::{DetectionsRow, HourRow, MarkRow, MetricsRow, NODE, PumpRow, ReadingsRow, RollupRow},
    series::{HOUR_MS, Row, Series, hour, hour_id, hourly_id},
    states::StateRow,
    types::Flushed,
    written::{Hourly, Written},
};
use crate::block::{Aggregates, decode_aggregates, encode_aggregates, encode_detections, encode_readings};

/// Minutes in one transaction: some tens of milliseconds, for which readers wait.
const MINUTES: usize = 256;

/// After so many minutes of the past everything is written once, so that the low-water mark moves on.
const PAST_WRITTEN: usize = if cfg!(test) { 100 } else { 10_000 };

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
    /// Writes what is due into the database, and lets the journal forget what is old. `now` is the time by which minutes
    /// end.
    pub async fn flush(&self, now: Timestamp) -> Result<Flushed, StoreError> {
        let flushed = self.flush_due(now).await?;
        self.release_journal(now);
        Ok(flushed)
    }

    /// Writes what is due into the database.
    pub async fn flush_due(&self, now: Timestamp) -> Result<Flushed, StoreError> {
        if let Err(error) = self.0.moved.clock(now) {
            tracing::warn!(%error, "the clock was set back, and what it showed before is not kept");
        }
        let crowded = self.0.head().bytes() > self.0.settings.crowded_bytes();
        self.flush_until(if crowded { Until::Crowded(now) } else { Until::Time(now) }, Some(now)).await
    }

    /// Lets the journal forget what the database has, where it is too much or too old at `now`.
    pub fn release_journal(&self, now: Timestamp) {
        self.0.journal.release(self.0.marked(), now.millis());
    }

    /// Writes everything into the database.
    pub async fn flush_all(&self) -> Result<Flushed, StoreError> {
        self.flush_until(Until::Now, None).await
    }

    async fn flush_until(&self, until: Until, now: Option<Timestamp>) -> Result<Flushed, StoreError> {
        let mut written = self.0.written.lock().await;
        let mut flushed = Flushed::default();
        // A start reads again what was written since the low-water mark moved on, and one minute that waits holds that up.
        let until = if written.past_minutes < PAST_WRITTEN { until } else { Until::Now };
        loop {
            let engine = self.0.database.engine().await?;
            let mut share = self.0.head().share(until, MINUTES);
            if let Err(error) = share.unpack() {
                self.0.head().keep(&share);
                return Err(error);
            }
            if let Some(latest) = share.latest()
                && Some(latest) > now
                && let Err(error) = self.0.moved.raise(latest)
            {
                self.0.head().keep(&share);
                return Err(error);
            }
            let low_water = share.low_water;
            if share.due.is_empty() && share.news.is_empty() && share.removals.is_empty() {
                if low_water > self.0.marked() {
                    self.0.write_share(&engine, share, &mut written).await?;
                }
                break;
            }
            let more = share.more;
            flushed.minutes += share.due.len();
            flushed.readings += share.due.iter().map(|due| due.readings.len()).sum::<usize>();
            written.past_minutes += share.due.iter().filter(|due| due.past).count();
            self.0.write_share(&engine, share, &mut written).await?;
            if !more {
                break;
            }
        }
        if let Until::Now = until {
            written.past_minutes = 0;
        }
        Ok(flushed)
    }
}

impl Inner {
    /// Writes a share, and answers how many of its readings were new.
    pub(crate) async fn write_share(
        &self,
        engine: &Engine,
        share: Share,
        written: &mut Written,
    ) -> Result<usize, StoreError> {
        let outcome = self.try_write_share(engine, &share, written).await;
        if outcome.is_err() {
            self.head().keep(&share);
        }
        outcome
    }

    async fn try_write_share(
        &self,
        engine: &Engine,
        share: &Share,
        written: &mut Written,
    ) -> Result<usize, StoreError> {
        written.learn(engine, share).await?;
        let batch = Rows::of(engine, share, written).await?;
        let news = &share.news;
        let vars = [
            ("pumps", news.pumps.iter().map(|(_, pump)| PumpRow::from(pump)).collect::<Vec<_>>().into_value()),
            ("hours", batch.hours(news).into_value()),
            ("readings", batch.readings.into_value()),
            ("detections", batch.detections.into_value()),
            ("rollups", batch.rollups.into_value()),
            ("hourly", batch.hourly.iter().map(hourly_row).collect::<Result<Vec<_>, _>>()?.into_value()),
            ("metrics", news.metrics.iter().map(|(_, m)| MetricsRow::from(m)).collect::<Vec<_>>().into_value()),
            ("documents", news.all_documents().map(documents::row).collect::<Result<Vec<_>, _>>()?.into_value()),
            ("states", news.states.values().map(|(_, state)| StateRow::from(state)).collect::<Vec<_>>().into_value()),
            ("mark", mark(share.low_water)),
        ];
        // Nobody reads while the rows move: they would be seen twice, or not at all.
        let moving = self.database.write().await;
        moving.engine()?;
        removal::store_all(engine, &share.removals, self.marked()).await?;
        documents::define_unknown(engine, news.all_documents()).await?;
        let outcome = engine.write(WRITE, vars).await;
        // Also where it failed: what was not told may be there all the same.
        self.note_oldest(share);
        outcome?;
        let conflicts = share.conflicts + batch.conflicts;
        {
            let mut head = self.head();
            head.give_up(share);
            head.note_conflicts(conflicts);
        }
        drop(moving);
        if conflicts > 0 {
            tracing::error!(readings = conflicts, "readings that were taken are not kept: others have their times");
        }
        self.set_marked(share.low_water);
        if !news.pumps.is_empty() || !share.removals.is_empty() {
            self.remember_pumps();
        }
        for ((pump, hour_ms), hourly) in batch.hourly {
            written.note_hour(pump, hour_ms, hourly);
        }
        for due in &share.due {
            written.note_minute(&due.pump, due.start_ms);
        }
        Ok(batch.new_readings)
    }

    /// Tells retention where the oldest rows may be now.
    fn note_oldest(&self, share: &Share) {
        for due in &share.due {
            let (pump, start_ms) = (due.pump.as_str(), due.start_ms);
            let hour = hour(start_ms);
            self.oldest.note(pump, Aged::Readings, start_ms);
            self.oldest.note(pump, Aged::Detections, start_ms);
            self.oldest.note(pump, Aged::MinuteRollups, start_ms);
            self.oldest.note(pump, Aged::HourRollups, hour * HOUR_MS);
            self.oldest.note(pump, Aged::Hours, hour);
        }
        for (_, metrics) in &share.news.metrics {
            self.oldest.note(NODE, Aged::Metrics, metrics.at.millis());
            self.oldest.note(NODE, Aged::Hours, hour(metrics.at.millis()));
        }
    }

    /// Forgets what the head got from the journal and the database has already.
    pub(crate) async fn forget_stored(&self, engine: &Engine) -> Result<(), StoreError> {
        reach("head-forget").map_err(|error| StoreError::Database(error.into()))?;
        let (with_readings, with_detections) = {
            let head = self.head();
            (head.minutes_of_readings(), head.minutes_of_detections())
        };
        let mut known: BTreeMap<(PumpId, i64), Stored> = BTreeMap::new();
        for (key, rows) in of_minutes::<Reading>(engine, &with_readings).await? {
            known.entry(key).or_default().readings = rows.into_iter().map(|row| (row.at, row)).collect();
        }
        for (key, rows) in of_minutes::<Detection>(engine, &with_detections).await? {
            known.entry(key).or_default().detections = times(&rows);
        }
        let mut head = self.head();
        for ((pump, start_ms), stored) in known {
            head.forget(&pump, start_ms, &stored)?;
        }
        reach("head-forgotten").map_err(|error| StoreError::Database(error.into()))
    }
}

/// How far the journal is in the database.
pub(crate) async fn read_mark(engine: &Engine) -> Result<Seq, StoreError> {
    let rows: Vec<MarkRow> = engine.rows("SELECT * FROM $id", [("id", mark_id().into_value())]).await?;
    let Some(row) = rows.first() else { return Ok(Seq::ZERO) };
    let seq = u64::try_from(row.seq).map_err(|error| unreadable(&row.id, error))?;
    Ok(Seq::new(seq))
}

/// A transaction's rows.
#[derive(Default)]
struct Rows {
    readings: Vec<ReadingsRow>,
    detections: Vec<DetectionsRow>,
    rollups: Vec<RollupRow>,
    hourly: BTreeMap<(PumpId, i64), Hourly>,
    added_to: BTreeSet<(PumpId, i64)>,
    new_readings: usize,
    /// Readings whose time a stored one with other values has.
    conflicts: usize,
    recorded: BTreeSet<(PumpId, i64)>,
}

impl Rows {
    async fn of(engine: &Engine, share: &Share, written: &Written) -> Result<Self, StoreError> {
        let old: Vec<(PumpId, i64)> = share
            .due
            .iter()
            .filter(|due| written.may_have(&due.pump, due.start_ms))
            .map(|due| (due.pump.clone(), due.start_ms))
            .collect();
        let mut readings: BTreeMap<_, Vec<Reading>> = of_minutes(engine, &old).await?;
        let mut detections: BTreeMap<_, Vec<Detection>> = of_minutes(engine, &old).await?;
        let counted = counted(engine, &old).await?;
        let mut rows = Self { hourly: hourly_before(engine, share, written).await?, ..Self::default() };
        for due in &share.due {
            let key = (due.pump.clone(), due.start_ms);
            let counted = counted.get(&key).copied().unwrap_or(0);
            rows.add_readings(due, readings.remove(&key).unwrap_or_default(), counted);
            rows.add_detections(due, detections.remove(&key).unwrap_or_default());
            rows.recorded.insert((due.pump.clone(), hour(due.start_ms)));
        }
        // Those that nothing was added to stay as they are in the database, or gone.
        let Self { hourly, added_to, .. } = &mut rows;
        hourly.retain(|key, _| added_to.contains(key));
        Ok(rows)
    }

    /// `stored`: the minute's block. `counted`: how many readings its rollup is of.
    fn add_readings(&mut self, due: &Due, stored: Vec<Reading>, counted: i64) {
        let whole = count(&stored) == counted;
        let before = stored.len();
        let Joined { all, added, conflicts } = Joined::of(stored, &due.readings);
        self.conflicts += conflicts;
        if added.is_empty() {
            return;
        }
        let id = Series::readings(&due.pump).id(due.start_ms);
        self.readings.push(ReadingsRow { id, readings: count(&all), block: encode_readings(&all).into() });
        let new = all.len() - before;
        self.new_readings += new;
        if !whole {
            return;
        }
        let id = Series::new("rollup_minute", due.pump.as_str()).id(due.start_ms);
        let aggregates = encode_aggregates(&Aggregates::of(&all)).into();
        self.rollups.push(RollupRow { id, readings: count(&all), aggregates });
        let key = (due.pump.clone(), hour(due.start_ms) * HOUR_MS);
        self.added_to.insert(key.clone());
        let hourly = self.hourly.entry(key).or_default();
        hourly.readings += i64::try_from(new).unwrap_or(i64::MAX);
        hourly.aggregates.merge(&Aggregates::of(&added));
    }

    fn add_detections(&mut self, due: &Due, stored: Vec<Detection>) {
        let Some(all) = joined(stored, &due.detections) else { return };
        let id = Series::detections(&due.pump).id(due.start_ms);
        let anomalies = all.iter().filter(|detection| detection.is_anomaly).count();
        let anomalies = i64::try_from(anomalies).unwrap_or(i64::MAX);
        let block = encode_detections(&all).into();
        self.detections.push(DetectionsRow { id, detections: count(&all), anomalies, block });
    }

    /// The directory's entries; most are there already.
    fn hours(&self, news: &News) -> Vec<HourRow> {
        let of_node = news.metrics.iter().map(|(_, metrics)| (NODE, hour(metrics.at.millis())));
        let of_pumps = self.recorded.iter().map(|(pump, hour)| (pump.as_str(), *hour));
        let hours: BTreeSet<(&str, i64)> = of_node.chain(of_pumps).collect();
        hours.into_iter().map(|(owner, hour)| HourRow { id: hour_id(owner, hour) }).collect()
    }
}

/// How many readings the rollups of these minutes are of.
async fn counted(engine: &Engine, minutes: &[(PumpId, i64)]) -> Result<HashMap<(PumpId, i64), i64>, StoreError> {
    let mut counted = HashMap::new();
    for minutes in minutes.chunks(1000) {
        let id = |(pump, start_ms): &(PumpId, i64)| Series::new("rollup_minute", pump.as_str()).id(*start_ms);
        let ids: Vec<RecordId> = minutes.iter().map(id).collect();
        let rows: Vec<RollupRow> = engine.rows("SELECT * FROM $ids", [("ids", ids.into_value())]).await?;
        for row in rows {
            counted.insert(pump_and_start(row.id())?, row.readings);
        }
    }
    Ok(counted)
}

/// The rollups, as they stand, of the hours that the share adds to.
async fn hourly_before(
    engine: &Engine,
    share: &Share,
    written: &Written,
) -> Result<BTreeMap<(PumpId, i64), Hourly>, StoreError> {
    let mut known = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for due in &share.due {
        let hour_ms = hour(due.start_ms) * HOUR_MS;
        match written.pumps.get(&due.pump) {
            Some(last) if last.hour_ms == hour_ms => {
                known.insert((due.pump.clone(), hour_ms), last.hourly.clone());
            }
            Some(last) if last.newest_ms < hour_ms => {}
            _ => {
                unknown.insert((due.pump.clone(), hour_ms));
            }
        }
    }
    let ids: Vec<RecordId> = unknown.iter().map(|(pump, hour_ms)| hourly_id(pump, *hour_ms)).collect();
    for ids in ids.chunks(1000) {
        let rows: Vec<RollupRow> = engine.rows("SELECT * FROM $ids", [("ids", ids.to_vec().into_value())]).await?;
        for row in rows {
            let aggregates = decode_aggregates(&row.aggregates).map_err(|error| unreadable(&row.id, error))?;
            known.insert(pump_and_start(row.id())?, Hourly { readings: row.readings, aggregates });
        }
    }
    Ok(known)
}

fn hourly_row(((pump, hour_ms), hourly): (&(PumpId, i64), &Hourly)) -> Result<RollupRow, StoreError> {
    let (id, aggregates) = (hourly_id(pump, *hour_ms), encode_aggregates(&hourly.aggregates).into());
    Ok(RollupRow { id, readings: hourly.readings, aggregates })
}

fn mark_id() -> RecordId {
    RecordId::new("journal_mark", "low_water")
}

fn mark(low_water: Seq) -> Value {
    MarkRow { id: mark_id(), seq: i64::try_from(low_water.get()).unwrap_or(i64::MAX) }.into_value()
}

/// A minute's readings together.
struct Joined {
    all: Vec<Reading>,
    /// What was not in its block: whole readings, and of others only the channels that they got.
    added: Vec<Reading>,
    /// Readings that have another value where one is stored: that one stands.
    conflicts: usize,
}

impl Joined {
    /// Both are in the order of their times, each of which is there once.
    fn of(mut stored: Vec<Reading>, due: &[Reading]) -> Self {
        let (mut added, mut new, mut conflicts) = (Vec::new(), Vec::new(), 0);
        for reading in due {
            let Ok(place) = stored.binary_search_by_key(&reading.at, |known| known.at) else {
                new.push(reading.clone());
                added.push(reading.clone());
                continue;
            };
            let known = &mut stored[place];
            match known.beside(&reading.samples) {
                Beside::Known => {}
                Beside::Conflict { .. } => conflicts += 1,
                Beside::Adds => {
                    added.push(Reading { samples: known.added_by(&reading.samples), ..reading.clone() });
                    *known = known.with(&reading.samples);
                }
            }
        }
        let mut all = stored;
        all.extend(new);
        all.sort_by_key(|reading| reading.at);
        Self { all, added, conflicts }
    }
}

/// A minute's rows together; none if there is nothing new.
fn joined<T: InBlocks + Clone>(stored: Vec<T>, due: &[T]) -> Option<Vec<T>> {
    let known: BTreeSet<Timestamp> = times(&stored);
    let new: Vec<T> = due.iter().filter(|row| !known.contains(&row.at())).cloned().collect();
    if new.is_empty() {
        return None;
    }
    let mut all = stored;
    all.extend(new);
    all.sort_by_key(InBlocks::at);
    Some(all)
}

fn times<T: InBlocks>(rows: &[T]) -> BTreeSet<Timestamp> {
    rows.iter().map(InBlocks::at).collect()
}

fn count<T>(rows: &[T]) -> i64 {
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}
