//! `volute bench`: what this machine can do. One file for each thing that is measured.

use std::io::Write;

use anyhow::Result;

use crate::cli::{Bench, BenchArgs};

mod inference;
mod ingest;

/// Measures, and prints the figures.
pub fn run(args: &BenchArgs, output: &mut dyn Write) -> Result<()> {
    match &args.what {
        Bench::Inference(args) => inference::run(args, output),
        Bench::Ingest(args) => ingest::run(args, output),
    }
}
