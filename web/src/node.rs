//! What a handler works with, beside what is stored: the engine, the simulation, the live streams, and the room for bodies.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use tokio::sync::watch;
use volute_actors::{EngineHandle, Simulation};
use volute_plant::Timestamp;

use crate::{
    body_budget::{Body, BodyBudget},
    in_flight::InFlightRequests,
    new_kinds::AddKinds,
    origin::Hosts,
    problem::ApiError,
    stream::Feed,
};

/// What every handler can reach.
pub(crate) struct Node {
    pub(crate) engine: EngineHandle,
    /// What simulates pumps; a demo has it, and no other node.
    pub(crate) simulation: Option<Simulation>,
    /// What adds kinds of pumps.
    pub(crate) kinds: Arc<dyn AddKinds>,
    pub(crate) started_at: Timestamp,
    pub(crate) feed: Feed,
    pub(crate) bodies: BodyBudget,
    pub(crate) hosts: Hosts,
    pub(crate) requests: Arc<InFlightRequests>,
    /// Turns true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Node {
    /// Since when the node is up, in milliseconds by its clock.
    pub(crate) fn up_ms(&self) -> i64 {
        self.engine.now().since_ms(self.started_at)
    }

    /// All of a body; its room is free again when it is dropped.
    pub(crate) async fn read_body(&self, request: &HttpRequest, payload: web::Payload) -> Result<Body, ApiError> {
        let body = self.bodies.read(request, payload).await;
        body.inspect_err(|error| {
            if let ApiError::Refused(refusal) = error {
                self.engine.note_refusal(refusal);
            }
        })
    }
}
