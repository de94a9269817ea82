//! Where the oldest rows are that retention deletes, as far as is known, and how far its pass is.

use std::collections::{HashMap, VecDeque};

use parking_lot::{Mutex, MutexGuard};
use volute_plant::{PumpId, Timestamp};

/// A table that retention deletes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aged {
    Readings,
    Detections,
    MinuteRollups,
    HourRollups,
    Metrics,
    /// The directory of hours; its numbers are hours since 1970.
    Hours,
}

const TABLES: usize = 6;

impl Aged {
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

/// For each owner and table: no row starts earlier than this. `i64::MAX`: there is none. `None`: not known.
#[derive(Default)]
pub(crate) struct Oldest(Mutex<HashMap<String, [Option<i64>; TABLES]>>);

impl Oldest {
    /// A row with this start may have been written.
    pub(crate) fn note(&self, owner: &str, table: Aged, start: i64) {
        if let Some(Some(known)) = self.lock().get_mut(owner).map(|known| &mut known[table as usize]) {
            *known = (*known).min(start);
        }
    }

    /// Nothing is known any more.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn get(&self, owner: &str, table: Aged) -> Option<i64> {
        self.lock().get(owner).and_then(|known| known[table as usize])
    }

    pub(super) fn set(&self, owner: &str, table: Aged, start: Option<i64>) {
        self.lock().entry(owner.to_owned()).or_default()[table as usize] = start;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<String, [Option<i64>; TABLES]>> {
        self.0.lock()
    }
}

impl Oldest {
    /// Forgets a pump that is removed: a new one of its name has other rows.
    pub(super) fn forget(&self, pump: &PumpId) {
        self.lock().remove(pump.as_str());
    }
}

/// Whom the current pass has not come to yet, the next one first.
#[derive(Default)]
pub(crate) struct Pass {
    pub(super) owners: VecDeque<String>,
    /// When documents were last looked at.
    pub(super) documents_at: Option<Timestamp>,
}
