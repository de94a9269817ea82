//! SKAB by the protocol of the example `conditional`: for each run, learn from its first 400 rows and decide on every later row. The
//! network is trained on the residuals of the anomaly-free recording.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use volute_anomaly::{
    ConditionalBaseline, ConditionalState, DynamicsBaseline, DynamicsNetwork, DynamicsScorer, DynamicsState,
    DynamicsTraining, ResidualHistory, ResidualRun, TimedSamples,
};
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

struct Recording {
    rows: Vec<TimedSamples>,
    labels: Vec<bool>,
}

pub fn run(folder: &Path, output: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let profile = Profile::from_toml(include_str!("../../../../config/profiles/skab.toml"))?;
    let network = train(&profile, folder)?;
    let (mut conditional, mut either) = (Counts::default(), Counts::default());
    let (mut runs, mut tested) = (0, 0);
    for file in csv_files(folder, &["valve1", "valve2", "other"])? {
        let Some(recording) = read(&fs::read_to_string(&file)?, &profile) else { continue };
        if recording.rows.len() > TRAINING_ROWS {
            runs += 1;
            tested += u32::from(decide(&profile, &network, &recording, &mut conditional, &mut either)?);
        }
    }
    writeln!(output, "{runs} runs, of which {tested} are long enough for a dynamics baseline")?;
    writeln!(output, "conditional alone        {}", conditional.figures())?;
    writeln!(output, "conditional or dynamics  {}", either.figures())?;
    Ok(())
}

fn train(profile: &Profile, folder: &Path) -> Result<DynamicsNetwork, Box<dyn Error>> {
    let channels = profile.channels().len();
    let mut runs = Vec::new();
    for file in csv_files(folder, &["anomaly-free"])? {
        let Some(Recording { rows, .. }) = read(&fs::read_to_string(&file)?, profile) else { continue };
        let baseline = ConditionalBaseline::learn(profile, &rows[..TRAINING_ROWS.min(rows.len())])?;
        let mut state = ConditionalState::new(&baseline);
        let mut run = ResidualRun::new(channels);
        for row in &rows {
            if let Some(result) = state.step(&baseline, row.at, &row.samples) {
                run.push(&result.residuals);
            }
        }
        runs.push(run);
    }
    Ok(DynamicsNetwork::train(channels, &runs, &DynamicsTraining::default(), &mut |_, _| {})?)
}

/// Decides on the rows after those to learn from. Returns whether there was a dynamics baseline.
fn decide(
    profile: &Profile,
    network: &DynamicsNetwork,
    recording: &Recording,
    conditional: &mut Counts,
    either: &mut Counts,
) -> Result<bool, Box<dyn Error>> {
    let (learned, later) = recording.rows.split_at(TRAINING_ROWS);
    let baseline = ConditionalBaseline::learn(profile, learned)?;
    let channels = profile.channels().len();
    let mut scorer = DynamicsScorer::new(network);
    let mut history = ResidualHistory::new(channels);
    let mut state = ConditionalState::new(&baseline);
    let mut windows = Vec::new();
    for row in learned {
        let result = state.step(&baseline, row.at, &row.samples);
        windows.extend(result.and_then(|result| history.push(&result.residuals)));
    }
    let dynamics = DynamicsBaseline::learn(network.id(), channels, &scorer.score(&windows)?).ok();
    let mut dynamics_state = dynamics.as_ref().map(DynamicsState::new);
    let mut state = ConditionalState::after(&baseline, learned);
    for (row, label) in later.iter().zip(&recording.labels[TRAINING_ROWS..]) {
        let result = state.step(&baseline, row.at, &row.samples);
        let window = result.and_then(|result| history.push(&result.residuals));
        if let (Some(window), Some(dynamics), Some(state)) = (window, &dynamics, &mut dynamics_state) {
            for measured in scorer.score(&[window])? {
                state.step(dynamics, &measured);
            }
        }
        conditional.add(state.in_episode(), *label);
        let in_episode = dynamics_state.as_ref().is_some_and(DynamicsState::in_episode);
        either.add(state.in_episode() || in_episode, *label);
    }
    Ok(dynamics.is_some())
}

fn csv_files(folder: &Path, folders: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in folders {
        for entry in fs::read_dir(folder.join(name))? {
            files.push(entry?.path());
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "csv"));
    files.sort();
    Ok(files)
}

/// Returns a recording, or `None` if it lacks a column. Without the column `anomaly` all is normal.
fn read(text: &str, profile: &Profile) -> Option<Recording> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next()?.split(';').collect();
    let column = |name: &str| header.iter().position(|column| *column == name);
    let (time, label) = (column("datetime")?, column("anomaly"));
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
        let is_anomalous = |cell: &&str| cell.parse::<f64>().is_ok_and(|label| label > 0.5);
        labels.push(label.and_then(|label| cells.get(label)).is_some_and(is_anomalous));
    }
    Some(Recording { rows, labels })
}

impl Counts {
    fn add(&mut self, decision: bool, label: bool) {
        *match (decision, label) {
            (true, true) => &mut self.true_positive,
            (true, false) => &mut self.false_positive,
            (false, true) => &mut self.false_negative,
            (false, false) => &mut self.true_negative,
        } += 1.0;
    }

    fn figures(&self) -> String {
        let Counts { true_positive, false_positive, false_negative, true_negative } = *self;
        let f1 = true_positive / (true_positive + (false_positive + false_negative) / 2.0).max(1.0);
        let false_alarms = 100.0 * false_positive / (false_positive + true_negative).max(1.0);
        let missed = 100.0 * false_negative / (false_negative + true_positive).max(1.0);
        format!("F1 {f1:.3}  FAR {false_alarms:5.2} %  MAR {missed:5.2} %")
    }
}
