//! The response to a post: a receipt with the outcome of each item, or one error for the whole post.

use std::fmt;

use volute_plant::{Draft, PumpId, Rejection};

/// Seconds after which a refused client may try again.
pub(crate) const RETRY_AFTER_S: u64 = 1;
/// Seconds after which a client may try again if a part of the node has to recover first.
pub(crate) const LONG_RETRY_AFTER_S: u64 = 10;

/// The maximum number of items of a kind, such as rejected items, that the response to a post lists. Further items are
/// only counted.
pub const MAX_LISTED: usize = 100;

/// Explains late readings, as text for users.
pub const LATE_EXPLANATION: &str =
    "three steps or more behind the pump's newest reading: stored, but too late for their window to be scored";

/// The outcomes of a post's items. All but the rejected ones are durable.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Receipt {
    /// New readings.
    pub accepted: usize,
    /// Readings that are stored already with the same values.
    pub duplicate: usize,
    /// New readings that arrived too late for their window: stored, not scored.
    pub late: usize,
    /// Items that were rejected or deferred after parsing, by their index in the post.
    pub rejected: Vec<RejectedItem>,
    /// The number of items that could not be parsed. They are rejected before they reach the ingress.
    pub unreadable: usize,
    /// Channels of accepted items with values that no working sensor sends.
    pub bad_channels: Vec<BadChannel>,
}

impl Receipt {
    /// Adds items that are rejected, or deferred if `retry_after_s` is given.
    pub(crate) fn reject(&mut self, items: &[(usize, Draft)], rejection: &Rejection, retry_after_s: Option<u64>) {
        let item =
            |(index, _): &(usize, Draft)| RejectedItem { index: *index, rejection: rejection.clone(), retry_after_s };
        self.rejected.extend(items.iter().map(item));
    }

    /// Returns the seconds after which the whole post may be sent again, if all of its items are deferred.
    pub(crate) fn retry_all_after_s(&self) -> Option<u64> {
        let deferred = self.rejected.iter().filter_map(|item| item.retry_after_s);
        let stored = self.accepted + self.duplicate + self.late;
        let has_final_rejection = self.unreadable > 0 || self.rejected.iter().any(|item| item.retry_after_s.is_none());
        let are_all_deferred = stored == 0 && !has_final_rejection;
        deferred.max().filter(|_| are_all_deferred)
    }
}

/// An item that was rejected or deferred.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedItem {
    /// Its index in the post, from 0.
    pub index: usize,
    /// Why it was rejected or deferred.
    pub rejection: Rejection,
    /// Seconds after which a deferred item may be posted again. None if the rejection is final.
    pub retry_after_s: Option<u64>,
}

/// A channel of an accepted item with a value outside its plausible range.
#[derive(Debug, Clone, PartialEq)]
pub struct BadChannel {
    /// The item's index in the post, from 0.
    pub index: usize,
    /// The channel's wire name.
    pub channel: String,
    /// The value as sent.
    pub value: f64,
    /// The plausible range, in the channel's unit.
    pub plausible: [f64; 2],
}

/// A queue or another limited resource of the node. A request that finds it full is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Bytes of the bodies of all posts in flight.
    Bodies,
    /// Posts that wait for the ingress.
    Ingress,
    /// Readings of one pump in flight.
    Pump,
    /// Readings of all pumps in flight.
    Node,
    /// Readings of backlogs that wait for their part.
    Backlogs,
    /// Past minutes that wait for the database, of one pump or of all.
    PastMinutes,
    /// New pumps of one client.
    NewPumps,
    /// Commands that wait for a pump's actor.
    Commands,
    /// Requests to learn a baseline.
    CommissionJobs,
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bodies => "the room for bodies (ingest.max_in_flight_bytes)",
            Self::Ingress => "the ingress queue",
            Self::Pump => "the pump's queue (ingest.max_in_flight_readings_per_pump)",
            Self::Node => "the node's queue (ingest.max_in_flight_readings)",
            Self::Backlogs => "the room for backlogs (ingest.max_backlog_readings)",
            Self::PastMinutes => "the room for minutes of the past (ingest.past_minutes_per_pump, ingest.past_minutes)",
            Self::NewPumps => "the room for new pumps of one client (ingest.new_pumps_per_minute)",
            Self::Commands => "the pump's command queue",
            Self::CommissionJobs => "the commissioning queue",
        })
    }
}

/// Why a whole post was refused. Nothing of it was written unless the variant says otherwise.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IngestError {
    /// A limit is reached. Try again later.
    #[error("the node is busy: {queue} is full")]
    Busy {
        /// Which queue.
        queue: Queue,
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// Some readings may not be stored: the store failed, or an actor that handled them failed. Part of the post, or
    /// all of it, may be stored. Sending it again is safe if its items have timestamps.
    #[error(
        "some readings may not be stored: send the post again; a reading with a timestamp is not stored twice, \
         one without may be"
    )]
    NotStored {
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// The disk is full. Nothing of the refused part of the post is stored; see [`IngestError::NotStored`] for the
    /// rest.
    #[error("the disk is full: free some room, and send again")]
    DiskFull,
    /// The node's clock is not trusted, and the timestamp of one of the post's readings cannot be checked without it.
    /// Nothing of the post is stored.
    #[error("{reason}")]
    Clock {
        /// What is wrong with the clock.
        reason: String,
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// All pumps of the post were removed, and their readings are being deleted. Afterwards their ids can be used
    /// again.
    #[error("these pumps were removed, and their readings are being deleted: send again in some minutes")]
    BeingRemoved {
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// No pump of the post can accept readings at the moment.
    #[error("{reason}")]
    Deferred {
        /// Why the readings cannot be accepted.
        reason: String,
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// The node is shutting down.
    #[error("the node is stopping")]
    Stopping,
}

/// The response to a post.
pub(crate) type IngestResult = Result<Receipt, IngestError>;

/// Returns the reason for deferring the items of a pump whose actor is being replaced.
pub(crate) fn restarting_reason(pump: &PumpId) -> String {
    format!("{pump} is given another profile or model at the moment")
}

/// Returns the rejection of an item of a past minute while too many past minutes wait for the database.
pub(crate) fn past_minutes_full() -> Rejection {
    let reason = "the room for minutes of the past (ingest.past_minutes_per_pump, ingest.past_minutes) is full";
    Rejection::new("", None, "this item once more, later", reason)
}
