//! The maintenance actor: evaluates the rules of each pump's profile on its readings, and sends changed events to the
//! recorder. It is the only writer of events and of planned work: what people do about them comes here too
//! (`maintenance/event_work.rs`, `maintenance/planned.rs`).
//!
//! An example, with a rule on bearing temperatures above 90 °C: a pump sends [`EvaluateLimits`] with a reading of 95 °C
//! and the anomalous detection of its window. The pump's [`RuleEvaluator`] opens an event, which goes to the recorder.
//! Later readings update the event or resolve it. After a restart the actor continues with the active events from the
//! store.
//!
//! If the actor's inbox is full, the sending pump is suspended. While the actor has failed, waiting readings stay in
//! its inbox until it is restarted; readings that do not fit are stored but not evaluated, and are counted
//! (`Counters::evaluations_dropped`).
//!
//! Does not define when an event is opened and resolved; see [`RuleEvaluator`]. Does not notify operators.

mod event_work;
mod planned;

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::time::timeout;
use volute_data::{Document, EventFilter, Store};
use volute_plant::{Clock, EventChange, EventState, MaintenanceEvent, PumpId, RuleEvaluator};
use volute_runtime::{Address, Envelope, Incarnation, Outbox};

use crate::{
    alarms::{StandingAlarms, alarm_evidence},
    catalog::Catalog,
    counters::{Counters, add},
    planned_work::OpenPlannedWork,
    protocol::{
        recorder::RecordRow,
        rules::{ChangeRules, DrainMaintenance, EvaluateLimits, ForgetPump},
    },
    recorder::Recorder,
};

/// How often a pump that waits for a permit checks whether the maintenance actor has failed.
const FAILURE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Sends readings to the maintenance actor.
#[derive(Clone)]
pub(crate) struct RulesClient {
    pub address: Address<MaintenanceActor>,
    pub counters: Arc<Counters>,
}

impl RulesClient {
    /// Sends a reading for evaluation, after all messages that its pump sent before. If the inbox is full, the pump
    /// is suspended until a permit is free or the maintenance actor has failed.
    pub(crate) fn evaluate<A>(&self, reading: EvaluateLimits, outbox: &Outbox, ctx: &mut Context<A>)
    where
        A: Actor<Context = Context<A>>,
    {
        let Some(reading) = outbox.try_send(&self.address, reading) else { return };
        let Self { address, counters } = self.clone();
        let delivery = async move {
            while !address.is_failed() {
                if timeout(FAILURE_CHECK_INTERVAL, address.send(reading.clone())).await.is_ok() {
                    return;
                }
            }
            add(&counters.evaluations_dropped, 1);
        };
        outbox.then(delivery, ctx);
    }
}

/// The actor.
pub(crate) struct MaintenanceActor {
    context: MaintenanceContext,
    outbox: Outbox,
    evaluators: HashMap<PumpId, RuleEvaluator>,
    incarnation: Incarnation<MaintenanceActor>,
}

/// What every incarnation of the actor uses.
#[derive(Clone)]
pub(crate) struct MaintenanceContext {
    pub catalog: Catalog,
    pub store: Store,
    pub recorder: Recorder,
    pub counters: Arc<Counters>,
    pub clock: Arc<dyn Clock>,
    /// The planned work that is not over.
    pub work: OpenPlannedWork,
    /// The alarms that stand, which are evidence of an event.
    pub standing_alarms: StandingAlarms,
}

impl MaintenanceActor {
    pub(crate) fn new(context: MaintenanceContext, incarnation: Incarnation<MaintenanceActor>) -> Self {
        Self { context, outbox: Outbox::default(), evaluators: HashMap::new(), incarnation }
    }

    /// Continues with the active events of all pumps.
    fn restore(&mut self, active: Vec<MaintenanceEvent>) {
        let mut by_pump: HashMap<PumpId, Vec<MaintenanceEvent>> = HashMap::new();
        for event in active {
            by_pump.entry(event.pump.clone()).or_default().push(event);
        }
        let evaluator = |(pump, events)| {
            let evaluator = RuleEvaluator::new(self.context.catalog.of(&pump).profile, events);
            (pump, evaluator)
        };
        self.evaluators = by_pump.into_iter().map(evaluator).collect();
    }
}

impl Actor for MaintenanceActor {
    type Context = Context<Self>;

    /// Loads the active events. If the database is unavailable, only events that still wait to be written into it are
    /// loaded.
    fn started(&mut self, ctx: &mut Self::Context) {
        let (store, recorder, is_restart) =
            (self.context.store.clone(), self.context.recorder.clone(), self.incarnation.generation > 1);
        let load = async move {
            if is_restart {
                // The events of the previous incarnation must be stored before they can be read.
                recorder.wait_until_stored().await;
            }
            let active = EventFilter { state: Some(EventState::Active), ..EventFilter::default() };
            store.events(&active).await
        };
        ctx.wait(load.into_actor(self).map(|loaded, actor, ctx| match loaded {
            Ok(active) => {
                actor.restore(active.rows);
                actor.load_work(ctx);
            }
            Err(error) => actor.incarnation.fail(format!("the active events could not be read: {error}"), ctx),
        }));
    }
}

impl Handler<Envelope<EvaluateLimits>> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<EvaluateLimits>, ctx: &mut Self::Context) {
        let EvaluateLimits { reading, detection } = message.into_inner();
        if !self.context.store.is_registered(&reading.pump) {
            // The pump was removed while the reading waited.
            return;
        }
        let catalog = &self.context.catalog;
        if catalog.of(&reading.pump).damage.is_some() {
            // The rules of a profile that cannot be read are not known, so the pump's events stay as they are.
            return;
        }
        let new = || RuleEvaluator::new(catalog.of(&reading.pump).profile, Vec::new());
        let evaluator = self.evaluators.entry(reading.pump.clone()).or_insert_with(new);
        let standing_alarms = &self.context.standing_alarms;
        let alarms = || alarm_evidence(&standing_alarms.of(&reading.pump));
        for change in evaluator.evaluate(&reading, detection.as_ref(), &alarms) {
            let event = change.event().clone();
            match change {
                EventChange::Opened(_) => {
                    add(&self.context.counters.events_opened, 1);
                    tracing::warn!(
                        pump = event.pump.as_str(),
                        rule = event.rule,
                        peak = event.peak,
                        severity = event.severity.as_str(),
                        "maintenance event opened"
                    );
                }
                EventChange::Resolved(_) => {
                    tracing::info!(pump = event.pump.as_str(), rule = event.rule, "maintenance event resolved");
                }
                EventChange::Updated(_) => {}
            }
            let row = RecordRow::Document(Document::of(&event));
            self.outbox.send_or_suspend(&self.context.recorder.results, row, ctx);
        }
    }
}

impl Handler<Envelope<ForgetPump>> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<ForgetPump>, _: &mut Self::Context) {
        let ForgetPump(pump) = message.into_inner();
        self.evaluators.remove(&pump);
        self.context.work.forget(&pump);
    }
}

impl Handler<Envelope<ChangeRules>> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<ChangeRules>, _: &mut Self::Context) {
        let ChangeRules { pump, profile } = message.into_inner();
        if let Some(evaluator) = self.evaluators.get_mut(&pump) {
            evaluator.change_profile(profile);
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
