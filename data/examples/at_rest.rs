//! Measures how many bytes a stored reading takes on disk: `at_rest PROFILE.toml EVERY FILE.csv...`.
//!
//! Every file is the recording of one pump, of which every EVERY-th row is used (5 simulates a pump that posts once in
//! five seconds). The rows are stored as by a node, through the journal. The size is that of the closed database, whose
//! files hold blocks, rollups and everything else. Also measures how long it takes to rebuild the head (the readings
//! that are not in the database yet) from the journal.

#![allow(clippy::print_stdout, reason = "a command line tool")]

use std::{env, error::Error, fs, path::Path, time::Instant};

use volute_data::{Batch, Dialect, PumpRecord, Store, StoreSettings, read_recording};
use volute_plant::{Profile, PumpId, Reading, Timestamp};

type BoxError = Box<dyn Error>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [profile, every, files @ ..] = args.as_slice() else {
        return Err("usage: at_rest PROFILE.toml EVERY FILE.csv...".into());
    };
    let profile = Profile::from_toml(&fs::read_to_string(profile)?)?;
    let every: usize = every.parse()?;
    let dir = tempfile::tempdir()?;
    let now = Timestamp::from_millis(1_773_051_240_000)?;
    let store = Store::open(dir.path(), &StoreSettings::default(), now).await?;
    let mut rows = 0;
    for (number, file) in files.iter().enumerate() {
        let pump: PumpId = format!("P-{number}").parse()?;
        let channels = profile.channel_names().map(str::to_owned).collect();
        let record = PumpRecord { id: pump.clone(), profile: profile.name().into(), channels, registered_at: now };
        store.commit(&Batch { pumps: vec![record], ..Batch::default() }).await?;
        let readings: Vec<Reading> = read_recording(Path::new(file), &profile, &Dialect::default())?
            .rows
            .into_iter()
            .step_by(every)
            .map(|row| Reading {
                pump: pump.clone(),
                at: row.at,
                received: row.at.plus_ms(20 + row.at.millis() / 1000 % 9),
                samples: row.samples,
                late: false,
            })
            .collect();
        for readings in readings.chunks(100) {
            rows += readings.len();
            store.commit(&Batch { readings: readings.to_vec(), ..Batch::default() }).await?;
        }
    }
    let journal_bytes = store.disk_use()?.journal_bytes;
    store.close().await?;

    let start = Instant::now();
    let store = Store::open(dir.path(), &StoreSettings::default(), now).await?;
    let unflushed = store.status().unflushed_readings;
    println!("opened with {unflushed} readings to rebuild in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    store.flush_all().await?;
    println!("written as blocks in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    store.close().await?;
    // Closing wrote the tables. Now the size is that on a plant's disk.
    let store = Store::open(dir.path(), &StoreSettings::default(), now).await?;
    let database_bytes = store.disk_use()?.database_bytes;
    store.close().await?;
    let per_reading = |bytes: u64| bytes as f64 / rows as f64;
    println!("{} files, every {every}th row: {rows} readings of {} channels", files.len(), profile.channels().len());
    println!(
        "database {:.1} bytes per reading, journal {:.1} (while it is retained)",
        per_reading(database_bytes),
        per_reading(journal_bytes)
    );
    Ok(())
}
