//! The node's own figures, written to the store at the start and then at a steady pace.

use std::{sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context};
use volute_data::SystemMetrics;
use volute_plant::Clock;

use crate::{counters::Counters, recorder::Recorder};

/// How often they are written.
const EVERY: Duration = Duration::from_secs(10);

/// The actor.
pub(crate) struct MetricsActor {
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    pub recorder: Recorder,
}

impl MetricsActor {
    fn write(&self) {
        let mut figures: Vec<(String, f64)> =
            self.counters.totals().figures().map(|(name, value)| (name.to_owned(), value as f64)).collect();
        figures.push(("recorder_queue".into(), self.recorder.readings.depth() as f64));
        figures.push(("results_queue".into(), self.recorder.results.depth() as f64));
        if let Some(bytes) = resident_bytes() {
            figures.push(("resident_bytes".into(), bytes as f64));
        }
        let metrics = SystemMetrics { at: self.clock.now(), figures: figures.into_iter().collect() };
        if self.recorder.results.post(metrics).is_err() {
            tracing::warn!(queue = "recorder", "no room for the node's figures");
        }
    }
}

impl Actor for MetricsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.write();
        ctx.run_interval(EVERY, |actor, _| actor.write());
    }
}

/// Resident memory from `/proc/self/statm` (proc(5), second field, in pages of 4 KiB); none where there is no such file.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
