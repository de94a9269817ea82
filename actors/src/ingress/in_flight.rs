//! The room for readings on their way: of all pumps ([`InFlightLimit`]), and of each ([`PumpInFlight`]).
//!
//! While there is any left in the node's, a post is let in whole, be it larger than what is left: it would wait for ever for
//! all others to end otherwise. A pump's own no post may exceed. More readings of one pump than it has room for are a
//! backlog: it holds half of the pump's room, and goes through that in parts (`pump/backlog.rs`). What of it waits for its
//! turn has a limit of its own, for all backlogs together.
//!
//! An example, with room for 1,000 readings of a pump: a post of 3,600 takes 500 places of the pump and of the node, and
//! 3,100 of the room for backlogs. 500 places of the pump are left for what it posts meanwhile. A second backlog of the same
//! pump is refused until the first has ended.

use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Readings in one post at most. So many more than its limit may be on their way.
pub const LARGEST_POST: usize = 10_000;

/// The room. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct InFlightLimit {
    places: Arc<Semaphore>,
    all: usize,
    /// For readings of backlogs that wait for their turn.
    backlogs: Arc<Semaphore>,
}

/// How many readings of one pump may be on their way. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PumpInFlight {
    places: Arc<Semaphore>,
    all: usize,
    /// One place: for the one backlog that may be under way. Closed once none may go on.
    backlog: Arc<Semaphore>,
}

/// The room that readings on their way take up; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _of_pump: OwnedSemaphorePermit,
    _of_node: OwnedSemaphorePermit,
    backlog: Option<BacklogPermit>,
}

/// What a backlog holds besides the room of its part.
#[derive(Debug)]
struct BacklogPermit {
    part: NonZeroUsize,
    of_pump: Arc<Semaphore>,
    _place: OwnedSemaphorePermit,
    _waiting: OwnedSemaphorePermit,
}

/// Which room is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Pump,
    Node,
    Backlogs,
}

impl PumpInFlight {
    /// Room for `limit` readings, one at least.
    pub(crate) fn new(limit: usize) -> Self {
        let all = limit.max(1);
        Self { places: Arc::new(Semaphore::new(all)), all, backlog: Arc::new(Semaphore::new(1)) }
    }

    /// How many there may be.
    pub(crate) fn all(&self) -> usize {
        self.all
    }

    /// Whether none is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.places.available_permits() == self.all
    }

    /// No backlog goes on from here: its next part is not begun.
    pub(crate) fn end_backlogs(&self) {
        self.backlog.close();
    }

    /// Returns once none is on its way.
    pub(crate) async fn emptied(&self) {
        // It is never closed.
        let _ = self.places.acquire_many(whole(self.all)).await;
    }

    /// How many readings of a backlog are on their way at a time: half of what there may be, so that the pump's other posts
    /// have room beside it.
    fn part(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.all / 2).unwrap_or(NonZeroUsize::MIN)
    }
}

impl Permit {
    /// How many readings of a backlog may be on their way at a time; none where all have room at once.
    pub(crate) fn part(&self) -> Option<NonZeroUsize> {
        self.backlog.as_ref().map(|backlog| backlog.part)
    }

    /// Whether a backlog must not go on: the node stops, or the pump is removed.
    pub(crate) fn is_ended(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.of_pump.is_closed())
    }
}

impl InFlightLimit {
    /// Room for `limit` readings, and what goes beyond it in one post; and for `backlogs` that wait for their turn.
    pub(crate) fn new(limit: usize, backlogs: usize) -> Self {
        let all = limit + LARGEST_POST;
        Self { places: Arc::new(Semaphore::new(all)), all, backlogs: Arc::new(Semaphore::new(backlogs)) }
    }

    /// Room for some readings of one pump: for all of them, or else, where they are many, for a part at a time.
    pub(crate) fn permit(&self, pump: &PumpInFlight, readings: usize) -> Result<Permit, Full> {
        if let Ok(of_pump) = pump.places.clone().try_acquire_many_owned(whole(readings)) {
            let of_node = self.take(readings).ok_or(Full::Node)?;
            return Ok(Permit { _of_pump: of_pump, _of_node: of_node, backlog: None });
        }
        let part = pump.part();
        let waiting = readings.checked_sub(part.get()).filter(|waiting| *waiting > 0).ok_or(Full::Pump)?;
        let place = pump.backlog.clone().try_acquire_owned().map_err(|_| Full::Pump)?;
        let of_pump = pump.places.clone().try_acquire_many_owned(whole(part.get())).map_err(|_| Full::Pump)?;
        let of_node = self.take(part.get()).ok_or(Full::Node)?;
        let waiting = self.backlogs.clone().try_acquire_many_owned(whole(waiting)).map_err(|_| Full::Backlogs)?;
        let backlog = BacklogPermit { part, of_pump: pump.backlog.clone(), _place: place, _waiting: waiting };
        Ok(Permit { _of_pump: of_pump, _of_node: of_node, backlog: Some(backlog) })
    }

    /// Whether the next post has to be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.places.available_permits() <= LARGEST_POST
    }

    /// Directory for readings of a post that is let in.
    pub(super) fn take(&self, readings: usize) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_many_owned(whole(readings)).ok()
    }

    /// Answers once nothing is on its way.
    pub(super) async fn emptied(&self) {
        // It is never closed.
        let _ = self.places.acquire_many(whole(self.all)).await;
    }
}

fn whole(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_let_in_whole_while_there_is_room_and_none_after_it() {
        let room = InFlightLimit::new(100, 0);
        let small = room.take(99).expect("nothing is on its way");
        assert!(!room.is_full());
        let large = room.take(LARGEST_POST).expect("one place is left");
        assert!(room.is_full());
        assert!(room.take(LARGEST_POST).is_none(), "two at once would be beyond the bound");
        drop(small);
        assert!(room.is_full(), "the large one is still under way");
        drop(large);
        assert!(!room.is_full());
    }

    #[test]
    fn more_than_a_pump_has_room_for_goes_in_parts_and_leaves_room_beside_it() {
        let (room, pump) = (InFlightLimit::new(100, 20), PumpInFlight::new(10));
        let part = |permit: &Permit| permit.part().map(NonZeroUsize::get);
        let refused = |readings| room.permit(&pump, readings).map(|permit| part(&permit)).expect_err("no room");
        assert_eq!(part(&room.permit(&pump, 10).expect("all of it")), None);
        assert_eq!(refused(26), Full::Backlogs, "21 would wait");
        assert!(pump.is_idle(), "what is refused holds nothing");

        let backlog = room.permit(&pump, 25).expect("20 wait");
        assert_eq!(part(&backlog), Some(5));
        assert_eq!(refused(6), Full::Pump, "one backlog at a time");
        let other = PumpInFlight::new(10);
        assert_eq!(room.permit(&other, 11).expect_err("no room"), Full::Backlogs);
        let live = room.permit(&pump, 5).expect("beside the backlog");
        assert_eq!(refused(1), Full::Pump);
        pump.end_backlogs();
        assert!(backlog.is_ended() && !live.is_ended());
        drop((backlog, live));
        assert!(pump.is_idle());
        assert_eq!(room.places.available_permits(), 100 + LARGEST_POST);
        assert_eq!(room.backlogs.available_permits(), 20);
        assert_eq!(refused(11), Full::Pump, "none is begun any more");
        assert_eq!(part(&room.permit(&PumpInFlight::new(1), 3).expect("one by one")), Some(1));
    }
}
