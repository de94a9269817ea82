//! The figures of a measurement, as text and as JSON.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{
    load::LoadResult,
    node::{Latency, NodeStats},
};
use crate::cli::IngestArgs;

/// The figures at one rate.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pumps: usize,
    /// Readings per second that were due.
    rate: f64,
    batch: usize,
    seconds: f64,
    /// Readings per second in posts with status 200.
    acknowledged_per_s: f64,
    /// The number of responses by status.
    statuses: BTreeMap<u16, u64>,
    /// The time from when a post was due until it was acknowledged.
    durable_ms: Quantiles,
    /// The node's processor time per acknowledged reading; `None` if the node was given by `--url`.
    cpu_us_per_reading: Option<f64>,
    /// The node's processor time, in percent of one core.
    cpu_percent_of_a_core: Option<f64>,
    /// The highest resident memory of the node since its start, in MiB.
    peak_mib: Option<u64>,
    /// The time from the end of the load until posts of one reading were acknowledged within 100 ms again, in seconds.
    recovery_s: f64,
    /// The number of windows during the measurement; `None` if the node was given by `--url`.
    windows_scored: Option<u64>,
    windows_skipped: Option<u64>,
    /// The time of each stage in the node, from the node's histograms; empty if the node was given by
    /// `--url`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "hops")]
    stages: Vec<StageTime>,
}

/// The time of one stage in the node. Each figure is too high by at most an eighth.
#[derive(Debug, Serialize)]
struct StageTime {
    of: String,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
}

/// The measurement at one rate.
pub(super) struct Measurement {
    pub load: LoadResult,
    pub recovery: Duration,
    /// The node's work and resource usage; `None` if the node was given by `--url`.
    pub node: Option<NodeStats>,
}

/// Quantiles of times, in milliseconds.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Quantiles {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Figures {
    pub(super) fn of(args: &IngestArgs, rate: f64, measurement: Measurement) -> Self {
        let Measurement { mut load, recovery, node } = measurement;
        let elapsed_s = load.elapsed.as_secs_f64();
        let windows = node.as_ref().and_then(|node| node.windows);
        Self {
            pumps: args.pumps.get(),
            rate,
            batch: args.batch.get(),
            seconds: args.seconds,
            acknowledged_per_s: load.readings as f64 / elapsed_s,
            statuses: load.statuses,
            durable_ms: Quantiles::of(&mut load.latencies_us),
            cpu_us_per_reading: node.as_ref().map(|node| node.cpu.as_secs_f64() * 1e6 / load.readings.max(1) as f64),
            cpu_percent_of_a_core: node.as_ref().map(|node| node.cpu.as_secs_f64() / elapsed_s * 100.0),
            peak_mib: node.as_ref().map(|node| node.peak_mib),
            recovery_s: recovery.as_secs_f64(),
            windows_scored: windows.map(|windows| windows.scored),
            windows_skipped: windows.map(|windows| windows.skipped),
            stages: node.map(|node| node.latencies).unwrap_or_default().into_iter().filter_map(stage_time).collect(),
        }
    }
}

fn stage_time(latency: Latency) -> Option<StageTime> {
    let ms = |quantile| latency.quantile_ms(quantile);
    let (p50_ms, p99_ms, p999_ms) = (ms(0.5)?, ms(0.99)?, ms(0.999)?);
    Some(StageTime { of: latency.of, p50_ms, p99_ms, p999_ms })
}

impl Quantiles {
    /// Returns the quantiles of these times in microseconds. Sorts the times.
    fn of(times_us: &mut [u64]) -> Self {
        times_us.sort_unstable();
        let at = |quantile: f64| {
            let index = ((times_us.len() as f64 * quantile).ceil() as usize).clamp(1, times_us.len().max(1)) - 1;
            times_us.get(index).map_or(0.0, |&us| us as f64 / 1e3)
        };
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pumps, rate, batch, seconds, acknowledged_per_s, statuses, durable_ms, .. } = self;
        writeln!(f, "{pumps} pumps, {rate} readings/s in posts of {batch}, {seconds} s")?;
        writeln!(f, "acknowledged  {acknowledged_per_s:.0} readings/s, responses {statuses:?}")?;
        let Quantiles { p50, p99, p999, max } = durable_ms;
        writeln!(f, "durable       p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, max {max:.2} ms")?;
        if let (Some(us), Some(percent), Some(peak)) =
            (self.cpu_us_per_reading, self.cpu_percent_of_a_core, self.peak_mib)
        {
            writeln!(
                f,
                "node          {us:.0} us of processor time per reading, {percent:.0} % of a core, {peak} MiB at most"
            )?;
        }
        if let (Some(scored), Some(skipped)) = (self.windows_scored, self.windows_skipped) {
            let none = if scored == 0 { ": no pump's window was full; a longer --warm-up fills them" } else { "" };
            writeln!(f, "windows       {scored} scored, {skipped} skipped{none}")?;
        }
        for StageTime { of, p50_ms, p99_ms, p999_ms } in &self.stages {
            writeln!(f, "  {of:11} p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms, p99.9 {p999_ms:.2} ms")?;
        }
        writeln!(f, "recovery      {:.1} s", self.recovery_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_taken_from_the_sorted_times() {
        let mut times: Vec<u64> = (1..=1000).rev().map(|ms| ms * 1000).collect();
        let Quantiles { p50, p99, p999, max } = Quantiles::of(&mut times);
        assert_eq!((p50, p99, p999, max), (500.0, 990.0, 999.0, 1000.0));
        assert_eq!(Quantiles::of(&mut []).max, 0.0);
    }
}
