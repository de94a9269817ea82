//! The head: what is durable in the journal and not in the database yet, by pump and minute.
//!
//! It is rebuilt from the journal at the start. Together with the database it holds every row exactly once: rows leave
//! it when the transaction that stores them is done. A reading that came in parts is a row for each part. Minutes that wait long, because the database does not answer, are
//! packed. Deliberately absent: any I/O, and when what is due is written.

mod due;
mod minute;
mod minutes;
mod news;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use volute_journal::Seq;
use volute_plant::{Beside, Detection, PumpId, Reading, Timestamp};

use super::{
    StoreError,
    removals::{AT_ONCE, Removals},
    types::Batch,
};

pub use due::PAST_MS;
pub(crate) use due::{MINUTE_MS, Until, minute_start};
pub(crate) use minute::join_parts;
use minute::{MINUTE_BYTES, Minute, Rows, TakenIn, detection_bytes, packed_rows, reading_bytes};
pub(crate) use minute::{Packed, Ripe};
use minutes::Minutes;
pub(crate) use news::News;

/// From so many minutes of the past on, of one pump and of all, these do not wait for their time: what is sent late comes
/// in many minutes at once.
const CROWDED_PAST: usize = 60;
const CROWDED_PAST_OF_ALL: usize = 2_000;
/// From so much memory on, rows are packed before they are due: a packed one takes a fifth, and some microseconds.
const ROOMY_BYTES: usize = 32 << 20;
/// The most rows in one transaction: one that does not fit into a memtable fails for ever.
const ROWS: usize = 50_000;

/// See the module's head.
#[derive(Default)]
pub(crate) struct Head {
    pumps: BTreeMap<PumpId, Minutes>,
    /// Minutes with rows enough to be packed, in the order in which they came to that.
    ripe: VecDeque<(PumpId, i64)>,
    news: News,
    /// Of their pumps nothing is written until they are done.
    removals: Removals,
    /// Below each of these no record that is still on its way to the journal can be.
    in_flight: BTreeMap<Seq, usize>,
    /// The highest record taken in.
    newest: Seq,
    /// The latest time at which a reading was received.
    received_ms: i64,
    bytes: usize,
    readings: usize,
    /// Minutes of the past.
    past: usize,
    /// Readings that were not kept because another one with other values has their time. None should ever be.
    conflicts: u64,
    /// No reading that was moved into the database before the start is later than this.
    moved_before: Option<Timestamp>,
    /// The latest reading of each pump that was moved since.
    moved: BTreeMap<PumpId, Timestamp>,
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
    /// It was opened for readings of the past.
    pub past: bool,
    /// How many of each the minute gives up when they are written.
    taken: (usize, usize, usize),
}

/// What goes into one transaction.
pub(crate) struct Share {
    pub due: Vec<Due>,
    pub news: News,
    /// Pumps that are removed, and in which record.
    pub removals: Vec<(Seq, PumpId)>,
    /// Once it is stored, every record below this is.
    pub low_water: Seq,
    /// There may be more of what is due.
    pub more: bool,
    /// Readings that are left out because an earlier one with other values has their time.
    pub conflicts: usize,
    /// Rows that come in from here on are in no earlier record.
    next: Seq,
}

impl Due {
    /// Readings that were never in the head.
    pub(crate) fn loaded(pump: &PumpId, start_ms: i64, mut readings: Vec<Reading>) -> Self {
        readings.sort_by_key(|reading| reading.at);
        join_parts(&mut readings);
        let (detections, packed) = (Vec::new(), Vec::new());
        Self { pump: pump.clone(), start_ms, readings, detections, packed, past: false, taken: (0, 0, 0) }
    }

    /// No reading of it is later than this.
    fn latest(&self) -> Option<Timestamp> {
        let end = Timestamp::from_millis(self.start_ms + MINUTE_MS - 1).ok();
        let packed = end.filter(|_| !self.packed.is_empty());
        self.readings.iter().map(|reading| reading.at).max().max(packed)
    }
}

impl Share {
    /// Puts every minute's rows together, in order: some work, so not under the head's lock.
    pub(crate) fn unpack(&mut self) -> Result<(), StoreError> {
        for due in &mut self.due {
            let rows = Rows { readings: &due.readings, detections: &due.detections, packed: &due.packed };
            let ((readings, conflicts), detections) = (rows.one_per_time(&due.pump)?, rows.all_detections(&due.pump)?);
            (due.readings, due.detections) = (readings, detections);
            due.packed.clear();
            self.conflicts += conflicts;
        }
        Ok(())
    }

    /// Of rows that were never in the head, nor in the journal, which has come as far as `low_water`.
    pub(crate) fn loaded(due: Vec<Due>, news: News, low_water: Seq) -> Self {
        Self { due, news, removals: Vec::new(), low_water, more: false, conflicts: 0, next: low_water }
    }

    /// No reading of it is later than this.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        self.due.iter().filter_map(Due::latest).max()
    }
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
        let Batch { pumps, readings, detections, documents, metrics, states, removals } = batch;
        for pump in removals {
            self.remove_pump(&pump);
            self.removals.begin(seq, pump);
        }
        self.news.take_in(seq, Batch { pumps, documents, metrics, states, ..Batch::default() });
        let conflicts_before = self.conflicts;
        for reading in readings {
            self.received_ms = self.received_ms.max(reading.received.millis());
            let received_ms = reading.received.millis();
            let roomy = self.bytes < ROOMY_BYTES;
            let (pump, start_ms) = (reading.pump.clone(), minute_start(reading.at.millis()));
            let bytes = reading_bytes(&reading);
            let minute = self.open(&pump, reading.at, seq, received_ms);
            match minute.take_in(reading) {
                TakenIn::New => {}
                TakenIn::Known => continue,
                TakenIn::Conflict => {
                    self.conflicts += 1;
                    continue;
                }
            }
            let minute_rows = minute.readings.len();
            self.bytes += bytes;
            self.readings += 1;
            if !roomy && minute_rows.is_multiple_of(packed_rows(&pump)) {
                self.ripe.push_back((pump, start_ms));
            }
        }
        if self.conflicts > conflicts_before {
            let readings = self.conflicts - conflicts_before;
            tracing::error!(%seq, readings, "readings that were taken are not kept: others have their times");
        }
        for detection in detections {
            let opened_ms = self.received_ms;
            let minute = self.open(&detection.pump, detection.at, seq, opened_ms);
            if !minute.detections.iter().rev().any(|known| known.at == detection.at) {
                let bytes = detection_bytes(&detection);
                minute.detections.push(detection);
                self.bytes += bytes;
            }
        }
    }

    /// The minute that a row falls into.
    fn open(&mut self, pump: &PumpId, at: Timestamp, seq: Seq, opened_ms: i64) -> &mut Minute {
        let start_ms = minute_start(at.millis());
        let of_pump = self.pumps.entry(pump.clone()).or_default();
        let past = opened_ms - start_ms >= PAST_MS + MINUTE_MS;
        of_pump.get_or_insert(start_ms, || {
            self.bytes += MINUTE_BYTES;
            self.past += usize::from(past);
            Minute { first: seq, opened_ms, past, ..Minute::default() }
        })
    }

    /// Some of what is due and of the news, for one transaction of at most `minutes` minutes. It ends with [`Head::give_up`] or
    /// [`Head::keep`].
    pub(crate) fn share(&mut self, until: Until, minutes: usize) -> Share {
        let mut next = self.newest.after();
        if let Some(floor) = self.in_flight.keys().next() {
            next = next.min(*floor);
        }
        let (news, left) = self.news.some(&self.removals);
        let (now, later): (Vec<_>, Vec<_>) =
            self.removals.waiting().enumerate().partition(|(place, _)| *place < AT_ONCE);
        let removals: Vec<(Seq, PumpId)> = now.into_iter().map(|(_, (seq, pump))| (seq, pump.clone())).collect();
        let low_of_news = [left.beyond, left.held].into_iter().flatten();
        let mut low_water = low_of_news.chain(later.iter().map(|(_, (seq, _))| *seq)).fold(next, Seq::min);
        let more_news = left.beyond.is_some() || !later.is_empty();
        let (mut due, mut rows) = (Vec::new(), 0);
        let crowded = self.past > CROWDED_PAST_OF_ALL;
        for (pump, of_pump) in &mut self.pumps {
            let (newest, held) = (of_pump.newest(), self.removals.holds(pump));
            let crowded = crowded || of_pump.past() > CROWDED_PAST;
            for (start_ms, minute) in of_pump.iter_mut() {
                let is_due = minute.is_due(pump, start_ms, Some(start_ms) == newest, crowded, until);
                if !held && due.len() < minutes && rows < ROWS && is_due {
                    minute.moving = true;
                    rows += minute.count();
                    due.push(Due {
                        pump: pump.clone(),
                        start_ms,
                        readings: minute.readings.clone(),
                        detections: minute.detections.clone(),
                        packed: minute.packed.clone(),
                        past: minute.past,
                        taken: (minute.packed.len(), minute.readings.len(), minute.detections.len()),
                    });
                } else {
                    low_water = low_water.min(minute.first);
                }
            }
        }
        let more = due.len() >= minutes || rows >= ROWS || more_news;
        Share { due, news, removals, low_water, more, conflicts: 0, next }
    }

    /// The share is not in the database, as far as is known: its rows stay.
    pub(crate) fn keep(&mut self, share: &Share) {
        for due in &share.due {
            if let Some(minute) = self.pumps.get_mut(&due.pump).and_then(|of_pump| of_pump.get_mut(due.start_ms)) {
                minute.moving = false;
            }
        }
    }

    /// The share is in the database.
    pub(crate) fn give_up(&mut self, share: &Share) {
        for due in &share.due {
            if let Some(latest) = due.latest() {
                self.note_moved(&due.pump, latest);
            }
            let (packed, readings, detections) = due.taken;
            self.lessen(&due.pump, due.start_ms, |minute| {
                minute.packed.drain(..packed.min(minute.packed.len()));
                minute.readings.drain(..readings.min(minute.readings.len()));
                minute.detections.drain(..detections.min(minute.detections.len()));
                minute.first = share.next;
                minute.moving = false;
            });
        }
        for (seq, pump) in &share.removals {
            self.removals.note_stored(*seq, pump);
        }
        self.news.give_up(&share.news);
    }

    /// Readings were taken in and are not kept, because others with other values have their times.
    pub(crate) fn note_conflicts(&mut self, readings: usize) {
        self.conflicts += readings as u64;
    }

    /// The database holds a reading of this time.
    pub(crate) fn note_moved(&mut self, pump: &PumpId, latest: Timestamp) {
        match self.moved.get_mut(pump) {
            Some(known) => *known = latest.max(*known),
            None => drop(self.moved.insert(pump.clone(), latest)),
        }
    }

    /// What is moved into the database from here on counts; before, it was nothing later than this.
    pub(crate) fn begin_at(&mut self, now: Timestamp) {
        let received = Timestamp::from_millis(self.received_ms).ok();
        self.moved_before = received.max(Some(now));
    }

    /// The database holds no reading of the pump that is later than this.
    pub(crate) fn moved_until(&self, pump: &PumpId) -> Option<Timestamp> {
        self.moved_before.max(self.moved.get(pump).copied())
    }

    /// Minutes of the past that wait, of this pump and of all.
    pub(crate) fn past_minutes(&self, pump: &PumpId) -> (usize, usize) {
        (self.pumps.get(pump).map_or(0, Minutes::past), self.past)
    }

    /// Readings that were not kept though they were taken in; see [`Head::note_conflicts`].
    pub(crate) fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// Forgets rows that the database has already: what the journal still holds of a block that was written.
    pub(crate) fn forget(&mut self, pump: &PumpId, start_ms: i64, stored: &Stored) -> Result<(), StoreError> {
        if let Some((latest, _)) = stored.readings.last_key_value() {
            self.note_moved(pump, *latest);
        }
        let forgotten = self.lessen(pump, start_ms, |minute| {
            minute.unpack(pump)?;
            // A part stays where the block has only others of its reading.
            minute.readings.retain(|reading| match stored.readings.get(&reading.at) {
                Some(known) => known.beside(&reading.samples) == Beside::Adds,
                None => true,
            });
            minute.detections.retain(|detection| !stored.detections.contains(&detection.at));
            Ok(())
        });
        forgotten.unwrap_or(Ok(()))
    }

    /// Takes rows out of a minute, where it is here: what is empty then goes, and the head's size is what is left.
    fn lessen<T>(&mut self, pump: &PumpId, start_ms: i64, take: impl FnOnce(&mut Minute) -> T) -> Option<T> {
        let of_pump = self.pumps.get_mut(pump)?;
        let minute = of_pump.get_mut(start_ms)?;
        let (bytes, readings) = (minute.bytes(), minute.count());
        let taken = take(minute);
        let (is_empty, past) = (minute.is_empty(), minute.past);
        let left = if is_empty { 0 } else { minute.bytes() };
        self.bytes = (self.bytes + left).saturating_sub(bytes);
        self.readings = (self.readings + minute.count()).saturating_sub(readings);
        if is_empty {
            of_pump.remove(start_ms);
            self.past -= usize::from(past);
        }
        if of_pump.is_empty() {
            self.pumps.remove(pump);
        }
        Some(taken)
    }

    /// Packs the rows of all minutes that are due.
    pub(crate) fn pack(&mut self, until: Until) {
        for (pump, of_pump) in &mut self.pumps {
            let newest = of_pump.newest();
            for (start_ms, minute) in of_pump.iter_mut() {
                if !minute.moving && minute.is_due(pump, start_ms, Some(start_ms) == newest, false, until) {
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
            let minute = self.pumps.get(&pump).and_then(|of_pump| of_pump.get(start_ms));
            if let Some(ripe) = minute.and_then(|minute| minute.ripe(&pump, start_ms)) {
                return Some(ripe);
            }
        }
        None
    }

    /// The rows are packed. Where they have moved on meanwhile, nothing is changed.
    pub(crate) fn replace(&mut self, ripe: &Ripe, packed: Packed) {
        let Some(minute) = self.pumps.get_mut(&ripe.pump).and_then(|of_pump| of_pump.get_mut(ripe.start_ms)) else {
            return;
        };
        let before = minute.bytes();
        minute.replace(ripe, packed);
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

    /// The removals that are not done.
    pub(crate) fn removals(&self) -> &Removals {
        &self.removals
    }

    pub(crate) fn removals_mut(&mut self) -> &mut Removals {
        &mut self.removals
    }

    /// Drops all that waits of a pump.
    fn remove_pump(&mut self, pump: &PumpId) {
        let minutes = self.pumps.remove(pump).unwrap_or_default();
        for minute in minutes.iter() {
            self.bytes = self.bytes.saturating_sub(minute.bytes());
            self.readings = self.readings.saturating_sub(minute.count());
        }
        self.past = self.past.saturating_sub(minutes.past());
        self.moved.remove(pump);
        self.news.forget(pump);
    }

    /// The minutes that wait and may have readings, by pump.
    pub(crate) fn minutes_of_readings(&self) -> Vec<(PumpId, i64)> {
        self.keys(|minute| !minute.readings.is_empty() || !minute.packed.is_empty())
    }

    /// The minutes that wait and may have detections, by pump.
    pub(crate) fn minutes_of_detections(&self) -> Vec<(PumpId, i64)> {
        self.keys(|minute| !minute.detections.is_empty() || !minute.packed.is_empty())
    }

    fn keys(&self, has: fn(&Minute) -> bool) -> Vec<(PumpId, i64)> {
        let of_pump = |(pump, minutes): (&PumpId, &Minutes)| {
            let all = minutes.starts().zip(minutes.iter());
            all.filter(|(_, minute)| has(minute)).map(|(start_ms, _)| (pump.clone(), start_ms)).collect::<Vec<_>>()
        };
        self.pumps.iter().flat_map(of_pump).collect()
    }

    /// The earliest time that may be here, of one pump.
    pub(crate) fn earliest(&self, pump: &PumpId) -> Option<i64> {
        self.pumps.get(pump)?.starts().next()
    }

    /// Readings that wait.
    pub(crate) fn waiting_readings(&self) -> usize {
        self.readings
    }

    /// About how much memory all that waits takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.news.bytes()
    }

    /// When the oldest minute was opened, by the node's clock.
    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        self.pumps.values().flat_map(Minutes::iter).map(|minute| minute.opened_ms).min()
    }

    fn minutes(&self, pump: &PumpId, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &Minute> {
        let first = minute_start(from_ms);
        self.pumps.get(pump).into_iter().flat_map(move |of_pump| of_pump.starting_in(first..to_ms))
    }
}

/// The rows that a block in the database has.
#[derive(Default)]
pub(crate) struct Stored {
    pub readings: BTreeMap<Timestamp, Reading>,
    /// The times of the detections.
    pub detections: BTreeSet<Timestamp>,
}

#[cfg(test)]
mod tests;
