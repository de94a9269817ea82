//! The flags of `volute bench`.

use std::num::NonZeroUsize;

use clap::{Args, Subcommand};

use super::{Format, NodeUrl};

/// What to measure on this machine.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub what: Bench,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Windows a second that the network reconstructs, and the time a batch takes.
    #[command(after_help = INFERENCE_EXAMPLES)]
    Inference(InferenceArgs),
    /// Readings a second that a node takes, and how long each takes to be durable.
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

Posts are sent when they are due, whether or not earlier ones are answered, and a time counts from when its post was due:
a node that falls behind shows. Without --url the command starts a node of its own in a temporary folder, with a model
that judges every pump from its thirtieth reading on, on the same machine: both share its cores. A node that is named
must register unknown pumps.";

/// How to measure a node.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// How many pumps post.
    #[arg(long, value_name = "N", default_value = "100")]
    pub pumps: NonZeroUsize,
    /// Readings a second, of all pumps together; several are measured one after the other.
    #[arg(long, value_name = "R,...", value_delimiter = ',', default_value = "100", value_parser = rate)]
    pub rate: Vec<f64>,
    /// Readings in one post.
    #[arg(long, value_name = "B", default_value = "1")]
    pub batch: NonZeroUsize,
    /// How long to measure, after a start that does not count.
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub seconds: f64,
    /// How long that start is; long enough for every pump's window to be full.
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    pub warm_up: f64,
    /// Connections that posts are sent over.
    #[arg(long, value_name = "N", default_value = "64")]
    pub connections: NonZeroUsize,
    /// A node that runs already; absent: one of its own.
    #[arg(long, value_name = "URL")]
    pub url: Option<NodeUrl>,
    /// How to print the figures.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

const INFERENCE_EXAMPLES: &str = "\
Examples:
  volute bench inference
  volute bench inference --threads 1 --batch 32 --seconds 10 --format json

The network is untrained, of the shipped model's size: windows of 30 readings of 10 channels, 64 units. Each thread owns
its weights and buffers and works on batches of its own, as a node's workers do: windows/s is the sum over the threads, ms
the mean time of one batch.";

/// How to measure inference.
#[derive(Debug, Args)]
pub struct InferenceArgs {
    /// Threads, one figure for each number.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,2")]
    pub threads: Vec<NonZeroUsize>,
    /// Windows in a batch, one figure for each number.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,32,128,512")]
    pub batch: Vec<NonZeroUsize>,
    /// How long to measure for each figure.
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    pub seconds: f64,
    /// How to print the figures.
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
    fn every_figure_has_a_default() {
        let args = parse("volute bench inference").expect("fine");
        assert_eq!(args.threads.iter().map(|n| n.get()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(args.batch.iter().map(|n| n.get()).collect::<Vec<_>>(), [1, 32, 128, 512]);
        assert_eq!((args.seconds, args.format), (1.0, Format::Text));
    }

    #[test]
    fn nothing_is_measured_for_no_time_or_on_no_thread() {
        for flags in ["--seconds 0", "--seconds nan", "--seconds 1e9", "--threads 0", "--batch 1,0", "--format xml"] {
            assert!(parse(&format!("volute bench inference {flags}")).is_none(), "{flags}");
        }
    }
}
