//! What people command over the API: carried out and noted in the audit log, also where the client hangs up meanwhile.
//!
//! A command that cannot be understood is not noted; one that is refused is. Does not handle what a command does (the routes
//! do), how a note is kept (the recorder and the store), and who may give one: there are no users yet.

use actix_web::HttpRequest;
use volute_actors::EngineHandle;
use volute_data::{AuditAction, AuditEntry};

use crate::{node::Node, problem::ApiError};

/// Something that a person commands.
pub(crate) struct AuditedCommand {
    engine: EngineHandle,
    note: AuditEntry,
}

impl AuditedCommand {
    /// A command of now, for this object.
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
        command: impl Future<Output = Result<T, ApiError>> + 'static,
    ) -> Result<T, ApiError> {
        let Self { engine, mut note } = self;
        let task = actix_web::rt::spawn(async move {
            let outcome = command.await;
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
