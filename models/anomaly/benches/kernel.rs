//! Benchmark of the network alone, on one thread, at the shipped model's size: windows of 30 x 10, 64 units. Training
//! also at 64 channels.
//!
//! `cargo bench -p volute-anomaly`. For results and comparisons see `BENCHMARKS.md`.
#![allow(clippy::expect_used, reason = "a benchmark may panic")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use volute_anomaly::bench::UntrainedNetwork;

const LEN: usize = 30;
const CHANNELS: usize = 10;
const UNITS: usize = 64;

fn windows(batch: usize, channels: usize) -> Vec<f32> {
    (0..batch * LEN * channels).map(|i| 0.5 + 0.5 * (i as f32 * 0.7).sin()).collect()
}

fn inference(criterion: &mut Criterion) {
    let mut worker = UntrainedNetwork::new(LEN, CHANNELS, UNITS, 1).worker();
    let mut group = criterion.benchmark_group("inference");
    for batch in [1, 32, 128, 512] {
        let windows = windows(batch, CHANNELS);
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
            bencher.iter(|| black_box(worker.reconstruct(&windows)[0]));
        });
    }
}

fn training(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("training");
    // candle distributes tensors of 65,536 numbers and more over all cores. At 64 channels, weights and batch are that
    // large.
    for channels in [CHANNELS, 64] {
        let mut trainer = UntrainedNetwork::new(LEN, channels, UNITS, 1).trainer().expect("a trainable network");
        let windows = windows(64, channels);
        group.throughput(Throughput::Elements(64));
        group.bench_function(BenchmarkId::from_parameter(format!("64 windows of {channels} channels")), |bencher| {
            bencher.iter(|| trainer.step(&windows).expect("a step"));
        });
    }
}

criterion_group!(benches, inference, training);
criterion_main!(benches);
