//! Maintenance: runs the profile's rules over every reading that came in time and has their events stored.
//!
//! The rules and the life of an event are [`MaintenanceDesk`]'s. Telling people is not done here.
//!
//! A reading that is to be looked at waits, and its pump with it where there is no room. What waits for an actor that is
//! out of order stays until it is restarted, as far as there is room: beyond that, readings are stored, and not looked at.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::time::timeout;
use volute_data::{Document, EventFilter, Store};
use volute_plant::{EventChange, EventState, MaintenanceDesk, MaintenanceEvent, PumpId};
use volute_runtime::{Envelope, Incarnation, Mailbox, Outbox};

use crate::{
    catalog::Catalog,
    counters::{Counters, add},
    protocol::{
        recorder::RecordRow,
        rules::{ChangeRules, DrainMaintenance, EvaluateLimits, ForgetPump},
    },
    recorder::Recorder,
};

/// How often a pump that waits for room asks whether there is still anybody to make some.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Where readings are sent to be looked at.
#[derive(Clone)]
pub(crate) struct RulesClient {
    pub mailbox: Mailbox<MaintenanceActor>,
    pub counters: Arc<Counters>,
}

impl RulesClient {
    /// Has a reading evaluated, after all that its pump sent before. Where there is no room, the pump handles nothing else
    /// until there is, or nobody to make any.
    pub(crate) fn evaluate<A>(&self, reading: EvaluateLimits, outbox: &Outbox, ctx: &mut Context<A>)
    where
        A: Actor<Context = Context<A>>,
    {
        let Some(reading) = outbox.try_send(&self.mailbox, reading) else { return };
        let Self { mailbox, counters } = self.clone();
        let delivery = async move {
            while !mailbox.is_failed() {
                if timeout(ASK_AGAIN, mailbox.send(reading.clone())).await.is_ok() {
                    return;
                }
            }
            add(&counters.looks_dropped, 1);
        };
        outbox.then(delivery, ctx);
    }
}

/// The actor.
pub(crate) struct MaintenanceActor {
    catalog: Catalog,
    store: Store,
    recorder: Recorder,
    outbox: Outbox,
    counters: Arc<Counters>,
    desks: HashMap<PumpId, MaintenanceDesk>,
    incarnation: Incarnation<MaintenanceActor>,
}

impl MaintenanceActor {
    pub(crate) fn new(
        catalog: Catalog,
        store: Store,
        recorder: Recorder,
        counters: Arc<Counters>,
        incarnation: Incarnation<MaintenanceActor>,
    ) -> Self {
        Self { catalog, store, recorder, outbox: Outbox::default(), counters, desks: HashMap::new(), incarnation }
    }

    fn take_over(&mut self, standing: Vec<MaintenanceEvent>) {
        let mut of_pump: HashMap<PumpId, Vec<MaintenanceEvent>> = HashMap::new();
        for event in standing {
            of_pump.entry(event.pump.clone()).or_default().push(event);
        }
        let desk = |(pump, events)| {
            let desk = MaintenanceDesk::new(self.catalog.of(&pump).profile, events);
            (pump, desk)
        };
        self.desks = of_pump.into_iter().map(desk).collect();
    }
}

impl Actor for MaintenanceActor {
    type Context = Context<Self>;

    /// Starts with the events that stand. Without the database only those are known that wait for it.
    fn started(&mut self, ctx: &mut Self::Context) {
        let (store, recorder, again) = (self.store.clone(), self.recorder.clone(), self.incarnation.number > 1);
        let standing = async move {
            if again {
                // What the one before found must be stored before it can be found.
                recorder.settled().await;
            }
            let active = EventFilter { state: Some(EventState::Active), ..EventFilter::default() };
            store.events(&active).await
        };
        ctx.wait(standing.into_actor(self).map(|standing, actor, ctx| match standing {
            Ok(standing) => actor.take_over(standing.rows),
            Err(error) => actor.incarnation.fail(format!("the standing events could not be read: {error}"), ctx),
        }));
    }
}

impl Handler<Envelope<EvaluateLimits>> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<EvaluateLimits>, ctx: &mut Self::Context) {
        let EvaluateLimits { reading, detection } = message.into_inner();
        if !self.store.is_registered(&reading.pump) {
            // It waited here while its pump was removed.
            return;
        }
        let catalog = &self.catalog;
        let new = || MaintenanceDesk::new(catalog.of(&reading.pump).profile, Vec::new());
        let desk = self.desks.entry(reading.pump.clone()).or_insert_with(new);
        for change in desk.observe(&reading, detection.as_ref()) {
            let event = change.event().clone();
            match change {
                EventChange::Opened(_) => {
                    add(&self.counters.events_opened, 1);
                    tracing::warn!(
                        pump = event.pump.as_str(),
                        rule = event.rule,
                        peak = event.peak,
                        "maintenance event opened"
                    );
                }
                EventChange::Resolved(_) => {
                    tracing::info!(pump = event.pump.as_str(), rule = event.rule, "maintenance event resolved");
                }
                EventChange::Updated(_) => {}
            }
            self.outbox.send_or_suspend(&self.recorder.results, RecordRow::Document(Document::of(&event)), ctx);
        }
    }
}

impl Handler<Envelope<ForgetPump>> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<ForgetPump>, _: &mut Self::Context) {
        let ForgetPump(pump) = message.into_inner();
        self.desks.remove(&pump);
    }
}

impl Handler<Envelope<ChangeRules>> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<ChangeRules>, _: &mut Self::Context) {
        let ChangeRules { pump, profile } = message.into_inner();
        if let Some(desk) = self.desks.get_mut(&pump) {
            desk.change_profile(profile);
        }
    }
}

impl Handler<Envelope<DrainMaintenance>> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<DrainMaintenance>, _: &mut Self::Context) {
        let DrainMaintenance(reply) = message.into_inner();
        let _ = reply.send(());
    }
}
