//! A list of the engine's bounded queues, with what happens when a queue is full, and how often that happened.
//!
//! Does not define the queues and their limits; see the modules of their messages.

use crate::counters::Totals;

/// A bounded queue and its overflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow {
    /// What the queue holds.
    pub queue: &'static str,
    /// What happens when it is full.
    pub when_full: &'static str,
    /// How often that happened since the start.
    pub count: u64,
}

const REFUSED: &str = "the post is refused with 429";
const REFUSED_COMMAND: &str = "the command is refused with 429";

impl Totals {
    /// Returns all bounded queues of the engine.
    pub fn overflows(&self) -> Vec<Overflow> {
        [
            ("bytes of the bodies of posts in flight", REFUSED, self.refused_bodies),
            ("posts that wait at the ingress", REFUSED, self.refused_ingress),
            ("readings of one pump in flight", REFUSED, self.refused_pump),
            ("readings of all pumps in flight", REFUSED, self.refused_node),
            ("readings of backlogs that wait for their part", REFUSED, self.refused_backlogs),
            ("past minutes that wait for the database", REFUSED, self.refused_past_minutes),
            ("new pumps of one client", REFUSED, self.refused_new_pumps),
            ("commands for one pump", REFUSED_COMMAND, self.refused_commands),
            ("kinds of refusals for the audit log", "further ones are counted together", self.merged_refusals),
            ("baselines to be learned on request", REFUSED_COMMAND, self.refused_commissionings),
            ("baselines to be learned", "the pump requests it again later", self.commissioning_deferred),
            ("windows to be scored", "the pump's oldest is skipped", self.skipped),
            ("detections to be stored while the journal fails", "the oldest is dropped", self.detections_dropped),
            (
                "readings to be evaluated by the maintenance rules",
                "the pump waits; while the maintenance actor is down, the reading is stored and not evaluated",
                self.evaluations_dropped,
            ),
            ("updates for the live feed", "the update is dropped", self.live_dropped),
        ]
        .map(|(queue, when_full, count)| Overflow { queue, when_full, count })
        .into()
    }
}
