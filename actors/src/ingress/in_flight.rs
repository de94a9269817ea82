//! Limits on readings in flight: of all pumps together ([`InFlightLimit`]), and of each pump ([`PumpInFlight`]).
//!
//! While the node's limit is not reached, a post is admitted as a whole, even if it exceeds the limit. If a large post
//! had to fit into the limit, it would have to wait until no other post is in flight. A pump's limit is never exceeded.
//! A post with more readings of one pump than its limit is a backlog: it takes half of the pump's limit and is admitted
//! in parts (`pump/backlog.rs`). The readings of all backlogs that wait for their part have a limit of their own.
//!
//! An example with a limit of 1,000 readings for each pump: a post of 3,600 takes 500 permits of the pump and of the
//! node, and 3,100 of the limit for backlogs. 500 permits of the pump are left for further posts. A second backlog of
//! the same pump is refused until the first has ended.

use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The maximum number of readings in one post. The node's limit can be exceeded by this number.
pub const MAX_POST_ITEMS: usize = 10_000;

/// Limits the number of readings in flight of all pumps together. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct InFlightLimit {
    permits: Arc<Semaphore>,
    limit: usize,
    /// For readings of backlogs that wait for their part.
    backlogs: Arc<Semaphore>,
}

/// Limits the number of readings in flight of one pump. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PumpInFlight {
    permits: Arc<Semaphore>,
    limit: usize,
    /// One permit, for the one backlog that may be in progress. Closed when backlogs must end.
    backlog: Arc<Semaphore>,
}

/// The permits of readings in flight. They are returned when this is dropped.
#[derive(Debug)]
pub(crate) struct ReadingPermits {
    _of_pump: OwnedSemaphorePermit,
    _of_node: OwnedSemaphorePermit,
    backlog: Option<BacklogPermits>,
}

/// What a backlog holds in addition to the permits of its part.
#[derive(Debug)]
struct BacklogPermits {
    part: NonZeroUsize,
    of_pump: Arc<Semaphore>,
    _in_progress: OwnedSemaphorePermit,
    _waiting: OwnedSemaphorePermit,
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitReached {
    Pump,
    Node,
    Backlogs,
}

impl PumpInFlight {
    /// Allows `limit` readings, at least one.
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.max(1);
        Self { permits: Arc::new(Semaphore::new(limit)), limit, backlog: Arc::new(Semaphore::new(1)) }
    }

    /// Returns the limit.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns whether no reading is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.permits.available_permits() == self.limit
    }

    /// Ends backlogs: no further part starts.
    pub(crate) fn end_backlogs(&self) {
        self.backlog.close();
    }

    /// Waits until no reading is in flight.
    pub(crate) async fn wait_until_idle(&self) {
        // The semaphore is never closed.
        let _ = self.permits.acquire_many(permit_count(self.limit)).await;
    }

    /// Returns how many readings of a backlog may be in flight at once: half of the limit, so that the pump's other
    /// posts get permits.
    fn max_part_len(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.limit / 2).unwrap_or(NonZeroUsize::MIN)
    }
}

impl ReadingPermits {
    /// Returns how many readings of the backlog may be in flight at once. None if the post is not a backlog.
    pub(crate) fn max_part_len(&self) -> Option<NonZeroUsize> {
        self.backlog.as_ref().map(|backlog| backlog.part)
    }

    /// Returns whether the backlog must end: the node is stopping, or the pump is being removed.
    pub(crate) fn is_ended(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.of_pump.is_closed())
    }
}

impl InFlightLimit {
    /// Allows `limit` readings, which one post may exceed by at most [`MAX_POST_ITEMS`], and `backlogs` readings of
    /// backlogs that wait for their part.
    pub(crate) fn new(limit: usize, backlogs: usize) -> Self {
        let limit = limit + MAX_POST_ITEMS;
        Self { permits: Arc::new(Semaphore::new(limit)), limit, backlogs: Arc::new(Semaphore::new(backlogs)) }
    }

    /// Takes permits for readings of one pump: for all of them, or for one part at a time if they exceed the pump's
    /// limit.
    pub(crate) fn try_acquire_of_pump(
        &self,
        pump: &PumpInFlight,
        readings: usize,
    ) -> Result<ReadingPermits, LimitReached> {
        if let Ok(of_pump) = pump.permits.clone().try_acquire_many_owned(permit_count(readings)) {
            let of_node = self.acquire(readings).ok_or(LimitReached::Node)?;
            return Ok(ReadingPermits { _of_pump: of_pump, _of_node: of_node, backlog: None });
        }
        let part = pump.max_part_len();
        let waiting = readings.checked_sub(part.get()).filter(|waiting| *waiting > 0).ok_or(LimitReached::Pump)?;
        let in_progress = pump.backlog.clone().try_acquire_owned().map_err(|_| LimitReached::Pump)?;
        let of_pump =
            pump.permits.clone().try_acquire_many_owned(permit_count(part.get())).map_err(|_| LimitReached::Pump)?;
        let of_node = self.acquire(part.get()).ok_or(LimitReached::Node)?;
        let waiting =
            self.backlogs.clone().try_acquire_many_owned(permit_count(waiting)).map_err(|_| LimitReached::Backlogs)?;
        let backlog =
            BacklogPermits { part, of_pump: pump.backlog.clone(), _in_progress: in_progress, _waiting: waiting };
        Ok(ReadingPermits { _of_pump: of_pump, _of_node: of_node, backlog: Some(backlog) })
    }

    /// Returns whether the limit is reached and the next post has to be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.permits.available_permits() <= MAX_POST_ITEMS
    }

    /// Takes permits of the node's limit only.
    pub(super) fn acquire(&self, readings: usize) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().try_acquire_many_owned(permit_count(readings)).ok()
    }

    /// Waits until no reading is in flight.
    pub(super) async fn wait_until_idle(&self) {
        // The semaphore is never closed.
        let _ = self.permits.acquire_many(permit_count(self.limit)).await;
    }
}

fn permit_count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_may_exceed_the_limit_and_then_none_is_admitted() {
        let node = InFlightLimit::new(100, 0);
        let small = node.acquire(99).expect("nothing is in flight");
        assert!(!node.is_full());
        let large = node.acquire(MAX_POST_ITEMS).expect("one permit is left");
        assert!(node.is_full());
        assert!(node.acquire(MAX_POST_ITEMS).is_none(), "two at once would exceed the limit");
        drop(small);
        assert!(node.is_full(), "the large one is still in flight");
        drop(large);
        assert!(!node.is_full());
    }

    #[test]
    fn a_backlog_takes_half_of_the_limit_and_leaves_the_rest() {
        let (node, pump) = (InFlightLimit::new(100, 20), PumpInFlight::new(10));
        let part = |permits: &ReadingPermits| permits.max_part_len().map(NonZeroUsize::get);
        let refused =
            |readings| node.try_acquire_of_pump(&pump, readings).map(|permits| part(&permits)).expect_err("no room");
        assert_eq!(part(&node.try_acquire_of_pump(&pump, 10).expect("all of it")), None);
        assert_eq!(refused(26), LimitReached::Backlogs, "21 would wait");
        assert!(pump.is_idle(), "a refused post holds no permits");

        let backlog = node.try_acquire_of_pump(&pump, 25).expect("20 wait");
        assert_eq!(part(&backlog), Some(5));
        assert_eq!(refused(6), LimitReached::Pump, "one backlog at a time");
        let other = PumpInFlight::new(10);
        assert_eq!(node.try_acquire_of_pump(&other, 11).expect_err("no room"), LimitReached::Backlogs);
        let live = node.try_acquire_of_pump(&pump, 5).expect("beside the backlog");
        assert_eq!(refused(1), LimitReached::Pump);
        pump.end_backlogs();
        assert!(backlog.is_ended() && !live.is_ended());
        drop((backlog, live));
        assert!(pump.is_idle());
        assert_eq!(node.permits.available_permits(), 100 + MAX_POST_ITEMS);
        assert_eq!(node.backlogs.available_permits(), 20);
        assert_eq!(refused(11), LimitReached::Pump, "no backlog starts any more");
        assert_eq!(part(&node.try_acquire_of_pump(&PumpInFlight::new(1), 3).expect("one by one")), Some(1));
    }
}
