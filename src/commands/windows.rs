//! From recorded rows to windows, with the windower that a live node uses.

use std::num::NonZeroUsize;

use volute_data::Row;
use volute_plant::{Placed, Profile, PumpId, Reading, Window, Windower};

/// The windows that the rows would give on a live node, with their readings, in order.
pub fn placed(profile: &Profile, pump: &PumpId, rows: &[Row]) -> Vec<Placed> {
    let mut windower = Windower::new(profile);
    let mut placed = Vec::with_capacity(rows.len());
    for row in rows {
        placed.extend(windower.push(reading(pump, row)));
    }
    placed.extend(windower.flush());
    placed
}

/// The windows to train on, every nth of them: none holds a row that is known not to be normal.
pub fn training_windows(profile: &Profile, pump: &PumpId, rows: &[Row], every: NonZeroUsize) -> Vec<Window> {
    let mut windows = Vec::new();
    for run in rows.split(|row| row.normal == Some(false)) {
        let mut windower = Windower::new(profile);
        let mut found = 0;
        let mut keep = |placed: Vec<Placed>| {
            for window in placed.into_iter().filter_map(|placed| placed.window.ok()) {
                if found % every == 0 {
                    windows.push(window);
                }
                found += 1;
            }
        };
        for row in run {
            keep(windower.push(reading(pump, row)));
        }
        keep(windower.flush());
    }
    windows
}

fn reading(pump: &PumpId, row: &Row) -> Reading {
    Reading { pump: pump.clone(), at: row.at, received: row.at, samples: row.samples.clone(), late: false }
}
