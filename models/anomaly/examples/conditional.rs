//! Measures the conditional detector on labelled recordings by SKAB's protocol: for each file, learn from its first 400 rows,
//! decide on every later row, pool the rows of all files. `volute evaluate` does not know this detector yet.
//!
//! ```text
//! cargo run --release -p volute-anomaly --example conditional -- config/profiles/skab.toml ../shared/skab
//! ```
//!
//! Reads `;`-separated files with the columns `datetime`, the profile's channels by name, and `anomaly`. Files without them are
//! left out.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

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
        return Err("usage: conditional PROFILE.toml FOLDER".into());
    };
    let profile = Profile::from_toml(&fs::read_to_string(profile)?)?;
    let mut files = Vec::new();
    csv_files(Path::new(&folder), &mut files)?;
    files.sort();
    let mut output = io::stdout().lock();
    let mut pooled = Counts::default();
    for file in files {
        let Some((rows, labels)) = read(&fs::read_to_string(&file)?, &profile) else { continue };
        if rows.len() <= TRAINING_ROWS {
            continue;
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
