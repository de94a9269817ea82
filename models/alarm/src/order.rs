//! In which order the current readings of a pump come.
//!
//! A reading that is older than the newest one is late. Three late readings in a row that are in order among each other
//! are a corrected clock: the device's time was ahead, and the readings begin a new order.
//!
//! | device time | late | why |
//! | --- | --- | --- |
//! | 10:00:50 | no | |
//! | 10:00:48 | yes | |
//! | 10:00:51 | no | |
//! | 10:00:20 | yes | the clock was set back by 32 s |
//! | 10:00:21 | yes | |
//! | 10:00:22 | new order | |
//! | 10:00:23 | no | |

use serde::{Deserialize, Serialize};
use volute_plant::Timestamp;

/// So many late readings in a row, in order among each other, begin a new order.
const NEW_ORDER_AFTER: u8 = 3;

/// Finds out in which order readings come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventOrder {
    newest: Option<Timestamp>,
    last: Option<Timestamp>,
    late_in_a_row: u8,
}

/// How a reading is placed among those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the newest.
    Newest,
    /// It is older than the newest.
    Late,
    /// It is older than the newest, and the newest from now on.
    NewOrder,
}

impl EventOrder {
    /// Takes the time of a reading.
    pub(crate) fn place(&mut self, at: Timestamp) -> Place {
        let last = self.last.replace(at);
        if self.newest.is_none_or(|newest| at >= newest) {
            *self = Self { newest: Some(at), last: Some(at), late_in_a_row: 0 };
            return Place::Newest;
        }
        let in_order = self.late_in_a_row > 0 && last.is_some_and(|last| at > last);
        self.late_in_a_row = if in_order { self.late_in_a_row + 1 } else { 1 };
        if self.late_in_a_row < NEW_ORDER_AFTER {
            return Place::Late;
        }
        *self = Self { newest: Some(at), last: Some(at), late_in_a_row: 0 };
        Place::NewOrder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_after_a_corrected_clock() {
        use Place::{Late, NewOrder, Newest};
        let mut order = EventOrder::default();
        for (s, expected) in [
            (50, Newest),
            (48, Late),
            (51, Newest),
            (20, Late),
            (21, Late),
            (22, NewOrder),
            (23, Newest),
            (23, Newest),
            (10, Late),
            (9, Late),
            (8, Late),
            (9, Late),
            (9, Late),
            (10, Late),
            (11, NewOrder),
        ] {
            let at = Timestamp::from_millis(1_773_051_200_000 + 1_000 * s).expect("a time");
            assert_eq!(order.place(at), expected, "{s} s");
        }
    }
}
