//! A node for the measurement: its own folder, profile and model, its own process; and what that process uses.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use tempfile::TempDir;

use super::load::PUMP;
use crate::profiles;

/// A running node; killed when it is dropped.
pub(super) struct OwnNode {
    child: Child,
    pub probe: Probe,
    _folder: TempDir,
}

/// Looks at a node from outside.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pid: u32,
    pub url: String,
}

/// How long something has taken in the node since its start, in its own words.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Latency {
    pub of: String,
    pub buckets: Vec<Bucket>,
}

/// So many took less than this, and not less than the bucket before says.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Bucket {
    pub below_ms: f64,
    pub count: u64,
}

/// What a node has done and used, since its start or since another look.
#[derive(Debug)]
pub(super) struct Look {
    /// Processor time of all its threads.
    pub cpu: Duration,
    /// The most memory that it has had since its start.
    pub peak_mib: u64,
    pub latencies: Vec<Latency>,
    /// None before the first reading.
    pub windows: Option<Windows>,
}

/// What became of the windows of all pumps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Windows {
    /// The model judged them.
    pub scored: u64,
    /// It did not, because their pumps had newer ones.
    pub skipped: u64,
}

impl OwnNode {
    /// Starts a node that judges every pump from its thirtieth reading on.
    pub(super) fn start(pumps: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        // Without what tells that a pump runs, it counts as running from the start.
        let profile: String = profiles::CENTRIFUGAL
            .lines()
            .filter(|line| !line.starts_with("running_above"))
            .map(|l| format!("{l}\n"))
            .collect();
        fs::write(path("profile.toml"), profile)?;
        let (profile, csv, model) = (path("profile.toml"), path("normal.csv"), path("model"));
        volute(&["simulate", "--rows", "1200", "--out", &csv])?;
        volute(&["train", "--profile", &profile, "--epochs", "2", "--out", &model, "--csv", &csv])?;
        let mut command = Command::new(env::current_exe()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--profile", &profile, "--model", &model]);
        command.args(["--data-dir", &path("data")]);
        command.env("VOLUTE__INGEST__MAX_PUMPS", pumps.max(1).to_string());
        command.env("VOLUTE__INGEST__NEW_PUMPS_BURST", pumps.max(1).to_string());
        command.env("VOLUTE__LOG__FILTER", "warn");
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        let url = line.trim().strip_prefix("Volute listens on ").context("it did not start")?.to_owned();
        let probe = Probe { pid: child.id(), url };
        Ok(Self { child, probe, _folder: folder })
    }
}

impl Probe {
    /// How it is; none where it does not answer, or where the system is not Linux.
    pub(super) fn look(&self) -> Option<Look> {
        let (cpu, peak_mib) = self.usage()?;
        Some(Look { cpu, peak_mib, latencies: self.latencies()?, windows: self.windows() })
    }

    /// Its processor time, and the most memory that it has had, in MiB.
    fn usage(&self) -> Option<(Duration, u64)> {
        let proc = Path::new("/proc").join(self.pid.to_string());
        let stat = fs::read_to_string(proc.join("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        // proc(5): fields 14 and 15, in ticks of `USER_HZ`, 100 in a second on every Linux that Rust builds for.
        let ticks = |n: usize| fields.split_whitespace().nth(n)?.parse::<u64>().ok();
        let cpu = Duration::from_millis((ticks(11)? + ticks(12)?) * 10);
        let status = fs::read_to_string(proc.join("status")).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some((cpu, peak.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024))
    }

    /// What it says of its own latencies since its start.
    fn latencies(&self) -> Option<Vec<Latency>> {
        /// The part of `/api/actors` that is of use here.
        #[derive(Deserialize)]
        struct Said {
            latencies: Vec<Latency>,
        }
        self.ask("/api/actors?stage=recorder").map(|said: Said| said.latencies)
    }

    /// What it says of all windows since its start; none where it has not heard of the first pump yet.
    fn windows(&self) -> Option<Windows> {
        /// The part of `/api/live-data` that is of use here.
        #[derive(Deserialize)]
        struct Said {
            totals: Totals,
        }
        #[derive(Deserialize)]
        struct Totals {
            node: Windows,
        }
        self.ask(&format!("/api/live-data?pump_id={PUMP}0")).map(|said: Said| said.totals.node)
    }

    fn ask<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let text = ureq::get(format!("{}{path}", self.url)).call().ok()?.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }
}

impl Latency {
    /// What has come since `before`.
    fn since(mut self, before: &[Self]) -> Self {
        for old in before.iter().filter(|before| before.of == self.of).flat_map(|before| &before.buckets) {
            if let Some(bucket) = self.buckets.iter_mut().find(|bucket| bucket.below_ms == old.below_ms) {
                bucket.count = bucket.count.saturating_sub(old.count);
            }
        }
        self
    }

    /// The upper end of the bucket of this quantile; none of nothing.
    pub(super) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let buckets: Vec<(f64, u64)> = self.buckets.iter().map(|bucket| (bucket.below_ms, bucket.count)).collect();
        volute_actors::quantile_ms(&buckets, quantile)
    }
}

impl Look {
    /// What has come since `before`.
    pub(super) fn since(self, before: &Self) -> Self {
        let Self { cpu, peak_mib, latencies, windows } = self;
        Self {
            cpu: cpu.saturating_sub(before.cpu),
            peak_mib,
            latencies: latencies.into_iter().map(|latency| latency.since(&before.latencies)).collect(),
            windows: windows.map(|windows| windows.since(before.windows.unwrap_or_default())),
        }
    }
}

impl Windows {
    /// What has come since `before`.
    fn since(self, before: Self) -> Self {
        Self { scored: self.scored.saturating_sub(before.scored), skipped: self.skipped.saturating_sub(before.skipped) }
    }
}

impl Drop for OwnNode {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command of this program.
fn volute(args: &[&str]) -> Result<()> {
    let output = Command::new(env::current_exe()?).args(args).output()?;
    ensure!(output.status.success(), "volute {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(buckets: &[(f64, u64)]) -> Latency {
        let buckets = buckets.iter().map(|&(below_ms, count)| Bucket { below_ms, count }).collect();
        Latency { of: "detection".into(), buckets }
    }

    #[test]
    fn a_look_before_the_first_reading_knows_no_windows() {
        let look = |scored: Option<u64>| Look {
            cpu: Duration::ZERO,
            peak_mib: 1,
            latencies: Vec::new(),
            windows: scored.map(|scored| Windows { scored, skipped: 0 }),
        };
        for (before, after, between) in [(Some(3), Some(10), Some(7)), (None, Some(10), Some(10)), (None, None, None)] {
            let windows = look(after).since(&look(before)).windows;
            assert_eq!(windows.map(|windows| windows.scored), between);
        }
    }

    #[test]
    fn what_came_before_the_measurement_is_taken_off() {
        let before = [latency(&[(1.0, 3), (900.0, 7)])];
        let measured = latency(&[(1.0, 3), (2.0, 98), (8.0, 2), (900.0, 7)]).since(&before);
        assert_eq!([0.5, 0.98, 0.99, 1.0].map(|q| measured.quantile_ms(q)), [2.0, 2.0, 8.0, 8.0].map(Some));
        assert_eq!(latency(&[(1.0, 3)]).since(&before).quantile_ms(0.5), None);
    }
}
