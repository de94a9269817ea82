//! Counters and latency histograms of the engine since its start, shared by all actors. Their names are part of the API
//! and of the stored metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use volute_runtime::{Histogram, quantile_ms};

use crate::receipt::{IngestError, Queue};

/// How long readings and detections take to become durable, by hop (processing stage) and in total.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    /// From a parsed post until its pump has admitted or rejected its readings.
    pub admission: Histogram,
    /// From sending readings to the recorder until they are durable in the journal.
    pub reading_commit: Histogram,
    /// From putting a window into the pool until a worker takes it.
    pub pool_wait: Histogram,
    /// From the time a worker takes a window until the window is scored.
    pub scoring: Histogram,
    /// From sending a detection to the recorder until it is durable in the journal.
    pub detection_commit: Histogram,
    /// From receiving a window's last reading until the detection is durable in the journal.
    pub detection_total: Histogram,
}

/// Quantiles of a latency in milliseconds; none before the first measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyQuantiles {
    /// The hop's name in the API.
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
        // The names are part of the API. They differ from the names of the fields.
        let hops = [
            ("gate", admission),
            ("journal", reading_commit),
            ("queue", pool_wait),
            ("inference", scoring),
            ("record", detection_commit),
            ("detection", detection_total),
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
        /// Running totals since the start. Shared by all actors.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
            /// The latencies.
            pub(crate) latencies: Latencies,
        }

        /// A snapshot of [`Counters`].
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Totals { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            /// Returns all totals.
            pub fn totals(&self) -> Totals {
                Totals { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl Totals {
            /// Returns the names and values of all totals, for the store and the logs.
            pub fn figures(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// New readings that are durable.
    accepted,
    /// Readings that were stored before.
    duplicate,
    /// New readings that are stored but arrived too late for their window.
    late,
    /// Items rejected permanently.
    rejected,
    /// Items rejected for now; clients may send them again.
    deferred,
    /// Posts and commands refused as a whole, for any reason.
    refused,
    /// Posts refused because the bodies of posts in flight had reached their limit. Also counted in `refused`.
    refused_bodies,
    /// Posts refused because too many posts waited at the ingress (actor id `gate`). Also counted in `refused`.
    refused_gate,
    /// Posts refused because too many readings of a pump were in flight. Also counted in `refused`.
    refused_pump,
    /// Posts refused because too many readings of all pumps were in flight. Also counted in `refused`.
    refused_node,
    /// Posts refused because too many readings of backlogs waited. Also counted in `refused`.
    refused_backlogs,
    /// Posts refused because too many past minutes waited for the database. Also counted in `refused`.
    refused_past_minutes,
    /// Posts refused because the client had registered too many new pumps. Also counted in `refused`.
    refused_new_pumps,
    /// Commands to pumps refused because too many commands to a pump waited. Also counted in `refused`.
    refused_orders,
    /// Requests for a baseline refused because too many commissioning jobs waited. Also counted in `refused`.
    refused_lessons,
    /// Windows scored.
    scored,
    /// Windows skipped because their pump had newer ones or the queue was full.
    skipped,
    /// Windows that could not be scored.
    score_failures,
    /// Anomalous windows.
    anomalies,
    /// Readings whose evaluation was dropped, because maintenance had failed and its mailbox was full.
    looks_dropped,
    /// Maintenance events opened.
    events_opened,
    /// Records written to the journal.
    commits,
    /// Records that could not be written to the journal.
    commit_failures,
    /// Blocks written into the database.
    blocks_written,
    /// Queries that deleted expired rows.
    slices_deleted,
    /// Failures of the database.
    database_failures,
    /// Detections dropped because the journal failed for too long.
    detections_dropped,
    /// Baselines learned.
    commissioned,
    /// Failed attempts to learn a baseline.
    commissioning_failures,
    /// Requests for a baseline that found the commissioning queue full. The pumps repeat them later.
    commissioning_deferred,
    /// Updates dropped because the live feed's mailbox was full.
    live_dropped,
}

impl Counters {
    /// Counts a refused post or order.
    pub(crate) fn refuse(&self, refusal: &IngestError) {
        add(&self.refused, 1);
        let IngestError::Busy { queue, .. } = refusal else { return };
        match queue {
            Queue::Bodies => add(&self.refused_bodies, 1),
            Queue::Ingress => add(&self.refused_gate, 1),
            Queue::Pump => add(&self.refused_pump, 1),
            Queue::Node => add(&self.refused_node, 1),
            Queue::Backlogs => add(&self.refused_backlogs, 1),
            Queue::PastMinutes => add(&self.refused_past_minutes, 1),
            Queue::NewPumps => add(&self.refused_new_pumps, 1),
            Queue::Orders => add(&self.refused_orders, 1),
            Queue::CommissionJobs => add(&self.refused_lessons, 1),
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}
