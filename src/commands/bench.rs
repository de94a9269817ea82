//! `volute bench`: measures the performance of this machine. There is one module per benchmark.

use std::io::Write;

use anyhow::Result;

use crate::cli::{Bench, BenchArgs};

mod inference;
mod ingest;

/// Runs a benchmark, and prints its figures.
pub fn run(args: &BenchArgs, output: &mut dyn Write) -> Result<()> {
    match &args.what {
        Bench::Inference(args) => inference::run(args, output),
        Bench::Ingest(args) => ingest::run(args, output),
    }
}
