//! How many readings a second the store takes, for batches of 1, 100 and 1,000: `commit_rate [DIR]`.
//!
//! Without a directory it measures in a temporary one, which may be no disk at all.

#![allow(clippy::print_stdout, reason = "a command line tool")]

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    time::Instant,
};

use volute_data::{Batch, PumpRecord, Range, Store, StoreSettings};
use volute_plant::{PumpId, Reading, Sample, Timestamp};

const CHANNELS: usize = 10;
const PUMPS: usize = 20;
const START_MS: i64 = 1_773_051_273_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let dir = env::args_os().nth(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    measure(&dir).await
}

async fn measure(dir: &Path) -> Result<(), Box<dyn Error>> {
    let store = Store::open(dir, &StoreSettings::default()).await?;
    let pumps = (1..=PUMPS).map(|n| format!("P-{n}").parse()).collect::<Result<Vec<PumpId>, _>>()?;
    let register = pumps.iter().map(record).collect::<Result<_, _>>()?;
    store.commit(&Batch { pumps: register, ..Batch::default() }).await?;

    let mut second = 0;
    for (batch_len, batches) in [(1, 200), (100, 20), (1000, 5)] {
        let began = Instant::now();
        for _ in 0..batches {
            let mut readings = Vec::with_capacity(batch_len);
            for _ in 0..batch_len {
                readings.push(reading(&pumps, second)?);
                second += 1;
            }
            store.commit(&Batch { readings, ..Batch::default() }).await?;
        }
        let rate = (batch_len * batches) as f64 / began.elapsed().as_secs_f64();
        println!("batches of {batch_len:>4}: {rate:>8.0} readings/s");
    }
    for n in [1, 30, 300] {
        let began = Instant::now();
        let found = store.readings(&pumps[0], &Range::newest(n)).await?.len();
        println!("newest {n:>4} of a pump: {found} readings in {:.2} ms", began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(store.close().await?)
}

fn record(pump: &PumpId) -> Result<PumpRecord, Box<dyn Error>> {
    let channels = (0..CHANNELS).map(|n| format!("channel_{n}")).collect();
    let registered_at = Timestamp::from_millis(START_MS)?;
    Ok(PumpRecord { id: pump.clone(), profile: "bench".into(), channels, registered_at })
}

/// The `n`th reading of all: the pumps take turns, one reading a second each.
fn reading(pumps: &[PumpId], n: usize) -> Result<Reading, Box<dyn Error>> {
    let at = Timestamp::from_millis(START_MS)?.plus_ms((n / pumps.len()) as i64 * 1000);
    let samples = (0..CHANNELS).map(|channel| Sample::Good(n as f64 / 7.0 + channel as f64)).collect();
    Ok(Reading { pump: pumps[n % pumps.len()].clone(), at, received: at, samples, late: false })
}
