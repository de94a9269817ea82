//! The engine's interface to maintenance: what people do about events, planned work, and the shift handover.

use tokio::sync::oneshot;
use volute_data::{Document, HandoverSeen};
use volute_plant::{EventKey, MaintenanceEvent, PlannedWork, PumpId};

use crate::{
    engine::handle::EngineHandle,
    protocol::{
        recorder::RecordRow,
        rules::{ChangeWork, EventRequest, EventWorkError, PlannedWorkError, WorkOnEvent, WorkRequest},
    },
};

impl EngineHandle {
    /// Does what a user wants about an event, and returns it after that. It is durable when this returns `Ok`.
    pub async fn work_on_event(
        &self,
        key: EventKey,
        request: EventRequest,
    ) -> Result<MaintenanceEvent, EventWorkError> {
        let (reply, outcome) = oneshot::channel();
        match self.0.context.maintenance.address.try_send(WorkOnEvent { key, request, reply }) {
            Ok(()) => outcome.await.unwrap_or(Err(EventWorkError::Unavailable)),
            Err(_) => Err(EventWorkError::Unavailable),
        }
    }

    /// Plans work on a pump, or ends it. The change is durable when this returns `Ok`, and in effect on the pump's alarms and
    /// learning.
    pub async fn change_planned_work(
        &self,
        pump: &PumpId,
        request: WorkRequest,
        by: String,
    ) -> Result<PlannedWork, PlannedWorkError> {
        let (reply, outcome) = oneshot::channel();
        let change = ChangeWork { pump: pump.clone(), request, by, reply };
        let changed = match self.0.context.maintenance.address.try_send(change) {
            Ok(()) => outcome.await.unwrap_or(Err(PlannedWorkError::Unavailable))?,
            Err(_) => return Err(PlannedWorkError::Unavailable),
        };
        if let Err(error) = self.apply_planned_work(pump).await {
            // The pump follows by itself within seconds.
            tracing::warn!(pump = pump.as_str(), %error, "planned work not yet in effect");
        }
        Ok(changed)
    }

    /// Stores when a user looked at the shift handover. Returns whether that is durable.
    pub async fn record_handover_seen(&self, seen: &HandoverSeen) -> bool {
        let recorder = &self.0.recorder;
        let row = RecordRow::Document(Document::of(seen));
        recorder.results.send(row).await.is_ok() && recorder.stored().await.is_ok()
    }
}
