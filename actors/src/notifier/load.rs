//! Reads the stored notifications, and the rows that the notifier has not made messages of yet.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use volute_alarm::{AlarmKey, Transition};
use volute_data::{AlarmRecord, Document, Store, StoreError, StoredNotifications};
use volute_notify::{Planner, Shared};
use volute_plant::{MaintenanceEvent, Timestamp};

use super::{NotifierActor, NotifierState, RETRY_INTERVAL, queue::DeliveryQueue};

/// The longest time in milliseconds from a row's own time until it is durable, and by which the clock may be set back.
const MARGIN_MS: i64 = 3_600_000;
/// Nobody is notified of changes that are older than this, in milliseconds: a week.
const MAX_AGE_MS: i64 = 7 * 86_400_000;
/// The pause before the store is read again.
const READ_AGAIN: Duration = RETRY_INTERVAL;

/// What is read at a start.
pub(super) struct Loaded {
    stored: StoredNotifications,
    /// Transitions, statuses and events, those of one alarm in the order of its rows.
    rows: Vec<Document>,
}

impl NotifierActor {
    /// Reads the store and continues with it. Tries again later if the database is unavailable.
    pub(super) fn load(&mut self, ctx: &mut Context<Self>) {
        self.is_busy = true;
        let (store, recorder, now) =
            (self.context.store.clone(), self.context.recorder.clone(), self.context.clock.now());
        let give_up_after_ms = self.context.settings.retry.give_up_after_ms;
        let load = async move {
            // The rows that an earlier incarnation has sent must be stored before the store is read.
            recorder.wait_until_stored().await;
            read(&store, now, give_up_after_ms).await
        };
        ctx.spawn(load.into_actor(self).map(move |loaded, actor, ctx| match loaded {
            Ok(loaded) => actor.begin(loaded, now, ctx),
            Err(StoreError::Unavailable { .. } | StoreError::Database(_)) => {
                ctx.run_later(READ_AGAIN, |actor, ctx| actor.load(ctx));
            }
            Err(error) => actor.incarnation.fail(format!("the stored notifications could not be read: {error}"), ctx),
        }));
    }

    fn begin(&mut self, Loaded { stored, rows }: Loaded, now: Timestamp, ctx: &mut Context<Self>) {
        let settings = &self.context.settings;
        if let Some(state) = &mut self.state {
            // Rows were missed. Attempts in progress continue.
            let messages = state.observe(&rows, &self.context.standing_alarms, now);
            state.add(messages, settings, now);
            self.is_busy = false;
            return self.store_then_send(Vec::new(), ctx);
        }
        let (queue, mut documents) = DeliveryQueue::restore(stored.deliveries, settings.retry, now);
        let shared = stored.shared.unwrap_or_else(|| {
            let shared = Shared::begin(now);
            documents.push(Document::of(&shared));
            shared
        });
        let planner = Planner::new(settings.policy.clone(), shared, stored.threads);
        let mut state = NotifierState { planner, queue, documents, titles: Default::default() };
        let messages = state.observe(&rows, &self.context.standing_alarms, now);
        state.add(messages, settings, now);
        self.state = Some(state);
        self.is_busy = false;
        self.publish_status();
        self.store_then_send(Vec::new(), ctx);
    }
}

async fn read(store: &Store, now: Timestamp, give_up_after_ms: i64) -> Result<Loaded, StoreError> {
    let stored = store.stored_notifications(now.plus_ms(-give_up_after_ms - MAX_AGE_MS)).await?;
    let Some(shared) = &stored.shared else { return Ok(Loaded { stored, rows: Vec::new() }) };
    let since = shared.seen_until.plus_ms(-MARGIN_MS).max(shared.begin).max(now.plus_ms(-MAX_AGE_MS));
    let mut transitions: Vec<Transition> = store.documents_since(since).await?;
    transitions.sort_by_key(|row| (row.key(), row.seq));
    let mut rows: Vec<Document> = transitions.iter().map(Document::of).collect();
    let mut alarms: Vec<AlarmKey> = transitions.iter().map(Transition::key).collect();
    alarms.dedup();
    for alarm in alarms {
        let record: Option<AlarmRecord> = store.document(&AlarmRecord::key_of(&alarm)).await?;
        rows.extend(record.iter().map(Document::of));
    }
    let events: Vec<MaintenanceEvent> = store.documents_since(since.plus_ms(-MAX_AGE_MS)).await?;
    rows.extend(events.iter().map(Document::of));
    Ok(Loaded { stored, rows })
}
