//! From recorded rows to windows, with the windower that a live node uses.

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

/// The windows to train on: none holds a row that is known not to be normal.
pub fn training_windows(profile: &Profile, pump: &PumpId, rows: &[Row]) -> Vec<Window> {
    let normal_runs = rows.split(|row| row.normal == Some(false));
    normal_runs.flat_map(|run| placed(profile, pump, run)).filter_map(|placed| placed.window.ok()).collect()
}

fn reading(pump: &PumpId, row: &Row) -> Reading {
    Reading { pump: pump.clone(), at: row.at, received: row.at, samples: row.samples.clone(), late: false }
}
