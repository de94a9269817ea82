//! `volute bench ingest`: an open-loop load on a node, and how it bears it.
//!
//! Every post has its due time from the rate alone, and its latency counts from there, so that a node that falls behind is
//! not spared (no coordinated omission). Deliberately absent: whether the answers are right, which the tests ask.

mod figures;
mod load;
mod node;

use std::{io::Write, time::Duration};

use anyhow::{Context, Result, bail};

use crate::cli::{Format, IngestArgs};

use figures::Figures;
use load::{Load, Plan};
use node::{OwnNode, Usage};

/// Measures, and prints the figures.
pub fn run(args: &IngestArgs, output: &mut dyn Write) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let own = match args.url {
        Some(_) => None,
        None => Some(OwnNode::start(args.pumps.get()).context("a node of its own")?),
    };
    let url = match (&args.url, &own) {
        (Some(url), _) => url.to_string(),
        (None, Some(own)) => own.url.clone(),
        (None, None) => bail!("there is no node"),
    };
    let address = url.strip_prefix("http://").context("only http:// can be measured")?.to_owned();
    let plan = Plan {
        address,
        pumps: args.pumps.get(),
        posts_per_s: args.rate / args.batch.get() as f64,
        batch: args.batch.get(),
        connections: args.connections.get(),
    };
    let seconds = Duration::from_secs_f64(args.seconds);
    let (load, usage) = runtime.block_on(async {
        Load::run(&plan, Duration::from_secs_f64(args.warm_up)).await?;
        let before = own.as_ref().and_then(OwnNode::usage);
        let load = Load::run(&plan, seconds).await?;
        let after = own.as_ref().and_then(OwnNode::usage);
        Ok::<_, anyhow::Error>((load, Usage::between(before, after)))
    })?;
    let latencies = own.as_ref().and_then(OwnNode::latencies);
    let figures = Figures::of(args, load, usage, latencies);
    match args.format {
        Format::Text => write!(output, "{figures}")?,
        Format::Json => writeln!(output, "{}", serde_json::to_string(&figures)?)?,
    }
    Ok(())
}
