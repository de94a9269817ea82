//! Entries of the audit log: what users requested of a node, and the outcome.
//!
//! An entry is a document that never changes and is never deleted. Its key is computed from its fields, so that an
//! entry that is replayed from the journal gets the same row. Does not check who may request what.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use volute_access::Principal;
use volute_alarm::CommandKind;
use volute_plant::{Timestamp, event_status::EventAction};

use super::document::{DocumentKey, DocumentKind, KeyPrefix};

/// The maximum length of a text in an entry, in characters: a client can send a path of any length.
const MAX_TEXT_CHARS: usize = 300;
/// The outcome of an action that was carried out.
const DONE: &str = "done";

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
}

impl AuditAction {
    /// All actions.
    pub const ALL: [Self; 40] = [
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
    pub fn is_of_plant(self) -> bool {
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
        }
    }
}

/// What a user requested, and the outcome. It never changes; entries that are equal in every field are the same entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditEntry {
    /// The time of the request.
    pub at: Timestamp,
    /// Who requested it: `user ada`, `token gateway-1 <id>`, `uid 0` for a command on the node's machine, or the
    /// address of a client without credentials.
    pub who: String,
    /// The action, such as `restart`. A stored entry may have an action that this binary does not know.
    pub action: String,
    /// What it applies to, such as the id of an actor or a pump.
    pub object: String,
    /// `done`, or the reason of the refusal.
    pub outcome: String,
    /// More details, in short; may be empty.
    pub detail: String,
}

impl AuditEntry {
    /// Creates the entry of an action that was carried out. A long text is truncated.
    pub fn done(at: Timestamp, who: &Principal, action: AuditAction, object: &str) -> Self {
        let (who, action) = (who.to_string(), action.as_str().into());
        Self { at, who, action, object: short(object), outcome: DONE.into(), detail: String::new() }
    }

    /// Returns whether the action was carried out.
    pub fn is_done(&self) -> bool {
        self.outcome == DONE
    }

    /// Returns the entry with these details.
    pub fn detail(self, detail: &str) -> Self {
        Self { detail: short(detail), ..self }
    }

    /// Returns the entry as refused, with the reason.
    pub fn refused(self, why: &str) -> Self {
        Self { outcome: short(why), ..self }
    }
}

/// The stored fields; `schema/0006_audit_log.surql` describes them.
#[derive(Serialize, Deserialize)]
pub struct AuditFields {
    at_ms: i64,
    who: String,
    action: String,
    object: String,
    outcome: String,
    detail: String,
}

impl DocumentKind for AuditEntry {
    const TABLE: &'static str = "audit_log";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Time;
    const BELONGS_TO_PUMP: bool = false;
    const RETENTION: Option<Duration> = None;
    type Fields = AuditFields;

    fn key(&self) -> DocumentKey {
        DocumentKey::new([self.at.millis().into(), hash(self).as_str().into()])
    }

    fn to_fields(&self) -> AuditFields {
        let Self { at, who, action, object, outcome, detail } = self.clone();
        AuditFields { at_ms: at.millis(), who, action, object, outcome, detail }
    }

    fn from_fields(fields: AuditFields) -> Result<Self, String> {
        let AuditFields { at_ms, who, action, object, outcome, detail } = fields;
        let at = Timestamp::from_millis(at_ms).map_err(|error| error.to_string())?;
        Ok(Self { at, who, action, object, outcome, detail })
    }
}

/// Returns the first half of a SHA-256 over all fields except the time, each preceded by its length.
fn hash(entry: &AuditEntry) -> String {
    let AuditEntry { at: _, who, action, object, outcome, detail } = entry;
    let mut hasher = Sha256::new();
    for field in [who, action, object, outcome, detail] {
        hasher.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the text, truncated if it is too long.
fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_two_characters() {
        for text in ["", "P-1", &"é".repeat(MAX_TEXT_CHARS)] {
            assert_eq!(short(text), text);
        }
        assert_eq!(short(&"é".repeat(MAX_TEXT_CHARS + 1)), "é".repeat(MAX_TEXT_CHARS) + "…");
    }
}
