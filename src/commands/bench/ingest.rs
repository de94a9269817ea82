//! `volute bench ingest`: an open-loop load on a node, and how it bears it.
//!
//! Every post has its due time from the rate alone, and its latency counts from there, so that a node that falls behind is
//! not spared (no coordinated omission). Does not check that the answers are right: the tests do.

mod figures;
mod load;
mod node;

use std::{io::Write, time::Duration};

use anyhow::{Context, Result, bail};

use crate::cli::{Format, IngestArgs};

use figures::{Figures, Measured};
use load::{Load, Plan, recovery};
use node::{OwnNode, Probe};

/// Measures one rate after the other, each on a node of its own, and prints the figures.
pub fn run(args: &IngestArgs, output: &mut dyn Write) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut all = Vec::new();
    for &rate in &args.rate {
        let own = match args.url {
            Some(_) => None,
            None => Some(OwnNode::start(args.pumps.get()).context("a node of its own")?),
        };
        let measured = runtime.block_on(measure(args, rate, own.as_ref()))?;
        let figures = Figures::of(args, rate, measured);
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

async fn measure(args: &IngestArgs, rate: f64, own: Option<&OwnNode>) -> Result<Measured> {
    let url = match (&args.url, own) {
        (Some(url), _) => url.to_string(),
        (None, Some(own)) => own.probe.url.clone(),
        (None, None) => bail!("there is no node"),
    };
    let address = url.strip_prefix("http://").context("only http:// can be measured")?.to_owned();
    let plan = Plan {
        address,
        pumps: args.pumps.get(),
        posts_per_s: rate / args.batch.get() as f64,
        batch: args.batch.get(),
        connections: args.connections.get(),
    };
    let probe = own.map(|own| own.probe.clone());
    let look = move || probe.as_ref().and_then(Probe::look);
    let times = [args.warm_up, args.seconds].map(Duration::from_secs_f64);
    let (load, before) = Load::run(&plan, times, look.clone()).await?;
    let node = look().zip(before).map(|(after, before)| after.since(&before));
    let recovery = recovery(&plan.address).await?;
    Ok(Measured { load, recovery, node })
}
