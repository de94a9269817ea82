//! The states of an alarm by ISA-18.2 (IEC 62682), and which commands are allowed in each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where an alarm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The condition does not hold, and nothing is to be acknowledged.
    Normal,
    /// The condition holds, and nobody has acknowledged it.
    Unacknowledged,
    /// The condition holds, and a person has acknowledged it.
    Acknowledged,
    /// The condition is over, and nobody has acknowledged that it held.
    ReturnedUnacknowledged,
    /// Like [`Self::ReturnedUnacknowledged`], of an alarm that stays until a person resets it.
    LatchedUnacknowledged,
    /// The condition is over and acknowledged, and the alarm waits for a reset.
    LatchedAcknowledged,
    /// Put aside by a person, with a reason, for a limited time.
    Shelved,
    /// Not raised, because the design says so: the pump is off, another alarm explains it, or work is planned.
    Suppressed,
    /// Switched off by a person, with a reason, until it is switched on again: the sensor is broken, for example.
    OutOfService,
}

/// What a person can do with an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandKind {
    /// Confirm that it was seen.
    Acknowledge,
    /// Put it aside for a time, or change the end of that time.
    Shelve,
    /// End the shelving.
    Unshelve,
    /// Switch it off.
    TakeOutOfService,
    /// Switch it on again.
    ReturnToService,
    /// Let go of a latched alarm.
    Reset,
}

impl State {
    /// All states.
    pub const ALL: [Self; 9] = [
        Self::Normal,
        Self::Unacknowledged,
        Self::Acknowledged,
        Self::ReturnedUnacknowledged,
        Self::LatchedUnacknowledged,
        Self::LatchedAcknowledged,
        Self::Shelved,
        Self::Suppressed,
        Self::OutOfService,
    ];

    /// Returns its name in the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Unacknowledged => "unacknowledged",
            Self::Acknowledged => "acknowledged",
            Self::ReturnedUnacknowledged => "returned_unacknowledged",
            Self::LatchedUnacknowledged => "latched_unacknowledged",
            Self::LatchedAcknowledged => "latched_acknowledged",
            Self::Shelved => "shelved",
            Self::Suppressed => "suppressed",
            Self::OutOfService => "out_of_service",
        }
    }

    /// Returns the commands that are allowed. [`CommandKind::Acknowledge`] of a shelved alarm and of one out of service
    /// is for what nobody had acknowledged before.
    pub fn allowed_commands(self) -> &'static [CommandKind] {
        use CommandKind::{Acknowledge, Reset, ReturnToService, Shelve, TakeOutOfService, Unshelve};
        match self {
            Self::Normal | Self::Acknowledged | Self::Suppressed => &[Shelve, TakeOutOfService],
            Self::Unacknowledged | Self::ReturnedUnacknowledged | Self::LatchedUnacknowledged => {
                &[Acknowledge, Shelve, TakeOutOfService]
            }
            Self::LatchedAcknowledged => &[Reset, Shelve, TakeOutOfService],
            Self::Shelved => &[Unshelve, Acknowledge, Shelve, TakeOutOfService],
            Self::OutOfService => &[ReturnToService, Acknowledge],
        }
    }

    /// Whether a person has to acknowledge it.
    pub fn is_unacknowledged(self) -> bool {
        matches!(self, Self::Unacknowledged | Self::ReturnedUnacknowledged | Self::LatchedUnacknowledged)
    }

    /// Whether it belongs on the list of standing alarms: raised and not yet over, acknowledged and reset.
    pub fn is_standing(self) -> bool {
        self.is_unacknowledged() || matches!(self, Self::Acknowledged | Self::LatchedAcknowledged)
    }
}

impl CommandKind {
    /// Returns its name in the API and in error messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Shelve => "shelve",
            Self::Unshelve => "unshelve",
            Self::TakeOutOfService => "take_out_of_service",
            Self::ReturnToService => "return_to_service",
            Self::Reset => "reset",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_serialized_form() {
        for state in State::ALL {
            assert_eq!(serde_json::to_string(&state).expect("JSON"), format!("{:?}", state.as_str()));
            for command in state.allowed_commands() {
                assert_eq!(serde_json::to_string(command).expect("JSON"), format!("{:?}", command.as_str()));
            }
        }
    }

    #[test]
    fn standing_alarms_are_raised_and_in_view() {
        let standing: Vec<State> = State::ALL.into_iter().filter(|state| state.is_standing()).collect();
        assert_eq!(standing, &State::ALL[1..6]);
        let unacknowledged: Vec<State> = State::ALL.into_iter().filter(|state| state.is_unacknowledged()).collect();
        assert_eq!(unacknowledged, [State::ALL[1], State::ALL[3], State::ALL[4]]);
    }
}
