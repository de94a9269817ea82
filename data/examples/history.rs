//! Measures queries over years of history: `history make DIR [DAYS]`, then `history ask DIR`.
//!
//! `make` stores DAYS (365) of readings of one pump, ten channels at 1 Hz, and the hourly rollups (count, minimum, maximum
//! and sum per channel) of 49 more pumps. `ask` runs the queries of the API, with a cold cache at first, and prints how
//! long each took.

#![allow(clippy::print_stdout, reason = "a command line tool")]

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use volute_data::{Aggregates, PageRange, PumpRecord, Store, StoreSettings};
use volute_plant::{PumpId, Reading, Sample, Timestamp};

type BoxError = Box<dyn Error>;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 2025-01-01T00:00:00Z.
const START_MS: i64 = 1_735_689_600_000;
const OTHER_PUMPS: usize = 49;
/// Usual value, spread and number of decimal places of each channel.
const CHANNELS: [(f64, f64, i32); 10] = [
    (1480.0, 4.0, 0),
    (62.5, 0.4, 1),
    (2.10, 0.02, 2),
    (2.3, 0.15, 2),
    (1200.0, 9.0, 0),
    (1.20, 0.02, 2),
    (5.80, 0.04, 2),
    (42.0, 0.4, 1),
    (55.0, 0.3, 1),
    (28.0, 0.2, 1),
];

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let args: Vec<String> = env::args().skip(1).collect();
    let (command, dir) = match args.as_slice() {
        [command, dir, ..] => (command.as_str(), PathBuf::from(dir)),
        _ => return Err("usage: history make DIR [DAYS] | history ask DIR".into()),
    };
    match command {
        "make" => make(&dir, args.get(2).map_or(Ok(365), |days| days.parse())?).await,
        "ask" => query(&dir).await,
        _ => Err(format!("unknown command {command}; allowed: make, ask").into()),
    }
}

async fn make(dir: &Path, days: i64) -> Result<(), BoxError> {
    let store = open(dir).await?;
    let (pump, mut simulated) = (record("P-1")?, SimulatedPump::new(1));
    let start = Instant::now();
    let mut hourly = Vec::new();
    for hour in 0..days * 24 {
        let start_ms = START_MS + hour * HOUR_MS;
        let readings =
            (0..3600).map(|s| simulated.reading(&pump.id, start_ms + s * 1000)).collect::<Result<Vec<_>, _>>()?;
        hourly.push((Timestamp::from_millis(start_ms)?, 3600, Aggregates::of(&readings)));
        store.load(&pump, readings).await?;
        if hour % 240 == 0 {
            println!("day {} of {days}, {:.0} s", hour / 24, start.elapsed().as_secs_f64());
        }
    }
    for other in 0..OTHER_PUMPS {
        store.load_hours(&format!("P-{}", other + 2).parse()?, &hourly).await?;
    }
    let rows = days * 86_400;
    let seconds = start.elapsed().as_secs_f64();
    store.close().await?;
    println!("{rows} readings in {seconds:.0} s: {:.0} readings/s", rows as f64 / seconds);
    println!("{:.1} bytes per reading at rest, all included", bytes_in(dir)? as f64 / rows as f64);
    Ok(())
}

async fn query(dir: &Path) -> Result<(), BoxError> {
    let start = Instant::now();
    let store = open(dir).await?;
    println!("opened in {:.0} ms", millis(start.elapsed()));
    let pump: PumpId = "P-1".parse()?;
    let newest =
        store.latest_readings(&pump, 1).await?.into_complete()?.pop().ok_or("nothing is stored; run make first")?;
    let end = newest.at.plus_ms(1000);
    for (name, span_ms, points) in [
        ("an hour, 1000 points", HOUR_MS, 1000),
        ("a day, 1000 points", DAY_MS, 1000),
        ("a week, 1000 points", 7 * DAY_MS, 1000),
        ("30 days, 1000 points", 30 * DAY_MS, 1000),
        ("a year, 1000 points", 365 * DAY_MS, 1000),
    ] {
        let mut times = Vec::new();
        for round in 0..7 {
            // A different time range in each round, so that the blocks are not all in the cache.
            let to = end.plus_ms(-round * span_ms / 8);
            let start = Instant::now();
            let rows = store.buckets(&pump, (to.plus_ms(-span_ms), to), points).await?.into_complete()?;
            times.push(start.elapsed());
            assert!(rows.len() <= points && !rows.is_empty(), "{} rows", rows.len());
        }
        print_times(name, times);
    }
    let mut times = Vec::new();
    for round in 0..7 {
        let to = end.plus_ms(-round * DAY_MS);
        let range = PageRange { from: Some(to.plus_ms(-DAY_MS)), to: Some(to), ..PageRange::default() };
        let start = Instant::now();
        let rows = store.readings(&pump, &range).await?.into_complete()?;
        times.push(start.elapsed());
        assert_eq!(rows.len(), 86_400);
    }
    print_times("a day, all 86,400 readings", times);
    let mut times = Vec::new();
    for _ in 0..7 {
        let start = Instant::now();
        store.latest_readings(&pump, 631).await?.into_complete()?;
        times.push(start.elapsed());
    }
    print_times("the latest 631 readings", times);
    store.close().await?;
    Ok(())
}

fn print_times(name: &str, mut times: Vec<Duration>) {
    let first = times[0];
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{name}: first {:.1} ms, median {:.1} ms, worst {:.1} ms", millis(first), millis(median), millis(worst));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn open(dir: &Path) -> Result<Store, BoxError> {
    Ok(Store::open(dir, &StoreSettings::default(), Timestamp::from_millis(START_MS)?).await?)
}

fn record(name: &str) -> Result<PumpRecord, BoxError> {
    let channels = [
        "Motor_RPM",
        "Bearing_Temperature_C",
        "Oil_Pressure_bar",
        "Vibration_mm_s",
        "Flow_Rate_L_min",
        "Suction_Pressure_bar",
        "Discharge_Pressure_bar",
        "Motor_Current_A",
        "Casing_Temperature_C",
        "Ambient_Temperature_C",
    ];
    let registered_at = Timestamp::from_millis(START_MS)?;
    Ok(PumpRecord {
        id: name.parse()?,
        profile: "centrifugal".into(),
        channels: channels.map(str::to_owned).into(),
        registered_at,
    })
}

/// Simulated channels: each varies around its usual value (an AR(1) process) and is rounded to its decimal places.
struct SimulatedPump {
    state: [f64; CHANNELS.len()],
    random_state: u64,
}

impl SimulatedPump {
    fn new(seed: u64) -> Self {
        Self { state: [0.0; CHANNELS.len()], random_state: seed }
    }

    fn reading(&mut self, pump: &PumpId, at_ms: i64) -> Result<Reading, BoxError> {
        let mut samples = [Sample::Missing; CHANNELS.len()];
        for (n, (level, spread, digits)) in CHANNELS.into_iter().enumerate() {
            self.state[n] = 0.9 * self.state[n] + spread * 0.44 * self.random_normal();
            let scale = 10_f64.powi(digits);
            samples[n] = Sample::Good(((level + self.state[n]) * scale).round() / scale);
        }
        let received = Timestamp::from_millis(at_ms + 20 + (self.random_normal().abs() * 10.0) as i64)?;
        let at = Timestamp::from_millis(at_ms)?;
        Ok(Reading { pump: pump.clone(), at, received, samples: samples.into(), late: false })
    }

    /// Returns an approximately normal number with variance 1: the sum of twelve uniform numbers minus six.
    fn random_normal(&mut self) -> f64 {
        let mut sum = -6.0;
        for _ in 0..12 {
            // The constants of Knuth's MMIX.
            self.random_state =
                self.random_state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (self.random_state >> 11) as f64 / (1_u64 << 53) as f64;
        }
        sum
    }
}

fn bytes_in(dir: &Path) -> Result<u64, BoxError> {
    let mut bytes = 0;
    for entry in dir.read_dir()? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { bytes_in(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
