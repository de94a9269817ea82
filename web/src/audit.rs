//! Executes commands that people send over the API and records them in the audit log, also if the client disconnects meanwhile.
//!
//! A refused command is recorded, and so is a profile that is not valid. Any other command that cannot be parsed is not
//! recorded. A request that is refused before it is a command (401, 403, 421, 429) is recorded by [`record_refusal`]; the
//! engine counts refusals of one kind and writes them together. Does not handle what a command does (see the routes), how an
//! entry is stored (see the recorder and the store), or who may send commands (see `access.rs`).

use actix_web::{HttpMessage, HttpRequest, dev::ServiceResponse, http::StatusCode, web};
use volute_actors::EngineHandle;
use volute_data::{AuditAction, AuditEntry};

use crate::{
    access::{Access, who},
    audited_value::AuditedState,
    node::Node,
    problem::ApiError,
    request_id::origin_of,
};

/// A command of a person, and its entry in the audit log.
pub(crate) struct AuditedCommand {
    engine: EngineHandle,
    state: AuditedState,
    action: AuditAction,
    entry: AuditEntry,
}

/// Marks a request whose outcome is recorded as that of a command.
struct IsCommand;

impl AuditedCommand {
    /// Creates a command of the request's principal, with the current time. `object` is what it is applied to.
    pub(crate) fn new(node: &Node, request: &HttpRequest, action: AuditAction, object: &str) -> Self {
        request.extensions_mut().insert(IsCommand);
        let entry = AuditEntry::done(node.engine.now(), &who(request), action, object);
        let access = request.app_data::<web::Data<Access>>().map(|access| Access::clone(access));
        let state = AuditedState { store: node.engine.store().clone(), engine: Some(node.engine.clone()), access };
        Self { engine: node.engine.clone(), state, action, entry: entry.from_request(origin_of(request)) }
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
        let Self { engine, state, action, mut entry } = self;
        let task = actix_web::rt::spawn(async move {
            let object = entry.object.clone();
            let before = state.value(action, &object).await;
            let outcome = command.await;
            entry = entry.changed(state.change(action, &object, before).await);
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

/// Records the outcome of a login.
pub(crate) async fn record_login(node: &Node, request: &HttpRequest, entry: AuditEntry) {
    request.extensions_mut().insert(IsCommand);
    node.engine.record_action(entry.from_request(origin_of(request))).await;
}

/// Records a request that was refused because of its sender: 401, 403, 421, and 429 unless the node was only busy.
pub(crate) fn record_refusal<B>(node: &Node, response: &ServiceResponse<B>) {
    let request = response.request();
    let is_refusal = matches!(
        response.status(),
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::MISDIRECTED_REQUEST
            | StatusCode::TOO_MANY_REQUESTS
    );
    if !is_refusal || request.extensions().get::<IsCommand>().is_some() {
        return;
    }
    let Some(error) = response.response().error().and_then(|error| error.as_error::<ApiError>()) else { return };
    if matches!(error, ApiError::Ingest(_)) {
        return;
    }
    let route = request.match_pattern().unwrap_or_else(|| "no route".to_owned());
    let object = format!("{} {route}", request.method());
    let entry = AuditEntry::done(node.engine.now(), &who(request), AuditAction::Request, &object);
    let entry = entry.from_request(origin_of(request)).refused(&error.kind_in_short());
    // Most are only counted.
    if let Some(entry) = node.engine.count_refusal_of_action(entry) {
        let engine = node.engine.clone();
        actix_web::rt::spawn(async move { engine.write_action(entry).await });
    }
}
