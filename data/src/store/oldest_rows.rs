//! Lower bounds of the times of the oldest rows in the tables that retention deletes from, and the progress of its
//! pass.

use std::collections::{HashMap, VecDeque};

use parking_lot::{Mutex, MutexGuard};
use volute_plant::{PumpId, Timestamp};

/// A table that retention deletes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetainedTable {
    Readings,
    Detections,
    MinuteRollups,
    HourRollups,
    Metrics,
    /// The hour index; its numbers are hours since 1970.
    Hours,
}

const TABLES: usize = 6;

impl RetainedTable {
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Readings => "sensor_readings",
            Self::Detections => "anomaly_detections",
            Self::MinuteRollups => "rollup_minute",
            Self::HourRollups => "rollup_hour",
            Self::Metrics => "system_metrics",
            Self::Hours => "recorded_hour",
        }
    }
}

/// For each owner (a pump or the node) and table, a lower bound of the starts of its rows. The bound is `i64::MAX` if
/// there is no row, and `None` if it is not known.
#[derive(Default)]
pub(crate) struct OldestRows(Mutex<HashMap<String, [Option<i64>; TABLES]>>);

impl OldestRows {
    /// Lowers a known bound to `start`, because a row with this start may have been written.
    pub(crate) fn lower(&self, owner: &str, table: RetainedTable, start: i64) {
        if let Some(Some(known)) = self.lock().get_mut(owner).map(|known| &mut known[table as usize]) {
            *known = (*known).min(start);
        }
    }

    /// Clears all bounds.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn get(&self, owner: &str, table: RetainedTable) -> Option<i64> {
        self.lock().get(owner).and_then(|known| known[table as usize])
    }

    pub(super) fn set(&self, owner: &str, table: RetainedTable, start: Option<i64>) {
        self.lock().entry(owner.to_owned()).or_default()[table as usize] = start;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<String, [Option<i64>; TABLES]>> {
        self.0.lock()
    }
}

impl OldestRows {
    /// Removes a pump's bounds, because the pump is removed and a new one of the same id will have other rows.
    pub(super) fn remove(&self, pump: &PumpId) {
        self.lock().remove(pump.as_str());
    }
}

/// The owners (pumps and the node) that the current pass has not visited yet, the next one first.
#[derive(Default)]
pub(crate) struct SweepPass {
    pub(super) owners: VecDeque<String>,
    /// When documents were last checked.
    pub(super) documents_at: Option<Timestamp>,
}
