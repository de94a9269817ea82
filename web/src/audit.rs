//! Executes commands that people send over the API and records them in the audit log, also if the client disconnects meanwhile.
//!
//! A refused command is recorded, and so is a profile that is not valid. Any other command that cannot be parsed is not
//! recorded. Does not handle what a command does (see the routes), how an entry is stored (see the recorder and the store), or
//! who may send commands (see `access.rs`).

use actix_web::HttpRequest;
use volute_actors::EngineHandle;
use volute_data::{AuditAction, AuditEntry};

use crate::{access::who, node::Node, problem::ApiError};

/// A command of a person, and its entry in the audit log.
pub(crate) struct AuditedCommand {
    engine: EngineHandle,
    entry: AuditEntry,
}

impl AuditedCommand {
    /// Creates a command of the request's principal, with the current time. `object` is what it is applied to.
    pub(crate) fn new(node: &Node, request: &HttpRequest, action: AuditAction, object: &str) -> Self {
        let entry = AuditEntry::done(node.engine.now(), &who(request), action, object);
        Self { engine: node.engine.clone(), entry }
    }

    /// Adds details to the entry.
    pub(crate) fn detail(self, detail: &str) -> Self {
        Self { entry: self.entry.detail(detail), ..self }
    }

    /// Executes the command, records its outcome and returns it.
    ///
    /// Runs in a separate task, so the command is completed and recorded even if the client disconnects.
    pub(crate) async fn execute<T: 'static>(
        self,
        command: impl Future<Output = Result<T, ApiError>> + 'static,
    ) -> Result<T, ApiError> {
        let Self { engine, mut entry } = self;
        let task = actix_web::rt::spawn(async move {
            let outcome = command.await;
            if let Err(error) = &outcome {
                entry = entry.refused(&error.detail());
            }
            engine.record_action(entry).await;
            outcome
        });
        let aborted = |error| ApiError::NotReady(format!("the command was aborted: {error}"));
        task.await.unwrap_or_else(|error| Err(aborted(error)))
    }
}
