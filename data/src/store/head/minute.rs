//! One pump's minute in the head: its rows, some of them packed.
//!
//! Deliberately absent: which minutes there are, and any lock.

use std::sync::Arc;

use volute_plant::{Detection, PumpId, Reading};

use super::{MINUTE_MS, PACKED_ROWS, Until};
use crate::{
    block::{decode_detections, decode_readings, encode_detections, encode_readings},
    journal::Seq,
    store::StoreError,
};

/// Rows of one pump and minute.
#[derive(Default)]
pub(super) struct Minute {
    /// No row of it is in an earlier record.
    pub first: Seq,
    /// When its first row came, by the node's clock.
    pub opened_ms: i64,
    pub readings: Vec<Reading>,
    pub detections: Vec<Detection>,
    pub packed: Vec<Arc<Packed>>,
    /// A share of it is being written: its rows stay where they are until that has ended.
    pub moving: bool,
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
        detections.sort_by_key(|detection| detection.at);
        // Without the room that they grew into: there are many.
        let (packed_readings, packed_detections) = (encode_readings(&readings), encode_detections(&detections));
        Self { count: readings.len(), readings: packed_readings.into(), detections: packed_detections.into() }
    }
}

impl Minute {
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

    pub(super) fn is_due(&self, pump: &PumpId, is_newest: bool, until: Until) -> bool {
        match until {
            Until::Now => true,
            Until::Crowded(_) if !is_newest => true,
            // Opened in the future: the clock was set back, and may take long to come there again.
            Until::Time(now) | Until::Crowded(now) => {
                let open_ms = now.millis() - self.opened_ms;
                open_ms >= MINUTE_MS + delay_ms(pump) || open_ms < -MINUTE_MS
            }
        }
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
        packed
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
        let mut rows = self.readings.to_vec();
        for packed in self.packed {
            rows.extend(decode_readings(pump, &packed.readings).map_err(|error| unpackable(pump, &error))?);
        }
        rows.sort_by_key(|row| row.at);
        rows.dedup_by_key(|row| row.at);
        Ok(rows)
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

/// Pumps close their minutes spread over one, each always at the same second.
fn delay_ms(pump: &PumpId) -> i64 {
    i64::from(pump.lot(60_000))
}

/// So many of a pump's rows are packed together.
pub(super) fn packed_rows(pump: &PumpId) -> usize {
    let (fewest, most) = (*PACKED_ROWS.start(), *PACKED_ROWS.end());
    usize::from(fewest + pump.lot(most - fewest + 1))
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
