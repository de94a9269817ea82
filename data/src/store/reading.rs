//! Questions about a pump's time series: head and database as one.
//!
//! Where the database does not answer, what the head has is answered, and how far back that reaches. A reading whose parts
//! are some here and some there is one, and counts once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
};

use volute_plant::{Detection, PumpId, Reading, Timestamp};

use super::{
    Store, StoreError,
    blocks::{InBlocks, of_minutes, page},
    database::State,
    engine::Engine,
    head::{Head, MINUTE_MS, join_parts, minute_start},
    ids::{pump_and_start, unreadable},
    lookup::is_whole,
    page::{Enough, first_rows, walk, whole_moments},
    rows::{DetectionsRow, MetricsRow, NODE, ReadingsRow, RollupRow},
    series::Series,
    types::{Answer, Bucket, Buckets, Counts, Order, PumpRecord, Range, Reach, Resolution, SystemMetrics},
};
use crate::block::{Aggregates, decode_aggregates};

/// Rollups, and blocks of readings, that a question for buckets reads at once: some tens of milliseconds, during which no
/// flush commits.
const PART_ROLLUPS: usize = 1440;
const PART_BLOCKS: usize = 120;

/// A series that is in the head and in blocks.
trait InHead: InBlocks {
    /// Makes one row of those that are parts of one, the database's first.
    fn join(rows: &mut Vec<Self>);

    /// The head's share of a stretch, oldest first.
    fn in_head(head: &Head, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Self>, StoreError>;
}

impl Store {
    /// Whether [`Store::pumps`] are all that are stored: not where neither the database nor the copy of its list could be
    /// read since the start.
    pub fn knows_all_pumps(&self) -> bool {
        self.0.knows_pumps.load(Ordering::Relaxed)
    }

    /// All pumps, by name.
    pub fn pumps(&self) -> Vec<PumpRecord> {
        self.0.roster.records()
    }

    /// The name of a registered pump's profile; none where it is not registered.
    pub fn profile_of(&self, pump: &PumpId) -> Option<String> {
        self.0.roster.profile_of(pump)
    }

    /// A page of a pump's readings.
    pub async fn readings(&self, pump: &PumpId, range: &Range) -> Result<Answer<Reading>, StoreError> {
        self.page(pump, range).await
    }

    /// The last `n` readings of a pump, oldest first.
    pub async fn latest_readings(&self, pump: &PumpId, n: usize) -> Result<Answer<Reading>, StoreError> {
        let mut answer = self.readings(pump, &Range::newest(n)).await?;
        answer.rows.reverse();
        Ok(answer)
    }

    /// A page of one pump's detections, or of all pumps' together, by time and then by pump.
    ///
    /// All pumps' page costs one page of each of them.
    pub async fn detections(&self, pump: Option<&PumpId>, range: &Range) -> Result<Answer<Detection>, StoreError> {
        let pumps = match pump {
            Some(pump) => vec![pump.clone()],
            None => self.0.roster.pumps(),
        };
        let mut all: Answer<Detection> = Answer::whole(Vec::new());
        for pump in &pumps {
            all.join(self.page(pump, range).await?);
        }
        all.rows.sort_by(|a, b| range.order.compare(a.at, b.at).then_with(|| a.pump.cmp(&b.pump)));
        all.rows = whole_moments(all.rows, range.limit, |detection| detection.at);
        Ok(all)
    }

    /// The pump's readings in at most `points` buckets of equal length, from `from` up to and without `to`.
    ///
    /// Buckets are aligned to multiples of their length since 1970, so that the same bucket is the same at every
    /// question. Those of a minute or more are made of whole minutes or hours ([`Buckets::of`]): one that the range only
    /// touches counts whole, whether its readings are in the head or in rollups.
    ///
    /// The range is read in parts, so that a long one holds up neither flushes nor posts: each part is read from head
    /// and database at one moment, so every reading counts once.
    pub async fn buckets(
        &self,
        pump: &PumpId,
        (from, to): (Timestamp, Timestamp),
        points: usize,
    ) -> Result<Answer<Bucket>, StoreError> {
        let Buckets { bucket_ms, resolution } = Buckets::of(to.since_ms(from), points);
        let unit_ms = resolution.unit_ms();
        let mut from_ms = from.millis() - from.millis().rem_euclid(unit_ms);
        let to_ms = to.millis() + (-to.millis()).rem_euclid(unit_ms);
        let mut buckets = Gathering { bucket_ms, rows: Default::default() };
        let read = loop {
            // Held over both, so that no row moves from one to the other meanwhile.
            let state = self.0.database.read().await;
            let read = match state.engine() {
                Ok(engine) => add_stored(engine, pump, resolution, (from_ms, to_ms), &mut buckets).await,
                Err(error) => Err(error),
            };
            let end_ms = *read.as_ref().unwrap_or(&to_ms);
            let waiting = self.0.head().readings(pump, from_ms, end_ms)?;
            let stored = match state.engine() {
                Ok(engine) if read.is_ok() => self.in_both(engine, pump, &waiting).await?,
                _ => BTreeMap::new(),
            };
            for mut reading in waiting {
                let known = stored.get(&reading.at);
                if let Some(known) = known {
                    reading.samples = known.added_by(&reading.samples);
                }
                let count = u64::from(known.is_none());
                buckets.add(reading.at.millis(), count, &Aggregates::of(std::slice::from_ref(&reading)));
            }
            if read.is_err() || end_ms >= to_ms {
                break read.map(drop);
            }
            from_ms = end_ms;
        };
        let reach = self.reach(read, pump)?;
        Ok(Answer { rows: buckets.finish(from), reach })
    }

    /// A page of the node's own figures.
    pub async fn metrics(&self, range: &Range) -> Result<Answer<SystemMetrics>, StoreError> {
        let state = self.0.database.read().await;
        let bounds = range.bounds_ms();
        let waiting: Vec<SystemMetrics> = self.0.head().news().metrics.iter().map(|(_, m)| m.clone()).collect();
        let mut rows: Vec<SystemMetrics> =
            waiting.into_iter().filter(|m| (bounds.0..bounds.1).contains(&m.at.millis())).collect();
        let read = match state.engine() {
            Ok(engine) if bounds.0 < bounds.1 && range.limit > 0 => {
                let mut count = 0;
                let take = |row: MetricsRow| {
                    rows.push(row.try_into()?);
                    count += 1;
                    Ok(if count >= range.limit { Enough::Yes } else { Enough::No })
                };
                walk(engine, &Series::metrics(NODE), bounds, range.order, take).await
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        let reach = match read {
            Ok(()) => Reach::Whole,
            Err(error) => Reach::Since { from: None, reason: error.outage()? },
        };
        rows.sort_by(|a, b| range.order.compare(a.at, b.at));
        rows.dedup_by_key(|m| m.at);
        rows.truncate(range.limit);
        Ok(Answer { rows, reach })
    }

    /// How many readings and detections of a pump are stored.
    ///
    /// Walks the pump's blocks, though not what is in them: so not for every request.
    pub async fn counts(&self, pump: &PumpId) -> Result<Counts, StoreError> {
        let state = self.0.database.read().await;
        let engine = state.engine()?;
        let (readings, detections) = {
            let head = self.0.head();
            (head.readings(pump, 0, i64::MAX)?, head.detections(pump, 0, i64::MAX)?.len())
        };
        let readings = readings.len() - self.in_both(engine, pump, &readings).await?.len();
        let mut counts = Counts { readings: readings as u64, detections: detections as u64 };
        let take = |row: ReadingsRow| {
            counts.readings += u64::try_from(row.readings).unwrap_or_default();
            Ok(Enough::No)
        };
        walk(engine, &Series::readings(pump), (0, i64::MAX), Order::OldestFirst, take).await?;
        let take = |row: DetectionsRow| {
            counts.detections += u64::try_from(row.detections).unwrap_or_default();
            Ok(Enough::No)
        };
        walk(engine, &Series::detections(pump), (0, i64::MAX), Order::OldestFirst, take).await?;
        Ok(counts)
    }

    /// What the database has of the waiting readings of which it has other parts.
    async fn in_both(
        &self,
        engine: &Engine,
        pump: &PumpId,
        waiting: &[Reading],
    ) -> Result<BTreeMap<Timestamp, Reading>, StoreError> {
        let moved_until = self.moved_until(pump);
        let may_be = |reading: &&Reading| Some(reading.at) <= moved_until && !is_whole(reading);
        let times: BTreeSet<Timestamp> = waiting.iter().filter(may_be).map(|reading| reading.at).collect();
        let minutes: BTreeSet<i64> = times.iter().map(|at| minute_start(at.millis())).collect();
        let minutes: Vec<(PumpId, i64)> = minutes.into_iter().map(|start_ms| (pump.clone(), start_ms)).collect();
        let stored = of_minutes::<Reading>(engine, &minutes).await?.into_values().flatten();
        Ok(stored.filter(|reading| times.contains(&reading.at)).map(|reading| (reading.at, reading)).collect())
    }

    async fn page<T: InHead>(&self, pump: &PumpId, range: &Range) -> Result<Answer<T>, StoreError> {
        let (from_ms, to_ms) = range.bounds_ms();
        // Held over both, so that no row moves from one to the other meanwhile.
        let state = self.0.database.read().await;
        let waiting = T::in_head(&self.0.head(), pump, from_ms, to_ms)?;
        let mut rows = Vec::new();
        let read = match self.is_removing(pump) {
            // What the database has is of a pump that was removed.
            true => Ok(()),
            false => stored_page(&state, pump, range).await.map(|stored| rows = stored),
        };
        let reach = self.reach(read, pump)?;
        if !waiting.is_empty() {
            rows.extend(waiting);
            rows.sort_by(|a, b| range.order.compare(a.at(), b.at()));
            T::join(&mut rows);
        }
        rows.truncate(range.limit);
        Ok(Answer { rows, reach })
    }

    /// How far back an answer reaches where the database gave its share, or did not.
    fn reach(&self, read: Result<(), StoreError>, pump: &PumpId) -> Result<Reach, StoreError> {
        match read {
            Ok(()) => Ok(Reach::Whole),
            Err(error) => {
                let from = self.0.head().earliest(pump).and_then(|ms| Timestamp::from_millis(ms).ok());
                Ok(Reach::Since { from, reason: error.outage()? })
            }
        }
    }
}

impl InHead for Reading {
    fn join(rows: &mut Vec<Self>) {
        join_parts(rows);
    }

    fn in_head(head: &Head, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Self>, StoreError> {
        head.readings(pump, from_ms, to_ms)
    }
}

impl InHead for Detection {
    fn join(_: &mut Vec<Self>) {}

    fn in_head(head: &Head, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Self>, StoreError> {
        head.detections(pump, from_ms, to_ms)
    }
}

async fn stored_page<T: InBlocks>(state: &State, pump: &PumpId, range: &Range) -> Result<Vec<T>, StoreError> {
    page(state.engine()?, pump, range).await
}

/// Buckets on their way.
struct Gathering {
    bucket_ms: i64,
    rows: std::collections::BTreeMap<i64, (u64, Aggregates)>,
}

impl Gathering {
    fn add(&mut self, at_ms: i64, readings: u64, aggregates: &Aggregates) {
        let bucket = self.rows.entry(at_ms.div_euclid(self.bucket_ms)).or_default();
        bucket.0 += readings;
        bucket.1.merge(aggregates);
    }

    /// A bucket that begins before the first time that there is, is shorter. `any` is any time.
    fn finish(self, any: Timestamp) -> Vec<Bucket> {
        let bucket_ms = self.bucket_ms;
        let bucket = |(number, (readings, aggregates)): (i64, (u64, Aggregates))| {
            let start_ms = number.saturating_mul(bucket_ms);
            let start = any.plus_ms(start_ms - any.millis());
            Bucket { start, length_ms: start_ms + bucket_ms - start.millis(), readings, aggregates }
        };
        self.rows.into_iter().map(bucket).collect()
    }
}

/// Adds the first rows that the database has of a stretch. Returns up to where it has come.
async fn add_stored(
    engine: &Engine,
    pump: &PumpId,
    resolution: Resolution,
    (from_ms, to_ms): (i64, i64),
    buckets: &mut Gathering,
) -> Result<i64, StoreError> {
    let (table, limit) = match resolution {
        Resolution::Raw => return add_blocks(engine, pump, (from_ms, to_ms), buckets).await,
        Resolution::Minute => ("rollup_minute", PART_ROLLUPS),
        Resolution::Hour => ("rollup_hour", PART_ROLLUPS),
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

/// The same from the readings themselves.
async fn add_blocks(
    engine: &Engine,
    pump: &PumpId,
    (from_ms, to_ms): (i64, i64),
    buckets: &mut Gathering,
) -> Result<i64, StoreError> {
    let span = (minute_start(from_ms), to_ms);
    let rows: Vec<ReadingsRow> = first_rows(engine, &Series::readings(pump), span, PART_BLOCKS).await?;
    let full = rows.len() == PART_BLOCKS;
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
