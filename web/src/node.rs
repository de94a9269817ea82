//! The state that handlers use beside the store (`store_context.rs`): the engine, the simulation, the live streams and the
//! memory budget of bodies.

use std::sync::Arc;

use parking_lot::Mutex;

use actix_web::{HttpRequest, http::header::CONTENT_LENGTH, web};
use tokio::sync::watch;
use volute_actors::{EngineHandle, Simulation};
use volute_plant::Timestamp;

use crate::{
    access::who,
    body_budget::{Body, BodyBudget},
    forwarded::TrustedProxies,
    in_flight::InFlightRequests,
    limits::Limits,
    new_kinds::ManageKinds,
    origin::Hosts,
    problem::ApiError,
    request_id::RequestIds,
    restart_pacer::RestartPacer,
    stream::LiveStreams,
    tls::ServedCertificate,
};

/// The state of the node that every handler can use.
pub(crate) struct Node {
    pub(crate) engine: EngineHandle,
    /// The simulation of pumps; only a demo node has one.
    pub(crate) simulation: Option<Simulation>,
    /// Adds and removes kinds of pumps.
    pub(crate) kinds: Arc<dyn ManageKinds>,
    pub(crate) started_at: Timestamp,
    pub(crate) streams: LiveStreams,
    pub(crate) bodies: BodyBudget,
    pub(crate) hosts: Hosts,
    pub(crate) proxies: TrustedProxies,
    /// The certificate, if the server has TLS.
    pub(crate) certificate: Option<Arc<ServedCertificate>>,
    pub(crate) limits: web::Data<Limits>,
    pub(crate) request_ids: RequestIds,
    pub(crate) restarts: Mutex<RestartPacer>,
    /// Whether clients without a token register new pumps.
    pub(crate) registers_pumps: bool,
    pub(crate) requests: Arc<InFlightRequests>,
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Node {
    /// Returns how long the node has been running by its clock, in milliseconds.
    pub(crate) fn uptime_ms(&self) -> i64 {
        self.engine.now().since_ms(self.started_at)
    }

    /// Returns what is wrong with the certificate, and what to do.
    pub(crate) fn certificate_problem(&self) -> Option<String> {
        self.certificate.as_ref()?.problem()
    }

    /// Reads a complete body. Its memory is released when it is dropped. Refusals are counted.
    pub(crate) async fn read_body(&self, request: &HttpRequest, payload: web::Payload) -> Result<Body, ApiError> {
        let (who, announced) = (who(request), content_length(request));
        if let Some(bytes) = announced {
            self.limits.body(&who, bytes)?;
        }
        let body = self.bodies.read(request, payload).await;
        if let (Ok(body), None) = (&body, announced) {
            self.limits.body(&who, body.bytes.len())?;
        }
        body.inspect_err(|error| {
            if let ApiError::Ingest(refusal) = error {
                self.engine.count_refusal(refusal);
            }
        })
    }
}

/// Returns the length of a body that its client announces.
fn content_length(request: &HttpRequest) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
