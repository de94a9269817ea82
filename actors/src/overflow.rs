//! What becomes of what does not fit into a queue, and how often that was.
//!
//! Deliberately absent: the queues, and their limits; each is where its messages are.

use crate::counters::Totals;

/// A bounded queue, and its overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow {
    /// What waits in it.
    pub queue: &'static str,
    /// What becomes of what does not fit.
    pub when_full: &'static str,
    /// How often that was since the start.
    pub count: u64,
}

const REFUSED: &str = "the post is refused with 429";

impl Totals {
    /// Every queue of the engine in which something may not fit.
    pub fn overflows(&self) -> Vec<Overflow> {
        [
            ("bytes of the bodies of posts under way", REFUSED, self.refused_bodies),
            ("posts before the gate", REFUSED, self.refused_gate),
            ("readings of one pump on their way", REFUSED, self.refused_pump),
            ("readings of all pumps on their way", REFUSED, self.refused_node),
            ("readings of backlogs that wait for their turn", REFUSED, self.refused_backlogs),
            ("minutes of the past that wait for the database", REFUSED, self.refused_past_minutes),
            ("new pumps of one client", REFUSED, self.refused_new_pumps),
            ("orders for one pump", "the order is refused with 429", self.refused_orders),
            ("baselines to be learned by order", "the order is refused with 429", self.refused_lessons),
            ("baselines to be learned", "the pump asks again later", self.commissioning_deferred),
            ("windows to be scored", "the pump's oldest is skipped", self.skipped),
            ("verdicts to be stored while the journal fails", "the oldest is given up", self.detections_dropped),
            (
                "readings for maintenance to look at",
                "the pump waits; where maintenance is out of order, the reading is stored and not looked at",
                self.looks_dropped,
            ),
            ("updates for the live feed", "the update is dropped", self.live_dropped),
        ]
        .map(|(queue, when_full, count)| Overflow { queue, when_full, count })
        .into()
    }
}
