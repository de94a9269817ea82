//! The engine handle's methods for baselines and pump settings, used by the API and by the simulation.

use tokio::sync::oneshot;
use volute_data::PumpSettings;
use volute_plant::{PumpId, Reading, Timestamp};
use volute_runtime::TrySendError;

use super::{
    errors::CommissionError,
    versions::{Baselines, versions},
};
use crate::{
    engine::handle::EngineHandle,
    kind::PumpKind,
    protocol::{
        commissioning::{CommissionJob, JobReply, Requester, TrainingData},
        ingress::FindPump,
        pump::{PumpCommand, PumpRequest},
    },
    pump::handle::PumpHandle,
    receipt::Queue,
};

impl EngineHandle {
    /// Returns the versions of a pump's baseline.
    pub async fn baselines(&self, pump: &PumpId) -> Result<Baselines, CommissionError> {
        let kind = self.kind_of(pump);
        let detection = kind.detection.ok_or(CommissionError::NoModel)?;
        self.find_pump(pump, false).await?;
        Ok(versions(self.store(), &detection.model, &kind.profile, pump).await?)
    }

    /// Commissions a pump anew, starting with its next reading. Until it has a new baseline its windows are not scored,
    /// and it raises no model alarm.
    pub async fn commission_anew(&self, pump: &PumpId) -> Result<(), CommissionError> {
        self.command(pump, PumpCommand::Recommission).await
    }

    /// Learns a baseline from the stored readings from `from` up to, but not including, `to`, and uses it. The previous
    /// baseline stays in use until the new one is learned. Returns the number of the new version.
    pub async fn commission_from(&self, pump: &PumpId, from: Timestamp, to: Timestamp) -> Result<u32, CommissionError> {
        let handle = self.find_pump(pump, false).await?;
        self.learn(
            pump,
            handle,
            "learned from stored readings, as asked".into(),
            TrainingData::Stored { from, to, has_detections: false },
        )
        .await
    }

    /// Puts a stored version of a pump's baseline into use. Version 0 is the baseline that comes with the model.
    pub async fn use_baseline(&self, pump: &PumpId, version: u32) -> Result<(), CommissionError> {
        self.command(pump, PumpCommand::ActivateVersion { version }).await
    }

    /// Learns a pump's baseline from generated readings, and uses it. Registers the pump if it is new. `make` generates
    /// the readings, in runs. It is called on the commissioning thread when the job starts.
    pub(crate) async fn commission_with(
        &self,
        pump: &PumpId,
        reason: String,
        make: impl FnOnce() -> Vec<Vec<Reading>> + Send + 'static,
    ) -> Result<u32, CommissionError> {
        let handle = self.find_pump(pump, true).await?;
        self.learn(pump, handle, reason, TrainingData::Generated(Box::new(make))).await
    }

    /// Changes the settings of a pump. If its interval changes, its baseline is learned again, from the same range of
    /// readings if there is one.
    pub async fn set_pump_settings(&self, pump: &PumpId, settings: PumpSettings) -> Result<(), CommissionError> {
        let handle = self.find_pump(pump, false).await?;
        self.send_command(&handle, PumpCommand::ChangeSettings { settings, is_played: false }).await
    }

    /// Changes the settings of a pump for which a recording will be played. Registers the pump if it is new. The pump's
    /// readings count as current although their timestamps are in the past.
    pub(crate) async fn prepare_recording(&self, pump: &PumpId, settings: PumpSettings) -> Result<(), CommissionError> {
        let handle = self.find_pump(pump, true).await?;
        self.send_command(&handle, PumpCommand::ChangeSettings { settings, is_played: true }).await
    }

    async fn learn(
        &self,
        pump: &PumpId,
        handle: PumpHandle,
        reason: String,
        data: TrainingData,
    ) -> Result<u32, CommissionError> {
        let (reply, outcome) = oneshot::channel();
        let reply = JobReply::new(handle.commands.into(), Requester::Caller(reply));
        let job = CommissionJob { pump: pump.clone(), kind: self.kind_with_model(pump)?, reason, data, reply };
        match self.0.context.commissioning.try_send(job) {
            Ok(()) => outcome.await.unwrap_or_else(|_| Err(self.no_reply_error())),
            Err(TrySendError::Full(_)) => Err(CommissionError::Busy { queue: Queue::CommissionJobs }),
            Err(TrySendError::Closed) => Err(self.no_reply_error()),
        }
    }

    async fn command(&self, pump: &PumpId, command: PumpCommand) -> Result<(), CommissionError> {
        self.kind_with_model(pump)?;
        let handle = self.find_pump(pump, false).await?;
        self.send_command(&handle, command).await
    }

    async fn send_command(&self, handle: &PumpHandle, command: PumpCommand) -> Result<(), CommissionError> {
        let (reply, outcome) = oneshot::channel();
        match handle.commands.try_send(PumpRequest { command, reply }) {
            Ok(()) => outcome.await.unwrap_or_else(|_| Err(self.no_reply_error())),
            Err(TrySendError::Full(_)) => Err(CommissionError::Busy { queue: Queue::Commands }),
            Err(TrySendError::Closed) => Err(self.no_reply_error()),
        }
    }

    /// Returns the error for an actor that did not reply.
    fn no_reply_error(&self) -> CommissionError {
        if self.is_closing() { CommissionError::Stopping } else { CommissionError::ActorFailed }
    }

    /// Returns the kind of a pump, or an error if windows of its kind are not scored.
    fn kind_with_model(&self, pump: &PumpId) -> Result<PumpKind, CommissionError> {
        let kind = self.kind_of(pump);
        if kind.detection.is_some() { Ok(kind) } else { Err(CommissionError::NoModel) }
    }

    pub(crate) async fn find_pump(&self, pump: &PumpId, register: bool) -> Result<PumpHandle, CommissionError> {
        let (reply, outcome) = oneshot::channel();
        let register = register.then(|| self.now());
        match self.0.ingress.try_send(FindPump { pump: pump.clone(), register, reply }) {
            Ok(()) => match outcome.await {
                Ok(handle) => handle.ok_or_else(|| CommissionError::UnknownPump(pump.clone())),
                Err(_) => Err(self.no_reply_error()),
            },
            Err(TrySendError::Full(_)) => Err(CommissionError::Busy { queue: Queue::Ingress }),
            Err(TrySendError::Closed) => Err(self.no_reply_error()),
        }
    }
}
