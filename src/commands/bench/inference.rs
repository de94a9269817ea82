//! `volute bench inference`: measures how fast the network reconstructs windows.
//!
//! The network is untrained and has the size of the built-in model. The values of the weights do not affect the speed.
//! Does not measure the scaling, scores and queues of a node.

use std::{
    io::Write,
    num::NonZeroUsize,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use procfs::process::Process;
use serde::Serialize;
use volute_anomaly::{
    Recipe,
    bench::{UntrainedNetwork, Worker},
};

use crate::cli::{Format, InferenceArgs};

/// Steps in a window.
const WINDOW_LEN: usize = 30;
/// Channels per step.
const CHANNELS: usize = 10;
/// The number of batches before the measurement, which fill buffers and caches.
const WARM_UP_BATCHES: usize = 5;

/// One line of the output.
#[derive(Debug, Serialize)]
struct Figure {
    threads: usize,
    batch: usize,
    /// The sum over all threads.
    windows_per_s: f64,
    /// The mean time of one thread for one batch, in milliseconds.
    ms: f64,
}

/// Measures every combination of number of threads and batch size.
pub fn run(args: &InferenceArgs, output: &mut dyn Write) -> Result<()> {
    let network = UntrainedNetwork::new(WINDOW_LEN, CHANNELS, Recipe::default().units, 1);
    if args.format == Format::Text {
        report_memory(&network, output)?;
        writeln!(output, "threads  batch  windows/s        ms")?;
    }
    let mut figures = Vec::new();
    for threads in args.threads.iter().copied().map(NonZeroUsize::get) {
        for batch in args.batch.iter().copied().map(NonZeroUsize::get) {
            let figure = measure(&network, threads, batch, Duration::from_secs_f64(args.seconds))?;
            if args.format == Format::Text {
                let Figure { windows_per_s, ms, .. } = figure;
                writeln!(output, "{threads:7}  {batch:5}  {windows_per_s:9.0}  {ms:8.3}")?;
            }
            figures.push(figure);
        }
    }
    if args.format == Format::Json {
        writeln!(output, "{}", serde_json::to_string(&figures)?)?;
    }
    Ok(())
}

fn measure(network: &UntrainedNetwork, threads: usize, batch: usize, time: Duration) -> Result<Figure> {
    let start = Barrier::new(threads);
    let seconds_per_batch: Result<Vec<f64>> = thread::scope(|scope| {
        let run_worker = || run_worker(network.worker(), batch, &start, time);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run_worker)).collect();
        let results = workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a thread has panicked")));
        results.collect()
    });
    let seconds_per_batch = seconds_per_batch?;
    let windows_per_s = seconds_per_batch.iter().map(|seconds| batch as f64 / seconds).sum();
    let ms = 1e3 * seconds_per_batch.iter().sum::<f64>() / threads as f64;
    Ok(Figure { threads, batch, windows_per_s, ms })
}

/// Returns the mean time for a batch on the current thread, in seconds.
fn run_worker(mut worker: Worker, batch: usize, start: &Barrier, time: Duration) -> f64 {
    let windows = windows(batch);
    for _ in 0..WARM_UP_BATCHES {
        worker.reconstruct(&windows);
    }
    start.wait();
    let start = Instant::now();
    let mut batches = 0;
    while start.elapsed() < time {
        worker.reconstruct(&windows);
        batches += 1;
    }
    start.elapsed().as_secs_f64() / f64::from(batches)
}

/// Returns scaled windows whose values oscillate between 0 and 1.
fn windows(batch: usize) -> Vec<f32> {
    (0..batch * WINDOW_LEN * CHANNELS).map(|i| 0.5 + 0.5 * (i as f32 * 0.7).sin()).collect()
}

/// Prints by how much two workers increase the resident memory, after batches of 512 windows.
fn report_memory(network: &UntrainedNetwork, output: &mut dyn Write) -> Result<()> {
    let windows = windows(512);
    let before = resident_kb();
    let mut workers = [network.worker(), network.worker()];
    for worker in &mut workers {
        worker.reconstruct(&windows);
    }
    if let (Some(before), Some(after)) = (before, resident_kb()) {
        writeln!(output, "memory of 2 workers: {} kB", after.saturating_sub(before))?;
    }
    Ok(())
}

/// Returns the resident memory of this process in KiB; `None` if the system is not Linux.
fn resident_kb() -> Option<u64> {
    Process::myself().ok()?.status().ok()?.vmrss
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output_of(format: Format) -> String {
        let number = |number| NonZeroUsize::new(number).expect("not zero");
        let args = InferenceArgs { threads: vec![number(2)], batch: vec![number(3)], seconds: 0.01, format };
        let mut output = Vec::new();
        run(&args, &mut output).expect("figures");
        String::from_utf8(output).expect("text")
    }

    #[test]
    fn json_is_a_list_of_figures() {
        let figures: serde_json::Value = serde_json::from_str(&output_of(Format::Json)).expect("JSON");
        let figure = &figures.as_array().expect("a list")[0];
        assert_eq!((&figure["threads"], &figure["batch"]), (&2.into(), &3.into()));
        let [rate, ms] = [&figure["windows_per_s"], &figure["ms"]].map(|value| value.as_f64().expect("a number"));
        assert!(rate > 0.0 && ms > 0.0);
        assert_eq!(figure.as_object().expect("an object").len(), 4);
    }

    #[test]
    fn text_is_a_table() {
        let text = output_of(Format::Text);
        assert!(text.contains("\nthreads  batch  windows/s        ms\n      2      3  "), "{text}");
    }
}
