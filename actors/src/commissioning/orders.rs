//! What people and the demo ask of commissioning, through the engine's handle.

use tokio::sync::oneshot;
use volute_anomaly::CommissioningError;
use volute_data::{PumpSettings, StoreError};
use volute_plant::{PumpId, Reading, Timestamp};
use volute_runtime::TrySendError;

use super::{Asker, Baselines, Judging, Lesson, LessonError, Material, footing::Unusable, versions::versions};
use crate::{
    engine::EngineHandle,
    gate::{FindPump, PumpHandle},
    pump::{Command, Order},
    receipt::Queue,
};

/// Why a pump's baseline stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum CommissionRefusal {
    /// Nothing is judged on this node.
    #[error("no model is loaded, so no pump is commissioned; start the node with --model")]
    NoModel,
    /// No reading of this pump is stored.
    #[error("no reading of {0} is stored; what it sent may have been refused: see the answers to its posts")]
    UnknownPump(PumpId),
    /// It has no such version.
    #[error("{pump} has no version {version} of its baseline")]
    UnknownVersion {
        /// The pump.
        pump: PumpId,
        /// What was asked for.
        version: u32,
    },
    /// The version is of another network, or damaged.
    #[error("version {version} of {pump} cannot be used: {reason}")]
    Unusable {
        /// The pump.
        pump: PumpId,
        /// What was asked for.
        version: u32,
        /// Why not.
        reason: String,
    },
    /// The readings do not do.
    #[error("nothing can be learned from these readings: {0}")]
    Insufficient(String),
    /// What is stored cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too much is to be learned already.
    #[error("the node is busy: {queue} is full")]
    Busy {
        /// Which queue.
        queue: Queue,
    },
    /// What does this has failed too often, or broke over it.
    #[error("the part of the node that does this is out of order or broke over it; see /api/actors, and ask again")]
    OutOfOrder,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

impl EngineHandle {
    /// The versions of a pump's baseline.
    pub async fn baselines(&self, pump: &PumpId) -> Result<Baselines, CommissionRefusal> {
        let judging = self.judging()?;
        self.pump(pump, false).await?;
        Ok(versions(self.store(), &judging.model, self.profile(), pump).await?)
    }

    /// Commissions a pump from its next reading on. Until that is done it is learning, and raises no model alarm.
    pub async fn commission_anew(&self, pump: &PumpId) -> Result<(), CommissionRefusal> {
        self.command(pump, Order::Anew).await
    }

    /// Commissions a pump from stored readings, up to and without `to`. Until that is done nothing changes. Answers the
    /// new version's number.
    pub async fn commission_from(
        &self,
        pump: &PumpId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<u32, CommissionRefusal> {
        let home = self.pump(pump, false).await?;
        self.learn(pump, home, "learned from stored readings, as asked".into(), Material::Stored(from, to)).await
    }

    /// Uses a stored version of a pump's baseline again; 0: what the model brings along.
    pub async fn use_baseline(&self, pump: &PumpId, version: u32) -> Result<(), CommissionRefusal> {
        self.command(pump, Order::Use { version }).await
    }

    /// Commissions a pump, which is registered if need be, with runs of readings that are not stored. `make` is called when its
    /// turn comes, on the commissioning's own thread.
    pub(crate) async fn commission_with(
        &self,
        pump: &PumpId,
        why: String,
        make: impl FnOnce() -> Vec<Vec<Reading>> + Send + 'static,
    ) -> Result<u32, CommissionRefusal> {
        let home = self.pump(pump, true).await?;
        self.learn(pump, home, why, Material::Made(Box::new(make))).await
    }

    /// Sets what is set for a pump alone. What was learned of it for another interval is learned anew, from the same stretch
    /// of readings where there is one.
    pub async fn set_pump_settings(&self, pump: &PumpId, settings: PumpSettings) -> Result<(), CommissionRefusal> {
        let home = self.pump(pump, false).await?;
        self.tell(&home, Order::Set { settings, is_played: false }).await
    }

    /// The same for the pump of a recording that will be played, which is registered if need be. Its readings say how it is
    /// now, though their times are of the past.
    pub(crate) async fn prepare_recording(
        &self,
        pump: &PumpId,
        settings: PumpSettings,
    ) -> Result<(), CommissionRefusal> {
        let home = self.pump(pump, true).await?;
        self.tell(&home, Order::Set { settings, is_played: true }).await
    }

    async fn learn(
        &self,
        pump: &PumpId,
        home: PumpHandle,
        why: String,
        material: Material,
    ) -> Result<u32, CommissionRefusal> {
        let (reply, answer) = oneshot::channel();
        let asker = Asker::Caller(reply);
        let lesson = Lesson::new(pump.clone(), why, material, home.orders, asker);
        match self.judging()?.lessons.try_send(lesson) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.unheard())),
            Err(TrySendError::Full(_)) => Err(CommissionRefusal::Busy { queue: Queue::Lessons }),
            Err(TrySendError::Closed) => Err(self.unheard()),
        }
    }

    async fn command(&self, pump: &PumpId, order: Order) -> Result<(), CommissionRefusal> {
        self.judging()?;
        let home = self.pump(pump, false).await?;
        self.tell(&home, order).await
    }

    async fn tell(&self, home: &PumpHandle, order: Order) -> Result<(), CommissionRefusal> {
        let (reply, answer) = oneshot::channel();
        match home.orders.try_send(Command { order, reply }) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.unheard())),
            Err(TrySendError::Full(_)) => Err(CommissionRefusal::Busy { queue: Queue::Orders }),
            Err(TrySendError::Closed) => Err(self.unheard()),
        }
    }

    /// What is said where an actor gives no answer.
    fn unheard(&self) -> CommissionRefusal {
        if self.is_closing() { CommissionRefusal::Stopping } else { CommissionRefusal::OutOfOrder }
    }

    fn judging(&self) -> Result<&Judging, CommissionRefusal> {
        self.0.judging.as_ref().ok_or(CommissionRefusal::NoModel)
    }

    async fn pump(&self, pump: &PumpId, register: bool) -> Result<PumpHandle, CommissionRefusal> {
        let (reply, answer) = oneshot::channel();
        let register = register.then(|| self.now());
        match self.0.gate.try_send(FindPump { pump: pump.clone(), register, reply }) {
            Ok(()) => match answer.await {
                Ok(found) => found.ok_or_else(|| CommissionRefusal::UnknownPump(pump.clone())),
                Err(_) => Err(self.unheard()),
            },
            Err(TrySendError::Full(_)) => Err(CommissionRefusal::Busy { queue: Queue::Gate }),
            Err(TrySendError::Closed) => Err(self.unheard()),
        }
    }
}

impl CommissionRefusal {
    /// A version that cannot be used.
    pub(crate) fn unusable(pump: &PumpId, version: u32, why: &Unusable) -> Self {
        Self::Unusable { pump: pump.clone(), version, reason: why.to_string() }
    }
}

impl From<LessonError> for CommissionRefusal {
    fn from(error: LessonError) -> Self {
        match error {
            LessonError::Store(error) => error.into(),
            LessonError::BrokenOff => Self::OutOfOrder,
            LessonError::Learning(error @ CommissioningError::TooFew { .. }) => Self::Insufficient(error.to_string()),
            other => Self::Insufficient(other.to_string()),
        }
    }
}
