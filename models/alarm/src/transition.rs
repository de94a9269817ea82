//! Transitions: the append-only rows that are an alarm's history.
//!
//! A row says what happened (`cause`), when, by whom, and in which state the alarm was before and after. Rows are never
//! changed. All that is known of an alarm follows from its rows ([`crate::Status::apply`]), without its definition, so
//! a changed definition changes no history.

use serde::{Deserialize, Serialize};
use volute_plant::{PumpId, Timestamp};

use crate::{AlarmId, AlarmKey, Comment, Priority, State};

/// One row of an alarm's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Its number among the alarm's rows, from 1 without gaps. Together with the alarm it identifies the row.
    pub seq: u64,
    /// The alarm's pump; none for an alarm of the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pump: Option<PumpId>,
    /// The alarm.
    pub alarm: AlarmId,
    /// The alarm's newest occurrence after the row; 0 before the first. It grows by one each time the alarm is
    /// announced to people.
    pub occurrence: u32,
    /// Whether the row announces this occurrence to people. Such rows are what the metrics of ISA-18.2 count.
    #[serde(default)]
    pub announces: bool,
    /// The alarm's priority at that time.
    pub priority: Priority,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// When, by the node's clock. The order of rows is that of `seq`: a clock can be set back.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub cause: Cause,
    /// The user who gave the command; none if it was not a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What the user wrote: a comment, or the reason of a shelving or of taking out of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Comment>,
}

/// What happened to an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// The condition holds.
    Raised {
        /// What raised it.
        evidence: Evidence,
    },
    /// The condition is over.
    Returned {
        /// What ended it.
        evidence: Evidence,
        /// Whether the alarm stays until it is reset.
        latched: bool,
    },
    /// A user acknowledged it.
    Acknowledged {
        /// The newest occurrence that the user saw. Older ones are acknowledged too.
        up_to: u32,
    },
    /// A user shelved it, or changed the end of its shelving.
    Shelved {
        /// When the shelving ends by itself.
        until: Timestamp,
    },
    /// A user ended the shelving.
    Unshelved,
    /// The shelving ended by itself.
    ShelvingEnded,
    /// It is suppressed by design from now on.
    SuppressionBegan {
        /// Why.
        why: Suppression,
    },
    /// This reason for suppressing it is over.
    SuppressionEnded {
        /// Why it was suppressed.
        why: Suppression,
    },
    /// A user took it out of service.
    TakenOutOfService,
    /// A user returned it to service.
    ReturnedToService,
    /// A user reset a latched alarm.
    Reset,
}

/// Why an alarm is suppressed by design.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Suppression {
    /// The pump is in an operating state in which the alarm does not hold, such as off.
    OperatingState,
    /// Another alarm of the pump explains it.
    ExplainedBy {
        /// The other alarm.
        alarm: AlarmId,
    },
    /// Work on the pump is planned.
    PlannedWork {
        /// The id of the planned work.
        work: String,
    },
}

/// What raised an alarm or ended its condition.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Since when the condition holds, or is over: before the delay. In device time if a reading shows it.
    pub since: Timestamp,
    /// The value, in the unit of the limit; none if there is no number, as for missing data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// The number of the pump's evaluated reading that decided it; none if none did, but the time that passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<u64>,
}

impl Evidence {
    /// Evidence that is nothing but a time.
    pub fn at(since: Timestamp) -> Self {
        Self { since, value: None, limit: None, evaluation: None }
    }
}

impl Transition {
    /// Which alarm it is about.
    pub fn key(&self) -> AlarmKey {
        AlarmKey { pump: self.pump.clone(), alarm: self.alarm.clone() }
    }
}
