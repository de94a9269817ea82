//! The notifier: makes messages of what happens to alarms and maintenance events, stores them, and sends them.
//!
//! An example: P-7's alarm is raised, and the node is killed while the message is sent.
//!
//! 1. The transition is durable and arrives through the [`feed`]. The planner makes a message of it. The queued message and the
//!    planner's state are stored as one record of the journal.
//! 2. The message is stored as `sending`. When that is durable, its courier sends it, on a thread of its own.
//! 3. The mail server accepts it, and the node is killed before it has stored that.
//! 4. After the restart the message is found as `sending`: the server may have it. It is sent again, and says so.
//!
//! A kill before item 1 is stored loses nothing: at the start the transitions since the last stored step are read again, and
//! the planner ignores those that it has seen. The same happens if rows were dropped because the feed was full.
//!
//! One step is stored at a time; meanwhile rows wait in the feed. While the journal cannot write, nothing is sent, because
//! nothing could be recorded. At most one message per medium is sent at a time. No other part of the node waits for this
//! actor.
//!
//! Does not decide what is sent (`volute-notify`), nor how (`volute-courier`).

pub(crate) mod feed;
mod load;
mod queue;
pub(crate) mod status;

use std::{collections::HashMap, sync::Arc, thread, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::{sync::oneshot, time::timeout};
use volute_alarm::{AlarmKey, Transition};
use volute_data::{AlarmRecord, Document, Store};
use volute_notify::{Couriers, Delivery, Message as Notice, Outcome, Planner, Policy, Renderer, RetryPolicy};
use volute_plant::{Clock, MaintenanceEvent, Timestamp};
use volute_runtime::{Envelope, Incarnation, Message};

use self::{
    feed::NotificationFeed,
    queue::{DeliveryQueue, Medium},
    status::{NotificationStatus, SharedNotificationStatus},
};
use crate::{
    alarms::StandingAlarms,
    counters::{Counters, add},
    protocol::recorder::RecordRow,
    recorder::Recorder,
};

/// The time between two steps.
const STEP_INTERVAL: Duration = Duration::from_millis(500);
/// The pause before the store is read or written again after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// An attempt is given up after this time. The couriers have shorter limits of their own.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
/// Removed pumps are forgotten once per this number of steps, which is once a minute.
const STEPS_PER_SWEEP: u32 = 120;

/// How people are notified.
#[derive(Debug, Clone)]
pub struct NotificationSettings {
    /// Who is notified of what.
    pub policy: Policy,
    /// Makes texts.
    pub renderer: Renderer,
    /// Sends them.
    pub couriers: Couriers,
    /// When to try again.
    pub retry: RetryPolicy,
}

/// What every incarnation of the actor uses.
#[derive(Clone)]
pub(crate) struct NotifierContext {
    pub settings: NotificationSettings,
    pub feed: NotificationFeed,
    pub status: SharedNotificationStatus,
    pub store: Store,
    pub recorder: Recorder,
    pub standing_alarms: StandingAlarms,
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
}

/// Stops sending. Replies when no attempt and no write is under way.
pub(crate) struct DrainNotifier(pub oneshot::Sender<()>);

impl Message for DrainNotifier {}

/// The actor.
pub(crate) struct NotifierActor {
    context: NotifierContext,
    incarnation: Incarnation<NotifierActor>,
    /// None until the stored rows are read.
    state: Option<NotifierState>,
    /// Whether a step is being stored, or the store is being read.
    is_busy: bool,
    drains: Vec<oneshot::Sender<()>>,
    steps: u32,
}

/// The state that is rebuilt from the store at each start.
struct NotifierState {
    planner: Planner,
    queue: DeliveryQueue,
    /// The rows to store with the next step.
    documents: Vec<Document>,
    /// The titles of alarms.
    titles: HashMap<AlarmKey, String>,
}

impl NotifierActor {
    pub(crate) fn new(context: NotifierContext, incarnation: Incarnation<NotifierActor>) -> Self {
        Self { context, incarnation, state: None, is_busy: true, drains: Vec::new(), steps: 0 }
    }

    /// Makes messages of the rows and the time, begins the attempts that are due, stores both, and then sends.
    fn step(&mut self, ctx: &mut Context<Self>) {
        if self.is_busy {
            return;
        }
        let now = self.context.clock.now();
        let Some(state) = &mut self.state else { return };
        self.steps = self.steps.wrapping_add(1);
        let taken = self.context.feed.take();
        if taken.has_missed {
            tracing::warn!("the notifier has missed rows, and reads them from the store");
            return self.load(ctx);
        }
        if self.steps.is_multiple_of(STEPS_PER_SWEEP) {
            for pump in state.planner.open_pumps() {
                if !self.context.store.is_registered(&pump) {
                    state.planner.forget(&pump);
                }
            }
        }
        // First the time, so that a summary that is due is made before the messages of the new rows.
        let mut messages = state.planner.tick(now);
        messages.extend(state.observe(&taken.rows, &self.context.standing_alarms, now));
        state.add(messages, &self.context.settings, now);
        let begun = if self.drains.is_empty() { state.queue.begin(now) } else { Vec::new() };
        state.documents.extend(begun.iter().map(Document::of));
        self.publish_status();
        self.store_then_send(begun, ctx);
    }

    /// Stores the documents of the step, and then sends what has begun.
    fn store_then_send(&mut self, begun: Vec<Delivery>, ctx: &mut Context<Self>) {
        let Some(state) = &mut self.state else { return };
        if let Some(changes) = state.planner.take_changes() {
            state.documents.extend(changes.threads.iter().map(Document::of));
            state.documents.push(Document::of(&changes.shared));
        }
        if state.documents.is_empty() {
            return self.reply_to_drains();
        }
        self.is_busy = true;
        let (documents, recorder) = (std::mem::take(&mut state.documents), self.context.recorder.clone());
        let store = async move {
            // If the recorder has stopped, the node is stopping. The step is not stored, and is repeated at the next start.
            if recorder.results.send(RecordRow::Documents(documents)).await.is_err() {
                return false;
            }
            while recorder.stored().await.is_err() {
                actix_rt::time::sleep(RETRY_INTERVAL).await;
            }
            true
        };
        ctx.spawn(store.into_actor(self).map(move |is_stored, actor, ctx| {
            actor.is_busy = false;
            if is_stored {
                begun.into_iter().for_each(|delivery| actor.send(delivery, ctx));
                actor.reply_to_drains();
            } else {
                actor.incarnation.fail("the recorder has stopped".into(), ctx);
            }
        }));
    }

    /// Sends a delivery on a thread of its own. The thread of the actor must not block, and a stop of the node does not
    /// wait for the server.
    fn send(&self, delivery: Delivery, ctx: &mut Context<Self>) {
        let id = delivery.message.id.clone();
        let (done, outcome) = oneshot::channel();
        let courier = self.context.settings.couriers.of(&delivery.message.to);
        let attempt = move || {
            let outcome = match courier {
                Some(courier) => courier.send(&delivery),
                None => Outcome::NotAccepted("it is not configured any more".into()),
            };
            // The actor may have stopped waiting.
            let _ = done.send(outcome);
        };
        let started = thread::Builder::new().name("notification".into()).spawn(attempt);
        let outcome = async move {
            if let Err(error) = started {
                return Outcome::NotAccepted(format!("no thread could be started: {error}"));
            }
            match timeout(ATTEMPT_TIMEOUT, outcome).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Outcome::Unknown("the sender failed".into()),
                Err(_) => Outcome::Unknown(format!("no answer within {ATTEMPT_TIMEOUT:?}")),
            }
        };
        ctx.spawn(outcome.into_actor(self).map(move |outcome, actor, ctx| {
            let now = actor.context.clock.now();
            match &outcome {
                Outcome::Accepted => add(&actor.context.counters.notifications_sent, 1),
                _ => add(&actor.context.counters.notification_failures, 1),
            }
            if let Some(state) = &mut actor.state {
                state.documents.extend(state.queue.finish(&id, &outcome, now));
            }
            actor.step(ctx);
        }));
    }

    fn reply_to_drains(&mut self) {
        let is_idle = !self.is_busy
            && self.state.as_ref().is_none_or(|state| !state.queue.is_sending() && state.documents.is_empty());
        if is_idle {
            for reply in self.drains.drain(..) {
                let _ = reply.send(());
            }
        }
    }

    fn publish_status(&self) {
        let Some(state) = &self.state else { return };
        let mut status = NotificationStatus { email: state.queue.email.clone(), webhook: state.queue.webhook.clone() };
        status.email.waiting = state.queue.waiting(Medium::Email);
        status.webhook.waiting = state.queue.waiting(Medium::Webhook);
        self.context.status.set(status);
    }
}

impl NotifierState {
    /// Takes rows. Returns the messages that follow from them.
    fn observe(&mut self, rows: &[Document], standing_alarms: &StandingAlarms, now: Timestamp) -> Vec<Notice> {
        let mut messages = Vec::new();
        for record in rows.iter().filter_map(|row| row.read::<AlarmRecord>()?.ok()) {
            self.titles.insert(record.key, record.title);
        }
        for row in rows {
            if let Some(Ok(transition)) = row.read::<Transition>() {
                let key = transition.key();
                let title = self.titles.get(&key).cloned().unwrap_or_else(|| key.alarm.to_string());
                let help = help(standing_alarms, &key);
                messages.extend(self.planner.observe_alarm(&transition, &title, &help, now));
            }
            if let Some(Ok(event)) = row.read::<MaintenanceEvent>() {
                messages.extend(self.planner.observe_event(&event, now));
            }
        }
        self.titles.clear();
        messages
    }

    /// Puts messages into the queue.
    fn add(&mut self, messages: Vec<Notice>, settings: &NotificationSettings, now: Timestamp) {
        for message in messages {
            let text = settings.renderer.render(&message, &settings.policy);
            let document = self.queue.add(Delivery::new(message, text), now);
            self.documents.push(document);
        }
    }
}

fn help(standing_alarms: &StandingAlarms, key: &AlarmKey) -> String {
    let Some(pump) = &key.pump else { return String::new() };
    let alarms = standing_alarms.of(pump);
    let alarm = alarms.iter().find(|alarm| alarm.id == key.alarm);
    alarm.map(|alarm| alarm.help.clone()).unwrap_or_default()
}

impl Actor for NotifierActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.context.feed.turn_on();
        self.load(ctx);
        ctx.run_interval(STEP_INTERVAL, Self::step);
    }
}

impl Handler<Envelope<DrainNotifier>> for NotifierActor {
    type Result = ();

    fn handle(&mut self, message: Envelope<DrainNotifier>, _: &mut Self::Context) {
        let DrainNotifier(reply) = message.into_inner();
        if self.state.is_none() {
            // No attempt was begun. The stored rows are read at the next start.
            let _ = reply.send(());
            return;
        }
        self.drains.push(reply);
        self.reply_to_drains();
    }
}
