//! Counters and latency histograms of the engine (all actors together) since its start.
//!
//! `/api/live-data` and the stored metrics have the counters by name. A counter that was renamed in the code keeps its
//! earlier name there.

use std::sync::atomic::{AtomicU64, Ordering};

use volute_runtime::{Histogram, quantile_ms};

use crate::receipt::{IngestError, Queue};

/// How long readings and detections take to become durable: the time in each processing stage, and in total.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    /// From a parsed post until its pump has admitted or rejected its readings.
    pub admission: Histogram,
    /// From sending readings to the recorder until they are durable in the journal.
    pub reading_commit: Histogram,
    /// From queueing a window in the pool until a worker takes it.
    pub pool_wait: Histogram,
    /// From taking a window out of the pool until it is scored.
    pub scoring: Histogram,
    /// From sending a detection to the recorder until it is durable in the journal.
    pub detection_commit: Histogram,
    /// From receiving a window's last reading until the detection is durable in the journal.
    pub detection_total: Histogram,
}

/// Quantiles of a latency in milliseconds; none before the first measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyQuantiles {
    /// The name of the processing stage in the API.
    pub of: &'static str,
    /// The median.
    pub p50_ms: Option<f64>,
    /// The 99th percentile.
    pub p99_ms: Option<f64>,
    /// The 99.9th percentile.
    pub p999_ms: Option<f64>,
    /// The histogram: the exclusive upper end of each bucket in milliseconds, and its count.
    pub buckets: Vec<(f64, u64)>,
}

impl Latencies {
    pub(crate) fn quantiles(&self) -> [LatencyQuantiles; 6] {
        let Self { admission, reading_commit, pool_wait, scoring, detection_commit, detection_total } = self;
        // The names in the API are those of an earlier version.
        let stages = [
            ("gate", admission),
            ("journal", reading_commit),
            ("queue", pool_wait),
            ("inference", scoring),
            ("record", detection_commit),
            ("detection", detection_total),
        ];
        stages.map(|(of, histogram)| {
            let buckets = histogram.buckets();
            let [p50_ms, p99_ms, p999_ms] = [0.5, 0.99, 0.999].map(|quantile| quantile_ms(&buckets, quantile));
            LatencyQuantiles { of, p50_ms, p99_ms, p999_ms, buckets }
        })
    }
}

/// Declares the counters. `field = "name"` gives a counter another name in the API and the stored metrics.
macro_rules! counters {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    ($($(#[$doc:meta])* $field:ident $(= $name:literal)?),* $(,)?) => {
        /// Totals since the start, which all actors count into.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $field: AtomicU64,)*
            /// The latencies.
            pub(crate) latencies: Latencies,
        }

        /// A snapshot of [`Counters`].
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Totals { $($(#[$doc])* pub $field: u64,)* }

        impl Counters {
            /// Returns all totals.
            pub fn totals(&self) -> Totals {
                Totals { $($field: self.$field.load(Ordering::Relaxed),)* }
            }
        }

        impl Totals {
            /// Returns the totals by their names in the API and the stored metrics.
            pub fn figures(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((counters!(@name $field $($name)?), self.$field),)*].into_iter()
            }
        }
    };
}

counters! {
    /// New readings that are durable.
    accepted,
    /// Readings that were stored before.
    duplicate,
    /// New readings that arrived too late for their window. They are stored and not scored.
    late,
    /// Items rejected permanently.
    rejected,
    /// Items rejected for now; clients may send them again.
    deferred,
    /// Posts and commands refused as a whole, for any reason.
    refused,
    /// Posts refused because the bodies of posts in flight had reached their limit. This and all `refused_...` below
    /// are also counted in `refused`.
    refused_bodies,
    /// Posts refused because too many posts waited at the ingress.
    refused_ingress = "refused_gate",
    /// Posts refused because too many readings of a pump were in flight: received, and not durable yet.
    refused_pump,
    /// Posts refused because too many readings of all pumps were in flight.
    refused_node,
    /// Posts refused because too many readings of backlogs waited for their part.
    refused_backlogs,
    /// Posts refused because too many past minutes waited for the database.
    refused_past_minutes,
    /// Posts refused because the client had registered too many new pumps.
    refused_new_pumps,
    /// Commands to a pump refused because too many commands waited for it.
    refused_commands = "refused_orders",
    /// Refusals that the audit log counts together because there are too many kinds of them.
    merged_refusals,
    /// A person's requests for a baseline refused because too many commissioning jobs waited.
    refused_commissionings = "refused_lessons",
    /// Windows scored.
    scored,
    /// Windows skipped because their pump had newer ones or the queue was full.
    skipped,
    /// Windows that could not be scored.
    score_failures,
    /// Anomalous windows.
    anomalies,
    /// Readings that the maintenance rules did not evaluate, because the maintenance actor had failed and its inbox
    /// was full.
    evaluations_dropped = "looks_dropped",
    /// Readings evaluated against their pump's alarms. Equals the number of accepted readings, once their posts have their
    /// responses.
    evaluated,
    /// Alarms raised: occurrences that were announced.
    alarms_raised,
    /// Maintenance events opened.
    events_opened,
    /// Records written to the journal.
    commits,
    /// Records that could not be written to the journal.
    commit_failures,
    /// Blocks written into the database.
    blocks_written,
    /// Queries that deleted expired rows of a time span.
    expired_spans_deleted = "slices_deleted",
    /// Failures of the database.
    database_failures,
    /// Detections dropped because the journal failed for too long.
    detections_dropped,
    /// Rows dropped because the store refused them as invalid.
    invalid_rows_dropped,
    /// Baselines learned.
    commissioned,
    /// Failed attempts to learn a baseline.
    commissioning_failures,
    /// Requests of pumps' actors for a baseline that found the commissioning queue full. The actors repeat them.
    commissioning_deferred,
    /// Updates dropped because the live feed's inbox was full.
    live_dropped,
    /// Notifications that a server has accepted.
    notifications_sent,
    /// Attempts to send a notification that failed.
    notification_failures,
    /// Rows that the notifier did not take in time. It reads them from the store.
    notification_rows_dropped,
}

impl Counters {
    /// Counts a refused post or command.
    pub(crate) fn refuse(&self, refusal: &IngestError) {
        add(&self.refused, 1);
        let IngestError::Busy { queue, .. } = refusal else { return };
        match queue {
            Queue::Bodies => add(&self.refused_bodies, 1),
            Queue::Ingress => add(&self.refused_ingress, 1),
            Queue::Pump => add(&self.refused_pump, 1),
            Queue::Node => add(&self.refused_node, 1),
            Queue::Backlogs => add(&self.refused_backlogs, 1),
            Queue::PastMinutes => add(&self.refused_past_minutes, 1),
            Queue::NewPumps => add(&self.refused_new_pumps, 1),
            Queue::Commands => add(&self.refused_commands, 1),
            Queue::CommissionJobs => add(&self.refused_commissionings, 1),
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}
