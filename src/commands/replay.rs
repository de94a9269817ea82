//! `volute replay`: posts a recording to a running node, as if the pump sent it.
//!
//! The due time of each post follows from the recorded times, so the replay catches up after a slow response and does
//! not become longer. Recorded times are sent unchanged.
//!
//! Example: rows at 0, 1, 3 and 9 s, at speed 2, one reading per post. The posts are due 0, 0.5, 1.5 and 4.5 s after
//! the start. If the response to the second post is 429 with `Retry-After: 2`, that post is sent again at 2.5 s, and
//! the third one follows at once.
//!
//! Does not retry after a lost response, because it is not known what the node has accepted. The whole recording
//! can be replayed again: what was accepted before is reported as duplicate.

mod node;
mod tally;

use std::{
    fs,
    io::Write,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use ureq::tls::{Certificate, PemItem, parse_pem};
use volute_data::{Dialect, Row, read_recording};
use volute_plant::{Profile, PumpId, Timestamp, format_duration};

use self::{
    node::{HttpNode, Node, PostError, PostOutcome, clamped_pause},
    tally::Tally,
};
use super::{notes::print_notes, progress};
use crate::{
    cli::{ReplayArgs, Speed},
    profiles::CENTRIFUGAL,
};

/// The longest time for which one post is repeated while the node is busy.
const MAX_BUSY_WAIT: Duration = Duration::from_secs(600);

/// Replays the recording, and prints a summary. Returns an error if the node rejected a reading.
pub(super) fn run(args: &ReplayArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let dialect = Dialect { expected_pump: Some(args.pump.clone()), ..args.dialect.clone().into() };
    let profile = match &args.profile {
        Some(profile) => profile.clone(),
        None => Profile::from_toml(CENTRIFUGAL)?,
    };
    let recording = read_recording(&args.csv, &profile, &dialect)?;
    print_notes(&args.csv, &recording.notes)?;
    let node = HttpNode::new(&args.url, token(args)?.as_deref(), certificates(args)?.as_deref());
    // Checked at the start, because the first post may be due much later.
    node.check()?;
    let bar = progress_bar(recording.rows.len());
    let mut replay = Replay {
        node,
        timer: Stopwatch::start(),
        bar: &bar,
        pump: &args.pump,
        profile: &profile,
        names_profile: args.profile.is_some(),
        tally: Tally::default(),
    };
    progress::line(&bar, &announcement(&recording.rows, args.speed));
    let result = replay.run(&recording.rows, args.speed, args.batch.get());
    bar.finish_and_clear();
    write!(out, "{}", replay.tally)?;
    result.with_context(|| format!("{} is not posted completely", args.csv.display()))?;
    ensure!(replay.tally.rejected == 0, "readings rejected: {}", replay.tally.rejected);
    Ok(())
}

/// Returns the pump token in the file that was given. It is not a flag, because other users can see the flags of a
/// process.
fn token(args: &ReplayArgs) -> anyhow::Result<Option<String>> {
    let Some(file) = &args.token_file else { return Ok(None) };
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(Some(text.trim().to_owned()))
}

/// Returns the certificates in the file that was given.
fn certificates(args: &ReplayArgs) -> anyhow::Result<Option<Vec<Certificate<'static>>>> {
    let Some(file) = &args.certificate else { return Ok(None) };
    let pem = fs::read(file).with_context(|| file.display().to_string())?;
    let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().with_context(|| file.display().to_string())?;
    let certificates = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<Certificate<'static>> = certificates.collect();
    ensure!(!certificates.is_empty(), "{} has no certificate (PEM)", file.display());
    Ok(Some(certificates))
}

/// Returns a text that says how many readings will be posted, and how long that takes.
fn announcement(rows: &[Row], speed: Speed) -> String {
    let posted: Vec<&Row> = rows.iter().filter(|row| has_value(row)).collect();
    let count = match posted.len() {
        1 => "1 reading".to_owned(),
        count => format!("{count} readings"),
    };
    let last = posted.first().and_then(|first| {
        let schedule = Schedule { first: first.at, speed };
        posted.iter().map(|row| schedule.due(row.at)).max()
    });
    match last.and_then(|last| i64::try_from(last.as_millis()).ok()) {
        Some(ms) if ms > 0 => format!("posting {count} over {}; --speed 0 posts them at once", format_duration(ms)),
        _ => format!("posting {count}"),
    }
}

/// The time since the start, and waiting. Tests have a fake timer, so that they do not wait.
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

/// Maps recorded times to due times, as durations since the start of the replay.
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
    /// Whether the items name their profile.
    names_profile: bool,
    tally: Tally,
}

impl<N: Node, T: Timer> Replay<'_, N, T> {
    fn run(&mut self, rows: &[Row], speed: Speed, batch: usize) -> Result<(), PostError> {
        let (with_value, empty): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| has_value(row));
        self.tally.empty = empty.len();
        let Some(first) = with_value.first() else { return Ok(()) };
        let schedule = Schedule { first: first.at, speed };
        for post in with_value.chunks(batch) {
            // A post is due when its last reading is due, because a pump cannot send a reading that is not measured
            // yet.
            if let Some(due) = post.iter().map(|row| schedule.due(row.at)).max() {
                self.timer.wait(due.saturating_sub(self.timer.elapsed()));
            }
            self.post(post)?;
            self.bar.inc(post.len() as u64);
        }
        Ok(())
    }

    /// Posts rows until each is accepted or finally rejected. Repeats all rows while the node is busy, and then only
    /// those for which the node asks for a retry.
    fn post(&mut self, rows: &[&Row]) -> Result<(), PostError> {
        let mut rows = rows.to_vec();
        let mut waited = Duration::ZERO;
        loop {
            let body = match rows[..] {
                [row] => self.reading_json(row),
                _ => rows.iter().map(|row| self.reading_json(row)).collect(),
            };
            let pause = match self.node.post(&body)? {
                PostOutcome::Processed(mut response) => {
                    let (retries, pause_s) = response.take_retries(rows.len());
                    let times: Vec<Timestamp> = rows.iter().map(|row| row.at).collect();
                    self.tally.count(response, &times);
                    if retries.is_empty() {
                        return Ok(());
                    }
                    rows = retries.iter().filter_map(|index| rows.get(*index).copied()).collect();
                    clamped_pause(Duration::from_secs(pause_s))
                }
                PostOutcome::Busy(pause) => pause,
            };
            if waited >= MAX_BUSY_WAIT {
                return Err(PostError::Busy { waited });
            }
            waited += pause;
            self.tally.waits += 1;
            self.timer.wait(pause);
        }
    }

    /// Returns a reading as a pump would post it: without missing values, and with values out of range unchanged.
    fn reading_json(&self, row: &Row) -> Value {
        let mut object = Map::new();
        object.insert("pump_id".into(), self.pump.as_str().into());
        if self.names_profile {
            object.insert("profile".into(), self.profile.name().into());
        }
        object.insert("timestamp".into(), row.at.to_string().into());
        for (name, sample) in self.profile.channel_names().zip(row.samples.iter()) {
            if let Some(value) = sample.value() {
                object.insert(name.into(), value.into());
            }
        }
        Value::Object(object)
    }
}

fn has_value(row: &Row) -> bool {
    row.samples.iter().any(|sample| sample.value().is_some())
}

/// Returns a progress bar on standard error; it is hidden if standard error is not a terminal.
fn progress_bar(rows: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} readings, {per_sec}, {eta} left");
    ProgressBar::new(rows as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests;
