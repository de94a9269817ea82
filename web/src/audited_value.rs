//! The value that an action changes, as text. It is read before and after the action, and an audit entry has both if
//! they differ.
//!
//! Example: `set-role` of ada reads `role viewer, enabled` before, and `role engineer, enabled` after. A refused action
//! changes nothing, so its entry has no values. Actions at the same time may see each other's changes.

use volute_access::{CredentialId, Name, PumpToken, User};
use volute_actors::{EngineHandle, KindParts};
use volute_data::{AlarmRules, AuditAction, Change, Store};
use volute_plant::PumpId;

use crate::access::Access;

/// How many pumps of a token are named; the others are counted.
const PUMPS_NAMED: usize = 50;

/// What is read to find a value.
#[derive(Clone)]
pub struct AuditedState {
    /// The store.
    pub store: Store,
    /// The engine of a running node.
    pub engine: Option<EngineHandle>,
    /// The users and tokens.
    pub access: Option<Access>,
}

impl AuditedState {
    /// Returns the value that `action` changes in `object`; none if there is none, or it cannot be read.
    pub async fn value(&self, action: AuditAction, object: &str) -> Option<String> {
        match action {
            AuditAction::NamePump => self.pump_name(object),
            AuditAction::SetPump => self.settings(object).await,
            AuditAction::AssignProfile => self.store.profile_of(&object.parse().ok()?),
            AuditAction::RemovePump => self.pump(object),
            AuditAction::ActivateBaseline => self.baseline(object).await,
            AuditAction::AddProfile | AuditAction::RemoveProfile => self.kind(object),
            AuditAction::AddUser
            | AuditAction::ResetUser
            | AuditAction::SetRole
            | AuditAction::DisableUser
            | AuditAction::SetPassword
            | AuditAction::SetSecondFactor => self.user(object),
            AuditAction::AddToken => self.tokens(object),
            AuditAction::RevokeToken => self.token(object),
            AuditAction::SetAlarms => self.alarms(object).await,
            // Their transitions are stored with what they change.
            AuditAction::AcknowledgeAlarm
            | AuditAction::ResetAlarm
            | AuditAction::ShelveAlarm
            | AuditAction::UnshelveAlarm
            | AuditAction::TakeAlarmOutOfService
            | AuditAction::ReturnAlarmToService => None,
            // So do the events and the works.
            AuditAction::AcknowledgeEvent
            | AuditAction::PlanEvent
            | AuditAction::SubmitEvent
            | AuditAction::ApproveEvent
            | AuditAction::RejectEvent
            | AuditAction::FinishEvent
            | AuditAction::ReopenEvent
            | AuditAction::PlanWork
            | AuditAction::EndWork => None,
            AuditAction::Restart
            | AuditAction::Commission
            | AuditAction::StartSimulation
            | AuditAction::StopSimulation
            | AuditAction::Backup
            | AuditAction::Export
            | AuditAction::ConfirmClock
            | AuditAction::Login
            | AuditAction::Logout
            | AuditAction::Request => None,
        }
    }

    /// Returns the change from `before`, which was read before the action.
    pub async fn change(&self, action: AuditAction, object: &str, before: Option<String>) -> Change {
        let after = self.value(action, object).await;
        if before == after { Change::default() } else { Change::new(before, after) }
    }

    fn pump_name(&self, pump: &str) -> Option<String> {
        Some(self.store.pump_name(&pump.parse().ok()?)?.as_str().to_owned())
    }

    async fn settings(&self, pump: &str) -> Option<String> {
        let settings = self.store.pump_settings(&pump.parse().ok()?).await.ok()?;
        (!settings.is_empty()).then(|| settings.summary())
    }

    async fn alarms(&self, pump: &str) -> Option<String> {
        let AlarmRules { definitions, removed, .. } = self.store.alarm_rules(&pump.parse().ok()?).await.ok()??;
        Some(serde_json::json!({ "definitions": definitions, "removed": removed }).to_string())
    }

    fn pump(&self, pump: &str) -> Option<String> {
        let id: PumpId = pump.parse().ok()?;
        let profile = self.store.profile_of(&id)?;
        let name = self.store.pump_name(&id).map(|name| format!(", name {}", name.as_str())).unwrap_or_default();
        Some(format!("profile {profile}{name}"))
    }

    async fn baseline(&self, pump: &str) -> Option<String> {
        let baselines = self.engine.as_ref()?.baselines(&pump.parse().ok()?).await.ok()?;
        baselines.in_use.map(|version| format!("version {version}"))
    }

    fn kind(&self, name: &str) -> Option<String> {
        let kinds = self.engine.as_ref()?.kinds();
        let KindParts { model, damage, .. } = kinds.into_iter().find(|kind| kind.profile.name() == name)?;
        let model = model.map_or_else(|| "no model".to_owned(), |model| format!("model {}", model.id()));
        Some(if damage.is_some() { format!("{model}, damaged") } else { model })
    }

    fn user(&self, name: &str) -> Option<String> {
        let directory = self.access.as_ref()?.directory().ok()?;
        let name: Name = name.parse().ok()?;
        directory.user(&name).map(summary_of_user)
    }

    fn token(&self, id: &str) -> Option<String> {
        let directory = self.access.as_ref()?.directory().ok()?;
        let id = CredentialId::from(id);
        directory.tokens().map(|(token, _)| token).find(|token| token.id == id).map(summary_of_token)
    }

    /// Returns the tokens of a device or gateway that are not revoked.
    fn tokens(&self, name: &str) -> Option<String> {
        let directory = self.access.as_ref()?.directory().ok()?;
        let tokens = directory.tokens().map(|(token, _)| token);
        let mut tokens: Vec<String> = tokens
            .filter(|token| token.name.as_str() == name && token.revoked_ms.is_none())
            .map(|token| format!("{}: {}", token.id, summary_of_token(token)))
            .collect();
        tokens.sort_unstable();
        (!tokens.is_empty()).then(|| tokens.join("; "))
    }
}

fn summary_of_user(user: &User) -> String {
    let enabled = if user.disabled { "disabled" } else { "enabled" };
    let password = if user.password.is_some() { "" } else { ", no password" };
    let factor = if user.confirmed_factor().is_some() { ", second factor" } else { "" };
    format!("role {}, {enabled}{password}{factor}", user.role.as_str())
}

fn summary_of_token(token: &PumpToken) -> String {
    let named: Vec<&str> = token.pumps.iter().take(PUMPS_NAMED).map(PumpId::as_str).collect();
    let more = token.pumps.len().saturating_sub(PUMPS_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let registers = if token.register { ", registers them" } else { "" };
    let revoked = if token.revoked_ms.is_some() { ", revoked" } else { "" };
    format!("posts for {}{more}{registers}{revoked}", named.join(", "))
}
