//! What people do about maintenance events.
//!
//! An open event is in its pump's evaluator, where the action is recorded, so that the evaluator's next update stores it
//! again. A resolved event is read from the store, changed, and stored. Both happen in this actor, one after the other, so no
//! change overwrites another. The reply is sent when the event is durable.
//!
//! If the event is not stored because the journal fails, it has changed already and the recorder tries again; the user gets
//! an error that says so.

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::sync::oneshot;
use volute_data::{Document, DocumentKind};
use volute_plant::{MaintenanceEvent, Timestamp};
use volute_runtime::Envelope;

use super::MaintenanceActor;
use crate::protocol::{
    recorder::RecordRow,
    rules::{EventRequest, EventWorkError, WorkOnEvent},
};

impl EventRequest {
    /// Records the action in the event.
    fn apply(self, event: &mut MaintenanceEvent, now: Timestamp) -> Result<(), EventWorkError> {
        let Self { action, by, comment, seen_changes } = self;
        if let Some(seen) = seen_changes {
            event.work.check_seen(&action, seen)?;
        }
        let change = event.work.act(action, &by, comment, now)?;
        let status = change.status.as_str();
        tracing::info!(pump = event.pump.as_str(), rule = event.rule, by, status, "maintenance event changed");
        Ok(())
    }
}

impl MaintenanceActor {
    /// Stores a document, and sends the reply when it is durable. An error is sent at once.
    pub(super) fn store_and_reply<K: DocumentKind + 'static, E: 'static>(
        &self,
        changed: Result<K, E>,
        not_stored: E,
        reply: oneshot::Sender<Result<K, E>>,
        ctx: &mut Context<Self>,
    ) {
        let results = &self.context.recorder.results;
        if let Ok(document) = &changed {
            self.outbox.send_or_suspend(results, RecordRow::Document(Document::of(document)), ctx);
        }
        let recorder = self.context.recorder.clone();
        let respond = async move {
            let result = match changed {
                Ok(document) => recorder.stored().await.map(|()| document).map_err(|_| not_stored),
                Err(error) => Err(error),
            };
            // The caller may be gone.
            let _ = reply.send(result);
        };
        // After the document, which may still wait for a permit of the recorder's inbox. The wait for the disk is spawned,
        // so that it does not hold up the evaluation of readings.
        self.outbox.then(async move { drop(actix::spawn(respond)) }, ctx);
    }
}

impl Handler<Envelope<WorkOnEvent>> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<WorkOnEvent>, ctx: &mut Self::Context) {
        let WorkOnEvent { key, request, reply } = message.into_inner();
        let now = self.context.clock.now();
        if !self.context.store.is_registered(&key.pump) {
            // The store refuses documents of a pump that is removed.
            return drop(reply.send(Err(EventWorkError::UnknownEvent(key))));
        }
        let open = self.evaluators.get_mut(&key.pump).and_then(|evaluator| evaluator.open_event_mut(&key));
        if let Some(open) = open {
            let changed = request.apply(open, now).map(|()| open.clone());
            return self.store_and_reply(changed, EventWorkError::NotStored, reply, ctx);
        }
        let (store, recorder) = (self.context.store.clone(), self.context.recorder.clone());
        let load = async move {
            // Earlier changes of the event must be stored before it can be read.
            recorder.stored().await.map_err(|_| EventWorkError::Unavailable)?;
            let event = store.event(&key).await.map_err(|error| {
                tracing::warn!(event = %key, %error, "event not read");
                EventWorkError::Unavailable
            })?;
            event.ok_or(EventWorkError::UnknownEvent(key))
        };
        // The actor handles no other message until the event is changed.
        ctx.wait(load.into_actor(self).map(move |loaded, actor, ctx| {
            let changed = loaded.and_then(|mut event| request.apply(&mut event, now).map(|()| event));
            actor.store_and_reply(changed, EventWorkError::NotStored, reply, ctx);
        }));
    }
}
