//! The clock that a node goes by: the machine's own.
//!
//! In a build with the feature `failpoints` tests move it, for a machine whose clock is wrong: the point `clock` says how
//! many milliseconds it is ahead (negative: behind), from the start (`FAILPOINTS='clock=return(86400000)'`) or while
//! the node runs.

use std::sync::Arc;

use volute_plant::Clock;

/// The node's clock.
pub(crate) fn node_clock() -> Arc<dyn Clock> {
    #[cfg(feature = "failpoints")]
    return Arc::new(moved::MovedClock);
    #[cfg(not(feature = "failpoints"))]
    Arc::new(volute_plant::SystemClock)
}

#[cfg(feature = "failpoints")]
mod moved {
    use volute_plant::{Clock, SystemClock, Timestamp};

    /// The machine's clock, moved by what the point says.
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
