//! One pump's minute in the head: its rows, some of them packed.
//!
//! Each part of a reading that arrived in parts is a row of its own; reading the rows merges them
//! ([`MinuteRows::merged_readings`]). They are not merged earlier because the rows of a minute that is being flushed
//! must stay as they are. The first parts of a reading may be in the database already.
//!
//! Does not know the pump's other minutes (see `minutes.rs`) and takes no lock.

use std::{ops::RangeInclusive, sync::Arc};

use volute_journal::Seq;
use volute_plant::{Detection, PumpId, Reading, SampleOverlap, Timestamp};

use super::due::{DuePolicy, MAX_AHEAD_MS, MINUTE_MS};
use crate::{
    block::{decode_detections, decode_readings, encode_detections, encode_readings},
    store::StoreError,
};

/// The number of rows from which a minute is packed. With fewer rows the fixed overhead of a block outweighs what
/// packing saves. Each pump has a fixed number in this range; otherwise pumps that started together would all be packed
/// at the same time.
pub(super) const PACK_AFTER_ROWS: RangeInclusive<u16> = 6..=14;

/// About how many bytes a minute takes besides its rows: the minute itself, and the spare capacity of a vector that
/// starts with room for four readings.
pub(super) const MINUTE_OVERHEAD_BYTES: usize = size_of::<(i64, Minute)>() + 3 * size_of::<Reading>();

/// Rows of one pump and minute.
#[derive(Default)]
pub(super) struct Minute {
    /// The journal record of its first row: none of its rows is in an earlier record.
    pub first_seq: Seq,
    /// When its first row was received, by the node's clock, in milliseconds since 1970.
    pub opened_ms: i64,
    pub readings: Vec<Reading>,
    /// The time of the latest reading that was added.
    pub newest: Option<Timestamp>,
    pub detections: Vec<Detection>,
    pub packed: Vec<Arc<Packed>>,
    /// Whether it was opened at least [`PAST_AGE_MS`](super::due::PAST_AGE_MS) after its end.
    pub past: bool,
    /// Whether a flush is writing its rows. They stay where they are until the flush has ended.
    pub flushing: bool,
}

/// What happened to a reading that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddOutcome {
    Added,
    /// The minute already had all of its values.
    Duplicate,
    /// The minute has a reading of the same time with another value, which is kept.
    Conflict,
}

/// Rows in compressed form.
pub(crate) struct Packed {
    readings: Box<[u8]>,
    /// The number of readings.
    count: usize,
    detections: Box<[u8]>,
}

/// A copy of the rows of one minute, to be packed.
pub(crate) struct PackCandidate {
    pub(super) pump: PumpId,
    pub(super) start_ms: i64,
    readings: Vec<Reading>,
    detections: Vec<Detection>,
}

impl PackCandidate {
    /// Compresses the rows. Call it without holding the head's lock: it takes time.
    pub(crate) fn pack(&self) -> Packed {
        Packed::of(self.readings.clone(), self.detections.clone())
    }
}

impl Packed {
    fn of(mut readings: Vec<Reading>, mut detections: Vec<Detection>) -> Self {
        readings.sort_by_key(|reading| reading.at);
        // There are no conflicts: conflicting readings were not added.
        merge_parts(&mut readings);
        detections.sort_by_key(|detection| detection.at);
        // A box has no spare capacity, and there are many packed minutes.
        let (packed_readings, packed_detections) = (encode_readings(&readings), encode_detections(&detections));
        Self { count: readings.len(), readings: packed_readings.into(), detections: packed_detections.into() }
    }
}

impl Minute {
    /// Adds a reading, or a part of one, unless the unpacked readings of its time already have all of its values.
    /// Packed ones are compared later, in [`MinuteRows::merged_readings`].
    pub(super) fn add_reading(&mut self, reading: Reading) -> AddOutcome {
        // Most readings are later than all before, so there is nothing to compare with.
        if Some(reading.at) <= self.newest {
            let mut known: Option<Reading> = None;
            for row in self.readings.iter().filter(|row| row.at == reading.at) {
                known = Some(known.map_or_else(|| row.clone(), |known| known.merged_with(&row.samples)));
            }
            match known.map(|known| known.overlap(&reading.samples)) {
                Some(SampleOverlap::Duplicate) => return AddOutcome::Duplicate,
                Some(SampleOverlap::Conflict { .. }) => return AddOutcome::Conflict,
                Some(SampleOverlap::Adds) | None => {}
            }
        }
        self.newest = self.newest.max(Some(reading.at));
        self.readings.push(reading);
        AddOutcome::Added
    }

    /// Returns a copy of its rows if there are enough to pack.
    pub(super) fn pack_candidate(&self, pump: &PumpId, start_ms: i64) -> Option<PackCandidate> {
        let is_candidate = !self.flushing && self.readings.len() >= pack_after_rows(pump);
        is_candidate.then(|| PackCandidate {
            pump: pump.clone(),
            start_ms,
            readings: self.readings.clone(),
            detections: self.detections.clone(),
        })
    }

    /// Replaces rows by their packed form. Does nothing if they were flushed or are being flushed.
    pub(super) fn replace(&mut self, candidate: &PackCandidate, packed: Packed) {
        let (readings, detections) = (candidate.readings.len(), candidate.detections.len());
        let unchanged = self.readings.get(..readings) == Some(&candidate.readings[..])
            && self.detections.get(..detections) == Some(&candidate.detections[..]);
        if self.flushing || !unchanged {
            return;
        }
        // `split_off` returns new vectors. The old ones would keep their capacity.
        self.readings = self.readings.split_off(readings);
        self.detections = self.detections.split_off(detections);
        self.packed.push(Arc::new(packed));
    }

    /// Returns whether it must be flushed now. `past_pressure`: there are so many past minutes that they are due
    /// without a delay. A minute is flushed only after its end has passed by the node's clock, except under
    /// [`DuePolicy::All`] and if the clock was set back. [`super::Head::set_flushed_before_start`] relies on that.
    pub(super) fn is_due(
        &self,
        pump: &PumpId,
        start_ms: i64,
        is_newest: bool,
        past_pressure: bool,
        policy: DuePolicy,
    ) -> bool {
        let now_ms = match policy {
            DuePolicy::All => return true,
            DuePolicy::Normal(now) | DuePolicy::UnderPressure(now) => now.millis(),
        };
        // It was opened in the future, or starts in the future: the clock was set back, and may take long to reach that
        // time again.
        if self.opened_ms > now_ms + MINUTE_MS || start_ms > now_ms + MAX_AHEAD_MS {
            return true;
        }
        // The newest minute still receives readings.
        let pressure = !is_newest && (matches!(policy, DuePolicy::UnderPressure(_)) || past_pressure && self.past);
        start_ms + MINUTE_MS <= now_ms && (pressure || now_ms >= self.opened_ms + MINUTE_MS + flush_delay_ms(pump))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readings.is_empty() && self.detections.is_empty() && self.packed.is_empty()
    }

    /// Returns the number of readings; one that was received twice may count twice.
    pub(super) fn count(&self) -> usize {
        self.readings.len() + self.packed.iter().map(|packed| packed.count).sum::<usize>()
    }

    pub(super) fn unpack(&mut self, pump: &PumpId) -> Result<(), StoreError> {
        if !self.packed.is_empty() {
            (self.readings, self.detections) = (self.rows().all_readings(pump)?, self.rows().all_detections(pump)?);
            self.packed.clear();
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        let packed: usize = self.packed.iter().map(|packed| packed.readings.len() + packed.detections.len() + 64).sum();
        MINUTE_OVERHEAD_BYTES
            + packed
            + self.readings.iter().map(reading_bytes).sum::<usize>()
            + self.detections.iter().map(detection_bytes).sum::<usize>()
    }

    pub(super) fn pack(&mut self) {
        if self.readings.is_empty() && self.detections.is_empty() {
            return;
        }
        let (readings, detections) = (std::mem::take(&mut self.readings), std::mem::take(&mut self.detections));
        self.packed.push(Arc::new(Packed::of(readings, detections)));
    }

    pub(super) fn rows(&self) -> MinuteRows<'_> {
        MinuteRows { readings: &self.readings, detections: &self.detections, packed: &self.packed }
    }
}

/// The rows of a minute, some of them packed.
pub(super) struct MinuteRows<'a> {
    pub readings: &'a [Reading],
    pub detections: &'a [Detection],
    pub packed: &'a [Arc<Packed>],
}

impl MinuteRows<'_> {
    pub(super) fn all_readings(&self, pump: &PumpId) -> Result<Vec<Reading>, StoreError> {
        Ok(self.merged_readings(pump)?.0)
    }

    /// Returns one reading for each time, with the channels of all its parts, and the number of parts with conflicting
    /// values.
    pub(super) fn merged_readings(&self, pump: &PumpId) -> Result<(Vec<Reading>, usize), StoreError> {
        let mut rows = Vec::new();
        for packed in self.packed {
            rows.extend(decode_readings(pump, &packed.readings).map_err(|error| unpack_error(pump, &error))?);
        }
        rows.extend(self.readings.iter().cloned());
        rows.sort_by_key(|row| row.at);
        let conflicts = merge_parts(&mut rows);
        Ok((rows, conflicts))
    }

    pub(super) fn all_detections(&self, pump: &PumpId) -> Result<Vec<Detection>, StoreError> {
        let mut rows = self.detections.to_vec();
        for packed in self.packed {
            rows.extend(decode_detections(pump, &packed.detections).map_err(|error| unpack_error(pump, &error))?);
        }
        rows.sort_by_key(|row| row.at);
        rows.dedup_by_key(|row| row.at);
        Ok(rows)
    }
}

/// Merges rows of the same time into one reading. The rows are sorted by time; of conflicting values at one time the
/// first is kept. Returns the number of rows with conflicting values.
pub(crate) fn merge_parts(rows: &mut Vec<Reading>) -> usize {
    let mut conflicts = 0;
    rows.dedup_by(|later, first| {
        if later.at != first.at {
            return false;
        }
        let overlap = first.overlap(&later.samples);
        conflicts += usize::from(matches!(overlap, SampleOverlap::Conflict { .. }));
        if overlap != SampleOverlap::Duplicate {
            *first = first.merged_with(&later.samples);
        }
        true
    });
    conflicts
}

/// Returns how long after its minimum age a minute of this pump is flushed, from 0 to 59,999 ms. It is fixed for each
/// pump, so that the flushes of all pumps are spread over a minute.
fn flush_delay_ms(pump: &PumpId) -> i64 {
    i64::from(pump.hash_slot(60_000))
}

/// Returns the number of rows from which a minute of this pump is packed.
pub(super) fn pack_after_rows(pump: &PumpId) -> usize {
    let (fewest, most) = (*PACK_AFTER_ROWS.start(), *PACK_AFTER_ROWS.end());
    usize::from(fewest + pump.hash_slot(most - fewest + 1))
}

pub(super) fn reading_bytes(reading: &Reading) -> usize {
    size_of::<Reading>() + 16 + reading.samples.len() * 16
}

pub(super) fn detection_bytes(detection: &Detection) -> usize {
    size_of::<Detection>() + 16 + detection.contributions.len() * 8
}

fn unpack_error(pump: &PumpId, error: &dyn std::error::Error) -> StoreError {
    StoreError::Unreadable { row: format!("the rows of {pump} in the head"), reason: error.to_string() }
}
