//! What people order over the API: carried out and noted, whoever hangs up meanwhile.
//!
//! An order that cannot be understood is none, and is not noted; one that is refused is. Deliberately absent: what an order
//! does (the routes'), how a note is kept (the recorder's and the store's), and who may give one: there are no users yet.

use actix_web::HttpRequest;
use volute_actors::EngineHandle;
use volute_data::{AuditAction, AuditEntry};

use crate::{problem::ApiError, server::Node};

/// Something that a person orders.
pub(crate) struct Order {
    engine: EngineHandle,
    note: AuditEntry,
}

impl Order {
    /// An order of now, for this object.
    pub(crate) fn new(node: &Node, request: &HttpRequest, action: AuditAction, object: &str) -> Self {
        let who = request.peer_addr().map_or_else(|| "unknown".into(), |peer| peer.to_string());
        let note = AuditEntry::done(node.engine.now(), who, action, object);
        Self { engine: node.engine.clone(), note }
    }

    /// With more about it.
    pub(crate) fn detail(self, detail: &str) -> Self {
        Self { note: self.note.detail(detail), ..self }
    }

    /// Carries it out, and answers when what came of it is noted. It is a task of its own, so both happen though the
    /// client is gone meanwhile.
    pub(crate) async fn carry_out<T: 'static>(
        self,
        order: impl Future<Output = Result<T, ApiError>> + 'static,
    ) -> Result<T, ApiError> {
        let Self { engine, mut note } = self;
        let task = actix_web::rt::spawn(async move {
            let outcome = order.await;
            if let Err(error) = &outcome {
                note = note.refused(&error.detail());
            }
            engine.note_action(note).await;
            outcome
        });
        let broken_off = |error| ApiError::NotReady(format!("what was ordered was broken off: {error}"));
        task.await.unwrap_or_else(|error| Err(broken_off(error)))
    }
}
