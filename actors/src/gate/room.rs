//! The room for the readings of all pumps that are on their way.
//!
//! While there is any left, a post is let in whole, be it larger than what is left: it would wait for ever for all others
//! to end otherwise. Deliberately absent: each pump's own room, which no post may exceed.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Readings in one post at most. So many more than its limit may be on their way.
pub const LARGEST_POST: usize = 10_000;

/// The room. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    all: usize,
}

impl Room {
    /// Room for `limit` readings, and what goes beyond it in one post.
    pub(crate) fn new(limit: usize) -> Self {
        let all = limit + LARGEST_POST;
        Self { places: Arc::new(Semaphore::new(all)), all }
    }

    /// Whether the next post has to be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.places.available_permits() <= LARGEST_POST
    }

    /// Places for readings of a post that is let in.
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
        let room = Room::new(100);
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
}
