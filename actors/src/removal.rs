//! Removes a pump: stops its actor, then deletes everything that is stored of it.
//!
//! The steps, in order:
//!
//! ```text
//! ingress      removes the pump from its table; from here on the pump's items are deferred
//! pump         stops once all its readings are durable, their posts have their responses, and its windows are decided
//! maintenance  (the actor) has evaluated the pump's last reading
//! recorder     has stored the messages of these actors, then stores the removal, which is a record of its own
//! live feed, maintenance   drop the state of the pump; browsers are notified
//! ```
//!
//! If the removal cannot be stored, the pump gets a new actor, and nothing has changed. The flusher deletes the rows in
//! the database later; until then the pump's id cannot be used again. Does not check whether the pump is simulated. A
//! simulation would register the pump again, so the caller has to check that.

use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};
use volute_plant::PumpId;
use volute_runtime::TrySendError;

use crate::{
    engine::handle::EngineHandle,
    ingress::in_flight::PumpInFlight,
    protocol::{
        ingress::{DetachError, DetachPump, Detached},
        live::LivePumpRemoved,
        pump::RetirePump,
        recorder::{RecordRemoval, StoreFailure},
        rules::{DrainMaintenance, ForgetPump},
    },
    pump::{context::actor_id, handle::PumpHandle, launch::start_pump},
    receipt::{IngestError, Queue, RETRY_AFTER_S, restarting_reason},
};

/// The time limit of each step, so that an actor that is stuck or has failed is not waited for any longer.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a pump was not removed. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum RemovePumpError {
    /// There is no such pump.
    #[error("there is no pump {0}")]
    UnknownPump(PumpId),
    /// The pump is being removed already.
    #[error("{0} is being removed already")]
    InProgress(PumpId),
    /// The node cannot remove pumps at the moment.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The ingress actor has failed.
    #[error("a part of the node has failed: see /api/actors")]
    ActorFailed,
}

impl EngineHandle {
    /// Removes a pump with everything that is stored of it. The removal is durable when this returns `Ok`. The rows in
    /// the database are deleted afterwards; until then the pump's id cannot be used again.
    ///
    /// Posts that arrived before get their responses first. Items that arrive meanwhile are deferred. Not cancel-safe:
    /// the future must be polled to its end.
    pub async fn remove_pump(&self, pump: &PumpId) -> Result<(), RemovePumpError> {
        let handle = self.take_pump(pump, Detached::Removing).await?;
        self.stop_actor(pump, &handle).await;
        let stored = self.store_removal(pump).await;
        let inner = &self.0;
        let restarted = match stored {
            Ok(()) => {
                inner.context.standing_alarms.remove(pump);
                // The inbox of a failed actor accepts these messages too, unless it is full.
                let _ = timeout(STEP_TIMEOUT, inner.context.live.send(LivePumpRemoved(pump.clone()))).await;
                let _ = timeout(STEP_TIMEOUT, inner.context.maintenance.address.send(ForgetPump(pump.clone()))).await;
                tracing::info!(pump = pump.as_str(), "pump removed");
                None
            }
            Err(unstored) => {
                tracing::error!(pump = pump.as_str(), ?unstored, "pump not removed");
                // A pump of which nothing was stored gets a new actor with its next reading.
                let is_stored = inner.store.is_registered(pump);
                is_stored.then(|| {
                    let limit = PumpInFlight::new(inner.max_in_flight);
                    start_pump(&inner.context, pump, inner.catalog.of(pump), None, limit)
                })
            }
        };
        inner.pumps.release(pump, restarted);
        stored.map_err(|unstored| IngestError::from(unstored).into())
    }

    /// Removes the pump's actor from the ingress's table and returns its handle.
    pub(crate) async fn take_pump(&self, pump: &PumpId, reason: Detached) -> Result<PumpHandle, RemovePumpError> {
        let (reply, taken) = oneshot::channel();
        match self.0.ingress.try_send(DetachPump { pump: pump.clone(), reason, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(IngestError::Busy { queue: Queue::Ingress, retry_after_s: 1 }.into());
            }
            Err(TrySendError::Closed) => return Err(self.ingress_unavailable()),
        }
        match taken.await {
            Ok(Ok(handle)) => Ok(handle),
            Ok(Err(DetachError::Unknown)) => Err(RemovePumpError::UnknownPump(pump.clone())),
            Ok(Err(DetachError::BeingRemoved)) => Err(RemovePumpError::InProgress(pump.clone())),
            Ok(Err(DetachError::Restarting)) => {
                Err(IngestError::Deferred { reason: restarting_reason(pump), retry_after_s: RETRY_AFTER_S }.into())
            }
            Ok(Err(DetachError::Stopping)) => Err(IngestError::Stopping.into()),
            Err(_) => Err(self.ingress_unavailable()),
        }
    }

    fn ingress_unavailable(&self) -> RemovePumpError {
        if self.is_closing() { IngestError::Stopping.into() } else { RemovePumpError::ActorFailed }
    }

    /// Stops the pump's actor once all its readings are durable and decided, and waits until the maintenance actor has
    /// handled its messages.
    pub(crate) async fn stop_actor(&self, pump: &PumpId, handle: &PumpHandle) {
        let context = &self.0.context;
        let in_order = async {
            handle.in_flight.wait_until_idle().await;
            let (reply, ended) = oneshot::channel();
            if handle.address.send(RetirePump(reply)).await.is_ok() {
                let _ = ended.await;
            }
        };
        if timeout(STEP_TIMEOUT, in_order).await.is_err() {
            tracing::warn!(pump = pump.as_str(), "the actor did not stop in time; stopping it by force");
        }
        // Stops the actor if it has failed or is stuck.
        context.supervisor.retire(&actor_id(pump));
        let (reply, drained) = oneshot::channel();
        let maintenance_drained = async {
            if context.maintenance.address.send(DrainMaintenance(reply)).await.is_ok() {
                let _ = drained.await;
            }
        };
        // If the maintenance actor has failed, it handles the messages after its restart, and ignores readings of
        // removed pumps.
        let _ = timeout(STEP_TIMEOUT, maintenance_drained).await;
    }

    async fn store_removal(&self, pump: &PumpId) -> Result<(), StoreFailure> {
        let (ack, stored) = oneshot::channel();
        let removal = RecordRemoval { pump: pump.clone(), ack };
        match timeout(STEP_TIMEOUT, self.0.context.recorder.results.send(removal)).await {
            Ok(Ok(())) => stored.await.unwrap_or(Err(StoreFailure::Failed)),
            Ok(Err(_)) | Err(_) => Err(StoreFailure::Failed),
        }
    }
}
