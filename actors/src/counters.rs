//! What the engine has done since it started, as counters that every actor may move.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::supervision::Histogram;

/// How long readings and verdicts take to be durable.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    /// From a pump's readings on their way to the recorder until they are in the journal.
    pub journal: Histogram,
    /// From a window on its way to the workers until one takes it.
    pub queue: Histogram,
    /// From a reading that was received until the verdict on its window is in the journal.
    pub detection: Histogram,
}

/// Quantiles of a time, in milliseconds; none before the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyQuantiles {
    /// Of what.
    pub of: &'static str,
    /// Half took at most this long.
    pub p50_ms: Option<f64>,
    /// All but one in a hundred did.
    pub p99_ms: Option<f64>,
    /// All but one in a thousand did.
    pub p999_ms: Option<f64>,
}

impl Latencies {
    pub(crate) fn quantiles(&self) -> [LatencyQuantiles; 3] {
        [("journal", &self.journal), ("queue", &self.queue), ("detection", &self.detection)].map(|(of, histogram)| {
            let ms = |quantile| histogram.quantile_ms(quantile);
            LatencyQuantiles { of, p50_ms: ms(0.5), p99_ms: ms(0.99), p999_ms: ms(0.999) }
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
    /// Posts refused because a queue was full.
    refused,
    /// Windows scored.
    scored,
    /// Windows skipped because their pump had newer ones, or the queue was full.
    skipped,
    /// Windows that the model failed on.
    score_failures,
    /// Anomalous windows.
    anomalies,
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

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}
