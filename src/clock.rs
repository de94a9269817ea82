//! The clock that a node uses: the machine's own.
//!
//! In a build with the feature `failpoints`, tests can shift the clock, to simulate a machine whose clock is wrong. The
//! failpoint `clock` returns the number of milliseconds by which the clock is ahead (negative if it is behind). It can
//! be set for the start (`FAILPOINTS='clock=return(86400000)'`) or while the node runs.

use std::sync::Arc;

use volute_plant::Clock;

/// Returns the node's clock.
pub(crate) fn node_clock() -> Arc<dyn Clock> {
    #[cfg(feature = "failpoints")]
    return Arc::new(moved::MovedClock);
    #[cfg(not(feature = "failpoints"))]
    Arc::new(volute_plant::SystemClock)
}

#[cfg(feature = "failpoints")]
mod moved {
    use volute_plant::{Clock, SystemClock, Timestamp};

    /// The machine's clock, shifted by the failpoint.
    #[derive(Debug)]
    pub(super) struct MovedClock;

    impl Clock for MovedClock {
        fn now(&self) -> Timestamp {
            SystemClock.now().plus_ms(ahead_ms())
        }
    }

    fn ahead_ms() -> i64 {
        fail::fail_point!("clock", |ms| ms.and_then(|ms| ms.parse().ok()).unwrap_or_default());
        0
    }
}
