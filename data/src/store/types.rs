//! What goes into the store and how one asks for it. Nothing here knows how it is stored.

use std::{cmp::Ordering, collections::BTreeMap};

use volute_plant::{Detection, EventState, MaintenanceEvent, PumpId, Reading, Timestamp};

/// Rows to be stored together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Pumps; a pump is registered before its first row, or in the same batch.
    pub pumps: Vec<PumpRecord>,
    /// Readings.
    pub readings: Vec<Reading>,
    /// Detections.
    pub detections: Vec<Detection>,
    /// Maintenance events as they now are.
    pub events: Vec<MaintenanceEvent>,
    /// The node's own figures.
    pub metrics: Vec<SystemMetrics>,
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
