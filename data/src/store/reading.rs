//! Questions about a pump's time series: head and database as one.
//!
//! Where the database does not answer, what the head has is answered, and how far back that reaches.

use volute_plant::{Detection, PumpId, Reading, Timestamp};

use super::{
    Store, StoreError,
    blocks::{InBlocks, of_minutes, page},
    database::State,
    engine::Engine,
    head::{Head, MINUTE_MS, minute_start},
    page::{Enough, HOUR_MS, Series, stretch, walk, whole_moments},
    rows::{DetectionsRow, MetricsRow, NODE, ReadingsRow, RollupRow, pump_and_start, unreadable},
    types::{Answer, Bucket, Buckets, Counts, Order, PumpRecord, Range, Reach, Resolution, SystemMetrics},
};
use crate::block::{Aggregates, decode_aggregates};

/// A series that is in the head and in blocks.
trait InHead: InBlocks {
    /// The head's share of a stretch, oldest first.
    fn in_head(head: &Head, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Self>, StoreError>;
}

impl Store {
    /// All pumps, by name.
    pub fn pumps(&self) -> Vec<PumpRecord> {
        self.0.roster.records()
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

    /// Those of a pump's readings that were taken at exactly these times, oldest first.
    pub async fn readings_at(&self, pump: &PumpId, at: &[Timestamp]) -> Result<Vec<Reading>, StoreError> {
        let state = self.0.database.read().await;
        let mut found = Vec::new();
        let mut minutes = Vec::new();
        {
            let head = self.0.head();
            for at in at {
                let here = head.readings(pump, at.millis(), at.millis() + 1)?;
                if here.is_empty() {
                    minutes.push((pump.clone(), minute_start(at.millis())));
                }
                found.extend(here);
            }
        }
        minutes.sort_unstable();
        minutes.dedup();
        if !minutes.is_empty() {
            let blocks = of_minutes::<Reading>(state.engine()?, &minutes).await?;
            found.extend(blocks.into_values().flatten().filter(|reading| at.contains(&reading.at)));
        }
        found.sort_by_key(|reading| reading.at);
        found.dedup_by_key(|reading| reading.at);
        Ok(found)
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
    /// question. Those of a minute or more come from rollups: a minute or an hour at an end of the range counts whole.
    pub async fn buckets(
        &self,
        pump: &PumpId,
        (from, to): (Timestamp, Timestamp),
        points: usize,
    ) -> Result<Answer<Bucket>, StoreError> {
        let Buckets { bucket_ms, resolution } = Buckets::of(to.since_ms(from), points);
        let unit_ms = match resolution {
            Resolution::Raw => 1,
            Resolution::Minute => MINUTE_MS,
            Resolution::Hour => HOUR_MS,
        };
        let from_ms = from.millis() - from.millis().rem_euclid(unit_ms);
        let bounds = (from_ms, to.millis());
        let mut buckets = Gathering { bucket_ms, rows: Default::default() };
        let state = self.0.database.read().await;
        for reading in self.0.head().readings(pump, bounds.0, bounds.1)? {
            buckets.add(reading.at.millis(), 1, &Aggregates::of(std::slice::from_ref(&reading)));
        }
        let read = match state.engine() {
            Ok(engine) => match resolution {
                Resolution::Raw => raw_buckets(engine, pump, bounds, &mut buckets).await,
                Resolution::Minute => rollup_buckets(engine, "rollup_minute", pump, bounds, &mut buckets).await,
                Resolution::Hour => rollup_buckets(engine, "rollup_hour", pump, bounds, &mut buckets).await,
            },
            Err(error) => Err(error),
        };
        let reach = self.reach(read, pump)?;
        Ok(Answer { rows: buckets.finish()?, reach })
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
            Err(error) => Reach::Since { from: None, reason: outage(error)? },
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
            (head.readings(pump, 0, i64::MAX)?.len(), head.detections(pump, 0, i64::MAX)?.len())
        };
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

    async fn page<T: InHead>(&self, pump: &PumpId, range: &Range) -> Result<Answer<T>, StoreError> {
        let (from_ms, to_ms) = range.bounds_ms();
        // Held over both, so that no row moves from one to the other meanwhile.
        let state = self.0.database.read().await;
        let mut rows = T::in_head(&self.0.head(), pump, from_ms, to_ms)?;
        let read = stored_page(&state, pump, range).await.map(|stored| rows.extend(stored));
        let reach = self.reach(read, pump)?;
        rows.sort_by(|a, b| range.order.compare(a.at(), b.at()));
        rows.truncate(range.limit);
        Ok(Answer { rows, reach })
    }

    /// How far back an answer reaches where the database gave its share, or did not.
    fn reach(&self, read: Result<(), StoreError>, pump: &PumpId) -> Result<Reach, StoreError> {
        match read {
            Ok(()) => Ok(Reach::Whole),
            Err(error) => {
                let from = self.0.head().earliest(pump).and_then(|ms| Timestamp::from_millis(ms).ok());
                Ok(Reach::Since { from, reason: outage(error)? })
            }
        }
    }
}

impl InHead for Reading {
    fn in_head(head: &Head, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Self>, StoreError> {
        head.readings(pump, from_ms, to_ms)
    }
}

impl InHead for Detection {
    fn in_head(head: &Head, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Self>, StoreError> {
        head.detections(pump, from_ms, to_ms)
    }
}

async fn stored_page<T: InBlocks>(state: &State, pump: &PumpId, range: &Range) -> Result<Vec<T>, StoreError> {
    page(state.engine()?, pump, range).await
}

/// The reason of an answer that does not reach all the way; any other error stays one.
pub(crate) fn outage(error: StoreError) -> Result<String, StoreError> {
    match error {
        StoreError::Unavailable { reason } => Ok(reason),
        StoreError::Database(_) => Ok(error.to_string()),
        other => Err(other),
    }
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

    fn finish(self) -> Result<Vec<Bucket>, StoreError> {
        let bucket_ms = self.bucket_ms;
        let bucket = |(number, (readings, aggregates)): (i64, (u64, Aggregates))| {
            let start = Timestamp::from_millis(number * bucket_ms).map_err(|error| StoreError::Unreadable {
                row: format!("the bucket {number}"),
                reason: error.to_string(),
            })?;
            Ok(Bucket { start, length_ms: bucket_ms, readings, aggregates })
        };
        self.rows.into_iter().map(bucket).collect()
    }
}

async fn raw_buckets(
    engine: &Engine,
    pump: &PumpId,
    bounds: (i64, i64),
    buckets: &mut Gathering,
) -> Result<(), StoreError> {
    let take = |row: ReadingsRow| {
        for reading in Reading::unpack(&row)? {
            if (bounds.0..bounds.1).contains(&reading.at.millis()) {
                buckets.add(reading.at.millis(), 1, &Aggregates::of(std::slice::from_ref(&reading)));
            }
        }
        Ok(Enough::No)
    };
    walk(engine, &Series::readings(pump), (minute_start(bounds.0), bounds.1), Order::OldestFirst, take).await
}

async fn rollup_buckets(
    engine: &Engine,
    table: &'static str,
    pump: &PumpId,
    bounds: (i64, i64),
    buckets: &mut Gathering,
) -> Result<(), StoreError> {
    let rows: Vec<RollupRow> = stretch(engine, &Series::new(table, pump.as_str()), bounds).await?;
    for row in rows {
        let aggregates = decode_aggregates(&row.aggregates).map_err(|error| unreadable(&row.id, error))?;
        let (_, start_ms) = pump_and_start(&row.id)?;
        buckets.add(start_ms, u64::try_from(row.readings).unwrap_or_default(), &aggregates);
    }
    Ok(())
}
