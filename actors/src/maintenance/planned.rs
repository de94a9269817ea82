//! Planned work: reads what is stored at the start, and stores changes. [`crate::planned_work`] has what follows from it.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use volute_data::StoreError;
use volute_runtime::Envelope;

use super::MaintenanceActor;
use crate::protocol::rules::{ChangeWork, PlannedWorkError, WorkRequest};

/// The pause before stored work is read again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

impl MaintenanceActor {
    /// Reads the stored work that is not over. Tries again later if the database is unavailable.
    pub(super) fn load_work(&mut self, ctx: &mut Context<Self>) {
        if self.context.work.is_loaded() {
            // An earlier incarnation of the actor has read it.
            return;
        }
        let (store, now) = (self.context.store.clone(), self.context.clock.now());
        let load = async move { store.planned_works(None, Some(now)).await };
        ctx.wait(load.into_actor(self).map(move |loaded, actor, ctx| match loaded {
            Ok(works) => actor.context.work.load(works, now),
            Err(StoreError::Unavailable { .. } | StoreError::Database(_)) => {
                ctx.run_later(RETRY_INTERVAL, |actor, ctx| actor.load_work(ctx));
            }
            Err(error) => actor.incarnation.fail(format!("the planned work could not be read: {error}"), ctx),
        }));
    }
}

impl Handler<Envelope<ChangeWork>> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<ChangeWork>, ctx: &mut Self::Context) {
        let ChangeWork { pump, request, by, reply } = message.into_inner();
        let now = self.context.clock.now();
        let changed = if !self.context.store.is_registered(&pump) {
            Err(PlannedWorkError::UnknownPump(pump))
        } else {
            match request {
                WorkRequest::Plan { from, until, why } => {
                    self.context.work.plan(&pump, (from.unwrap_or(now), until), why, by, now)
                }
                WorkRequest::End { id } => self.context.work.end(&pump, &id, by, now),
            }
        };
        if let Ok(work) = &changed {
            let (pump, work, status) = (work.pump.as_str(), work.id.as_str(), work.status(now).as_str());
            tracing::info!(pump, work, status, "planned work changed");
        }
        self.store_and_reply(changed, PlannedWorkError::NotStored, reply, ctx);
    }
}
