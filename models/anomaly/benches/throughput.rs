//! How many windows a second one thread trains on and scores, at the product's size: 30 x 10, 64 units.
//!
//! `cargo bench -p volute-anomaly`; set `RAYON_NUM_THREADS=1` to measure one core.
#![allow(clippy::print_stdout, reason = "a bench is a command line")]

use std::{error::Error, time::Instant};

use volute_anomaly::{Provenance, Recipe, Scorer, train};
use volute_plant::{Profile, Timestamp, Window};

const CHANNELS: usize = 10;
const WINDOWS: usize = 2048;
const EPOCHS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let (profile, windows) = (profile()?, windows()?);
    let recipe = Recipe { epochs: EPOCHS, validation_share: 0.0, ..Recipe::default() };
    let trained_at = Timestamp::from_millis(1_773_051_273_000)?;
    let provenance = Provenance { data_hash: String::new(), rows: WINDOWS + 29, sources: Vec::new(), trained_at };

    let mut start = Instant::now();
    let mut report = |epoch: &volute_anomaly::Epoch| {
        let rate = WINDOWS as f64 / start.elapsed().as_secs_f64();
        println!("train, epoch {:2}: {rate:7.0} windows/s, loss {:.4}", epoch.number, epoch.train_loss);
        start = Instant::now();
    };
    let model = train(&profile, &windows, &recipe, provenance, &mut report)?;

    let mut scorer = Scorer::new(&model)?;
    for size in [1, 2, 8, 32, 128, 512] {
        let start = Instant::now();
        for batch in windows.chunks(size) {
            scorer.score(batch)?;
        }
        println!("score, batches of {size:3}: {:7.0} windows/s", WINDOWS as f64 / start.elapsed().as_secs_f64());
    }
    Ok(())
}

fn profile() -> Result<Profile, Box<dyn Error>> {
    let mut text = "name = \"bench\"\ntitle = \"A pump to measure with\"\ninterval_ms = 1000\n".to_owned();
    for channel in 0..CHANNELS {
        text += &format!(
            "[[channels]]\nname = \"C{channel}\"\nquantity = \"flow\"\nunit = \"L/min\"\n\
             plausible = [-1000, 1000]\nresolution = 0.5\n"
        );
    }
    Ok(Profile::from_toml(&text)?)
}

/// Successive windows of channels that swing, each at its own pace.
fn windows() -> Result<Vec<Window>, Box<dyn Error>> {
    let mut windows = Vec::with_capacity(WINDOWS);
    for first in 0..WINDOWS {
        let at = Timestamp::from_millis(1_773_051_273_000 + 1000 * first as i64)?;
        let mut values = Vec::with_capacity(30 * CHANNELS);
        for second in first..first + 30 {
            for channel in 0..CHANNELS {
                values.push(100.0 + 10.0 * (second as f64 * (0.02 + 0.01 * channel as f64)).sin());
            }
        }
        windows.push(Window { pump: "P-1".parse()?, at, values: values.into() });
    }
    Ok(windows)
}
