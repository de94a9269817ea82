//! What the engine has done since it started, as counters that every actor may move.

use std::sync::atomic::{AtomicU64, Ordering};

use volute_runtime::{Histogram, quantile_ms};

use crate::receipt::{Queue, Refusal};

/// How long readings and verdicts take to be durable, hop by hop and in all.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    /// From a post that was parsed until its pump has judged its readings.
    pub gate: Histogram,
    /// From a pump's readings on their way to the recorder until they are in the journal.
    pub journal: Histogram,
    /// From a window on its way to the workers until one takes it.
    pub queue: Histogram,
    /// From there until it is scored.
    pub inference: Histogram,
    /// From a verdict on its way to the recorder until it is in the journal.
    pub record: Histogram,
    /// From a reading that was received until the verdict on its window is in the journal.
    pub detection: Histogram,
}

/// How a time is distributed, in milliseconds; no quantiles before the first.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyQuantiles {
    /// Of what.
    pub of: &'static str,
    /// Half took at most this long.
    pub p50_ms: Option<f64>,
    /// All but one in a hundred did.
    pub p99_ms: Option<f64>,
    /// All but one in a thousand did.
    pub p999_ms: Option<f64>,
    /// How many took less than these milliseconds, and not less than those before.
    pub buckets: Vec<(f64, u64)>,
}

impl Latencies {
    pub(crate) fn quantiles(&self) -> [LatencyQuantiles; 6] {
        let Self { gate, journal, queue, inference, record, detection } = self;
        let hops = [
            ("gate", gate),
            ("journal", journal),
            ("queue", queue),
            ("inference", inference),
            ("record", record),
            ("detection", detection),
        ];
        hops.map(|(of, histogram)| {
            let buckets = histogram.buckets();
            let [p50_ms, p99_ms, p999_ms] = [0.5, 0.99, 0.999].map(|quantile| quantile_ms(&buckets, quantile));
            LatencyQuantiles { of, p50_ms, p99_ms, p999_ms, buckets }
        })
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Running totals since the start; shared by all actors.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
            /// How long it takes.
            pub(crate) latencies: Latencies,
        }

        /// [`Counters`] at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Totals { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            /// All totals now.
            pub fn totals(&self) -> Totals {
                Totals { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl Totals {
            /// Names and figures, for the store and the logs.
            pub fn figures(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// New readings, durable.
    accepted,
    /// Readings that were taken before.
    duplicate,
    /// Readings stored but too late for their window.
    late,
    /// Items with a wrong field.
    rejected,
    /// Items that could not be taken just then, and may be sent again.
    deferred,
    /// Posts, and orders, refused as a whole, for whatever reason.
    refused,
    /// Of these: because there was no room for another body.
    refused_bodies,
    /// Because too many posts waited before the gate.
    refused_gate,
    /// Because too many readings of one of their pumps were on their way.
    refused_pump,
    /// Because too many readings of all pumps were on their way.
    refused_node,
    /// Because too many readings of backlogs waited for their turn.
    refused_backlogs,
    /// Because too many minutes of the past waited for the database.
    refused_past_minutes,
    /// Because their client had registered too many new pumps.
    refused_new_pumps,
    /// Because too many orders for a pump waited.
    refused_orders,
    /// Because too many baselines were to be learned.
    refused_lessons,
    /// Windows scored.
    scored,
    /// Windows skipped because their pump had newer ones, or the queue was full.
    skipped,
    /// Windows that the model failed on.
    score_failures,
    /// Anomalous windows.
    anomalies,
    /// Readings that maintenance, out of order and its queue full, did not look at.
    looks_dropped,
    /// Maintenance events opened.
    events_opened,
    /// Batches in the journal.
    commits,
    /// Batches that the journal did not take.
    commit_failures,
    /// Blocks written into the database.
    blocks_written,
    /// Slices of what was too old, deleted.
    slices_deleted,
    /// Failures of the database.
    database_failures,
    /// Detections given up because the store stayed unavailable.
    detections_dropped,
    /// Baselines learned.
    commissioned,
    /// Attempts to learn one that failed.
    commissioning_failures,
    /// Pumps for whose commissioning there was no room yet; they ask again later.
    commissioning_deferred,
    /// Updates that the live feed had no room for.
    live_dropped,
}

impl Counters {
    /// A post is refused.
    pub(crate) fn refuse(&self, refusal: &Refusal) {
        add(&self.refused, 1);
        let Refusal::Busy { queue, .. } = refusal else { return };
        match queue {
            Queue::Bodies => add(&self.refused_bodies, 1),
            Queue::Gate => add(&self.refused_gate, 1),
            Queue::Pump => add(&self.refused_pump, 1),
            Queue::Node => add(&self.refused_node, 1),
            Queue::Backlogs => add(&self.refused_backlogs, 1),
            Queue::PastMinutes => add(&self.refused_past_minutes, 1),
            Queue::NewPumps => add(&self.refused_new_pumps, 1),
            Queue::Orders => add(&self.refused_orders, 1),
            Queue::Lessons => add(&self.refused_lessons, 1),
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}
