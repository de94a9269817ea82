//! The types of the store's interface: rows, filters, and results. They do not depend on how rows are stored.

use std::{cmp::Ordering, collections::BTreeMap};

use volute_plant::{Detection, EventState, PumpId, Reading, Timestamp};

use super::{StoreError, document::Document};
use crate::block::Aggregates;

/// Rows that are stored together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Pumps to register. A pump is registered before its first row, or in the same batch.
    pub pumps: Vec<PumpRecord>,
    /// Readings.
    pub readings: Vec<Reading>,
    /// Detections.
    pub detections: Vec<Detection>,
    /// Audit entries, maintenance events and other documents. Of several with one key the last one counts.
    pub documents: Vec<Document>,
    /// The node's own metrics.
    pub metrics: Vec<SystemMetrics>,
    /// Checkpoints of pumps. The newest of each pump counts.
    pub checkpoints: Vec<PumpCheckpoint>,
    /// Pumps to remove, with everything that earlier batches hold of them.
    pub removals: Vec<PumpId>,
}

/// A batch that was not stored, and why.
#[derive(Debug)]
pub struct CommitError {
    /// Why.
    pub error: StoreError,
    /// The batch.
    pub batch: Batch,
}

/// A registered pump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PumpRecord {
    /// Its id.
    pub id: PumpId,
    /// The name of its profile.
    pub profile: String,
    /// The wire names of its channels, in the order of the samples in its rows.
    pub channels: Vec<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
}

/// A checkpoint of a pump's anomaly decider, from which it continues after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PumpCheckpoint {
    /// The pump.
    pub pump: PumpId,
    /// The time of the last window that it covers.
    pub at: Timestamp,
    /// The decider's state, as JSON.
    pub document: String,
}

/// The node's own metrics at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemMetrics {
    /// When they were measured.
    pub at: Timestamp,
    /// Values by name, with the unit in the name: `ingest_readings_per_s`, `resident_bytes`.
    pub figures: BTreeMap<String, f64>,
}

/// The order of rows by time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// Ascending in time.
    #[default]
    OldestFirst,
    /// Descending in time.
    NewestFirst,
}

impl SortOrder {
    pub(crate) fn compare(self, a: Timestamp, b: Timestamp) -> Ordering {
        match self {
            Self::OldestFirst => a.cmp(&b),
            Self::NewestFirst => b.cmp(&a),
        }
    }
}

/// Which page of rows to read: a time range, an order, a limit and a cursor.
///
/// Rows of the same timestamp are never split over two pages, because `after` would then skip those of the second page.
/// If several pumps or rules share the last timestamp of a page, the page may be longer than `limit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRange {
    /// The first time, inclusive.
    pub from: Option<Timestamp>,
    /// The end, exclusive.
    pub to: Option<Timestamp>,
    /// The order of the rows.
    pub order: SortOrder,
    /// The maximum number of rows.
    pub limit: usize,
    /// The cursor: only rows strictly beyond this time, in the direction of the order. It is the time of the last row
    /// of the page before.
    pub after: Option<Timestamp>,
}

impl Default for PageRange {
    /// All rows, oldest first.
    fn default() -> Self {
        Self { from: None, to: None, order: SortOrder::OldestFirst, limit: usize::MAX, after: None }
    }
}

impl PageRange {
    /// The newest `limit` rows, newest first.
    pub fn newest(limit: usize) -> Self {
        Self { order: SortOrder::NewestFirst, limit, ..Self::default() }
    }

    /// Returns the first millisecond (inclusive) and the end (exclusive), with the cursor taken into account.
    pub(crate) fn bounds_ms(&self) -> (i64, i64) {
        let from = self.from.map_or(0, Timestamp::millis);
        let to = self.to.map_or(i64::MAX, Timestamp::millis);
        match (self.order, self.after.map(Timestamp::millis)) {
            (SortOrder::OldestFirst, Some(after)) => (from.max(after + 1), to),
            (SortOrder::NewestFirst, Some(after)) => (from, to.min(after)),
            (_, None) => (from, to),
        }
    }
}

/// The rows that a query found, and whether they are complete.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryResult<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether rows may be missing.
    pub completeness: Completeness,
}

/// Whether the result of a query is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completeness {
    /// The result has all rows of the query.
    Complete,
    /// The database is unavailable: rows earlier than `from` may be missing.
    Partial {
        /// The earliest time that could be read; none if no row could be read.
        from: Option<Timestamp>,
        /// Why the database is unavailable.
        reason: String,
    },
}

impl<T> QueryResult<T> {
    /// Creates a complete result.
    pub(crate) fn complete(rows: Vec<T>) -> Self {
        Self { rows, completeness: Completeness::Complete }
    }

    /// Appends the result for another pump.
    pub(crate) fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
        if let Completeness::Partial { .. } = other.completeness {
            self.completeness = other.completeness;
        }
    }

    /// Returns the rows, or [`StoreError::Unavailable`] if some may be missing.
    pub fn into_complete(self) -> Result<Vec<T>, StoreError> {
        match self.completeness {
            Completeness::Complete => Ok(self.rows),
            Completeness::Partial { reason, .. } => Err(StoreError::Unavailable { reason }),
        }
    }
}

/// The aggregates of a pump's readings over one time span.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Its start.
    pub start: Timestamp,
    /// Its length in milliseconds.
    pub length_ms: i64,
    /// The number of readings in it.
    pub readings: u64,
    /// Count, minimum, maximum and sum of the good values of each channel, in the pump's channel order.
    pub aggregates: Aggregates,
}

/// The rows that buckets are computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The readings themselves.
    Raw,
    /// The rollups of minutes.
    Minute,
    /// The rollups of hours.
    Hour,
}

impl Resolution {
    /// The length of one such row in milliseconds.
    pub(crate) fn unit_ms(self) -> i64 {
        match self {
            Self::Raw => 1,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }
}

/// How a time span is divided into buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// The length of a bucket in milliseconds.
    pub bucket_ms: i64,
    /// The rows that they are computed from.
    pub resolution: Resolution,
}

impl Buckets {
    /// Returns the shortest bucket length with which any time span of `span_ms` has at most `points` buckets (at least
    /// 2).
    pub fn of(span_ms: i64, points: usize) -> Self {
        // A time span that does not start at a bucket's start touches one more bucket.
        let whole_buckets = u64::try_from(points).unwrap_or(u64::MAX).max(2) - 1;
        let min_bucket_ms = u64::try_from(span_ms).unwrap_or_default().div_ceil(whole_buckets).max(1);
        let (unit_ms, resolution) = match min_bucket_ms {
            0..60_000 => (1, Resolution::Raw),
            60_000..3_600_000 => (60_000, Resolution::Minute),
            _ => (3_600_000, Resolution::Hour),
        };
        let bucket_ms = i64::try_from(min_bucket_ms.next_multiple_of(unit_ms)).unwrap_or(i64::MAX);
        Self { bucket_ms, resolution }
    }
}

/// What a flush wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Number of minutes, one block each.
    pub minutes: usize,
    /// Number of readings in them.
    pub readings: usize,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Number of queries that it ran.
    pub queries: usize,
    /// Number of deletions, each of a time span of one series.
    pub deleted: usize,
    /// Whether the pass is unfinished: there may be more rows that are too old.
    pub more: bool,
}

/// What a purge of removed pumps did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// Number of slices (time spans of one series) that it deleted.
    pub slices: usize,
    /// Whether there is more to delete.
    pub more: bool,
}

/// Which documents of a kind to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentFilter {
    /// Only documents whose field `pump` is this pump.
    pub pump: Option<PumpId>,
    /// Only documents with a time in this range.
    pub range: PageRange,
}

/// Which maintenance events to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only events of this pump.
    pub pump: Option<PumpId>,
    /// Only events in this state.
    pub state: Option<EventState>,
    /// Only events that were opened in this range.
    pub range: PageRange,
}

/// Which entries of the audit log to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only entries with this action.
    pub action: Option<String>,
    /// Only entries with a time in this range.
    pub range: PageRange,
}

/// The number of stored rows of a pump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Readings.
    pub readings: u64,
    /// Detections.
    pub detections: u64,
}

/// A baseline to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBaseline {
    /// When it was learned, by the node's clock.
    pub created_at: Timestamp,
    /// The network (model version) that the baseline's losses come from.
    pub network: String,
    /// The baseline's id.
    pub baseline_id: String,
    /// The time of the first reading that it was learned from.
    pub from: Timestamp,
    /// The end of these readings, exclusive.
    pub to: Timestamp,
    /// Why it was learned, for display.
    pub reason: String,
    /// The whole baseline, as JSON.
    pub document: String,
}

/// A stored version of a pump's baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineRecord {
    /// Its version number, from 1.
    pub version: u32,
    /// Its content.
    pub baseline: NewBaseline,
}

/// The progress of a pump's commissioning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommissioningRecord {
    /// Why the pump is commissioned, for display.
    pub reason: String,
    /// Whether a person requested it.
    pub requested: bool,
    /// The time of the first reading that counts; none before there is one.
    pub from: Option<Timestamp>,
    /// The end of the readings that count, exclusive; none until there are enough.
    pub to: Option<Timestamp>,
    /// Normal running time so far, in milliseconds.
    pub running_ms: i64,
}

/// Which baseline a pump uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaselineStatus {
    /// It has no baseline and is not being commissioned.
    New,
    /// It is being commissioned.
    Commissioning(CommissioningRecord),
    /// It uses this version of its baseline.
    Active(BaselineRecord),
}
