//! One pump's minute in the head: its rows, some of them packed.
//!
//! A reading that came in parts is as many rows here, and one where rows are read ([`Rows::one_per_time`]): rows of a minute
//! that is being written must stay as they are. Its first parts may be in the database already.
//!
//! Deliberately absent: which minutes there are, and any lock.

use std::{ops::RangeInclusive, sync::Arc};

use volute_journal::Seq;
use volute_plant::{Beside, Detection, PumpId, Reading, Timestamp};

use super::due::{MINUTE_MS, SET_BACK_MS, Until};
use crate::{
    block::{decode_detections, decode_readings, encode_detections, encode_readings},
    store::StoreError,
};

/// About so many rows are packed together then: with fewer, a block's frame weighs too much. Each pump has its own number
/// between these, or all that began together would be packed together.
pub(super) const PACKED_ROWS: RangeInclusive<u16> = 6..=14;

/// About how much memory a minute takes besides its rows, and a vector that begins with room for four.
pub(super) const MINUTE_BYTES: usize = size_of::<(i64, Minute)>() + 3 * size_of::<Reading>();

/// Rows of one pump and minute.
#[derive(Default)]
pub(super) struct Minute {
    /// No row of it is in an earlier record.
    pub first: Seq,
    /// When its first row came, by the node's clock.
    pub opened_ms: i64,
    pub readings: Vec<Reading>,
    /// The latest of all that came.
    pub newest: Option<Timestamp>,
    pub detections: Vec<Detection>,
    pub packed: Vec<Arc<Packed>>,
    /// It was opened for readings of the past.
    pub past: bool,
    /// A share of it is being written: its rows stay where they are until that has ended.
    pub moving: bool,
}

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TakenIn {
    New,
    /// It was here already.
    Known,
    /// Another one with other values has its time, and stands.
    Conflict,
}

/// Rows that wait in compressed form.
pub(crate) struct Packed {
    readings: Box<[u8]>,
    count: usize,
    detections: Box<[u8]>,
}

/// Rows of one minute that should be packed.
pub(crate) struct Ripe {
    pub(super) pump: PumpId,
    pub(super) start_ms: i64,
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
        // None has other values: those were not taken in.
        join_parts(&mut readings);
        detections.sort_by_key(|detection| detection.at);
        // Without the room that they grew into: there are many.
        let (packed_readings, packed_detections) = (encode_readings(&readings), encode_detections(&detections));
        Self { count: readings.len(), readings: packed_readings.into(), detections: packed_detections.into() }
    }
}

impl Minute {
    /// Takes a reading in, or a part of one, unless those of its time that are here say all of it: packed ones are not looked
    /// at, [`Rows::one_per_time`] does that.
    pub(super) fn take_in(&mut self, reading: Reading) -> TakenIn {
        // Most readings are the latest: none has to be looked for.
        if Some(reading.at) <= self.newest {
            let mut known: Option<Reading> = None;
            for row in self.readings.iter().filter(|row| row.at == reading.at) {
                known = Some(known.map_or_else(|| row.clone(), |known| known.with(&row.samples)));
            }
            match known.map(|known| known.beside(&reading.samples)) {
                Some(Beside::Known) => return TakenIn::Known,
                Some(Beside::Conflict { .. }) => return TakenIn::Conflict,
                Some(Beside::Adds) | None => {}
            }
        }
        self.newest = self.newest.max(Some(reading.at));
        self.readings.push(reading);
        TakenIn::New
    }

    /// Its rows, if there are enough of them to be packed.
    pub(super) fn ripe(&self, pump: &PumpId, start_ms: i64) -> Option<Ripe> {
        let ripe = !self.moving && self.readings.len() >= packed_rows(pump);
        ripe.then(|| Ripe {
            pump: pump.clone(),
            start_ms,
            readings: self.readings.clone(),
            detections: self.detections.clone(),
        })
    }

    /// These rows are packed. Where they have moved on meanwhile, nothing is changed.
    pub(super) fn replace(&mut self, ripe: &Ripe, packed: Packed) {
        let (readings, detections) = (ripe.readings.len(), ripe.detections.len());
        let stand = self.readings.get(..readings) == Some(&ripe.readings[..])
            && self.detections.get(..detections) == Some(&ripe.detections[..]);
        if self.moving || !stand {
            return;
        }
        // Into fresh vectors: what these grew to would stay otherwise.
        self.readings = self.readings.split_off(readings);
        self.detections = self.detections.split_off(detections);
        self.packed.push(Arc::new(packed));
    }

    /// Whether it is written now. Before its end has passed by the node's clock it is not, except where everything is: the
    /// start relies on it ([`super::Head::begin_at`]).
    pub(super) fn is_due(
        &self,
        pump: &PumpId,
        start_ms: i64,
        is_newest: bool,
        past_is_crowded: bool,
        until: Until,
    ) -> bool {
        let now_ms = match until {
            Until::Now => return true,
            Until::Time(now) | Until::Crowded(now) => now.millis(),
        };
        // Opened in the future, or for it: the clock was set back, and may take long to come there again.
        if self.opened_ms > now_ms + MINUTE_MS || start_ms > now_ms + SET_BACK_MS {
            return true;
        }
        // The newest still grows.
        let crowded = !is_newest && (matches!(until, Until::Crowded(_)) || past_is_crowded && self.past);
        start_ms + MINUTE_MS <= now_ms && (crowded || now_ms >= self.opened_ms + MINUTE_MS + delay_ms(pump))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readings.is_empty() && self.detections.is_empty() && self.packed.is_empty()
    }

    /// Readings, one that came twice counted twice.
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
        MINUTE_BYTES
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

    pub(super) fn rows(&self) -> Rows<'_> {
        Rows { readings: &self.readings, detections: &self.detections, packed: &self.packed }
    }
}

/// A minute's rows, some of them packed.
pub(super) struct Rows<'a> {
    pub readings: &'a [Reading],
    pub detections: &'a [Detection],
    pub packed: &'a [Arc<Packed>],
}

impl Rows<'_> {
    pub(super) fn all_readings(&self, pump: &PumpId) -> Result<Vec<Reading>, StoreError> {
        Ok(self.one_per_time(pump)?.0)
    }

    /// The readings, of each time one with the channels of all its parts, and how many parts had other values.
    pub(super) fn one_per_time(&self, pump: &PumpId) -> Result<(Vec<Reading>, usize), StoreError> {
        let mut rows = Vec::new();
        for packed in self.packed {
            rows.extend(decode_readings(pump, &packed.readings).map_err(|error| unpackable(pump, &error))?);
        }
        rows.extend(self.readings.iter().cloned());
        rows.sort_by_key(|row| row.at);
        let conflicts = join_parts(&mut rows);
        Ok((rows, conflicts))
    }

    pub(super) fn all_detections(&self, pump: &PumpId) -> Result<Vec<Detection>, StoreError> {
        let mut rows = self.detections.to_vec();
        for packed in self.packed {
            rows.extend(decode_detections(pump, &packed.detections).map_err(|error| unpackable(pump, &error))?);
        }
        rows.sort_by_key(|row| row.at);
        rows.dedup_by_key(|row| row.at);
        Ok(rows)
    }
}

/// Makes one reading of all that have one time; they are in the order of their times, and of those with one time the first
/// stands. Returns how many of the others had other values.
pub(crate) fn join_parts(rows: &mut Vec<Reading>) -> usize {
    let mut conflicts = 0;
    rows.dedup_by(|later, first| {
        if later.at != first.at {
            return false;
        }
        let beside = first.beside(&later.samples);
        conflicts += usize::from(matches!(beside, Beside::Conflict { .. }));
        if beside != Beside::Known {
            *first = first.with(&later.samples);
        }
        true
    });
    conflicts
}

/// Pumps close their minutes spread over one, each always at the same second.
fn delay_ms(pump: &PumpId) -> i64 {
    i64::from(pump.hash_slot(60_000))
}

/// So many of a pump's rows are packed together.
pub(super) fn packed_rows(pump: &PumpId) -> usize {
    let (fewest, most) = (*PACKED_ROWS.start(), *PACKED_ROWS.end());
    usize::from(fewest + pump.hash_slot(most - fewest + 1))
}

pub(super) fn reading_bytes(reading: &Reading) -> usize {
    size_of::<Reading>() + 16 + reading.samples.len() * 16
}

pub(super) fn detection_bytes(detection: &Detection) -> usize {
    size_of::<Detection>() + 16 + detection.contributions.len() * 8
}

fn unpackable(pump: &PumpId, error: &dyn std::error::Error) -> StoreError {
    StoreError::Unreadable { row: format!("the waiting rows of {pump}"), reason: error.to_string() }
}
