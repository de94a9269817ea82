//! Years of history, and how quickly they are read: `history make DIR [DAYS]`, then `history ask DIR`.
//!
//! `make` stores DAYS (365) of one pump, ten channels at 1 Hz, and the hourly rollups of 49 more. `ask` reads it as the
//! API does, with a cold cache at first, and prints how long each question took.

#![allow(clippy::print_stdout, reason = "a command line tool")]

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use volute_data::{Aggregates, PumpRecord, Range, Store, StoreSettings};
use volute_plant::{PumpId, Reading, Sample, Timestamp};

type Failure = Box<dyn Error>;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 2025-01-01T00:00:00Z.
const START_MS: i64 = 1_735_689_600_000;
const OTHERS: usize = 49;
/// Usual value, spread and digits after the point of each channel.
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
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = env::args().skip(1).collect();
    let (what, dir) = match args.as_slice() {
        [what, dir, ..] => (what.as_str(), PathBuf::from(dir)),
        _ => return Err("usage: history make DIR [DAYS] | history ask DIR".into()),
    };
    match what {
        "make" => make(&dir, args.get(2).map_or(Ok(365), |days| days.parse())?).await,
        "ask" => ask(&dir).await,
        _ => Err(format!("{what}? make or ask").into()),
    }
}

async fn make(dir: &Path, days: i64) -> Result<(), Failure> {
    let store = open(dir).await?;
    let (pump, mut weather) = (record("P-1")?, Weather::new(1));
    let begun = Instant::now();
    let mut of_hours = Vec::new();
    for hour in 0..days * 24 {
        let start = START_MS + hour * HOUR_MS;
        let readings = (0..3600).map(|s| weather.reading(&pump.id, start + s * 1000)).collect::<Result<Vec<_>, _>>()?;
        of_hours.push((Timestamp::from_millis(start)?, 3600, Aggregates::of(&readings)));
        store.load(&pump, readings).await?;
        if hour % 240 == 0 {
            println!("day {} of {days}, {:.0} s", hour / 24, begun.elapsed().as_secs_f64());
        }
    }
    for other in 0..OTHERS {
        store.load_hours(&format!("P-{}", other + 2).parse()?, &of_hours).await?;
    }
    let rows = days * 86_400;
    let seconds = begun.elapsed().as_secs_f64();
    store.close().await?;
    println!("{rows} readings in {seconds:.0} s: {:.0} readings/s", rows as f64 / seconds);
    println!("{:.1} bytes per reading at rest, all included", bytes_in(dir)? as f64 / rows as f64);
    Ok(())
}

async fn ask(dir: &Path) -> Result<(), Failure> {
    let begun = Instant::now();
    let store = open(dir).await?;
    println!("opened in {:.0} ms", millis(begun.elapsed()));
    let pump: PumpId = "P-1".parse()?;
    let newest = store.latest_readings(&pump, 1).await?.all()?.pop().ok_or("nothing is stored; make it first")?;
    let end = newest.at.plus_ms(1000);
    for (name, span_ms, points) in [
        ("an hour, 1000 points", HOUR_MS, 1000),
        ("a day, 1000 points", DAY_MS, 1000),
        ("a week, 1000 points", 7 * DAY_MS, 1000),
        ("30 days, 1000 points", 30 * DAY_MS, 1000),
        ("a year, 1000 points", 365 * DAY_MS, 1000),
    ] {
        let mut times = Vec::new();
        for turn in 0..7 {
            // Another stretch each time, so that not the same blocks are in the cache.
            let to = end.plus_ms(-turn * span_ms / 8);
            let begun = Instant::now();
            let rows = store.buckets(&pump, (to.plus_ms(-span_ms), to), points).await?.all()?;
            times.push(begun.elapsed());
            assert!(rows.len() <= points && !rows.is_empty(), "{} rows", rows.len());
        }
        told(name, times);
    }
    let mut times = Vec::new();
    for turn in 0..7 {
        let to = end.plus_ms(-turn * DAY_MS);
        let range = Range { from: Some(to.plus_ms(-DAY_MS)), to: Some(to), ..Range::default() };
        let begun = Instant::now();
        let rows = store.readings(&pump, &range).await?.all()?;
        times.push(begun.elapsed());
        assert_eq!(rows.len(), 86_400);
    }
    told("a day, all 86,400 readings", times);
    let mut times = Vec::new();
    for _ in 0..7 {
        let begun = Instant::now();
        store.latest_readings(&pump, 631).await?.all()?;
        times.push(begun.elapsed());
    }
    told("the latest 631 readings", times);
    store.close().await?;
    Ok(())
}

fn told(name: &str, mut times: Vec<Duration>) {
    let first = times[0];
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{name}: first {:.1} ms, median {:.1} ms, worst {:.1} ms", millis(first), millis(median), millis(worst));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn open(dir: &Path) -> Result<Store, Failure> {
    Ok(Store::open(dir, &StoreSettings::default(), Timestamp::from_millis(START_MS)?).await?)
}

fn record(name: &str) -> Result<PumpRecord, Failure> {
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

/// Channels that wander around their usual value (an AR(1) process), rounded to their digits.
struct Weather {
    state: [f64; CHANNELS.len()],
    random: u64,
}

impl Weather {
    fn new(seed: u64) -> Self {
        Self { state: [0.0; CHANNELS.len()], random: seed }
    }

    fn reading(&mut self, pump: &PumpId, at_ms: i64) -> Result<Reading, Failure> {
        let mut samples = [Sample::Missing; CHANNELS.len()];
        for (n, (usual, spread, digits)) in CHANNELS.into_iter().enumerate() {
            self.state[n] = 0.9 * self.state[n] + spread * 0.44 * self.chance();
            let scale = 10_f64.powi(digits);
            samples[n] = Sample::Good(((usual + self.state[n]) * scale).round() / scale);
        }
        let received = Timestamp::from_millis(at_ms + 20 + (self.chance().abs() * 10.0) as i64)?;
        let at = Timestamp::from_millis(at_ms)?;
        Ok(Reading { pump: pump.clone(), at, received, samples: samples.into(), late: false })
    }

    /// About normal, with variance 1: the sum of twelve uniform numbers less six.
    fn chance(&mut self) -> f64 {
        let mut sum = -6.0;
        for _ in 0..12 {
            // The constants of Knuth's MMIX.
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        }
        sum
    }
}

fn bytes_in(dir: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in dir.read_dir()? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { bytes_in(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
