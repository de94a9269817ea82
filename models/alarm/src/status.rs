//! What is known of an alarm after its transitions.
//!
//! The status is computed from the rows alone, one after the other. So the live alarm, and the one that is rebuilt after
//! a restart, are the same.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use volute_plant::Timestamp;

use crate::{Cause, Comment, Evidence, Priority, State, Suppression, Transition};

/// What is known of an alarm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The number of its newest row; 0 before the first.
    seq: u64,
    /// That of the newest row.
    priority: Option<Priority>,
    phase: ConditionPhase,
    /// Whether it waits for a reset once the condition is over.
    latched: bool,
    /// The newest occurrence; 0 before the first.
    occurrence: u32,
    /// The newest occurrence that a person acknowledged, with all before it.
    acknowledged_up_to: u32,
    /// When the newest occurrence was announced, by the node's clock.
    announced_at: Option<Timestamp>,
    /// What raised it the last time.
    raised: Option<Evidence>,
    /// The number of the newest evaluated reading that decided something.
    evaluation: u64,
    shelving: Option<Shelving>,
    suppressions: BTreeSet<Suppression>,
    out_of_service: Option<Removal>,
}

/// Whether the condition holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ConditionPhase {
    /// It does not.
    #[default]
    Clear,
    /// It holds, and was not announced: the alarm was shelved, suppressed or out of service.
    Hidden,
    /// It holds, and it was announced.
    Announced,
}

/// That an alarm is shelved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shelving {
    /// Since when, by the node's clock.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// The user.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<Comment>,
}

/// That an alarm is out of service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Removal {
    /// Since when, by the node's clock.
    pub since: Timestamp,
    /// The user.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<Comment>,
}

/// How far the clock may be before the beginning of a shelving, in milliseconds. If it is further back, it was set, and
/// the end of the shelving means nothing any more.
const CLOCK_TOLERANCE_MS: i64 = 60_000;

impl Status {
    /// Returns the state that follows from it.
    pub fn state(&self) -> State {
        if self.out_of_service.is_some() {
            return State::OutOfService;
        }
        if self.shelving.is_some() {
            return State::Shelved;
        }
        let unacknowledged = self.has_unacknowledged();
        // What nobody has seen stays in view: the alarm that tripped a pump is not hidden because the pump is off.
        if !self.suppressions.is_empty() && !unacknowledged {
            return State::Suppressed;
        }
        match (self.phase, self.latched, unacknowledged) {
            (ConditionPhase::Announced, _, true) => State::Unacknowledged,
            (ConditionPhase::Announced, _, false) => State::Acknowledged,
            (_, true, true) => State::LatchedUnacknowledged,
            (_, true, false) => State::LatchedAcknowledged,
            (_, false, true) => State::ReturnedUnacknowledged,
            (_, false, false) => State::Normal,
        }
    }

    /// Adds a row. Returns whether it was new: a row that was added before changes nothing.
    pub fn apply(&mut self, row: &Transition) -> bool {
        if row.seq <= self.seq {
            return false;
        }
        self.seq = row.seq;
        self.priority = Some(row.priority);
        match &row.cause {
            Cause::Raised { evidence } => {
                self.phase = ConditionPhase::Hidden;
                self.raised = Some(*evidence);
                self.count(evidence);
            }
            Cause::Returned { evidence, latched } => {
                self.phase = ConditionPhase::Clear;
                self.latched |= latched;
                self.count(evidence);
            }
            Cause::Acknowledged { up_to } => self.acknowledged_up_to = self.acknowledged_up_to.max(*up_to),
            Cause::Shelved { until } => {
                let (by, reason) = (row.by.clone(), row.comment.clone());
                self.shelving = Some(Shelving { since: row.at, until: *until, by, reason });
            }
            Cause::Unshelved | Cause::ShelvingEnded => {
                self.shelving = None;
                self.ask_again();
            }
            Cause::SuppressionBegan { why } => {
                self.suppressions.insert(why.clone());
            }
            Cause::SuppressionEnded { why } => {
                self.suppressions.remove(why);
            }
            Cause::TakenOutOfService => {
                let (by, reason) = (row.by.clone(), row.comment.clone());
                self.out_of_service = Some(Removal { since: row.at, by, reason });
            }
            Cause::ReturnedToService => {
                self.out_of_service = None;
                self.ask_again();
            }
            Cause::Reset => self.latched = false,
        }
        if row.announces {
            self.phase = ConditionPhase::Announced;
            self.occurrence = row.occurrence;
            self.announced_at = Some(row.at);
        }
        true
    }

    /// The number of its newest row; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The priority by the newest row; none before the first.
    pub fn priority(&self) -> Option<Priority> {
        self.priority
    }

    /// The newest occurrence; 0 before the first.
    pub fn occurrence(&self) -> u32 {
        self.occurrence
    }

    /// The newest acknowledged occurrence; those before it are acknowledged too.
    pub fn acknowledged_up_to(&self) -> u32 {
        self.acknowledged_up_to
    }

    /// Whether there is an occurrence that nobody acknowledged, in view or not.
    pub fn has_unacknowledged(&self) -> bool {
        self.occurrence > self.acknowledged_up_to
    }

    /// Whether the condition holds, announced or not.
    pub fn holds(&self) -> bool {
        self.phase != ConditionPhase::Clear
    }

    /// Whether an announced occurrence lasts.
    pub fn is_announced(&self) -> bool {
        self.phase == ConditionPhase::Announced
    }

    /// When the newest occurrence was announced, by the node's clock.
    pub fn announced_at(&self) -> Option<Timestamp> {
        self.announced_at
    }

    /// What raised it the last time.
    pub fn raised(&self) -> Option<&Evidence> {
        self.raised.as_ref()
    }

    /// How it is shelved, if it is. It can be out of service at the same time.
    pub fn shelving(&self) -> Option<&Shelving> {
        self.shelving.as_ref()
    }

    /// Why it is suppressed by design; empty if it is not.
    pub fn suppressions(&self) -> &BTreeSet<Suppression> {
        &self.suppressions
    }

    /// How it is out of service, if it is.
    pub fn out_of_service(&self) -> Option<&Removal> {
        self.out_of_service.as_ref()
    }

    /// The number of the newest evaluated reading that decided something; 0 if none did.
    pub(crate) fn evaluation(&self) -> u64 {
        self.evaluation
    }

    /// Whether a reading of this number, or a later one, has decided something already.
    pub(crate) fn has_counted(&self, evidence: &Evidence) -> bool {
        evidence.evaluation.is_some_and(|evaluation| evaluation <= self.evaluation)
    }

    /// Whether the shelving is over at `now`. It is over too if the clock was set back to before its beginning.
    pub(crate) fn shelving_is_over(&self, now: Timestamp) -> bool {
        let is_over = |shelving: &Shelving| now >= shelving.until || now.since_ms(shelving.since) < -CLOCK_TOLERANCE_MS;
        self.shelving.as_ref().is_some_and(is_over)
    }

    /// Whether the condition holds and has to be announced now.
    pub(crate) fn must_announce(&self) -> bool {
        let in_view = self.out_of_service.is_none() && self.shelving.is_none() && self.suppressions.is_empty();
        self.phase == ConditionPhase::Hidden && in_view
    }

    /// Lets a lasting condition be announced again, also if it was acknowledged: the shelving is over, and it stands. One
    /// that nobody acknowledged and that is suppressed stays in view as it is.
    fn ask_again(&mut self) {
        let stays = self.has_unacknowledged() && !self.suppressions.is_empty();
        if self.phase == ConditionPhase::Announced && !stays {
            self.phase = ConditionPhase::Hidden;
        }
    }

    fn count(&mut self, evidence: &Evidence) {
        self.evaluation = self.evaluation.max(evidence.evaluation.unwrap_or(0));
    }
}
