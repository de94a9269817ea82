//! What a post is answered: a receipt per item, or one refusal for the whole.

use std::fmt;

use volute_plant::{Draft, Rejection};

/// When a refused client may try again, in seconds.
pub(crate) const RETRY_AFTER_S: u64 = 1;
/// When it may where something has to come back first, in seconds.
pub(crate) const LONG_RETRY_AFTER_S: u64 = 10;

/// Items of a kind, such as rejected ones, that the answer to a post lists; the others are counted.
pub const LISTED: usize = 100;

/// What late readings are, for people.
pub const LATE: &str =
    "three steps or more behind the pump's newest reading: stored, but too late for their window to be scored";

/// What became of a post's items. All but the rejected ones are durable.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Receipt {
    /// New readings.
    pub accepted: usize,
    /// Readings that were taken before, with the same values.
    pub duplicate: usize,
    /// New readings that came after their place in the order had passed: stored, not scored.
    pub late: usize,
    /// Drafts that were not taken, by their place in the post.
    pub rejected: Vec<RejectedItem>,
    /// Items that were rejected before they came here: no draft could be made of them.
    pub unreadable: usize,
    /// Channels of accepted items whose values no working sensor sends.
    pub bad_channels: Vec<BadChannel>,
}

impl Receipt {
    /// Adds items that were not taken.
    pub(crate) fn reject(&mut self, items: &[(usize, Draft)], rejection: &Rejection, retry_after_s: Option<u64>) {
        let item =
            |(index, _): &(usize, Draft)| RejectedItem { index: *index, rejection: rejection.clone(), retry_after_s };
        self.rejected.extend(items.iter().map(item));
    }

    /// When all of the post may be sent again: if nothing of it was taken or rejected for good.
    pub(crate) fn try_all_again(&self) -> Option<u64> {
        let deferred = self.rejected.iter().filter_map(|item| item.retry_after_s);
        let taken = self.accepted + self.duplicate + self.late;
        let for_good = self.unreadable > 0 || self.rejected.iter().any(|item| item.retry_after_s.is_none());
        let nothing_else = taken == 0 && !for_good;
        deferred.max().filter(|_| nothing_else)
    }
}

/// An item that was not taken.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedItem {
    /// Its place in the post, from 0.
    pub index: usize,
    /// Why.
    pub rejection: Rejection,
    /// It may be sent again after so many seconds: nothing is wrong with it. None where the rejection is final.
    pub retry_after_s: Option<u64>,
}

/// A channel of an accepted item with a value outside its plausible range.
#[derive(Debug, Clone, PartialEq)]
pub struct BadChannel {
    /// The item's place in the post, from 0.
    pub index: usize,
    /// The channel's wire name.
    pub channel: String,
    /// The value as sent.
    pub value: f64,
    /// The plausible range, in the channel's unit.
    pub plausible: [f64; 2],
}

/// A queue on a post's way. Each is bounded, and a post that finds it full is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Bytes of the bodies of all posts under way.
    Bodies,
    /// Posts before the gate.
    Gate,
    /// Readings of one pump on their way.
    Pump,
    /// Readings of all pumps on their way.
    Node,
    /// Readings of backlogs that wait for their turn.
    Backlogs,
    /// Minutes of the past that wait for the database, of one pump or of all.
    PastMinutes,
    /// New pumps of one client.
    NewPumps,
    /// Orders before a pump.
    Orders,
    /// Pumps whose baseline is to be learned.
    Lessons,
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bodies => "the room for bodies (ingest.max_in_flight_bytes)",
            Self::Gate => "the gate's queue",
            Self::Pump => "the pump's queue (ingest.burst_readings_per_pump)",
            Self::Node => "the node's queue (ingest.max_in_flight_readings)",
            Self::Backlogs => "the room for backlogs (ingest.max_backlog_readings)",
            Self::PastMinutes => "the room for minutes of the past (ingest.past_minutes_per_pump, ingest.past_minutes)",
            Self::NewPumps => "the room for new pumps of one client (ingest.new_pumps_per_minute)",
            Self::Orders => "the pump's queue of orders",
            Self::Lessons => "the commissioning's queue",
        })
    }
}

/// Why a whole post was not taken. Nothing of it was written, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A queue is full. Try again later.
    #[error("the node is busy: {queue} is full")]
    Busy {
        /// Which queue.
        queue: Queue,
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// It is not known that all readings are stored: the store failed, or who had them in hand broke. Part of the post, or
    /// all of it, may be stored; sending it again is safe where its items have timestamps.
    #[error(
        "it is not known that all readings are stored: send the post again; a reading with a timestamp is not taken twice, \
         one without may be"
    )]
    NotStored {
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// The disk is full. Nothing of the post's refused part is stored; see [`Refusal::NotStored`] for the rest.
    #[error("the disk is full: free some room, and send again")]
    DiskFull,
    /// The node's clock is not believed, and the time of one of the post's readings cannot be judged without it. Nothing of
    /// the post is stored.
    #[error("{reason}")]
    Clock {
        /// What is wrong with the clock.
        reason: String,
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// All pumps of the post were removed, and their readings are being deleted. Their names are free after that.
    #[error("these pumps were removed, and their readings are being deleted: send again in some minutes")]
    BeingRemoved {
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// The node is shutting down.
    #[error("the node is stopping")]
    Stopping,
}

/// What a post is answered.
pub(crate) type IngestResult = Result<Receipt, Refusal>;

/// Said of an item for whose minute of the past there is no room.
pub(crate) fn no_room_for_past() -> Rejection {
    let reason = "the room for minutes of the past (ingest.past_minutes_per_pump, ingest.past_minutes) is full";
    Rejection::new("", None, "this item once more, later", reason)
}
