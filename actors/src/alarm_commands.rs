//! The engine's interface to alarms: what stands, commands of users, and the pumps' own alarms.

use tokio::sync::oneshot;
use volute_alarm::{AlarmDefinition, AlarmId, Command};
use volute_data::{AlarmRules, StoreError};
use volute_plant::PumpId;
use volute_runtime::TrySendError;

use crate::{
    alarms::{StandingAlarms, definitions},
    commissioning::errors::CommissionError,
    engine::handle::EngineHandle,
    protocol::alarms::{
        AlarmCommand, AlarmCommandError, AlarmReply, AlarmRequest, AlarmResults, CommandNodeAlarms, NewAlarmRules,
    },
};

impl EngineHandle {
    /// Returns the alarms that are not normal.
    pub fn alarms(&self) -> &StandingAlarms {
        &self.0.context.standing_alarms
    }

    /// Does what a user commands with alarms of a pump, in this order. `user` is in the form of the audit log. What took
    /// effect is durable when this returns `Ok`.
    pub async fn command_alarms(
        &self,
        pump: &PumpId,
        commands: Vec<(AlarmId, Command)>,
        user: String,
    ) -> Result<AlarmResults, AlarmCommandError> {
        let request = AlarmRequest::Commands { commands, user };
        self.send_alarm_command(pump, |reply| AlarmCommand::Request { request, reply }).await
    }

    /// Does what a user commands with alarms of the node itself, in this order. `user` is in the form of the audit log. What
    /// took effect is durable when this returns `Ok`.
    pub async fn command_node_alarms(
        &self,
        commands: Vec<(AlarmId, Command)>,
        user: String,
    ) -> Result<AlarmResults, AlarmCommandError> {
        let (reply, outcome) = oneshot::channel();
        match self.0.node_alarms.try_send(CommandNodeAlarms { commands, user, reply }) {
            Ok(()) => outcome.await.unwrap_or(Err(AlarmCommandError::Unavailable)),
            Err(TrySendError::Full(_) | TrySendError::Closed) => Err(AlarmCommandError::Unavailable),
        }
    }

    /// Has a pump suppress its alarms by the work that is active now. It does so by itself within seconds. Durable when this
    /// returns `Ok`.
    pub(crate) async fn apply_planned_work(&self, pump: &PumpId) -> Result<(), AlarmCommandError> {
        let request = AlarmRequest::FollowWork;
        self.send_alarm_command(pump, |reply| AlarmCommand::Request { request, reply }).await.map(drop)
    }

    /// Changes the pump's own alarms. Durable when this returns `Ok`.
    pub async fn set_alarm_rules(&self, rules: NewAlarmRules) -> Result<(), AlarmCommandError> {
        let pump = rules.pump.clone();
        self.send_alarm_command(&pump, |reply| AlarmCommand::SetRules { rules, reply }).await.map(drop)
    }

    /// Returns the definitions of a pump's alarms, and those that are its own. Fails while the database is unavailable.
    pub async fn alarm_definitions(
        &self,
        pump: &PumpId,
    ) -> Result<(Vec<AlarmDefinition>, Option<AlarmRules>), StoreError> {
        let rules = self.store().alarm_rules(pump).await?;
        let settings = self.store().pump_settings(pump).await?;
        let profile = settings.apply(&self.profile_of(pump));
        Ok((definitions(&profile, rules.as_ref()), rules))
    }

    async fn send_alarm_command(
        &self,
        pump: &PumpId,
        command: impl FnOnce(AlarmReply) -> AlarmCommand,
    ) -> Result<AlarmResults, AlarmCommandError> {
        let handle = self.find_pump(pump, false).await.map_err(|error| match error {
            CommissionError::UnknownPump(pump) => AlarmCommandError::UnknownPump(pump),
            _ => AlarmCommandError::Unavailable,
        })?;
        let (reply, outcome) = oneshot::channel();
        match handle.commands.try_send(command(reply)) {
            Ok(()) => outcome.await.unwrap_or(Err(AlarmCommandError::Unavailable)),
            Err(TrySendError::Full(_) | TrySendError::Closed) => Err(AlarmCommandError::Unavailable),
        }
    }
}
