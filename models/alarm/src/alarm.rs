//! The lifecycle of an alarm.
//!
//! An example, as a plant engineer sees it. The alarm is "bearing above 93 °C", with a delay of a minute.
//!
//! ```text
//! 10:00  the bearing is at 95 °C                                     normal
//! 10:01  it has been for a minute: the alarm is raised, occurrence 1 unacknowledged
//! 10:03  Ada acknowledges: "oil is low, will top up"                 acknowledged
//! 10:20  the bearing is at 90 °C again                               normal
//! 11:00  it is at 96 °C for a minute: a new occurrence, 2            unacknowledged
//! 11:10  it is at 91 °C, and nobody has looked                       returned, unacknowledged
//! 11:30  it is at 97 °C for a minute: occurrence 3                   unacknowledged
//! 11:31  Ada acknowledges what she saw, up to occurrence 2           unacknowledged, because of 3
//! 11:32  Ada acknowledges up to 3                                    acknowledged
//! 11:40  Ben shelves it until 13:40: "new bearing comes at 13:00"    shelved
//! 13:40  the shelving ends by itself; the bearing is still hot: 4    unacknowledged
//! 13:41  Ben acknowledges and stops the pump: it is off by design    suppressed
//! 15:00  the pump runs, with its new bearing                         normal
//! ```
//!
//! What happens in each state. A cell has the state after it; `.`: nothing, and no row; `x`: refused. In parentheses:
//! for a latching alarm, which waits for a reset.
//!
//! | state | raise | return | acknowledge | shelve | unshelve | time | suppress | unsuppress | remove | restore | reset |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | N normal | U | . | x | S | x | . | D | . | O | x | x |
//! | U unacknowledged | . | R (LU) | A | S | x | . | U | . | O | x | x |
//! | A acknowledged | . | N (LA) | x | S | x | . | D | . | O | x | x |
//! | R returned unacknowledged | U | . | N | S | x | . | R | . | O | x | x |
//! | LU latched unacknowledged | U | . | LA | S | x | . | LU | . | O | x | x |
//! | LA latched acknowledged | U | . | x | S | x | . | D | . | O | x | N |
//! | S shelved | S | . | x | S | N | N | S | . | O | x | x |
//! | D suppressed by design | D | . | x | S | x | . | . | N | O | x | x |
//! | O out of service | O | . | x | x | x | . | O | . | x | N | x |
//!
//! "Time" is the end of a shelving, "remove" takes out of service, "restore" returns to service. In the last three
//! lines the alarm was normal before. If it was not:
//!
//! - Being shelved, suppressed and out of service are independent, and the state shows the strongest: out of service,
//!   then shelved, then suppressed.
//! - A condition that begins and ends meanwhile is recorded, and announced to nobody. If it still holds in the end, it
//!   is a new occurrence.
//! - After a shelving and after a return to service, a condition that holds is announced again, whether it was
//!   acknowledged before or not. After a suppression, an acknowledged occurrence that still lasts is acknowledged.
//! - An occurrence that nobody acknowledged stays so, until a person acknowledges it. A person who shelves it, or takes
//!   it out of service, takes it out of view. A suppression does not: the alarm is suppressed once it is acknowledged.
//!
//! Does not decide whether the condition holds, and knows no delays; see `debounce.rs`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use volute_plant::Timestamp;

use crate::{
    AlarmKey, Cause, CommandKind, Comment, Evidence, InvalidValue, Priority, State, Status, Suppression, Transition,
};

/// What happens to an alarm by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// The condition holds.
    Raise(Evidence),
    /// The condition is over.
    Return(Evidence),
    /// A reason to suppress it begins.
    Suppress(Suppression),
    /// This reason is over.
    Unsuppress(Suppression),
    /// Time passes.
    Tick,
}

/// What a person does with an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Confirm that it was seen.
    Acknowledge {
        /// The newest occurrence that the person saw. One that came since is not acknowledged by it.
        up_to: u32,
        /// A comment.
        #[serde(default)]
        comment: Option<Comment>,
    },
    /// Put it aside.
    Shelve {
        /// Until when.
        until: Timestamp,
        /// Why.
        reason: Comment,
    },
    /// End the shelving.
    Unshelve {
        /// A comment.
        #[serde(default)]
        comment: Option<Comment>,
    },
    /// Switch it off.
    TakeOutOfService {
        /// Why.
        reason: Comment,
    },
    /// Switch it on again.
    ReturnToService {
        /// A comment.
        #[serde(default)]
        comment: Option<Comment>,
    },
    /// Let go of a latched alarm.
    Reset {
        /// A comment.
        #[serde(default)]
        comment: Option<Comment>,
    },
}

/// A command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Not in this state.
    #[error("{command} is not possible while the alarm is {state}; allowed: {}", names(.allowed))]
    State {
        /// The command.
        command: CommandKind,
        /// The alarm's state.
        state: State,
        /// The commands that are allowed.
        allowed: &'static [CommandKind],
    },
    /// One of its values is not allowed.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// The pump has no alarm of this id.
    #[error("there is no alarm {0:?}")]
    Unknown(String),
}

/// The longest shelving, in milliseconds: a week.
pub const MAX_SHELVING_MS: i64 = 7 * 24 * 3_600_000;

/// One alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    key: AlarmKey,
    priority: Priority,
    latching: bool,
    /// None as long as there is no row: a pump has some forty alarms, and most of them never have one.
    status: Option<Box<Status>>,
}

/// The status of an alarm without rows.
static NO_ROWS: LazyLock<Status> = LazyLock::new(Status::default);

impl Alarm {
    /// Creates an alarm with the status that its stored transitions give it: [`Status::default`] if there are none.
    pub fn new(key: AlarmKey, priority: Priority, latching: bool, status: Status) -> Self {
        let status = (status != Status::default()).then(|| Box::new(status));
        Self { key, priority, latching, status }
    }

    /// Which alarm it is.
    pub fn key(&self) -> &AlarmKey {
        &self.key
    }

    /// What is known of it.
    pub fn status(&self) -> &Status {
        self.status.as_deref().unwrap_or(&NO_ROWS)
    }

    /// How urgent it is.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.status().state()
    }

    /// Up to which priority it explains other alarms now; none if it explains none. While it is shelved it is out of view
    /// itself, and must not hide what is more urgent.
    pub fn explains_up_to(&self) -> Option<Priority> {
        let status = self.status();
        if !status.holds() || status.out_of_service().is_some() {
            return None;
        }
        Some(if status.shelving().is_some() { self.priority } else { Priority::Critical })
    }

    /// Uses another priority and another decision about latching from now on.
    pub fn redefine(&mut self, priority: Priority, latching: bool) {
        self.priority = priority;
        self.latching = latching;
    }

    /// Takes a signal. Returns the row to store, if it changes anything.
    pub fn observe(&mut self, signal: Signal, now: Timestamp) -> Option<Transition> {
        let status = self.status();
        let cause = match signal {
            Signal::Raise(evidence) if !status.holds() && !status.has_counted(&evidence) => Cause::Raised { evidence },
            Signal::Return(evidence) if status.holds() && !status.has_counted(&evidence) => {
                Cause::Returned { evidence, latched: self.latching && status.is_announced() }
            }
            Signal::Suppress(why) if !status.suppressions().contains(&why) => Cause::SuppressionBegan { why },
            Signal::Unsuppress(why) if status.suppressions().contains(&why) => Cause::SuppressionEnded { why },
            Signal::Tick if status.shelving_is_over(now) => Cause::ShelvingEnded,
            _ => return None,
        };
        Some(self.record(cause, None, None, now))
    }

    /// Does what a user commands. Returns the row to store, or why the command is refused. The row has to be durable
    /// before the user gets a response.
    pub fn command(&mut self, command: Command, user: &str, now: Timestamp) -> Result<Transition, CommandError> {
        let (state, kind) = (self.state(), command.kind());
        if !state.allowed_commands().contains(&kind) {
            return Err(CommandError::State { command: kind, state, allowed: state.allowed_commands() });
        }
        let (cause, comment) = match command {
            Command::Acknowledge { up_to, comment } => {
                self.check_occurrence(up_to)?;
                (Cause::Acknowledged { up_to }, comment)
            }
            Command::Shelve { until, reason } => {
                if !(1..=MAX_SHELVING_MS).contains(&until.since_ms(now)) {
                    let allowed = format!("after {now}, by at most 7 days; for longer, take the alarm out of service");
                    return Err(InvalidValue::new("until", until, allowed).into());
                }
                (Cause::Shelved { until }, Some(reason))
            }
            Command::Unshelve { comment } => (Cause::Unshelved, comment),
            Command::TakeOutOfService { reason } => (Cause::TakenOutOfService, Some(reason)),
            Command::ReturnToService { comment } => (Cause::ReturnedToService, comment),
            Command::Reset { comment } => (Cause::Reset, comment),
        };
        Ok(self.record(cause, Some(user.to_owned()), comment, now))
    }

    fn check_occurrence(&self, up_to: u32) -> Result<(), InvalidValue> {
        let (first, last) = (self.status().acknowledged_up_to() + 1, self.status().occurrence());
        if (first..=last).contains(&up_to) {
            return Ok(());
        }
        let allowed = if first > last {
            "none: every occurrence is acknowledged".to_owned()
        } else {
            format!("{first} to {last}, the occurrences that nobody has acknowledged")
        };
        Err(InvalidValue::new("occurrence", up_to, allowed))
    }

    /// Makes the row and applies it.
    fn record(&mut self, cause: Cause, by: Option<String>, comment: Option<Comment>, now: Timestamp) -> Transition {
        let from = self.state();
        let mut row = Transition {
            seq: self.status().seq() + 1,
            pump: self.key.pump.clone(),
            alarm: self.key.alarm.clone(),
            occurrence: self.status().occurrence(),
            announces: false,
            priority: self.priority,
            from,
            to: from,
            at: now,
            cause,
            by,
            comment,
        };
        let status = self.status.get_or_insert_default();
        let before = status.clone();
        status.apply(&row);
        if status.must_announce() {
            row.announces = true;
            row.occurrence = before.occurrence().saturating_add(1);
            *status = before;
            status.apply(&row);
        }
        row.to = self.state();
        row
    }
}

impl Command {
    /// What kind of command it is.
    pub fn kind(&self) -> CommandKind {
        match self {
            Self::Acknowledge { .. } => CommandKind::Acknowledge,
            Self::Shelve { .. } => CommandKind::Shelve,
            Self::Unshelve { .. } => CommandKind::Unshelve,
            Self::TakeOutOfService { .. } => CommandKind::TakeOutOfService,
            Self::ReturnToService { .. } => CommandKind::ReturnToService,
            Self::Reset { .. } => CommandKind::Reset,
        }
    }
}

fn names(commands: &[CommandKind]) -> String {
    let names: Vec<&str> = commands.iter().map(|command| command.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
