//! `volute bench ingest`: measures a node under an open-loop load.
//!
//! The due time of each post depends only on the rate, and its latency is measured from the due time, so a node that
//! falls behind is visible in the latencies (no coordinated omission).
//!
//! Example: at 1,000 readings per second in posts of 100, a post is due every 100 ms. If the node stops for 1 s, the
//! ten posts that were due in that second have latencies from about 1 s down to 0.1 s.
//!
//! Does not check the contents of responses; the tests do.

mod figures;
mod load;
mod node;

use std::{io::Write, time::Duration};

use anyhow::{Context, Result, bail};

use crate::cli::{Format, IngestArgs};

use figures::{Figures, Measurement};
use load::{LoadPlan, LoadResult, recovery};
use node::{NodeProbe, OwnNode};

/// Measures one rate after the other, each on a new node unless `--url` is given, and prints the figures.
pub fn run(args: &IngestArgs, output: &mut dyn Write) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut all = Vec::new();
    for &rate in &args.rate {
        let own_node = match args.url {
            Some(_) => None,
            None => Some(OwnNode::start(args.pumps.get()).context("the node cannot be started")?),
        };
        let measurement = runtime.block_on(measure(args, rate, own_node.as_ref()))?;
        let figures = Figures::of(args, rate, measurement);
        if args.format == Format::Text {
            write!(output, "{figures}")?;
        }
        all.push(figures);
    }
    if args.format == Format::Json {
        writeln!(output, "{}", serde_json::to_string(&all)?)?;
    }
    Ok(())
}

async fn measure(args: &IngestArgs, rate: f64, own: Option<&OwnNode>) -> Result<Measurement> {
    let url = match (&args.url, own) {
        (Some(url), _) => url.to_string(),
        (None, Some(own)) => own.probe.url.clone(),
        (None, None) => bail!("there is no node"),
    };
    let address = url.strip_prefix("http://").context("only http:// URLs can be measured")?.to_owned();
    let plan = LoadPlan {
        address,
        pumps: args.pumps.get(),
        posts_per_s: rate / args.batch.get() as f64,
        batch: args.batch.get(),
        connections: args.connections.get(),
    };
    let probe = own.map(|own| own.probe.clone());
    let read_stats = move || probe.as_ref().and_then(NodeProbe::read_stats);
    let times = [args.warm_up, args.seconds].map(Duration::from_secs_f64);
    let (load, before) = LoadResult::run(&plan, times, read_stats.clone()).await?;
    let node = read_stats().zip(before).map(|(after, before)| after.since(&before));
    let recovery = recovery(&plan.address).await?;
    Ok(Measurement { load, recovery, node })
}
