//! Measures the conditional detector on labelled recordings by SKAB's protocol: for each file, learn from its first 400 rows,
//! decide on every later row, pool the rows of all files. `volute evaluate
//! --detector conditional` does so with the steps of a node's windower; this takes the rows as they are.
//!
//! ```text
//! cargo run -p volute-anomaly --example conditional -- config/profiles/skab.toml ../shared/skab [DAMAGE]
//! ```
//!
//! DAMAGE, to the rows after the first 400: `dropout=0.1`, `jitter=0.3` (seconds), `noise.CHANNEL=3` or `drift.CHANNEL=3` (in
//! standard deviations of the channel; a drift reaches it at the last row). One damage; its random numbers have the seed 1.
//!
//! Reads `;`-separated files with the columns `datetime`, the profile's channels by name, and `anomaly`. Files without them are
//! left out.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use volute_anomaly::{ConditionalBaseline, ConditionalState, TimedSamples};
use volute_plant::{Profile, Sample};

/// The rows to learn from.
const TRAINING_ROWS: usize = 400;

/// Rows by decision and label.
#[derive(Default, Clone, Copy)]
struct Counts {
    true_positive: f64,
    false_positive: f64,
    false_negative: f64,
    true_negative: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(profile), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: conditional PROFILE.toml FOLDER [DAMAGE]".into());
    };
    let damage = arguments.next();
    let profile = Profile::from_toml(&fs::read_to_string(profile)?)?;
    let mut files = Vec::new();
    csv_files(Path::new(&folder), &mut files)?;
    files.sort();
    let mut output = io::stdout().lock();
    let mut pooled = Counts::default();
    for file in files {
        let Some((mut rows, labels)) = read(&fs::read_to_string(&file)?, &profile) else { continue };
        if rows.len() <= TRAINING_ROWS {
            continue;
        }
        if let Some(damage) = &damage {
            damage_rows(damage, &profile, &mut rows)?;
        }
        let counts = decide(&profile, &rows, &labels)?;
        pooled.add(counts);
        writeln!(output, "{:40} {}", file.strip_prefix(&folder)?.display(), counts.figures())?;
    }
    writeln!(output, "{:40} {}", "pooled", pooled.figures())?;
    Ok(())
}

fn csv_files(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            csv_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "csv") {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns a recording's rows and labels, or `None` if it lacks a column.
fn read(text: &str, profile: &Profile) -> Option<(Vec<TimedSamples>, Vec<bool>)> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next()?.split(';').collect();
    let column = |name: &str| header.iter().position(|column| *column == name);
    let (time, label) = (column("datetime")?, column("anomaly")?);
    let channels: Vec<usize> = profile.channel_names().map(column).collect::<Option<_>>()?;
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for line in lines {
        let cells: Vec<&str> = line.split(';').collect();
        let at = (cells.get(time)?.replace(' ', "T") + "Z").parse().ok()?;
        let sample = |(index, channel): (&usize, &volute_plant::Channel)| {
            let value = cells.get(*index).and_then(|cell| cell.parse().ok());
            value.map_or(Sample::Missing, |value| channel.sample(value))
        };
        rows.push(TimedSamples { at, samples: channels.iter().zip(profile.channels()).map(sample).collect() });
        labels.push(cells.get(label)?.parse::<f64>().ok()? > 0.5);
    }
    Some((rows, labels))
}

/// Damages the rows after those to learn from.
fn damage_rows(damage: &str, profile: &Profile, rows: &mut [TimedSamples]) -> Result<(), Box<dyn Error>> {
    let (name, size) = damage.split_once('=').ok_or("a damage is NAME=NUMBER")?;
    let (size, mut rng) = (size.parse::<f64>()?, Xoshiro256PlusPlus::seed_from_u64(1));
    let (kind, channel) = name.split_once('.').map_or((name, None), |(kind, channel)| (kind, Some(channel)));
    let channel = channel.map(|name| profile.index_of(name).ok_or("no such channel")).transpose()?;
    let (learned, later) = rows.split_at_mut(TRAINING_ROWS);
    let sigma = channel.map_or(0.0, |channel| standard_deviation(learned, channel));
    let (mut last, count) = (learned[TRAINING_ROWS - 1].at, later.len() as f64);
    for (index, row) in later.iter_mut().enumerate() {
        let mut samples = row.samples.to_vec();
        let add = match (kind, channel) {
            ("dropout", None) => {
                samples.iter_mut().filter(|_| rng.random::<f64>() < size).for_each(|sample| *sample = Sample::Missing);
                0.0
            }
            ("jitter", None) => {
                let moved = row.at.plus_ms((1e3 * size * rng.random_range(-1.0..1.0)) as i64);
                row.at = moved.max(last.plus_ms(1));
                0.0
            }
            ("noise", Some(_)) => size * sigma * normal(&mut rng),
            ("drift", Some(_)) => size * sigma * index as f64 / count,
            _ => return Err("a damage is dropout, jitter, noise.CHANNEL or drift.CHANNEL".into()),
        };
        if let Some((channel, value)) = channel.and_then(|channel| Some((channel, samples[channel].good()?))) {
            samples[channel] = profile.channels()[channel].sample(value + add);
        }
        (row.samples, last) = (samples.into(), row.at);
    }
    Ok(())
}

/// Returns a normally distributed value, by Box and Muller.
fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    let (radius, angle) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

fn standard_deviation(rows: &[TimedSamples], channel: usize) -> f64 {
    let values: Vec<f64> = rows.iter().filter_map(|row| row.samples[channel].good()).collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// Decides on the rows after those to learn from, each from the rows up to it.
fn decide(profile: &Profile, rows: &[TimedSamples], labels: &[bool]) -> Result<Counts, Box<dyn Error>> {
    let (learned, later) = rows.split_at(TRAINING_ROWS);
    let baseline = ConditionalBaseline::learn(profile, learned)?;
    let mut state = ConditionalState::after(&baseline, learned);
    let mut counts = Counts::default();
    for (row, label) in later.iter().zip(&labels[TRAINING_ROWS..]) {
        state.step(&baseline, row.at, &row.samples);
        *match (state.in_episode(), label) {
            (true, true) => &mut counts.true_positive,
            (true, false) => &mut counts.false_positive,
            (false, true) => &mut counts.false_negative,
            (false, false) => &mut counts.true_negative,
        } += 1.0;
    }
    Ok(counts)
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.true_positive += other.true_positive;
        self.false_positive += other.false_positive;
        self.false_negative += other.false_negative;
        self.true_negative += other.true_negative;
    }

    fn figures(&self) -> String {
        let Counts { true_positive, false_positive, false_negative, true_negative } = *self;
        let f1 = true_positive / (true_positive + (false_positive + false_negative) / 2.0).max(1.0);
        let false_alarms = 100.0 * false_positive / (false_positive + true_negative).max(1.0);
        let missed = 100.0 * false_negative / (false_negative + true_positive).max(1.0);
        format!("F1 {f1:.3}  FAR {false_alarms:6.2} %  MAR {missed:6.2} %")
    }
}
