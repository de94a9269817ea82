//! The head: rows that are durable in the journal and not in the database yet, by pump and minute.
//!
//! The head is rebuilt from the journal at the start. Head and database together hold every row exactly once: rows
//! leave the head when the transaction that stores them is done. If a reading arrives in parts (some of its channels
//! first, the others later), each part is a row in the head.
//!
//! A minute in the head, for a pump P whose flush delay is 20 s (fixed for each pump, below a minute, so that pumps are
//! not all due together):
//!
//! ```text
//! 12:00:05   apply             a reading of 12:00:04 opens the minute 12:00 and is its first row
//! 12:00:06.. apply             readings of the same minute are added
//! 12:01:25   next_flush_batch  the minute is due (opened + 60 s + 20 s): its rows are copied, `flushing` is set
//! 12:01:25   apply             a late reading of 12:00:50 is added behind the copied rows
//! 12:01:25   remove_flushed    the copied rows are removed, the late one stays for the next flush
//!            abort_flush       instead, if the transaction failed: all rows stay
//! ```
//!
//! If the head is large because the database is unavailable, rows of a minute are packed: they are replaced by a
//! compressed block in memory.
//!
//! Does no I/O and does not decide when to flush; see [`Store::flush`](super::Store::flush).

mod due;
mod minute;
mod minutes;
mod other_rows;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use volute_journal::Seq;
use volute_plant::{Detection, PumpId, Reading, SampleOverlap, Timestamp};

use super::{
    StoreError,
    pending_removals::{MAX_REMOVALS_PER_FLUSH, PendingRemovals},
    types::Batch,
};

pub use due::PAST_AGE_MS;
pub(crate) use due::{DuePolicy, MINUTE_MS, minute_start};
pub(crate) use minute::merge_parts;
use minute::{AddOutcome, MINUTE_OVERHEAD_BYTES, Minute, MinuteRows, detection_bytes, pack_after_rows, reading_bytes};
pub(crate) use minute::{PackCandidate, Packed};
use minutes::Minutes;
pub(crate) use other_rows::OtherRows;

/// If a pump has more past minutes than this in the head, they are due without a delay, because a backlog opens many
/// minutes at once. A past minute was opened at least [`PAST_AGE_MS`] after its end.
const PAST_PRESSURE_MINUTES_PER_PUMP: usize = 60;
/// If all pumps together have more past minutes than this in the head, all past minutes are due without a delay.
const PAST_PRESSURE_MINUTES: usize = 2_000;
/// From this size of the head, rows are packed before they are due. A packed row takes a fifth of the memory, and
/// packing takes some microseconds for each.
const PACK_ABOVE_BYTES: usize = 32 << 20;
/// A transaction that has this many readings gets no further minute. A transaction that does not fit into a memtable
/// fails at every attempt.
const STOP_AFTER_READINGS: usize = 50_000;

/// Rows that are not in the database yet; see the module documentation.
#[derive(Default)]
pub(crate) struct Head {
    pumps: BTreeMap<PumpId, Minutes>,
    /// Minutes with enough rows to be packed, in the order in which they reached that number.
    pack_queue: VecDeque<(PumpId, i64)>,
    other_rows: OtherRows,
    /// Removals that are not finished. Until a removal is finished, nothing of its pump is flushed.
    removals: PendingRemovals,
    /// Lower bounds of the sequence numbers of records that are being appended to the journal, with the number of
    /// records for each.
    in_flight: BTreeMap<Seq, usize>,
    /// The highest record that was applied.
    newest_seq: Seq,
    /// The latest time at which a reading was received, in milliseconds since 1970.
    received_ms: i64,
    bytes: usize,
    reading_count: usize,
    /// Number of past minutes.
    past_count: usize,
    /// Number of readings that were dropped because another one with other values has their time. It should stay 0.
    conflicts: u64,
    /// No reading that was flushed before the start is later than this.
    flushed_before_start: Option<Timestamp>,
    /// The time of the latest reading of each pump that was flushed since the start.
    flushed_latest: BTreeMap<PumpId, Timestamp>,
}

/// One minute of one pump to write.
pub(crate) struct DueMinute {
    pub pump: PumpId,
    pub start_ms: i64,
    /// In ascending order of time, each time once.
    pub readings: Vec<Reading>,
    /// In ascending order of time, each time once.
    pub detections: Vec<Detection>,
    /// Packed rows of both kinds, until [`FlushBatch::unpack`].
    packed: Vec<Arc<Packed>>,
    /// Whether it was opened at least [`PAST_AGE_MS`] after its end.
    pub past: bool,
    /// The numbers of packed blocks, readings and detections to remove from the minute in the head once they are
    /// written.
    row_counts: (usize, usize, usize),
}

/// The content of one flush transaction.
pub(crate) struct FlushBatch {
    pub due: Vec<DueMinute>,
    pub other_rows: OtherRows,
    /// Pumps to remove, with the journal record of each removal.
    pub removals: Vec<(Seq, PumpId)>,
    /// Once the batch is stored, the database has every record below this one.
    pub low_water: Seq,
    /// Whether more may be due.
    pub more: bool,
    /// Number of readings that are left out because an earlier one with other values has their time.
    pub conflicts: usize,
    /// Rows that are added after the batch was taken are in this record or a later one.
    next_seq: Seq,
}

impl DueMinute {
    /// Creates a minute of readings that do not pass through journal and head, such as those of an import
    /// ([`super::bulk_load`]).
    pub(crate) fn loaded(pump: &PumpId, start_ms: i64, mut readings: Vec<Reading>) -> Self {
        readings.sort_by_key(|reading| reading.at);
        merge_parts(&mut readings);
        let (detections, packed) = (Vec::new(), Vec::new());
        Self { pump: pump.clone(), start_ms, readings, detections, packed, past: false, row_counts: (0, 0, 0) }
    }

    /// Returns an upper bound of its readings' times.
    fn latest(&self) -> Option<Timestamp> {
        let end = Timestamp::from_millis(self.start_ms + MINUTE_MS - 1).ok();
        let packed = end.filter(|_| !self.packed.is_empty());
        self.readings.iter().map(|reading| reading.at).max().max(packed)
    }
}

impl FlushBatch {
    /// Decodes the packed rows and merges each minute's rows in order. Call it without holding the head's lock: it
    /// takes time.
    pub(crate) fn unpack(&mut self) -> Result<(), StoreError> {
        for due in &mut self.due {
            let rows = MinuteRows { readings: &due.readings, detections: &due.detections, packed: &due.packed };
            let ((readings, conflicts), detections) =
                (rows.merged_readings(&due.pump)?, rows.all_detections(&due.pump)?);
            (due.readings, due.detections) = (readings, detections);
            due.packed.clear();
            self.conflicts += conflicts;
        }
        Ok(())
    }

    /// Creates a batch of rows that were never in head or journal. `low_water` is the current low-water mark.
    pub(crate) fn loaded(due: Vec<DueMinute>, other_rows: OtherRows, low_water: Seq) -> Self {
        Self { due, other_rows, removals: Vec::new(), low_water, more: false, conflicts: 0, next_seq: low_water }
    }

    /// Returns an upper bound of its readings' times.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        self.due.iter().filter_map(DueMinute::latest).max()
    }
}

impl Head {
    /// Announces a record that is about to be appended to the journal. `durable` is the journal's highest durable
    /// record.
    ///
    /// Returns a lower bound of the new record's sequence number. The low-water mark stays at or below it until
    /// [`Head::end_append`].
    pub(crate) fn begin_append(&mut self, durable: Seq) -> Seq {
        let floor = durable.after();
        *self.in_flight.entry(floor).or_default() += 1;
        floor
    }

    /// Ends what [`Head::begin_append`] announced: the record was applied, or was not written.
    pub(crate) fn end_append(&mut self, floor: Seq) {
        if let Some(count) = self.in_flight.get_mut(&floor) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&floor);
            }
        }
    }

    /// Adds the rows of a batch that is durable as record `seq`. A row that the head already has is skipped.
    pub(crate) fn apply(&mut self, seq: Seq, batch: Batch) {
        self.newest_seq = self.newest_seq.max(seq);
        let Batch { pumps, readings, detections, documents, metrics, checkpoints, removals } = batch;
        for pump in removals {
            self.remove_pump(&pump);
            self.removals.begin(seq, pump);
        }
        self.other_rows.apply(seq, Batch { pumps, documents, metrics, checkpoints, ..Batch::default() });
        let conflicts_before = self.conflicts;
        for reading in readings {
            self.received_ms = self.received_ms.max(reading.received.millis());
            let received_ms = reading.received.millis();
            let packing = self.bytes >= PACK_ABOVE_BYTES;
            let (pump, start_ms) = (reading.pump.clone(), minute_start(reading.at.millis()));
            let bytes = reading_bytes(&reading);
            let minute = self.minute_mut(&pump, reading.at, seq, received_ms);
            match minute.add_reading(reading) {
                AddOutcome::Added => {}
                AddOutcome::Duplicate => continue,
                AddOutcome::Conflict => {
                    self.conflicts += 1;
                    continue;
                }
            }
            let minute_rows = minute.readings.len();
            self.bytes += bytes;
            self.reading_count += 1;
            if packing && minute_rows.is_multiple_of(pack_after_rows(&pump)) {
                self.pack_queue.push_back((pump, start_ms));
            }
        }
        if self.conflicts > conflicts_before {
            let readings = self.conflicts - conflicts_before;
            tracing::error!(%seq, readings, "acknowledged readings were dropped: other readings have their times");
        }
        for detection in detections {
            let opened_ms = self.received_ms;
            let minute = self.minute_mut(&detection.pump, detection.at, seq, opened_ms);
            if !minute.detections.iter().rev().any(|known| known.at == detection.at) {
                let bytes = detection_bytes(&detection);
                minute.detections.push(detection);
                self.bytes += bytes;
            }
        }
    }

    /// Returns the minute that a row belongs to, and opens it if there is none.
    fn minute_mut(&mut self, pump: &PumpId, at: Timestamp, seq: Seq, opened_ms: i64) -> &mut Minute {
        let start_ms = minute_start(at.millis());
        let pump_minutes = self.pumps.entry(pump.clone()).or_default();
        let past = opened_ms - start_ms >= PAST_AGE_MS + MINUTE_MS;
        pump_minutes.get_or_insert(start_ms, || {
            self.bytes += MINUTE_OVERHEAD_BYTES;
            self.past_count += usize::from(past);
            Minute { first_seq: seq, opened_ms, past, ..Minute::default() }
        })
    }

    /// Returns what is due, for one transaction of at most `max_minutes` minutes. The caller must pass the batch to
    /// [`Head::remove_flushed`] or [`Head::abort_flush`].
    pub(crate) fn next_flush_batch(&mut self, policy: DuePolicy, max_minutes: usize) -> FlushBatch {
        let mut next_seq = self.newest_seq.after();
        if let Some(floor) = self.in_flight.keys().next() {
            next_seq = next_seq.min(*floor);
        }
        let (other_rows, remaining) = self.other_rows.first_batch(&self.removals);
        let (now, later): (Vec<_>, Vec<_>) =
            self.removals.not_stored().enumerate().partition(|(index, _)| *index < MAX_REMOVALS_PER_FLUSH);
        let removals: Vec<(Seq, PumpId)> = now.into_iter().map(|(_, (seq, pump))| (seq, pump.clone())).collect();
        // The lowest records of the rows that stay: those beyond the limit of one transaction, and those of pumps that
        // are being removed.
        let low_of_remaining = [remaining.over_limit, remaining.blocked].into_iter().flatten();
        let mut low_water = low_of_remaining.chain(later.iter().map(|(_, (seq, _))| *seq)).fold(next_seq, Seq::min);
        let more_other_rows = remaining.over_limit.is_some() || !later.is_empty();
        let (mut due, mut rows) = (Vec::new(), 0);
        let many_past = self.past_count > PAST_PRESSURE_MINUTES;
        for (pump, pump_minutes) in &mut self.pumps {
            let (newest, is_blocked) = (pump_minutes.newest(), self.removals.contains(pump));
            let many_past = many_past || pump_minutes.past() > PAST_PRESSURE_MINUTES_PER_PUMP;
            for (start_ms, minute) in pump_minutes.iter_mut() {
                let is_due = minute.is_due(pump, start_ms, Some(start_ms) == newest, many_past, policy);
                if !is_blocked && due.len() < max_minutes && rows < STOP_AFTER_READINGS && is_due {
                    minute.flushing = true;
                    rows += minute.count();
                    due.push(DueMinute {
                        pump: pump.clone(),
                        start_ms,
                        readings: minute.readings.clone(),
                        detections: minute.detections.clone(),
                        packed: minute.packed.clone(),
                        past: minute.past,
                        row_counts: (minute.packed.len(), minute.readings.len(), minute.detections.len()),
                    });
                } else {
                    low_water = low_water.min(minute.first_seq);
                }
            }
        }
        let more = due.len() >= max_minutes || rows >= STOP_AFTER_READINGS || more_other_rows;
        FlushBatch { due, other_rows, removals, low_water, more, conflicts: 0, next_seq }
    }

    /// Ends the flush of a batch whose transaction failed: its rows stay in the head.
    pub(crate) fn abort_flush(&mut self, batch: &FlushBatch) {
        for due in &batch.due {
            if let Some(minute) =
                self.pumps.get_mut(&due.pump).and_then(|pump_minutes| pump_minutes.get_mut(due.start_ms))
            {
                minute.flushing = false;
            }
        }
    }

    /// Ends the flush of a batch that is in the database: its rows leave the head.
    pub(crate) fn remove_flushed(&mut self, batch: &FlushBatch) {
        for due in &batch.due {
            if let Some(latest) = due.latest() {
                self.record_flushed(&due.pump, latest);
            }
            let (packed, readings, detections) = due.row_counts;
            self.update_minute(&due.pump, due.start_ms, |minute| {
                minute.packed.drain(..packed.min(minute.packed.len()));
                minute.readings.drain(..readings.min(minute.readings.len()));
                minute.detections.drain(..detections.min(minute.detections.len()));
                minute.first_seq = batch.next_seq;
                minute.flushing = false;
            });
        }
        for (seq, pump) in &batch.removals {
            self.removals.mark_stored(*seq, pump);
        }
        self.other_rows.remove_flushed(&batch.other_rows);
    }

    /// Counts readings that were acknowledged and dropped, because others with other values have their times.
    pub(crate) fn record_conflicts(&mut self, readings: usize) {
        self.conflicts += readings as u64;
    }

    /// Records that the database holds a reading of the pump at this time.
    pub(crate) fn record_flushed(&mut self, pump: &PumpId, latest: Timestamp) {
        match self.flushed_latest.get_mut(pump) {
            Some(known) => *known = latest.max(*known),
            None => drop(self.flushed_latest.insert(pump.clone(), latest)),
        }
    }

    /// Sets the upper bound of the times that were flushed before the start, to `now` or the latest time of receipt.
    pub(crate) fn set_flushed_before_start(&mut self, now: Timestamp) {
        let received = Timestamp::from_millis(self.received_ms).ok();
        self.flushed_before_start = received.max(Some(now));
    }

    /// Returns a time after which the database holds no reading of the pump.
    pub(crate) fn flushed_until(&self, pump: &PumpId) -> Option<Timestamp> {
        self.flushed_before_start.max(self.flushed_latest.get(pump).copied())
    }

    /// Returns the number of past minutes of this pump and of all pumps.
    pub(crate) fn past_minutes(&self, pump: &PumpId) -> (usize, usize) {
        (self.pumps.get(pump).map_or(0, Minutes::past), self.past_count)
    }

    /// Returns the number of readings that were acknowledged and dropped; see [`Head::record_conflicts`].
    pub(crate) fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// Removes rows that the database already has. The replay of the journal read them because the low-water mark was
    /// below them.
    pub(crate) fn discard_stored(
        &mut self,
        pump: &PumpId,
        start_ms: i64,
        stored: &StoredRows,
    ) -> Result<(), StoreError> {
        if let Some((latest, _)) = stored.readings.last_key_value() {
            self.record_flushed(pump, *latest);
        }
        let discarded = self.update_minute(pump, start_ms, |minute| {
            minute.unpack(pump)?;
            // A part whose channels are not in the block stays.
            minute.readings.retain(|reading| match stored.readings.get(&reading.at) {
                Some(known) => known.overlap(&reading.samples) == SampleOverlap::Adds,
                None => true,
            });
            minute.detections.retain(|detection| !stored.detections.contains(&detection.at));
            Ok(())
        });
        discarded.unwrap_or(Ok(()))
    }

    /// Calls `take`, which may remove rows, on a minute if the head has it. Then removes the minute if it is empty, and
    /// updates the head's counters.
    fn update_minute<T>(&mut self, pump: &PumpId, start_ms: i64, take: impl FnOnce(&mut Minute) -> T) -> Option<T> {
        let pump_minutes = self.pumps.get_mut(pump)?;
        let minute = pump_minutes.get_mut(start_ms)?;
        let (bytes, readings) = (minute.bytes(), minute.count());
        let taken = take(minute);
        let (is_empty, past) = (minute.is_empty(), minute.past);
        let bytes_left = if is_empty { 0 } else { minute.bytes() };
        self.bytes = (self.bytes + bytes_left).saturating_sub(bytes);
        self.reading_count = (self.reading_count + minute.count()).saturating_sub(readings);
        if is_empty {
            pump_minutes.remove(start_ms);
            self.past_count -= usize::from(past);
        }
        if pump_minutes.is_empty() {
            self.pumps.remove(pump);
        }
        Some(taken)
    }

    /// Packs the rows of all minutes that are due under the policy.
    pub(crate) fn pack(&mut self, policy: DuePolicy) {
        for (pump, pump_minutes) in &mut self.pumps {
            let newest = pump_minutes.newest();
            for (start_ms, minute) in pump_minutes.iter_mut() {
                if !minute.flushing && minute.is_due(pump, start_ms, Some(start_ms) == newest, false, policy) {
                    let before = minute.bytes();
                    minute.pack();
                    self.bytes = (self.bytes + minute.bytes()).saturating_sub(before);
                }
            }
        }
    }

    /// Returns a copy of the next rows to pack, if there are any. They stay in the head until [`Head::replace`].
    pub(crate) fn next_pack_candidate(&mut self) -> Option<PackCandidate> {
        while let Some((pump, start_ms)) = self.pack_queue.pop_front() {
            let minute = self.pumps.get(&pump).and_then(|pump_minutes| pump_minutes.get(start_ms));
            if let Some(candidate) = minute.and_then(|minute| minute.pack_candidate(&pump, start_ms)) {
                return Some(candidate);
            }
        }
        None
    }

    /// Replaces rows by their packed form. Does nothing if they were flushed or are being flushed.
    pub(crate) fn replace(&mut self, candidate: &PackCandidate, packed: Packed) {
        let Some(minute) =
            self.pumps.get_mut(&candidate.pump).and_then(|pump_minutes| pump_minutes.get_mut(candidate.start_ms))
        else {
            return;
        };
        let before = minute.bytes();
        minute.replace(candidate, packed);
        self.bytes = (self.bytes + minute.bytes()).saturating_sub(before);
    }

    /// Returns a pump's readings from `from_ms` (inclusive) to `to_ms` (exclusive), oldest first.
    pub(crate) fn readings(&self, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Reading>, StoreError> {
        let mut rows = Vec::new();
        for minute in self.minutes(pump, from_ms, to_ms) {
            let minute = minute.rows().all_readings(pump)?;
            rows.extend(minute.into_iter().filter(|row| (from_ms..to_ms).contains(&row.at.millis())));
        }
        Ok(rows)
    }

    /// Returns a pump's detections from `from_ms` (inclusive) to `to_ms` (exclusive), oldest first.
    pub(crate) fn detections(&self, pump: &PumpId, from_ms: i64, to_ms: i64) -> Result<Vec<Detection>, StoreError> {
        let mut rows = Vec::new();
        for minute in self.minutes(pump, from_ms, to_ms) {
            let minute = minute.rows().all_detections(pump)?;
            rows.extend(minute.into_iter().filter(|row| (from_ms..to_ms).contains(&row.at.millis())));
        }
        Ok(rows)
    }

    /// Returns the rows other than readings and detections.
    pub(crate) fn other_rows(&self) -> &OtherRows {
        &self.other_rows
    }

    /// Returns the removals that are not finished.
    pub(crate) fn removals(&self) -> &PendingRemovals {
        &self.removals
    }

    pub(crate) fn removals_mut(&mut self) -> &mut PendingRemovals {
        &mut self.removals
    }

    /// Drops everything of a pump.
    fn remove_pump(&mut self, pump: &PumpId) {
        let minutes = self.pumps.remove(pump).unwrap_or_default();
        for minute in minutes.iter() {
            self.bytes = self.bytes.saturating_sub(minute.bytes());
            self.reading_count = self.reading_count.saturating_sub(minute.count());
        }
        self.past_count = self.past_count.saturating_sub(minutes.past());
        self.flushed_latest.remove(pump);
        self.other_rows.remove_pump(pump);
    }

    /// Returns the pump and start of each minute that may have readings.
    pub(crate) fn minutes_with_readings(&self) -> Vec<(PumpId, i64)> {
        self.minute_keys(|minute| !minute.readings.is_empty() || !minute.packed.is_empty())
    }

    /// Returns the pump and start of each minute that may have detections.
    pub(crate) fn minutes_with_detections(&self) -> Vec<(PumpId, i64)> {
        self.minute_keys(|minute| !minute.detections.is_empty() || !minute.packed.is_empty())
    }

    fn minute_keys(&self, has: fn(&Minute) -> bool) -> Vec<(PumpId, i64)> {
        let pump_minutes = |(pump, minutes): (&PumpId, &Minutes)| {
            let all = minutes.starts().zip(minutes.iter());
            all.filter(|(_, minute)| has(minute)).map(|(start_ms, _)| (pump.clone(), start_ms)).collect::<Vec<_>>()
        };
        self.pumps.iter().flat_map(pump_minutes).collect()
    }

    /// Returns the start of a pump's earliest minute, in milliseconds since 1970.
    pub(crate) fn earliest_ms(&self, pump: &PumpId) -> Option<i64> {
        self.pumps.get(pump)?.starts().next()
    }

    /// Returns the number of readings in the head.
    pub(crate) fn unflushed_readings(&self) -> usize {
        self.reading_count
    }

    /// Returns about how many bytes of memory the head takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.other_rows.bytes()
    }

    /// Returns when the oldest minute was opened, by the node's clock, in milliseconds since 1970.
    pub(crate) fn oldest_opened_ms(&self) -> Option<i64> {
        self.pumps.values().flat_map(Minutes::iter).map(|minute| minute.opened_ms).min()
    }

    fn minutes(&self, pump: &PumpId, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &Minute> {
        let first = minute_start(from_ms);
        self.pumps.get(pump).into_iter().flat_map(move |pump_minutes| pump_minutes.starting_in(first..to_ms))
    }
}

/// The rows of a minute that the database has.
#[derive(Default)]
pub(crate) struct StoredRows {
    pub readings: BTreeMap<Timestamp, Reading>,
    /// The times of the detections.
    pub detections: BTreeSet<Timestamp>,
}

#[cfg(test)]
mod tests;
