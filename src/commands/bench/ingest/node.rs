//! Starts a node for the measurement, in a separate process with a temporary folder, profile and model. Reads the
//! node's resource usage.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use tempfile::TempDir;

use super::load::PUMP_PREFIX;
use crate::profiles;

/// A running node. It is killed on drop.
pub(super) struct OwnNode {
    child: Child,
    pub probe: NodeProbe,
    _folder: TempDir,
}

/// Reads a node's statistics from its process and its API.
#[derive(Debug, Clone)]
pub(super) struct NodeProbe {
    pid: u32,
    pub url: String,
}

/// The histogram of one latency since the node's start.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Latency {
    pub of: String,
    pub buckets: Vec<Bucket>,
}

/// The number of measurements from the previous bucket's `below_ms` up to, but not including, this `below_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Bucket {
    pub below_ms: f64,
    pub count: u64,
}

/// A node's work and resource usage, since its start or since earlier statistics.
#[derive(Debug)]
pub(super) struct NodeStats {
    /// Processor time of all its threads.
    pub cpu: Duration,
    /// The highest resident memory since its start, in MiB.
    pub peak_mib: u64,
    pub latencies: Vec<Latency>,
    /// `None` before the first reading.
    pub windows: Option<WindowCounts>,
}

/// The number of windows of all pumps by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) struct WindowCounts {
    /// Windows that were scored.
    pub scored: u64,
    /// Windows that were not scored, because their pumps had newer ones.
    pub skipped: u64,
}

impl OwnNode {
    /// Starts a node that scores every pump from its thirtieth reading on.
    pub(super) fn start(pumps: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        // Without `running_above`, a pump counts as running from its first reading.
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
        BufReader::new(child.stdout.take().context("the node has no standard output")?).read_line(&mut line)?;
        let url = line.trim().strip_prefix("Volute listens on ").context("the node did not start")?.to_owned();
        let probe = NodeProbe { pid: child.id(), url };
        Ok(Self { child, probe, _folder: folder })
    }
}

impl NodeProbe {
    /// Returns the node's statistics; `None` if it does not respond, or if the system is not Linux.
    pub(super) fn read_stats(&self) -> Option<NodeStats> {
        let (cpu, peak_mib) = self.usage()?;
        Some(NodeStats { cpu, peak_mib, latencies: self.latencies()?, windows: self.windows() })
    }

    /// Returns the node's processor time, and its highest resident memory in MiB.
    fn usage(&self) -> Option<(Duration, u64)> {
        let process = procfs::process::Process::new(i32::try_from(self.pid).ok()?).ok()?;
        let stat = process.stat().ok()?;
        let cpu = Duration::from_secs_f64((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64);
        Some((cpu, process.status().ok()?.vmhwm? / 1024))
    }

    /// Returns the recorder's latencies since the node's start.
    fn latencies(&self) -> Option<Vec<Latency>> {
        /// The used part of `/api/actors`.
        #[derive(Deserialize)]
        struct ActorsResponse {
            latencies: Vec<Latency>,
        }
        self.get("/api/actors?stage=recorder").map(|response: ActorsResponse| response.latencies)
    }

    /// Returns the counts of all windows since the node's start; `None` if the first pump is not registered yet.
    fn windows(&self) -> Option<WindowCounts> {
        /// The used part of `/api/live-data`.
        #[derive(Deserialize)]
        struct LiveResponse {
            totals: Totals,
        }
        #[derive(Deserialize)]
        struct Totals {
            node: WindowCounts,
        }
        self.get(&format!("/api/live-data?pump_id={PUMP_PREFIX}0")).map(|response: LiveResponse| response.totals.node)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let text = ureq::get(format!("{}{path}", self.url)).call().ok()?.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }
}

impl Latency {
    /// Returns the difference from `before`.
    fn since(mut self, before: &[Self]) -> Self {
        for earlier in before.iter().filter(|before| before.of == self.of).flat_map(|before| &before.buckets) {
            if let Some(bucket) = self.buckets.iter_mut().find(|bucket| bucket.below_ms == earlier.below_ms) {
                bucket.count = bucket.count.saturating_sub(earlier.count);
            }
        }
        self
    }

    /// Returns the upper bound of the bucket with this quantile; `None` if there are no measurements.
    pub(super) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let buckets: Vec<(f64, u64)> = self.buckets.iter().map(|bucket| (bucket.below_ms, bucket.count)).collect();
        volute_actors::quantile_ms(&buckets, quantile)
    }
}

impl NodeStats {
    /// Returns the difference from `before`.
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

impl WindowCounts {
    /// Returns the difference from `before`.
    fn since(self, before: Self) -> Self {
        Self { scored: self.scored.saturating_sub(before.scored), skipped: self.skipped.saturating_sub(before.skipped) }
    }
}

impl Drop for OwnNode {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command of this program, and waits for its end.
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
    fn statistics_from_before_the_first_reading_have_no_windows() {
        let stats = |scored: Option<u64>| NodeStats {
            cpu: Duration::ZERO,
            peak_mib: 1,
            latencies: Vec::new(),
            windows: scored.map(|scored| WindowCounts { scored, skipped: 0 }),
        };
        for (before, after, difference) in
            [(Some(3), Some(10), Some(7)), (None, Some(10), Some(10)), (None, None, None)]
        {
            let windows = stats(after).since(&stats(before)).windows;
            assert_eq!(windows.map(|windows| windows.scored), difference);
        }
    }

    #[test]
    fn earlier_measurements_are_subtracted() {
        let before = [latency(&[(1.0, 3), (900.0, 7)])];
        let measured = latency(&[(1.0, 3), (2.0, 98), (8.0, 2), (900.0, 7)]).since(&before);
        assert_eq!([0.5, 0.98, 0.99, 1.0].map(|q| measured.quantile_ms(q)), [2.0, 2.0, 8.0, 8.0].map(Some));
        assert_eq!(latency(&[(1.0, 3)]).since(&before).quantile_ms(0.5), None);
    }
}
