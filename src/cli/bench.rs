//! The flags of `volute bench`.

use std::num::NonZeroUsize;

use clap::{Args, Subcommand};

use super::{
    Format, NodeUrl,
    values::{batch, whole_from_1},
};

/// The arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub what: Bench,
}

/// The benchmarks.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Measure the windows per second that the network reconstructs, and the time per batch.
    #[command(after_help = INFERENCE_EXAMPLES)]
    Inference(InferenceArgs),
    /// Measure the readings per second that a node accepts, and the time until each is durable.
    #[command(after_help = INGEST_EXAMPLES)]
    Ingest(IngestArgs),
}

const INGEST_EXAMPLES: &str = "\
Examples:
  volute bench ingest
  volute bench ingest --pumps 10000 --rate 10000 --batch 100 --seconds 60
  volute bench ingest --rate 5000 --batch 1 --format json
  volute bench ingest --pumps 1000 --batch 100 --rate 1000,10000,20000
  volute bench ingest --pumps 1000 --batch 100 --rate 60000 --connections 512 --seconds 60
  volute bench ingest --url http://127.0.0.1:5000 --rate 1000

Posts are sent when they are due, whether or not earlier ones have a response, and latencies are measured from the due time,
so a node that falls behind is visible. Without --url the command starts its own node in a temporary folder, with a model
that scores every pump from its thirtieth reading on. Both share the cores of this machine. A node given by --url must
register unknown pumps.";

/// The arguments of `bench ingest`.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// Pumps that post.
    #[arg(long, value_name = "N", default_value = "100", value_parser = whole_from_1)]
    pub pumps: NonZeroUsize,
    /// Readings per second, of all pumps together; several rates are measured one after the other.
    #[arg(long, value_name = "R,...", value_delimiter = ',', default_value = "100", value_parser = rate)]
    pub rate: Vec<f64>,
    /// Readings per post, at most 10000.
    #[arg(long, value_name = "B", default_value = "1", value_parser = batch)]
    pub batch: NonZeroUsize,
    /// How long to measure, in seconds, after the warm-up.
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub seconds: f64,
    /// How long to warm up, in seconds. Choose it so that every pump's window is full at the end.
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    pub warm_up: f64,
    /// Connections to use.
    #[arg(long, value_name = "N", default_value = "64", value_parser = whole_from_1)]
    pub connections: NonZeroUsize,
    /// The URL of a running node; by default the command starts a node itself.
    #[arg(long, value_name = "URL")]
    pub url: Option<NodeUrl>,
    /// The output format.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

const INFERENCE_EXAMPLES: &str = "\
Examples:
  volute bench inference
  volute bench inference --threads 1 --batch 32 --seconds 10 --format json

The network is untrained and has the size of the model that comes with Volute: windows of 30 steps of 10 channels, 64
units. Each thread has its own weights, buffers and batches, as a node's workers do: windows/s is the sum over the threads,
ms the mean time per batch.";

/// The arguments of `bench inference`.
#[derive(Debug, Args)]
pub struct InferenceArgs {
    /// Threads; each number is measured.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,2", value_parser = whole_from_1)]
    pub threads: Vec<NonZeroUsize>,
    /// Windows per batch; each number is measured.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,32,128,512", value_parser = whole_from_1)]
    pub batch: Vec<NonZeroUsize>,
    /// How long each measurement takes, in seconds.
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    pub seconds: f64,
    /// The output format.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3_600.0 => Ok(seconds),
        _ => Err("allowed: a number above 0, to 3600".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1e7 => Ok(rate),
        _ => Err("allowed: a number above 0, to 10000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(line: &str) -> Option<InferenceArgs> {
        match Cli::read(line.split(' ').map(Into::into)).ok()?.command {
            Command::Bench(BenchArgs { what: Bench::Inference(args) }) => Some(args),
            _ => None,
        }
    }

    #[test]
    fn every_flag_has_a_default() {
        let args = parse("volute bench inference").expect("fine");
        assert_eq!(args.threads.iter().map(|n| n.get()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(args.batch.iter().map(|n| n.get()).collect::<Vec<_>>(), [1, 32, 128, 512]);
        assert_eq!((args.seconds, args.format), (1.0, Format::Text));
    }

    #[test]
    fn zero_seconds_threads_and_batches_are_rejected() {
        for flags in ["--seconds 0", "--seconds nan", "--seconds 1e9", "--threads 0", "--batch 1,0", "--format xml"] {
            assert!(parse(&format!("volute bench inference {flags}")).is_none(), "{flags}");
        }
    }
}
