//! What goes into the store and how one asks for it. Nothing here knows how it is stored.

use std::{cmp::Ordering, collections::BTreeMap};

use volute_plant::{Detection, EventState, PumpId, Reading, Timestamp};

use super::{StoreError, document::Document};
use crate::block::Aggregates;

/// Rows to be stored together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Pumps; a pump is registered before its first row, or in the same batch.
    pub pumps: Vec<PumpRecord>,
    /// Readings.
    pub readings: Vec<Reading>,
    /// Detections.
    pub detections: Vec<Detection>,
    /// Audit entries, maintenance events and other documents as they now are; of several of one key the last one counts.
    pub documents: Vec<Document>,
    /// The node's own figures.
    pub metrics: Vec<SystemMetrics>,
    /// What is remembered of pumps; the newest of each counts.
    pub states: Vec<PumpState>,
    /// Pumps that are removed, with all that earlier batches hold of them.
    pub removals: Vec<PumpId>,
}

/// A pump as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PumpRecord {
    /// Its name.
    pub id: PumpId,
    /// The name of its profile.
    pub profile: String,
    /// Its channels' wire names, in the order of its rows' arrays.
    pub channels: Vec<String>,
    /// When it was first heard of.
    pub registered_at: Timestamp,
}

/// What a pump's judge remembers of its windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PumpState {
    /// Whose windows they are.
    pub pump: PumpId,
    /// The time of the last one.
    pub at: Timestamp,
    /// All of it, as JSON.
    pub document: String,
}

/// The node's own figures at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemMetrics {
    /// When they were taken.
    pub at: Timestamp,
    /// By name, with the unit in the name: `ingest_readings_per_s`, `resident_bytes`.
    pub figures: BTreeMap<String, f64>,
}

/// Which end of a range comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// From the past on.
    #[default]
    OldestFirst,
    /// Back from now.
    NewestFirst,
}

impl Order {
    pub(crate) fn compare(self, a: Timestamp, b: Timestamp) -> Ordering {
        match self {
            Self::OldestFirst => a.cmp(&b),
            Self::NewestFirst => b.cmp(&a),
        }
    }
}

/// A page of rows by time.
///
/// Rows of the same moment are never parted, or `after` would skip the rest of them: where several
/// pumps or rules share a page's last moment, the page may be longer than `limit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Up to and without this time.
    pub to: Option<Timestamp>,
    /// In this order.
    pub order: Order,
    /// This many.
    pub limit: usize,
    /// Only strictly beyond this time, in the order's direction: the last row of the page before.
    pub after: Option<Timestamp>,
}

impl Default for Range {
    /// Everything, oldest first.
    fn default() -> Self {
        Self { from: None, to: None, order: Order::OldestFirst, limit: usize::MAX, after: None }
    }
}

impl Range {
    /// The newest `limit` rows, newest first.
    pub fn newest(limit: usize) -> Self {
        Self { order: Order::NewestFirst, limit, ..Self::default() }
    }

    /// The first and the last-but-excluded millisecond, with the cursor taken into account.
    pub(crate) fn bounds_ms(&self) -> (i64, i64) {
        let from = self.from.map_or(0, Timestamp::millis);
        let to = self.to.map_or(i64::MAX, Timestamp::millis);
        match (self.order, self.after.map(Timestamp::millis)) {
            (Order::OldestFirst, Some(after)) => (from.max(after + 1), to),
            (Order::NewestFirst, Some(after)) => (from, to.min(after)),
            (_, None) => (from, to),
        }
    }
}

/// Rows, and whether they are all that there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// How far back they reach.
    pub reach: Reach,
}

/// How far back an answer reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// As far as was asked.
    Whole,
    /// The database does not answer: earlier rows than this may be missing.
    Since {
        /// The earliest time that could be read; none if nothing could.
        from: Option<Timestamp>,
        /// Why it does not answer.
        reason: String,
    },
}

impl<T> Answer<T> {
    pub(crate) fn whole(rows: Vec<T>) -> Self {
        Self { rows, reach: Reach::Whole }
    }

    /// Takes in another pump's answer.
    pub(crate) fn join(&mut self, other: Self) {
        self.rows.extend(other.rows);
        if let Reach::Since { .. } = other.reach {
            self.reach = other.reach;
        }
    }

    /// The rows, for who can do nothing with a part of them.
    pub fn all(self) -> Result<Vec<T>, StoreError> {
        match self.reach {
            Reach::Whole => Ok(self.rows),
            Reach::Since { reason, .. } => Err(StoreError::Unavailable { reason }),
        }
    }
}

/// A pump's readings of a stretch of time, summed up.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Its beginning.
    pub start: Timestamp,
    /// Its length.
    pub length_ms: i64,
    /// How many readings it is of.
    pub readings: u64,
    /// Count, min, max and sum of each channel's good values, in the pump's order.
    pub aggregates: Aggregates,
}

/// What buckets are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The readings themselves.
    Raw,
    /// The rollups per minute.
    Minute,
    /// The rollups per hour.
    Hour,
}

impl Resolution {
    /// The length of what buckets are made of.
    pub(crate) fn unit_ms(self) -> i64 {
        match self {
            Self::Raw => 1,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }
}

/// How a stretch of time is cut into buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// Their length.
    pub bucket_ms: i64,
    /// What they are made of.
    pub resolution: Resolution,
}

impl Buckets {
    /// At most `points` of them (2 at least) for a stretch of `span_ms`, wherever it begins.
    pub fn of(span_ms: i64, points: usize) -> Self {
        // A stretch that does not begin with a bucket touches one more.
        let whole = u64::try_from(points).unwrap_or(u64::MAX).max(2) - 1;
        let least_ms = u64::try_from(span_ms).unwrap_or_default().div_ceil(whole).max(1);
        let (unit_ms, resolution) = match least_ms {
            0..60_000 => (1, Resolution::Raw),
            60_000..3_600_000 => (60_000, Resolution::Minute),
            _ => (3_600_000, Resolution::Hour),
        };
        let bucket_ms = i64::try_from(least_ms.next_multiple_of(unit_ms)).unwrap_or(i64::MAX);
        Self { bucket_ms, resolution }
    }
}

/// What a flush has written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Blocks of minutes.
    pub minutes: usize,
    /// Readings in them.
    pub readings: usize,
}

/// What a sweep has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Queries that it took.
    pub slices: usize,
    /// Slices that were deleted.
    pub deleted: usize,
    /// The pass is not through: there may be more that is too old.
    pub more: bool,
}

/// What was done of what is left of removed pumps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Slices that were deleted.
    pub slices: usize,
    /// There is more to delete.
    pub more: bool,
}

/// Which documents of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentFilter {
    /// Of this pump only, as their field `pump` names it.
    pub pump: Option<PumpId>,
    /// Of this range of their times.
    pub range: Range,
}

/// Which maintenance events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this pump only.
    pub pump: Option<PumpId>,
    /// In this state only.
    pub state: Option<EventState>,
    /// Opened in this range.
    pub range: Range,
}

/// Which entries of the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this action only.
    pub action: Option<String>,
    /// Asked for in this range.
    pub range: Range,
}

/// How many rows of a pump are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readings.
    pub readings: u64,
    /// Detections.
    pub detections: u64,
}

/// A baseline to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBaseline {
    /// When it was learned, by the node's clock.
    pub created_at: Timestamp,
    /// The network whose losses it speaks of.
    pub network: String,
    /// Its own id.
    pub baseline: String,
    /// The first of the readings that it was learned from.
    pub from: Timestamp,
    /// The first reading that no longer belongs to them.
    pub to: Timestamp,
    /// Why it was learned, for people.
    pub why: String,
    /// All of it, as JSON.
    pub document: String,
}

/// A stored version of a pump's baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineRecord {
    /// Its number, from 1.
    pub version: u32,
    /// What it is.
    pub what: NewBaseline,
}

/// How far a pump's commissioning is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommissioningRecord {
    /// Why the pump is commissioned, for people.
    pub why: String,
    /// Whether somebody asked for it.
    pub asked: bool,
    /// The first reading that counts; none before it.
    pub from: Option<Timestamp>,
    /// The first reading that no longer counts; none until enough is gathered.
    pub to: Option<Timestamp>,
    /// Normal running gathered so far, in milliseconds.
    pub running_ms: i64,
}

/// What a pump goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is known of it yet.
    New,
    /// Its commissioning is under way.
    Commissioning(CommissioningRecord),
    /// This version of its baseline is in use.
    Active(BaselineRecord),
}
