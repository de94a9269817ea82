//! The head: what is durable in the journal and not in the database yet, by pump and minute.
//!
//! It is rebuilt from the journal at the start. Together with the database it holds every row exactly once: rows leave
//! it when the transaction that stores them is done. Minutes that wait long, because the database does not answer, are
//! packed. Deliberately absent: any I/O, and when what is due is written.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use volute_plant::{Detection, MaintenanceEvent, PumpId, Reading, Timestamp};

use super::{
    StoreError,
    types::{AuditEntry, Batch, PumpRecord, PumpState, SystemMetrics},
};
use crate::{
    block::{decode_detections, decode_readings, encode_detections, encode_readings},
    journal::Seq,
};

/// The length of a block.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// From so much memory on, rows are packed before they are due: a packed one takes a fifth, and some microseconds.
const ROOMY_BYTES: usize = 32 << 20;
/// Rows that are packed together then: with fewer, a block's frame weighs too much.
const PACKED_ROWS: usize = 10;

/// The most news of each kind, and the most rows, in one transaction: one that does not fit into a memtable fails for ever.
const NEWS: usize = 1_000;
const ROWS: usize = 50_000;

/// The start of the minute that a time falls into, in milliseconds since 1970.
pub(crate) fn minute_start(at_ms: i64) -> i64 {
    at_ms - at_ms.rem_euclid(MINUTE_MS)
}

/// See the module's head.
#[derive(Default)]
pub(crate) struct Head {
    pumps: BTreeMap<PumpId, BTreeMap<i64, Minute>>,
    /// Minutes with rows enough to be packed, in the order in which they came to that.
    ripe: VecDeque<(PumpId, i64)>,
    news: News,
    /// Below each of these no record that is still on its way to the journal can be.
    in_flight: BTreeMap<Seq, usize>,
    /// The highest record taken in.
    newest: Seq,
    /// The latest time at which a reading was received.
    received_ms: i64,
    bytes: usize,
    readings: usize,
}

/// Rows of one pump and minute.
#[derive(Default)]
struct Minute {
    /// No row of it is in an earlier record.
    first: Seq,
    /// When its first row came, by the node's clock.
    opened_ms: i64,
    readings: Vec<Reading>,
    detections: Vec<Detection>,
    packed: Vec<Arc<Packed>>,
    /// A share of it is being written: its rows stay where they are until that has ended.
    moving: bool,
}

/// Rows that wait in compressed form.
pub(crate) struct Packed {
    readings: Vec<u8>,
    count: usize,
    detections: Vec<u8>,
}

/// Rows of one minute that should be packed.
pub(crate) struct Ripe {
    pump: PumpId,
    start_ms: i64,
    readings: Vec<Reading>,
    detections: Vec<Detection>,
}

impl Ripe {
    /// Packs them: some work, so not under the head's lock.
    pub(crate) fn pack(&self) -> Packed {
        Packed::of(self.readings.clone(), self.detections.clone())
    }
}

impl Packed {
    fn of(mut readings: Vec<Reading>, mut detections: Vec<Detection>) -> Self {
        readings.sort_by_key(|reading| reading.at);
        detections.sort_by_key(|detection| detection.at);
        Self { count: readings.len(), readings: encode_readings(&readings), detections: encode_detections(&detections) }
    }
}

/// What is no series of a pump.
#[derive(Default, Clone)]
pub(crate) struct News {
    pub pumps: Vec<(Seq, PumpRecord)>,
    pub events: Vec<(Seq, MaintenanceEvent)>,
    pub metrics: Vec<(Seq, SystemMetrics)>,
    /// One per pump, its newest.
    pub states: BTreeMap<PumpId, (Seq, PumpState)>,
    /// Without their records' numbers: an entry never changes, so any record of it is as good as another.
    pub audit: BTreeSet<AuditEntry>,
}

impl News {
    pub(crate) fn is_empty(&self) -> bool {
        let Self { pumps, events, metrics, states, audit } = self;
        pumps.is_empty() && events.is_empty() && metrics.is_empty() && states.is_empty() && audit.is_empty()
    }

    /// The first of each kind, and the lowest record of those that are left for another time. What people did is little.
    fn some(&self) -> (Self, Option<Seq>) {
        let Self { pumps, events, metrics, states, audit } = self;
        let left = |seqs: &mut dyn Iterator<Item = Seq>| seqs.skip(NEWS).min();
        let left = [
            left(&mut pumps.iter().map(|(seq, _)| *seq)),
            left(&mut events.iter().map(|(seq, _)| *seq)),
            left(&mut metrics.iter().map(|(seq, _)| *seq)),
            left(&mut states.values().map(|(seq, _)| *seq)),
        ];
        let some = Self {
            pumps: pumps.iter().take(NEWS).cloned().collect(),
            events: events.iter().take(NEWS).cloned().collect(),
            metrics: metrics.iter().take(NEWS).cloned().collect(),
            states: states.iter().take(NEWS).map(|(pump, state)| (pump.clone(), state.clone())).collect(),
            audit: audit.clone(),
        };
        (some, left.into_iter().flatten().min())
    }

    /// Keeps a pump's state, unless it has a newer one.
    fn remember(&mut self, seq: Seq, state: PumpState) {
        if self.states.get(&state.pump).is_none_or(|(_, known)| known.at <= state.at) {
            self.states.insert(state.pump.clone(), (seq, state));
        }
    }
}

/// One minute to be written.
pub(crate) struct Due {
    pub pump: PumpId,
    pub start_ms: i64,
    /// Ascending in time, each time once.
    pub readings: Vec<Reading>,
    /// Likewise.
    pub detections: Vec<Detection>,
    /// More of both, until [`Share::unpack`].
    packed: Vec<Arc<Packed>>,
    /// How many of each the minute gives up when they are written.
    taken: (usize, usize, usize),
}

/// What goes into one transaction.
pub(crate) struct Share {
    pub due: Vec<Due>,
    pub news: News,
    /// Once it is stored, every record below this is.
    pub low_water: Seq,
    /// There may be more of what is due.
    pub more: bool,
    /// Rows that come in from here on are in no earlier record.
    next: Seq,
}

impl Due {
    /// Readings that were never in the head.
    pub(crate) fn loaded(pump: &PumpId, start_ms: i64, mut readings: Vec<Reading>) -> Self {
        readings.sort_by_key(|reading| reading.at);
        readings.dedup_by_key(|reading| reading.at);
        let (detections, packed) = (Vec::new(), Vec::new());
        Self { pump: pump.clone(), start_ms, readings, detections, packed, taken: (0, 0, 0) }
    }
}

impl Share {
    /// Puts every minute's rows together, in order: some work, so not under the head's lock.
    pub(crate) fn unpack(&mut self) -> Result<(), StoreError> {
        for due in &mut self.due {
            let rows = Rows { readings: &due.readings, detections: &due.detections, packed: &due.packed };
            let (readings, detections) = (rows.all_readings(&due.pump)?, rows.all_detections(&due.pump)?);
            (due.readings, due.detections) = (readings, detections);
            due.packed.clear();
        }
        Ok(())
    }

    /// Of rows that were never in the head, nor in the journal, which has come as far as `low_water`.
    pub(crate) fn loaded(due: Vec<Due>, news: News, low_water: Seq) -> Self {
        Self { due, news, low_water, more: false, next: low_water }
    }
}

/// How far one has to wait for a minute's end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// Minutes are due a minute and the pump's own delay after they were opened.
    Time(Timestamp),
    /// Minutes of pumps that have a later one are due too: there are too many.
    Crowded(Timestamp),
    /// Everything is due.
    Now,
}

impl Head {
    /// A batch is about to be written to the journal, whose highest record so far is `durable`.
    pub(crate) fn expect(&mut self, durable: Seq) -> Seq {
        let floor = durable.after();
        *self.in_flight.entry(floor).or_default() += 1;
        floor
    }

    /// The batch of [`Head::expect`] will not come, or has come.
    pub(crate) fn settle(&mut self, floor: Seq) {
        if let Some(count) = self.in_flight.get_mut(&floor) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&floor);
            }
        }
    }

    /// Takes in a batch that is durable as this record. A row that is here already is not taken again.
    pub(crate) fn take_in(&mut self, seq: Seq, batch: Batch) {
        self.newest = self.newest.max(seq);
        let Batch { pumps, readings, detections, events, metrics, states, audit } = batch;
        self.news.pumps.extend(pumps.into_iter().map(|pump| (seq, pump)));
        self.news.metrics.extend(metrics.into_iter().map(|metrics| (seq, metrics)));
        for event in events {
            self.news.events.retain(|(_, known)| !same_event(known, &event));
            self.news.events.push((seq, event));
        }
        for state in states {
            self.news.remember(seq, state);
        }
        self.news.audit.extend(audit);
        for reading in readings {
            self.received_ms = self.received_ms.max(reading.received.millis());
            let received_ms = reading.received.millis();
            let roomy = self.bytes < ROOMY_BYTES;
            let (pump, start_ms) = (reading.pump.clone(), minute_start(reading.at.millis()));
            let minute = minute(&mut self.pumps, &pump, reading.at, seq, received_ms);
            if minute.readings.iter().rev().any(|known| known.at == reading.at) {
                continue;
            }
            self.bytes += reading_bytes(&reading);
            self.readings += 1;
            minute.readings.push(reading);
            if !roomy && minute.readings.len().is_multiple_of(PACKED_ROWS) {
                self.ripe.push_back((pump, start_ms));
            }
        }
        for detection in detections {
            let minute = minute(&mut self.pumps, &detection.pump, detection.at, seq, self.received_ms);
            if !minute.detections.iter().rev().any(|known| known.at == detection.at) {
                self.bytes += detection_bytes(&detection);
                minute.detections.push(detection);
            }
        }
    }

    /// Some of what is due and of the news, for one transaction of at most `minutes` minutes. It ends with [`Head::give_up`] or
    /// [`Head::keep`].
    pub(crate) fn share(&mut self, until: Until, minutes: usize) -> Share {
        let mut next = self.newest.after();
        if let Some(floor) = self.in_flight.keys().next() {
            next = next.min(*floor);
        }
        let (news, left) = self.news.some();
        let mut low_water = next.min(left.unwrap_or(next));
        let (mut due, mut rows) = (Vec::new(), 0);
        for (pump, of_pump) in &mut self.pumps {
            let newest = of_pump.keys().next_back().copied();
            for (&start_ms, minute) in of_pump.iter_mut() {
                if due.len() < minutes && rows < ROWS && minute.is_due(pump, Some(start_ms) == newest, until) {
                    minute.moving = true;
                    rows += minute.count();
                    due.push(Due {
                        pump: pump.clone(),
                        start_ms,
                        readings: minute.readings.clone(),
                        detections: minute.detections.clone(),
                        packed: minute.packed.clone(),
                        taken: (minute.packed.len(), minute.readings.len(), minute.detections.len()),
                    });
                } else {
                    low_water = low_water.min(minute.first);
                }
            }
        }
        let more = due.len() >= minutes || rows >= ROWS || left.is_some();
        Share { due, news, low_water, more, next }
    }

    /// The share is not in the database, as far as is known: its rows stay.
    pub(crate) fn keep(&mut self, share: &Share) {
        for due in &share.due {
            if let Some(minute) = self.pumps.get_mut(&due.pump).and_then(|of_pump| of_pump.get_mut(&due.start_ms)) {
                minute.moving = false;
            }
        }
    }

    /// The share is in the database.
    pub(crate) fn give_up(&mut self, share: &Share) {
        for due in &share.due {
            let Some(of_pump) = self.pumps.get_mut(&due.pump) else { continue };
            let Some(minute) = of_pump.get_mut(&due.start_ms) else { continue };
            let (packed, readings, detections) = due.taken;
            let (bytes, count) = (minute.bytes(), minute.count());
            minute.packed.drain(..packed.min(minute.packed.len()));
            minute.readings.drain(..readings.min(minute.readings.len()));
            minute.detections.drain(..detections.min(minute.detections.len()));
            minute.first = share.next;
            minute.moving = false;
            self.bytes = (self.bytes + minute.bytes()).saturating_sub(bytes);
            self.readings = (self.readings + minute.count()).saturating_sub(count);
            if minute.is_empty() {
                of_pump.remove(&due.start_ms);
            }
            if of_pump.is_empty() {
                self.pumps.remove(&due.pump);
            }
        }
        let News { pumps, events, metrics, states, audit } = &share.news;
        self.news.pumps.retain(|known| !pumps.contains(known));
        self.news.events.retain(|known| !events.contains(known));
        self.news.metrics.retain(|known| !metrics.contains(known));
        self.news.states.retain(|pump, known| states.get(pump) != Some(known));
        self.news.audit.retain(|known| !audit.contains(known));
    }

    /// Forgets rows that the database has already: what the journal still holds of a block that was written.
    pub(crate) fn forget(&mut self, pump: &PumpId, start_ms: i64, stored: &Stored) -> Result<(), StoreError> {
        let Some(of_pump) = self.pumps.get_mut(pump) else { return Ok(()) };
        let Some(minute) = of_pump.get_mut(&start_ms) else { return Ok(()) };
        let (bytes, readings) = (minute.bytes(), minute.count());
        minute.unpack(pump)?;
        minute.readings.retain(|reading| !stored.readings.contains(&reading.at));
        minute.detections.retain(|detection| !stored.detections.contains(&detection.at));
        self.bytes = (self.bytes + minute.bytes()).saturating_sub(bytes);
        self.readings = (self.readings + minute.count()).saturating_sub(readings);
        if minute.is_empty() {
            of_pump.remove(&start_ms);
        }
        if of_pump.is_empty() {
            self.pumps.remove(pump);
        }
        Ok(())
    }

    /// Packs the rows of all minutes that are due.
    pub(crate) fn pack(&mut self, until: Until) {
        for (pump, of_pump) in &mut self.pumps {
            let newest = of_pump.keys().next_back().copied();
            for (&start_ms, minute) in of_pump.iter_mut() {
                if !minute.moving && minute.is_due(pump, Some(start_ms) == newest, until) {
                    let before = minute.bytes();
                    minute.pack();
                    self.bytes = (self.bytes + minute.bytes()).saturating_sub(before);
                }
            }
        }
    }

    /// Rows that should be packed, if there are any. They stay here until [`Head::replace`].
    pub(crate) fn next_ripe(&mut self) -> Option<Ripe> {
        while let Some((pump, start_ms)) = self.ripe.pop_front() {
            let minute = self.pumps.get(&pump).and_then(|of_pump| of_pump.get(&start_ms));
            if let Some(minute) = minute.filter(|minute| !minute.moving && minute.readings.len() >= PACKED_ROWS) {
                let (readings, detections) = (minute.readings.clone(), minute.detections.clone());
                return Some(Ripe { pump, start_ms, readings, detections });
            }
        }
        None
    }

    /// The rows are packed. Where they have moved on meanwhile, nothing is changed.
    pub(crate) fn replace(&mut self, ripe: &Ripe, packed: Packed) {
        let Some(minute) = self.pumps.get_mut(&ripe.pump).and_then(|of_pump| of_pump.get_mut(&ripe.start_ms)) else {
            return;
        };
        let (readings, detections) = (ripe.readings.len(), ripe.detections.len());
        let stand = minute.readings.get(..readings) == Some(&ripe.readings[..])
            && minute.detections.get(..detections) == Some(&ripe.detections[..]);
        if minute.moving || !stand {
            return;
        }
        let before = minute.bytes();
        minute.readings.drain(..readings);
        minute.detections.drain(..detections);
        minute.packed.push(Arc::new(packed));
        self.bytes = (self.bytes + minute.bytes()).saturating_sub(before);
    }

    /// A pump's readings from `from_ms` up to and without `to_ms`, oldest first.
    pub(crate) fn readings(&self, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Reading>, StoreError> {
        let mut rows = Vec::new();
        for minute in self.minutes(pump, from_ms, to_ms) {
            let minute = minute.rows().all_readings(pump)?;
            rows.extend(minute.into_iter().filter(|row| (from_ms..to_ms).contains(&row.at.millis())));
        }
        Ok(rows)
    }

    /// A pump's detections, likewise.
    pub(crate) fn detections(&self, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Detection>, StoreError> {
        let mut rows = Vec::new();
        for minute in self.minutes(pump, from_ms, to_ms) {
            let minute = minute.rows().all_detections(pump)?;
            rows.extend(minute.into_iter().filter(|row| (from_ms..to_ms).contains(&row.at.millis())));
        }
        Ok(rows)
    }

    /// What waits and is no series of a pump.
    pub(crate) fn news(&self) -> &News {
        &self.news
    }

    /// All minutes that wait, by pump.
    pub(crate) fn keys(&self) -> Vec<(PumpId, i64)> {
        let of_pump = |(pump, minutes): (&PumpId, &BTreeMap<i64, Minute>)| {
            minutes.keys().map(|&start_ms| (pump.clone(), start_ms)).collect::<Vec<_>>()
        };
        self.pumps.iter().flat_map(of_pump).collect()
    }

    /// The earliest time that may be here, of one pump.
    pub(crate) fn earliest(&self, pump: &PumpId) -> Option<i64> {
        self.pumps.get(pump)?.keys().next().copied()
    }

    /// Readings that wait.
    pub(crate) fn waiting_readings(&self) -> usize {
        self.readings
    }

    /// About how much memory the rows take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the oldest minute was opened, by the node's clock.
    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        self.pumps.values().flat_map(BTreeMap::values).map(|minute| minute.opened_ms).min()
    }

    fn minutes(&self, pump: &PumpId, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &Minute> {
        let first = minute_start(from_ms);
        let range = (first < to_ms).then(|| self.pumps.get(pump).map(|of_pump| of_pump.range(first..to_ms)));
        range.flatten().into_iter().flatten().map(|(_, minute)| minute)
    }
}

/// The times of the rows that a block in the database has.
#[derive(Default)]
pub(crate) struct Stored {
    pub readings: BTreeSet<Timestamp>,
    pub detections: BTreeSet<Timestamp>,
}

impl Minute {
    fn is_due(&self, pump: &PumpId, is_newest: bool, until: Until) -> bool {
        match until {
            Until::Now => true,
            Until::Crowded(_) if !is_newest => true,
            Until::Time(now) | Until::Crowded(now) => now.millis() >= self.opened_ms + MINUTE_MS + delay_ms(pump),
        }
    }

    fn is_empty(&self) -> bool {
        self.readings.is_empty() && self.detections.is_empty() && self.packed.is_empty()
    }

    /// Readings, one that came twice counted twice.
    fn count(&self) -> usize {
        self.readings.len() + self.packed.iter().map(|packed| packed.count).sum::<usize>()
    }

    fn unpack(&mut self, pump: &PumpId) -> Result<(), StoreError> {
        if !self.packed.is_empty() {
            (self.readings, self.detections) = (self.rows().all_readings(pump)?, self.rows().all_detections(pump)?);
            self.packed.clear();
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let packed: usize = self.packed.iter().map(|packed| packed.readings.len() + packed.detections.len() + 64).sum();
        packed
            + self.readings.iter().map(reading_bytes).sum::<usize>()
            + self.detections.iter().map(detection_bytes).sum::<usize>()
    }

    fn pack(&mut self) {
        if self.readings.is_empty() && self.detections.is_empty() {
            return;
        }
        let (readings, detections) = (std::mem::take(&mut self.readings), std::mem::take(&mut self.detections));
        self.packed.push(Arc::new(Packed::of(readings, detections)));
    }

    fn rows(&self) -> Rows<'_> {
        Rows { readings: &self.readings, detections: &self.detections, packed: &self.packed }
    }
}

/// A minute's rows, some of them packed.
struct Rows<'a> {
    readings: &'a [Reading],
    detections: &'a [Detection],
    packed: &'a [Arc<Packed>],
}

impl Rows<'_> {
    fn all_readings(&self, pump: &PumpId) -> Result<Vec<Reading>, StoreError> {
        let mut rows = self.readings.to_vec();
        for packed in self.packed {
            rows.extend(decode_readings(pump, &packed.readings).map_err(|error| unpackable(pump, &error))?);
        }
        rows.sort_by_key(|row| row.at);
        rows.dedup_by_key(|row| row.at);
        Ok(rows)
    }

    fn all_detections(&self, pump: &PumpId) -> Result<Vec<Detection>, StoreError> {
        let mut rows = self.detections.to_vec();
        for packed in self.packed {
            rows.extend(decode_detections(pump, &packed.detections).map_err(|error| unpackable(pump, &error))?);
        }
        rows.sort_by_key(|row| row.at);
        rows.dedup_by_key(|row| row.at);
        Ok(rows)
    }
}

fn minute<'a>(
    pumps: &'a mut BTreeMap<PumpId, BTreeMap<i64, Minute>>,
    pump: &PumpId,
    at: Timestamp,
    seq: Seq,
    opened_ms: i64,
) -> &'a mut Minute {
    if !pumps.contains_key(pump) {
        pumps.insert(pump.clone(), BTreeMap::new());
    }
    let of_pump = pumps.entry(pump.clone()).or_default();
    of_pump.entry(minute_start(at.millis())).or_insert_with(|| Minute { first: seq, opened_ms, ..Minute::default() })
}

/// Pumps close their minutes spread over one, each always at the same second.
fn delay_ms(pump: &PumpId) -> i64 {
    let mut hasher = DefaultHasher::new();
    pump.hash(&mut hasher);
    i64::try_from(hasher.finish() % 60_000).unwrap_or_default()
}

/// Whether these are two versions of one event.
pub(crate) fn same_event(a: &MaintenanceEvent, b: &MaintenanceEvent) -> bool {
    (&a.pump, &a.rule, a.opened_at) == (&b.pump, &b.rule, b.opened_at)
}

fn reading_bytes(reading: &Reading) -> usize {
    size_of::<Reading>() + 16 + reading.samples.len() * 16
}

fn detection_bytes(detection: &Detection) -> usize {
    size_of::<Detection>() + 16 + detection.contributions.len() * 8
}

fn unpackable(pump: &PumpId, error: &dyn std::error::Error) -> StoreError {
    StoreError::Unreadable { row: format!("the waiting rows of {pump}"), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use volute_plant::Sample;

    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_millis(1_773_051_240_000 + s * 100).expect("a time")
    }

    fn batch(times: std::ops::Range<i64>) -> Batch {
        let reading = |s| {
            let samples = [Sample::Good(s as f64)].into();
            Reading { pump: pump(), at: at(s), received: at(s), samples, late: false }
        };
        Batch { readings: times.map(reading).collect(), ..Batch::default() }
    }

    fn pump() -> PumpId {
        "P-1".parse().expect("a name")
    }

    fn times(head: &Head) -> Vec<i64> {
        let rows = head.readings(&pump(), 0, i64::MAX).expect("read");
        rows.iter().map(|row| row.at.since_ms(at(0)) / 100).collect()
    }

    #[test]
    fn what_comes_while_a_share_is_written_stays_and_nothing_of_the_share_does() {
        let mut head = Head::default();
        head.take_in(Seq::new(1), batch(0..30));
        head.pack(Until::Now);
        head.take_in(Seq::new(2), batch(30..60));
        let mut share = head.share(Until::Now, 10);
        share.unpack().expect("unpacked");
        assert_eq!((share.due[0].readings.len(), share.low_water), (60, Seq::new(3)));
        head.take_in(Seq::new(3), batch(60..90));
        head.pack(Until::Now);
        head.give_up(&share);
        assert_eq!(times(&head), (60..90).collect::<Vec<_>>());
        assert_eq!(head.waiting_readings(), 30);
        head.pack(Until::Now);
        let share = head.share(Until::Now, 10);
        head.give_up(&share);
        assert_eq!((times(&head), head.waiting_readings(), head.bytes()), (vec![], 0, 0));
    }

    #[test]
    fn a_share_that_was_not_written_is_taken_again() {
        let mut head = Head::default();
        head.take_in(Seq::new(1), batch(0..30));
        let share = head.share(Until::Now, 10);
        head.keep(&share);
        head.pack(Until::Now);
        let mut share = head.share(Until::Now, 10);
        share.unpack().expect("unpacked");
        assert_eq!((share.due[0].readings.len(), share.low_water), (30, Seq::new(2)));
    }

    /// A head that has no room for loose rows.
    fn crowded() -> Head {
        Head { bytes: ROOMY_BYTES, ..Head::default() }
    }

    #[test]
    fn large_minutes_are_packed_and_nothing_of_them_is_lost_or_doubled() {
        let mut head = crowded();
        head.take_in(Seq::new(1), batch(0..9));
        assert!(head.next_ripe().is_none());
        head.take_in(Seq::new(2), batch(9..15));
        let ripe = head.next_ripe().expect("ten rows are many");
        head.take_in(Seq::new(3), batch(15..20));
        let before = head.bytes();
        head.replace(&ripe, ripe.pack());
        assert_eq!(times(&head), (0..20).collect::<Vec<_>>());
        assert!(head.bytes() < before && head.waiting_readings() == 20);
        assert!(head.next_ripe().is_none(), "five loose rows are few");
    }

    #[test]
    fn rows_that_have_moved_on_are_not_packed() {
        let mut head = crowded();
        head.take_in(Seq::new(1), batch(0..20));
        let ripe = head.next_ripe().expect("many");
        let mut share = head.share(Until::Now, 10);
        head.replace(&ripe, ripe.pack());
        share.unpack().expect("unpacked");
        assert_eq!(share.due[0].readings.len(), 20);
        head.give_up(&share);
        head.replace(&ripe, ripe.pack());
        assert!(times(&head).is_empty(), "what is in the database does not come back");
    }

    #[test]
    fn what_many_pumps_have_to_tell_goes_in_several_shares_and_none_is_forgotten() {
        let mut head = Head::default();
        let pump = |n: usize| -> PumpId { format!("P-{n:05}").parse().expect("a name") };
        let state = |n| PumpState { pump: pump(n), at: at(0), document: "{}".into() };
        for n in 0..5 * NEWS / 2 {
            let seq = Seq::new(n as u64 + 1);
            head.take_in(seq, Batch { states: vec![state(n)], ..Batch::default() });
        }
        for (told, low_water, more) in
            [(NEWS, NEWS + 1, true), (NEWS, 2 * NEWS + 1, true), (NEWS / 2, 5 * NEWS / 2 + 1, false)]
        {
            let share = head.share(Until::Now, 10);
            assert_eq!((share.news.states.len(), share.more), (told, more));
            assert_eq!(share.low_water, Seq::new(low_water as u64), "what is left is in no later record");
            head.give_up(&share);
        }
        assert!(head.news().is_empty());
    }

    #[test]
    fn a_share_has_so_many_rows_and_no_more() {
        let mut head = Head::default();
        for minute in 0..3_i64 {
            let first = minute * 600;
            head.take_in(Seq::new(minute as u64 + 1), batch(first..first + 600));
        }
        let share = head.share(Until::Now, 2);
        assert_eq!((share.due.len(), share.more), (2, true));
        head.give_up(&share);
        let share = head.share(Until::Now, 2);
        assert_eq!((share.due.len(), share.more), (1, false));
    }

    #[test]
    fn the_low_water_mark_stays_below_what_is_on_its_way() {
        let mut head = Head::default();
        let floor = head.expect(Seq::new(4));
        head.take_in(Seq::new(6), batch(0..10));
        let low_water = |head: &mut Head| head.share(Until::Now, 10).low_water;
        assert_eq!(low_water(&mut head), Seq::new(5), "record 5 may come yet");
        head.settle(floor);
        assert_eq!(low_water(&mut head), Seq::new(7));
        head.take_in(Seq::new(7), batch(10..20));
        let share = head.share(Until::Now, 0);
        assert_eq!(share.low_water, Seq::new(6), "nothing of the minute is in this share");
    }
}
