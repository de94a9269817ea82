//! From recorded rows to windows, with the windower that a live node uses.
//!
//! Where time goes back further than a live node waits for a late reading, a new windower begins: rows whose clock was ahead
//! for a while do not hide those after them.

use std::num::NonZeroUsize;

use volute_data::{Row, parts};
use volute_plant::{Placed, Profile, PumpId, Reading, Window, WindowRules, Windower};

/// The windows that the rows would give on a live node, with their readings, in order.
pub fn placed(profile: &Profile, pump: &PumpId, rows: &[Row]) -> Vec<Placed> {
    let mut placed = Vec::with_capacity(rows.len());
    for part in parts(rows, slack_ms(profile)) {
        let mut windower = Windower::new(profile);
        for row in part {
            placed.extend(windower.push(reading(pump, row)));
        }
        placed.extend(windower.flush());
    }
    placed
}

/// The windows to train on, every nth of them: none holds a row that is known not to be normal.
pub fn training_windows(profile: &Profile, pump: &PumpId, rows: &[Row], every: NonZeroUsize) -> Vec<Window> {
    let mut windows = Vec::new();
    let normal = rows.split(|row| row.normal == Some(false));
    for run in normal.flat_map(|run| parts(run, slack_ms(profile))) {
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

/// How late a reading may be and still get its place.
fn slack_ms(profile: &Profile) -> i64 {
    let rules = WindowRules::for_profile(profile);
    rules.slack_steps * rules.interval_ms
}

fn reading(pump: &PumpId, row: &Row) -> Reading {
    Reading { pump: pump.clone(), at: row.at, received: row.at, samples: row.samples.clone(), late: false }
}
