//! The actions that the audit log records, with their names.

use volute_alarm::CommandKind;
use volute_plant::event_status::EventAction;

/// The actions that are audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAction {
    /// Restarts an actor, or all actors of a group.
    Restart,
    /// Starts a pump's commissioning, which learns its baseline.
    Commission,
    /// Activates another version of a pump's baseline.
    ActivateBaseline,
    /// Removes a pump with everything that is stored of it.
    RemovePump,
    /// Changes the settings of a single pump.
    SetPump,
    /// Sets or removes a pump's name.
    NamePump,
    /// Adds a profile.
    AddProfile,
    /// Removes a profile.
    RemoveProfile,
    /// Assigns another profile to a pump.
    AssignProfile,
    /// Starts simulated pumps, in a demo.
    StartSimulation,
    /// Stops simulated pumps.
    StopSimulation,
    /// Makes a backup.
    Backup,
    /// Exports a pump's readings to a file.
    Export,
    /// Confirms the node's clock.
    ConfirmClock,
    /// A user logs in.
    Login,
    /// A user logs out.
    Logout,
    /// A user sets a password, by a set-up link or a change.
    SetPassword,
    /// A user begins, confirms or removes a second factor.
    SetSecondFactor,
    /// Adds a user.
    AddUser,
    /// Ends a user's password and sessions, and makes a set-up link.
    ResetUser,
    /// Gives a user another role.
    SetRole,
    /// Disables a user.
    DisableUser,
    /// Adds a pump token.
    AddToken,
    /// Revokes a pump token.
    RevokeToken,
    /// Acknowledges alarms.
    AcknowledgeAlarm,
    /// Resets latched alarms.
    ResetAlarm,
    /// Shelves alarms.
    ShelveAlarm,
    /// Ends the shelving of alarms.
    UnshelveAlarm,
    /// Takes alarms out of service.
    TakeAlarmOutOfService,
    /// Returns alarms to service.
    ReturnAlarmToService,
    /// Sets a pump's own alarms.
    SetAlarms,
    /// Acknowledges a maintenance event.
    AcknowledgeEvent,
    /// Plans the work of a maintenance event.
    PlanEvent,
    /// Submits the plan of a maintenance event for approval.
    SubmitEvent,
    /// Approves the plan of a maintenance event.
    ApproveEvent,
    /// Rejects the plan of a maintenance event.
    RejectEvent,
    /// Says what was found about a maintenance event.
    FinishEvent,
    /// Reopens a maintenance event.
    ReopenEvent,
    /// Plans work on a pump, which suppresses its alarms.
    PlanWork,
    /// Ends planned work early, or cancels it.
    EndWork,
    /// Sends a request that is refused before it becomes one of the other actions.
    Request,
}

impl AuditAction {
    /// All actions.
    pub const ALL: [Self; 41] = [
        Self::Restart,
        Self::Commission,
        Self::ActivateBaseline,
        Self::RemovePump,
        Self::SetPump,
        Self::NamePump,
        Self::AddProfile,
        Self::RemoveProfile,
        Self::AssignProfile,
        Self::StartSimulation,
        Self::StopSimulation,
        Self::Backup,
        Self::Export,
        Self::ConfirmClock,
        Self::Login,
        Self::Logout,
        Self::SetPassword,
        Self::SetSecondFactor,
        Self::AddUser,
        Self::ResetUser,
        Self::SetRole,
        Self::DisableUser,
        Self::AddToken,
        Self::RevokeToken,
        Self::AcknowledgeAlarm,
        Self::ResetAlarm,
        Self::ShelveAlarm,
        Self::UnshelveAlarm,
        Self::TakeAlarmOutOfService,
        Self::ReturnAlarmToService,
        Self::SetAlarms,
        Self::AcknowledgeEvent,
        Self::PlanEvent,
        Self::SubmitEvent,
        Self::ApproveEvent,
        Self::RejectEvent,
        Self::FinishEvent,
        Self::ReopenEvent,
        Self::PlanWork,
        Self::EndWork,
        Self::Request,
    ];

    /// Returns the action of a command to alarms.
    pub fn of_alarm(command: CommandKind) -> Self {
        match command {
            CommandKind::Acknowledge => Self::AcknowledgeAlarm,
            CommandKind::Reset => Self::ResetAlarm,
            CommandKind::Shelve => Self::ShelveAlarm,
            CommandKind::Unshelve => Self::UnshelveAlarm,
            CommandKind::TakeOutOfService => Self::TakeAlarmOutOfService,
            CommandKind::ReturnToService => Self::ReturnAlarmToService,
        }
    }

    /// Returns the action of what somebody does about a maintenance event.
    pub fn of_event(action: &EventAction) -> Self {
        match action {
            EventAction::Acknowledge => Self::AcknowledgeEvent,
            EventAction::Plan(_) => Self::PlanEvent,
            EventAction::Submit => Self::SubmitEvent,
            EventAction::Approve => Self::ApproveEvent,
            EventAction::Reject => Self::RejectEvent,
            EventAction::Finish(_) => Self::FinishEvent,
            EventAction::Reopen => Self::ReopenEvent,
        }
    }

    /// Returns whether it is about pumps, their alarms and their maintenance, so that it belongs into a shift handover.
    /// Users, tokens and the node itself do not.
    pub fn is_in_handover(self) -> bool {
        matches!(
            self,
            Self::Commission
                | Self::ActivateBaseline
                | Self::RemovePump
                | Self::SetPump
                | Self::NamePump
                | Self::AssignProfile
                | Self::AcknowledgeAlarm
                | Self::ResetAlarm
                | Self::ShelveAlarm
                | Self::UnshelveAlarm
                | Self::TakeAlarmOutOfService
                | Self::ReturnAlarmToService
                | Self::SetAlarms
                | Self::AcknowledgeEvent
                | Self::PlanEvent
                | Self::SubmitEvent
                | Self::ApproveEvent
                | Self::RejectEvent
                | Self::FinishEvent
                | Self::ReopenEvent
                | Self::PlanWork
                | Self::EndWork
        )
    }

    /// Returns the action of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }

    /// Returns its name in the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Commission => "commission",
            Self::ActivateBaseline => "activate-baseline",
            Self::RemovePump => "remove-pump",
            Self::SetPump => "set-pump",
            Self::NamePump => "name-pump",
            Self::AddProfile => "add-profile",
            Self::RemoveProfile => "remove-profile",
            Self::AssignProfile => "assign-profile",
            Self::StartSimulation => "start-simulation",
            Self::StopSimulation => "stop-simulation",
            Self::Backup => "backup",
            Self::Export => "export",
            Self::ConfirmClock => "confirm-clock",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::SetPassword => "set-password",
            Self::SetSecondFactor => "set-second-factor",
            Self::AddUser => "add-user",
            Self::ResetUser => "reset-user",
            Self::SetRole => "set-role",
            Self::DisableUser => "disable-user",
            Self::AddToken => "add-token",
            Self::RevokeToken => "revoke-token",
            Self::AcknowledgeAlarm => "acknowledge-alarm",
            Self::ResetAlarm => "reset-alarm",
            Self::ShelveAlarm => "shelve-alarm",
            Self::UnshelveAlarm => "unshelve-alarm",
            Self::TakeAlarmOutOfService => "take-alarm-out-of-service",
            Self::ReturnAlarmToService => "return-alarm-to-service",
            Self::SetAlarms => "set-alarms",
            Self::AcknowledgeEvent => "acknowledge-event",
            Self::PlanEvent => "plan-event",
            Self::SubmitEvent => "submit-event",
            Self::ApproveEvent => "approve-event",
            Self::RejectEvent => "reject-event",
            Self::FinishEvent => "finish-event",
            Self::ReopenEvent => "reopen-event",
            Self::PlanWork => "plan-work",
            Self::EndWork => "end-work",
            Self::Request => "request",
        }
    }
}
