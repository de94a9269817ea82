//! `volute replay`: posts a recording to a running node, as if the pump were sending it.
//!
//! Each post has its due time, worked out from the recorded times, so a slow answer is caught up with
//! and the whole keeps its length. Recorded times are sent unchanged. Does not send again after a lost
//! answer: the node cannot be asked what it took, but a second replay is harmless.

mod node;
mod tally;

use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use volute_data::{Dialect, Row, read_recording};
use volute_plant::{Profile, PumpId, Timestamp};

use self::{
    node::{HttpNode, Node, PostError, Reply, within_reason},
    tally::Tally,
};
use super::notes::print_notes;
use crate::cli::{ReplayArgs, Speed};

/// How long one post is repeated while the node says that it is busy.
const PATIENCE: Duration = Duration::from_secs(600);

/// Replays, and writes a closing summary to `out`. An error if anything was rejected.
pub(super) fn run(args: &ReplayArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let dialect = Dialect { read_for: Some(args.pump.clone()), ..args.dialect.clone().into() };
    let recording = read_recording(&args.csv, &args.profile, &dialect)?;
    print_notes(&args.csv, &recording.notes)?;
    let bar = progress_bar(recording.rows.len());
    let mut replay = Replay {
        node: HttpNode::new(&args.url),
        timer: Stopwatch::start(),
        bar: &bar,
        pump: &args.pump,
        profile: &args.profile,
        tally: Tally::default(),
    };
    let ended = replay.run(&recording.rows, args.speed, args.batch.get());
    bar.finish_and_clear();
    write!(out, "{}", replay.tally)?;
    ended.with_context(|| format!("{} is not posted in full", args.csv.display()))?;
    ensure!(replay.tally.rejected == 0, "readings rejected: {}", replay.tally.rejected);
    Ok(())
}

/// Time since the start, and waiting. Passed in, so that a test need not wait.
trait Timer {
    fn elapsed(&self) -> Duration;
    fn wait(&mut self, pause: Duration);
}

struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now())
    }
}

impl Timer for Stopwatch {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn wait(&mut self, pause: Duration) {
        thread::sleep(pause);
    }
}

/// When each time of a recording is due, counted from the start.
struct Schedule {
    first: Timestamp,
    speed: Speed,
}

impl Schedule {
    fn due(&self, at: Timestamp) -> Duration {
        let recorded_ms = at.since_ms(self.first).max(0) as f64;
        if self.speed.times() == 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(recorded_ms / 1000.0 / self.speed.times()).unwrap_or(Duration::MAX)
    }
}

struct Replay<'a, N, T> {
    node: N,
    timer: T,
    bar: &'a ProgressBar,
    pump: &'a PumpId,
    profile: &'a Profile,
    tally: Tally,
}

impl<N: Node, T: Timer> Replay<'_, N, T> {
    fn run(&mut self, rows: &[Row], speed: Speed, batch: usize) -> Result<(), PostError> {
        let (sent, empty): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| has_value(row));
        self.tally.empty = empty.len();
        let Some(first) = sent.first() else { return Ok(()) };
        let schedule = Schedule { first: first.at, speed };
        for post in sent.chunks(batch) {
            // A post is due with its last reading: nobody can send what is not measured yet.
            if let Some(due) = post.iter().map(|row| schedule.due(row.at)).max() {
                self.timer.wait(due.saturating_sub(self.timer.elapsed()));
            }
            self.post(post)?;
            self.bar.inc(post.len() as u64);
        }
        Ok(())
    }

    /// Posts rows until each is taken or rejected for good: all of them while the node is busy, and alone those that it
    /// wants to have again.
    fn post(&mut self, rows: &[&Row]) -> Result<(), PostError> {
        let mut rows = rows.to_vec();
        let mut waited = Duration::ZERO;
        loop {
            let body = match rows[..] {
                [only] => item(self.pump, self.profile, only),
                _ => rows.iter().map(|row| item(self.pump, self.profile, row)).collect(),
            };
            let pause = match self.node.post(&body)? {
                Reply::Taken(mut answer) => {
                    let (again, pause_s) = answer.take_again(rows.len());
                    let times: Vec<Timestamp> = rows.iter().map(|row| row.at).collect();
                    self.tally.count(answer, &times);
                    if again.is_empty() {
                        return Ok(());
                    }
                    rows = again.iter().filter_map(|place| rows.get(*place).copied()).collect();
                    within_reason(Duration::from_secs(pause_s))
                }
                Reply::Busy(pause) => pause,
            };
            if waited >= PATIENCE {
                return Err(PostError::Busy { waited });
            }
            waited += pause;
            self.tally.waits += 1;
            self.timer.wait(pause);
        }
    }
}

fn has_value(row: &Row) -> bool {
    row.samples.iter().any(|sample| sample.value().is_some())
}

/// One reading as a pump posts it: what is missing is left out, what is out of range is sent as it is.
fn item(pump: &PumpId, profile: &Profile, row: &Row) -> Value {
    let mut item = Map::new();
    item.insert("pump_id".into(), pump.as_str().into());
    item.insert("timestamp".into(), row.at.to_string().into());
    for (name, sample) in profile.channel_names().zip(row.samples.iter()) {
        if let Some(value) = sample.value() {
            item.insert(name.into(), value.into());
        }
    }
    Value::Object(item)
}

/// On standard error, and only where that is a terminal.
fn progress_bar(rows: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} readings, {per_sec}, {eta} left");
    ProgressBar::new(rows as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests;
