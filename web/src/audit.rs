//! What people order over the API: carried out and noted, whoever hangs up meanwhile.
//!
//! An order that cannot be understood is none, and is not noted; one that is refused is. Deliberately absent: what an order
//! does (the routes'), how a note is kept (the recorder's and the store's), and who may give one: there are no users yet.

use actix_web::HttpRequest;
use volute_actors::EngineHandle;
use volute_data::AuditEntry;

use crate::{problem::ApiError, server::Node};

/// The longest text in a note, in characters: a path can be as long as its sender likes.
const LONGEST: usize = 300;

/// The outcome of an order that was carried out.
const DONE: &str = "done";

/// What can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Restart,
    Commission,
    ActivateBaseline,
    StartSimulation,
    StopSimulation,
}

impl Action {
    pub(crate) const ALL: [Self; 5] =
        [Self::Restart, Self::Commission, Self::ActivateBaseline, Self::StartSimulation, Self::StopSimulation];

    /// Its name in the audit log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Commission => "commission",
            Self::ActivateBaseline => "activate-baseline",
            Self::StartSimulation => "start-simulation",
            Self::StopSimulation => "stop-simulation",
        }
    }
}

/// Something that a person orders.
pub(crate) struct Order {
    engine: EngineHandle,
    note: AuditEntry,
}

impl Order {
    /// An order of now, for this object.
    pub(crate) fn new(node: &Node, request: &HttpRequest, action: Action, object: &str) -> Self {
        let who = request.peer_addr().map_or_else(|| "unknown".into(), |peer| peer.to_string());
        let note = AuditEntry {
            at: node.engine.now(),
            who,
            action: action.as_str().into(),
            object: short(object),
            outcome: DONE.into(),
            detail: String::new(),
        };
        Self { engine: node.engine.clone(), note }
    }

    /// With more about it.
    pub(crate) fn detail(mut self, detail: &str) -> Self {
        self.note.detail = short(detail);
        self
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
                note.outcome = short(&error.detail());
            }
            engine.note_action(note).await;
            outcome
        });
        let broken_off = |error| ApiError::NotReady(format!("what was ordered was broken off: {error}"));
        task.await.unwrap_or_else(|error| Err(broken_off(error)))
    }
}

/// The text, or its beginning.
fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_two_characters() {
        for text in ["", "P-1", &"é".repeat(LONGEST)] {
            assert_eq!(short(text), text);
        }
        assert_eq!(short(&"é".repeat(LONGEST + 1)), "é".repeat(LONGEST) + "…");
    }
}
