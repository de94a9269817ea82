//! Removing a pump: its actor ends first, then all that is stored of it.
//!
//! ```text
//! gate         takes the pump out of its map; posts for it are refused from here on, to be sent again
//! pump         ends once all that came in before is durable and answered, and its windows are decided
//! maintenance  has looked at its last reading
//! recorder     has stored what these sent; then the removal, which is a record of its own
//! live feed, maintenance   forget the pump; browsers are told
//! ```
//!
//! Where the removal cannot be stored, the pump gets its actor back, and nothing has changed. What is in the database is
//! deleted later, by the keeper; until that is done the pump's name is refused. Does not know of simulated pumps: their
//! simulation would only make them anew, so who asks has to look.

use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};
use volute_plant::PumpId;
use volute_runtime::TrySendError;

use crate::{
    engine::handle::EngineHandle,
    ingress::in_flight::PumpInFlight,
    protocol::{
        ingress::{NotTaken, TakePump},
        live::LiveGone,
        pump::RetirePump,
        recorder::{RecordRemoval, Unstored},
        rules::{DrainMaintenance, ForgetPump},
    },
    pump::{context::actor_id, handle::PumpHandle, launch::start_pump},
    receipt::{Queue, Refusal},
};

/// How long each of these may take; who is stuck, or out of order, is left behind.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A pump is not removed; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum RemovalRefusal {
    /// There is no such pump.
    #[error("there is no pump {0}")]
    UnknownPump(PumpId),
    /// Somebody has it removed already.
    #[error("{0} is being removed already")]
    UnderWay(PumpId),
    /// The node cannot do it just now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The gate is out of order.
    #[error("a part of the node is out of order: see /api/actors")]
    OutOfOrder,
}

impl EngineHandle {
    /// Removes a pump with all that is stored of it. Durable when it returns `Ok`; its rows in the database are deleted
    /// afterwards, and until then its name is refused.
    ///
    /// A post that came before is answered before; one that comes meanwhile is to be sent again. Must not be broken off.
    pub async fn remove_pump(&self, pump: &PumpId) -> Result<(), RemovalRefusal> {
        let handle = self.take_pump(pump).await?;
        self.end_actor(pump, &handle).await;
        let stored = self.store_removal(pump).await;
        let inner = &self.0;
        let back = match stored {
            Ok(()) => {
                // An actor that is out of order keeps this, unless its inbox is full of what else it keeps.
                let _ = timeout(PATIENCE, inner.context.live.send(LiveGone(pump.clone()))).await;
                let _ = timeout(PATIENCE, inner.context.maintenance.mailbox.send(ForgetPump(pump.clone()))).await;
                tracing::info!(pump = pump.as_str(), "pump removed");
                None
            }
            Err(unstored) => {
                tracing::error!(pump = pump.as_str(), ?unstored, "pump not removed");
                // One of which nothing was ever stored is new with its next reading.
                let is_stored = inner.store.is_registered(pump);
                is_stored.then(|| {
                    let limit = PumpInFlight::new(inner.burst);
                    start_pump(&inner.context, pump, inner.catalog.of(pump), None, limit)
                })
            }
        };
        inner.pumps.release(pump, back);
        stored.map_err(|unstored| Refusal::from(unstored).into())
    }

    pub(crate) async fn take_pump(&self, pump: &PumpId) -> Result<PumpHandle, RemovalRefusal> {
        let (reply, answer) = oneshot::channel();
        match self.0.ingress.try_send(TakePump { pump: pump.clone(), reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(Refusal::Busy { queue: Queue::Gate, retry_after_s: 1 }.into());
            }
            Err(TrySendError::Closed) => return Err(self.out_of_order()),
        }
        match answer.await {
            Ok(Ok(handle)) => Ok(handle),
            Ok(Err(NotTaken::Unknown)) => Err(RemovalRefusal::UnknownPump(pump.clone())),
            Ok(Err(NotTaken::Leaving)) => Err(RemovalRefusal::UnderWay(pump.clone())),
            Ok(Err(NotTaken::Stopping)) => Err(Refusal::Stopping.into()),
            Err(_) => Err(self.out_of_order()),
        }
    }

    fn out_of_order(&self) -> RemovalRefusal {
        if self.is_closing() { Refusal::Stopping.into() } else { RemovalRefusal::OutOfOrder }
    }

    /// Ends the pump's actor once all that came in is durable and decided, and waits for what it sent.
    pub(crate) async fn end_actor(&self, pump: &PumpId, handle: &PumpHandle) {
        let context = &self.0.context;
        let in_order = async {
            handle.in_flight.emptied().await;
            let (reply, ended) = oneshot::channel();
            if handle.mailbox.send(RetirePump(reply)).await.is_ok() {
                let _ = ended.await;
            }
        };
        if timeout(PATIENCE, in_order).await.is_err() {
            tracing::warn!(pump = pump.as_str(), "its actor did not end in time, and is left behind");
        }
        // One that is out of order, or stuck, ends here.
        context.supervisor.retire(&actor_id(pump));
        let (reply, looked) = oneshot::channel();
        let looked_at = async {
            if context.maintenance.mailbox.send(DrainMaintenance(reply)).await.is_ok() {
                let _ = looked.await;
            }
        };
        // Maintenance that is out of order looks later, and passes over readings of pumps that are no more.
        let _ = timeout(PATIENCE, looked_at).await;
    }

    async fn store_removal(&self, pump: &PumpId) -> Result<(), Unstored> {
        let (ack, stored) = oneshot::channel();
        let removal = RecordRemoval { pump: pump.clone(), ack };
        match timeout(PATIENCE, self.0.context.recorder.results.send(removal)).await {
            Ok(Ok(())) => stored.await.unwrap_or(Err(Unstored::Failed)),
            Ok(Err(_)) | Err(_) => Err(Unstored::Failed),
        }
    }
}
