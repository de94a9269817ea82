//! Queries of time series, over head and database as one.
//!
//! While the database is unavailable, a query returns what the head has, and how far back that reaches
//! ([`Completeness`]). Parts of one reading that are in both are merged and count once.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::atomic::Ordering,
};

use volute_plant::{Detection, PumpId, Reading, Timestamp};

use super::{
    Store, StoreError,
    blocks::{BlockSeries, blocks_of_minutes, page},
    database::DatabaseState,
    engine::DatabaseEngine,
    head::{Head, MINUTE_MS, merge_parts, minute_start},
    ids::{pump_and_start, unreadable},
    lookup::has_all_channels,
    page::{first_rows, truncate_at_timestamp, walk},
    rows::{DetectionsRow, MetricsRow, NODE, ReadingsRow, RollupRow},
    series::Series,
    types::{
        Bucket, Buckets, Completeness, PageRange, PumpRecord, QueryResult, Resolution, RowCounts, SortOrder,
        SystemMetrics,
    },
};
use crate::block::{Aggregates, decode_aggregates};

/// The numbers of rollups and of blocks that a query for buckets reads in one part. It takes some tens of milliseconds,
/// during which no flush can commit.
const ROLLUPS_PER_PART: usize = 1440;
const BLOCKS_PER_PART: usize = 120;

/// A kind of row that is in the head and in blocks.
trait HeadSeries: BlockSeries {
    /// Merges rows that are parts of one row. The rows must be sorted by time, and those from the database come first.
    fn merge(rows: &mut Vec<Self>);

    /// Returns the rows of the head in a range of time, oldest first.
    fn read_head(head: &Head, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Self>, StoreError>;
}

impl Store {
    /// Returns whether [`Store::pumps`] has all stored pumps. It does not if neither the database nor the copy of its
    /// list of pumps could be read since the start.
    pub fn has_complete_pump_list(&self) -> bool {
        self.0.pump_list_complete.load(Ordering::Relaxed)
    }

    /// Returns all pumps, sorted by id.
    pub fn pumps(&self) -> Vec<PumpRecord> {
        self.0.pump_registry.records()
    }

    /// Returns the name of a registered pump's profile; none if it is not registered.
    pub fn profile_of(&self, pump: &PumpId) -> Option<String> {
        self.0.pump_registry.profile_of(pump)
    }

    /// Returns a page of a pump's readings.
    pub async fn readings(&self, pump: &PumpId, range: &PageRange) -> Result<QueryResult<Reading>, StoreError> {
        self.page(pump, range).await
    }

    /// Returns the last `n` readings of a pump, oldest first.
    pub async fn latest_readings(&self, pump: &PumpId, n: usize) -> Result<QueryResult<Reading>, StoreError> {
        let mut result = self.readings(pump, &PageRange::newest(n)).await?;
        result.rows.reverse();
        Ok(result)
    }

    /// Returns the readings of a pump up to this time that are not in the database yet, oldest first.
    pub fn unflushed_readings_until(&self, pump: &PumpId, until: Timestamp) -> Result<Vec<Reading>, StoreError> {
        self.0.head().readings(pump, 0, until.millis() + 1)
    }

    /// Returns a page of the detections of one pump or of all pumps, sorted by time and then by pump.
    ///
    /// A page of all pumps costs a page of each pump.
    pub async fn detections(
        &self,
        pump: Option<&PumpId>,
        range: &PageRange,
    ) -> Result<QueryResult<Detection>, StoreError> {
        let pumps = match pump {
            Some(pump) => vec![pump.clone()],
            None => self.0.pump_registry.pumps(),
        };
        let mut all: QueryResult<Detection> = QueryResult::complete(Vec::new());
        for pump in &pumps {
            all.append(self.page(pump, range).await?);
        }
        all.rows.sort_by(|a, b| range.order.compare(a.at, b.at).then_with(|| a.pump.cmp(&b.pump)));
        all.rows = truncate_at_timestamp(all.rows, range.limit, |detection| detection.at);
        Ok(all)
    }

    /// Returns the pump's readings in at most `points` buckets of equal length, from `from` (inclusive) to `to`
    /// (exclusive).
    ///
    /// Buckets are aligned to multiples of their length since 1970, so that a bucket is the same in every query.
    /// Buckets of a minute or more consist of whole minutes or hours ([`Buckets::of`]): a minute or hour that the range
    /// only touches counts completely, whether its readings are in the head or in rollups.
    ///
    /// The range is read in parts, so that a long query blocks neither flushes nor commits. Each part is read from head
    /// and database under one lock, so every reading counts once.
    pub async fn buckets(
        &self,
        pump: &PumpId,
        (from, to): (Timestamp, Timestamp),
        points: usize,
    ) -> Result<QueryResult<Bucket>, StoreError> {
        let Buckets { bucket_ms, resolution } = Buckets::of(to.since_ms(from), points);
        let unit_ms = resolution.unit_ms();
        let mut from_ms = from.millis() - from.millis().rem_euclid(unit_ms);
        let to_ms = to.millis() + (-to.millis()).rem_euclid(unit_ms);
        let mut buckets = BucketBuilder { bucket_ms, rows: Default::default() };
        let read = loop {
            // Held while database and head are read, so that no row moves from the head to the database meanwhile.
            let state = self.0.database.read().await;
            let read = match state.engine() {
                Ok(engine) => add_stored(engine, pump, resolution, (from_ms, to_ms), &mut buckets).await,
                Err(error) => Err(error),
            };
            let end_ms = *read.as_ref().unwrap_or(&to_ms);
            let waiting = self.0.head().readings(pump, from_ms, end_ms)?;
            let stored = match state.engine() {
                Ok(engine) if read.is_ok() => self.stored_parts(engine, pump, &waiting).await?,
                _ => BTreeMap::new(),
            };
            for mut reading in waiting {
                let known = stored.get(&reading.at);
                if let Some(known) = known {
                    reading.samples = known.new_samples(&reading.samples);
                }
                let count = u64::from(known.is_none());
                buckets.add(reading.at.millis(), count, &Aggregates::of(std::slice::from_ref(&reading)));
            }
            if read.is_err() || end_ms >= to_ms {
                break read.map(drop);
            }
            from_ms = end_ms;
        };
        let completeness = self.completeness(read, pump)?;
        Ok(QueryResult { rows: buckets.finish(from), completeness })
    }

    /// Returns a page of the node's own metrics.
    pub async fn metrics(&self, range: &PageRange) -> Result<QueryResult<SystemMetrics>, StoreError> {
        let state = self.0.database.read().await;
        let bounds = range.bounds_ms();
        let waiting: Vec<SystemMetrics> = self.0.head().other_rows().metrics.iter().map(|(_, m)| m.clone()).collect();
        let mut rows: Vec<SystemMetrics> =
            waiting.into_iter().filter(|m| (bounds.0..bounds.1).contains(&m.at.millis())).collect();
        let read = match state.engine() {
            Ok(engine) if bounds.0 < bounds.1 && range.limit > 0 => {
                let mut count = 0;
                let take = |row: MetricsRow| {
                    rows.push(row.try_into()?);
                    count += 1;
                    Ok(if count >= range.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                };
                walk(engine, &Series::metrics(NODE), bounds, range.order, take).await
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        let completeness = match read {
            Ok(()) => Completeness::Complete,
            Err(error) => Completeness::Partial { from: None, reason: error.into_outage_reason()? },
        };
        rows.sort_by(|a, b| range.order.compare(a.at, b.at));
        rows.dedup_by_key(|m| m.at);
        rows.truncate(range.limit);
        Ok(QueryResult { rows, completeness })
    }

    /// Returns the number of stored readings and detections of a pump.
    ///
    /// Walks all blocks of the pump without decoding them, so it is too slow to call for every request.
    pub async fn counts(&self, pump: &PumpId) -> Result<RowCounts, StoreError> {
        let state = self.0.database.read().await;
        let engine = state.engine()?;
        let (readings, detections) = {
            let head = self.0.head();
            (head.readings(pump, 0, i64::MAX)?, head.detections(pump, 0, i64::MAX)?.len())
        };
        let readings = readings.len() - self.stored_parts(engine, pump, &readings).await?.len();
        let mut counts = RowCounts { readings: readings as u64, detections: detections as u64 };
        let take = |row: ReadingsRow| {
            counts.readings += u64::try_from(row.readings).unwrap_or_default();
            Ok(ControlFlow::Continue(()))
        };
        walk(engine, &Series::readings(pump), (0, i64::MAX), SortOrder::OldestFirst, take).await?;
        let take = |row: DetectionsRow| {
            counts.detections += u64::try_from(row.detections).unwrap_or_default();
            Ok(ControlFlow::Continue(()))
        };
        walk(engine, &Series::detections(pump), (0, i64::MAX), SortOrder::OldestFirst, take).await?;
        Ok(counts)
    }

    /// Returns the stored parts of the waiting readings that have parts in the database.
    async fn stored_parts(
        &self,
        engine: &DatabaseEngine,
        pump: &PumpId,
        waiting: &[Reading],
    ) -> Result<BTreeMap<Timestamp, Reading>, StoreError> {
        let flushed_until = self.flushed_until(pump);
        let may_have_stored_part = |reading: &&Reading| Some(reading.at) <= flushed_until && !has_all_channels(reading);
        let times: BTreeSet<Timestamp> =
            waiting.iter().filter(may_have_stored_part).map(|reading| reading.at).collect();
        let minutes: BTreeSet<i64> = times.iter().map(|at| minute_start(at.millis())).collect();
        let minutes: Vec<(PumpId, i64)> = minutes.into_iter().map(|start_ms| (pump.clone(), start_ms)).collect();
        let stored = blocks_of_minutes::<Reading>(engine, &minutes).await?.into_values().flatten();
        Ok(stored.filter(|reading| times.contains(&reading.at)).map(|reading| (reading.at, reading)).collect())
    }

    async fn page<T: HeadSeries>(&self, pump: &PumpId, range: &PageRange) -> Result<QueryResult<T>, StoreError> {
        let (from_ms, to_ms) = range.bounds_ms();
        // Held while head and database are read, so that no row moves from the head to the database meanwhile.
        let state = self.0.database.read().await;
        let waiting = T::read_head(&self.0.head(), pump, from_ms, to_ms)?;
        let mut rows = Vec::new();
        let read = match self.is_being_removed(pump) {
            // The rows in the database are those of the removed pump.
            true => Ok(()),
            false => stored_page(&state, pump, range).await.map(|stored| rows = stored),
        };
        let completeness = self.completeness(read, pump)?;
        if !waiting.is_empty() {
            rows.extend(waiting);
            rows.sort_by(|a, b| range.order.compare(a.at(), b.at()));
            T::merge(&mut rows);
        }
        rows.truncate(range.limit);
        Ok(QueryResult { rows, completeness })
    }

    /// Returns the completeness of a result, from the outcome of reading the database.
    fn completeness(&self, read: Result<(), StoreError>, pump: &PumpId) -> Result<Completeness, StoreError> {
        match read {
            Ok(()) => Ok(Completeness::Complete),
            Err(error) => {
                let from = self.0.head().earliest_ms(pump).and_then(|ms| Timestamp::from_millis(ms).ok());
                Ok(Completeness::Partial { from, reason: error.into_outage_reason()? })
            }
        }
    }
}

impl HeadSeries for Reading {
    fn merge(rows: &mut Vec<Self>) {
        merge_parts(rows);
    }

    fn read_head(head: &Head, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Self>, StoreError> {
        head.readings(pump, from_ms, to_ms)
    }
}

impl HeadSeries for Detection {
    fn merge(_: &mut Vec<Self>) {}

    fn read_head(head: &Head, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Self>, StoreError> {
        head.detections(pump, from_ms, to_ms)
    }
}

async fn stored_page<T: BlockSeries>(
    state: &DatabaseState,
    pump: &PumpId,
    range: &PageRange,
) -> Result<Vec<T>, StoreError> {
    page(state.engine()?, pump, range).await
}

/// Buckets that are being filled.
struct BucketBuilder {
    bucket_ms: i64,
    /// The number of readings and their aggregates, by the number of the bucket since 1970.
    rows: std::collections::BTreeMap<i64, (u64, Aggregates)>,
}

impl BucketBuilder {
    fn add(&mut self, at_ms: i64, readings: u64, aggregates: &Aggregates) {
        let bucket = self.rows.entry(at_ms.div_euclid(self.bucket_ms)).or_default();
        bucket.0 += readings;
        bucket.1.merge(aggregates);
    }

    /// Returns the buckets. A bucket that would start before the earliest timestamp is shorter. `base` is an arbitrary
    /// time, from which the starts are computed.
    fn finish(self, base: Timestamp) -> Vec<Bucket> {
        let bucket_ms = self.bucket_ms;
        let bucket = |(number, (readings, aggregates)): (i64, (u64, Aggregates))| {
            let start_ms = number.saturating_mul(bucket_ms);
            let start = base.plus_ms(start_ms - base.millis());
            Bucket { start, length_ms: start_ms + bucket_ms - start.millis(), readings, aggregates }
        };
        self.rows.into_iter().map(bucket).collect()
    }
}

/// Adds one part of the rows of a range from the database. Returns the end of the part.
async fn add_stored(
    engine: &DatabaseEngine,
    pump: &PumpId,
    resolution: Resolution,
    (from_ms, to_ms): (i64, i64),
    buckets: &mut BucketBuilder,
) -> Result<i64, StoreError> {
    let (table, limit) = match resolution {
        Resolution::Raw => return add_blocks(engine, pump, (from_ms, to_ms), buckets).await,
        Resolution::Minute => ("rollup_minute", ROLLUPS_PER_PART),
        Resolution::Hour => ("rollup_hour", ROLLUPS_PER_PART),
    };
    let rows: Vec<RollupRow> = first_rows(engine, &Series::new(table, pump.as_str()), (from_ms, to_ms), limit).await?;
    let full = rows.len() == limit;
    let mut end_ms = to_ms;
    for row in rows {
        let aggregates = decode_aggregates(&row.aggregates).map_err(|error| unreadable(&row.id, error))?;
        let (_, start_ms) = pump_and_start(&row.id)?;
        buckets.add(start_ms, u64::try_from(row.readings).unwrap_or_default(), &aggregates);
        if full {
            end_ms = start_ms + resolution.unit_ms();
        }
    }
    Ok(end_ms)
}

/// Adds one part of the rows of a range from blocks of readings. Returns the end of the part.
async fn add_blocks(
    engine: &DatabaseEngine,
    pump: &PumpId,
    (from_ms, to_ms): (i64, i64),
    buckets: &mut BucketBuilder,
) -> Result<i64, StoreError> {
    let span = (minute_start(from_ms), to_ms);
    let rows: Vec<ReadingsRow> = first_rows(engine, &Series::readings(pump), span, BLOCKS_PER_PART).await?;
    let full = rows.len() == BLOCKS_PER_PART;
    let mut end_ms = to_ms;
    for row in rows {
        for reading in Reading::unpack(&row)? {
            if (from_ms..to_ms).contains(&reading.at.millis()) {
                buckets.add(reading.at.millis(), 1, &Aggregates::of(std::slice::from_ref(&reading)));
            }
        }
        if full {
            end_ms = to_ms.min(pump_and_start(&row.id)?.1 + MINUTE_MS);
        }
    }
    Ok(end_ms)
}
