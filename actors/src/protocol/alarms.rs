//! Messages about alarms: commands to a pump's actor, and what its alarms are to the live feed.

use tokio::sync::oneshot;
use volute_alarm::{AlarmDefinition, AlarmId, Command, CommandError, InvalidValue, Priority};
use volute_plant::{PumpId, Timestamp};
use volute_runtime::{Message, Subject};

use crate::alarms::StandingAlarm;

/// An order to the alarms of a pump, with the channel for the reply.
pub(crate) enum AlarmCommand {
    /// Commands. The reply is sent when their rows are durable.
    Request { request: AlarmRequest, reply: AlarmReply },
    /// The pump's own alarms from now on, if those that they were made from are still in use.
    SetRules { rules: NewAlarmRules, reply: AlarmReply },
}

/// A pump's own alarms from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAlarmRules {
    /// The pump.
    pub pump: PumpId,
    /// Who sets them, in the form of the audit log.
    pub by: String,
    /// Alarms that replace those of the profile with the same id, or are added to them.
    pub definitions: Vec<AlarmDefinition>,
    /// Alarms of the profile that this pump does not have.
    pub removed: Vec<AlarmId>,
    /// The version that they were made from, 0 if the pump had none of its own; none: whatever is in use.
    pub made_from: Option<u64>,
}

/// Commands of a user to the alarms of the node itself, in this order. The reply is sent when their rows are durable.
pub(crate) struct CommandNodeAlarms {
    pub commands: Vec<(AlarmId, Command)>,
    /// In the form of the audit log.
    pub user: String,
    pub reply: AlarmReply,
}

/// What to do with the alarms of a pump.
#[derive(Debug)]
pub(crate) enum AlarmRequest {
    /// Commands of a user, in this order. `user` is in the form of the audit log.
    Commands { commands: Vec<(AlarmId, Command)>, user: String },
    /// Suppress all alarms by the planned work that is active now, and by no other.
    FollowWork,
}

/// The result of each command, in their order.
pub type AlarmResults = Vec<(AlarmId, Result<(), CommandError>)>;

/// Receives the results.
pub(crate) type AlarmReply = oneshot::Sender<Result<AlarmResults, AlarmCommandError>>;

/// Why commands about alarms were not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlarmCommandError {
    /// There is no such pump.
    #[error("there is no pump {0}")]
    UnknownPump(PumpId),
    /// The stored alarms are not read yet.
    #[error("the alarms are not read from the database yet: try again")]
    NotReady,
    /// The command took effect, but is not durable yet. The node tries again to store it.
    #[error("the command took effect but is not stored yet: look at the alarm again before you repeat it")]
    NotStored,
    /// The actor of the pump or of the node's alarms, or its inbox, is not available.
    #[error("the part that has the alarms is busy or out of order: try again, or see /api/actors")]
    Unavailable,
    /// Somebody else has changed the pump's own alarms meanwhile.
    #[error(
        "{by} changed these alarms at {at}, after you have loaded them: load them again, and make your change to those"
    )]
    OtherVersion {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// The alarms' definitions have mistakes.
    #[error("{}", list(.0))]
    Invalid(Vec<InvalidValue>),
}

/// What a pump's alarms are now, for the live feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AlarmsChanged {
    pub pump: PumpId,
    pub summary: AlarmSummary,
}

/// What a fleet's page shows of a pump's alarms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlarmSummary {
    /// How many stand: announced, and not yet over, acknowledged and reset.
    pub standing: u32,
    /// How many of these nobody has acknowledged.
    pub unacknowledged: u32,
    /// The highest priority of those that stand.
    pub highest: Option<Priority>,
    /// The highest priority of those that nobody has acknowledged.
    pub highest_unacknowledged: Option<Priority>,
    /// How many are shelved or out of service.
    pub set_aside: u32,
}

impl AlarmSummary {
    /// Summarises the alarms of a pump.
    pub fn of(alarms: &[StandingAlarm]) -> Self {
        let mut summary = Self::default();
        for alarm in alarms {
            if alarm.shelving.is_some() || alarm.out_of_service.is_some() {
                summary.set_aside += 1;
            }
            if !alarm.state.is_standing() {
                continue;
            }
            summary.standing += 1;
            summary.highest = summary.highest.max(Some(alarm.priority));
            if alarm.state.is_unacknowledged() {
                summary.unacknowledged += 1;
                summary.highest_unacknowledged = summary.highest_unacknowledged.max(Some(alarm.priority));
            }
        }
        summary
    }
}

impl AlarmsChanged {
    pub(crate) fn of(pump: PumpId, alarms: &[StandingAlarm]) -> Self {
        Self { pump, summary: AlarmSummary::of(alarms) }
    }
}

fn list(mistakes: &[InvalidValue]) -> String {
    let texts: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl Message for AlarmCommand {}

impl Message for CommandNodeAlarms {}

impl Message for AlarmsChanged {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}
