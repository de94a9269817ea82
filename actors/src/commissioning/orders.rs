//! What people and the demo ask of commissioning, through the engine's handle.

use tokio::sync::oneshot;
use volute_data::PumpSettings;
use volute_plant::{PumpId, Reading, Timestamp};
use volute_runtime::TrySendError;

use super::{
    errors::CommissionRefusal,
    versions::{Baselines, versions},
};
use crate::{
    engine::handle::EngineHandle,
    kind::PumpKind,
    protocol::{
        commissioning::{CommissionJob, JobReply, Requester, TrainingData},
        ingress::FindPump,
        pump::{PumpCommand, PumpOrder},
    },
    pump::handle::PumpHandle,
    receipt::Queue,
};

impl EngineHandle {
    /// The versions of a pump's baseline.
    pub async fn baselines(&self, pump: &PumpId) -> Result<Baselines, CommissionRefusal> {
        let kind = self.kind_of(pump);
        let detection = kind.detection.ok_or(CommissionRefusal::NoModel)?;
        self.pump(pump, false).await?;
        Ok(versions(self.store(), &detection.model, &kind.profile, pump).await?)
    }

    /// Commissions a pump from its next reading on. Until that is done it is learning, and raises no model alarm.
    pub async fn commission_anew(&self, pump: &PumpId) -> Result<(), CommissionRefusal> {
        self.command(pump, PumpOrder::Anew).await
    }

    /// Commissions a pump from stored readings, up to and without `to`. Until that is done nothing changes. Returns the
    /// new version's number.
    pub async fn commission_from(
        &self,
        pump: &PumpId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<u32, CommissionRefusal> {
        let handle = self.pump(pump, false).await?;
        self.learn(pump, handle, "learned from stored readings, as asked".into(), TrainingData::Stored(from, to)).await
    }

    /// Uses a stored version of a pump's baseline again; 0: what the model brings along.
    pub async fn use_baseline(&self, pump: &PumpId, version: u32) -> Result<(), CommissionRefusal> {
        self.command(pump, PumpOrder::Use { version }).await
    }

    /// Commissions a pump, which is registered if need be, with runs of readings that are not stored. `make` is called when its
    /// turn comes, on the commissioning's own thread.
    pub(crate) async fn commission_with(
        &self,
        pump: &PumpId,
        why: String,
        make: impl FnOnce() -> Vec<Vec<Reading>> + Send + 'static,
    ) -> Result<u32, CommissionRefusal> {
        let handle = self.pump(pump, true).await?;
        self.learn(pump, handle, why, TrainingData::Made(Box::new(make))).await
    }

    /// Sets what is set for a pump alone. What was learned of it for another interval is learned anew, from the same stretch
    /// of readings where there is one.
    pub async fn set_pump_settings(&self, pump: &PumpId, settings: PumpSettings) -> Result<(), CommissionRefusal> {
        let handle = self.pump(pump, false).await?;
        self.tell(&handle, PumpOrder::Set { settings, is_played: false }).await
    }

    /// The same for the pump of a recording that will be played, which is registered if need be. Its readings say how it is
    /// now, though their times are of the past.
    pub(crate) async fn prepare_recording(
        &self,
        pump: &PumpId,
        settings: PumpSettings,
    ) -> Result<(), CommissionRefusal> {
        let handle = self.pump(pump, true).await?;
        self.tell(&handle, PumpOrder::Set { settings, is_played: true }).await
    }

    async fn learn(
        &self,
        pump: &PumpId,
        handle: PumpHandle,
        why: String,
        data: TrainingData,
    ) -> Result<u32, CommissionRefusal> {
        let (reply, answer) = oneshot::channel();
        let reply = JobReply::new(handle.orders.into(), Requester::Caller(reply));
        let job = CommissionJob { pump: pump.clone(), kind: self.judged_kind(pump)?, why, data, reply };
        match self.0.context.commissioning.try_send(job) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.no_answer())),
            Err(TrySendError::Full(_)) => Err(CommissionRefusal::Busy { queue: Queue::Lessons }),
            Err(TrySendError::Closed) => Err(self.no_answer()),
        }
    }

    async fn command(&self, pump: &PumpId, order: PumpOrder) -> Result<(), CommissionRefusal> {
        self.judged_kind(pump)?;
        let handle = self.pump(pump, false).await?;
        self.tell(&handle, order).await
    }

    async fn tell(&self, handle: &PumpHandle, order: PumpOrder) -> Result<(), CommissionRefusal> {
        let (reply, answer) = oneshot::channel();
        match handle.orders.try_send(PumpCommand { order, reply }) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.no_answer())),
            Err(TrySendError::Full(_)) => Err(CommissionRefusal::Busy { queue: Queue::Orders }),
            Err(TrySendError::Closed) => Err(self.no_answer()),
        }
    }

    /// What is said where an actor does not answer.
    fn no_answer(&self) -> CommissionRefusal {
        if self.is_closing() { CommissionRefusal::Stopping } else { CommissionRefusal::OutOfOrder }
    }

    /// Returns the kind of a pump, if windows of such pumps are scored.
    fn judged_kind(&self, pump: &PumpId) -> Result<PumpKind, CommissionRefusal> {
        let kind = self.kind_of(pump);
        if kind.detection.is_some() { Ok(kind) } else { Err(CommissionRefusal::NoModel) }
    }

    async fn pump(&self, pump: &PumpId, register: bool) -> Result<PumpHandle, CommissionRefusal> {
        let (reply, answer) = oneshot::channel();
        let register = register.then(|| self.now());
        match self.0.ingress.try_send(FindPump { pump: pump.clone(), register, reply }) {
            Ok(()) => match answer.await {
                Ok(found) => found.ok_or_else(|| CommissionRefusal::UnknownPump(pump.clone())),
                Err(_) => Err(self.no_answer()),
            },
            Err(TrySendError::Full(_)) => Err(CommissionRefusal::Busy { queue: Queue::Gate }),
            Err(TrySendError::Closed) => Err(self.no_answer()),
        }
    }
}
