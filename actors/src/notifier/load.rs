//! Reads what is stored of notifications, and the rows that the notifier has not taken yet.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use volute_alarm::{AlarmKey, Transition};
use volute_data::{AlarmRecord, Document, Store, StoreError, StoredNotifications};
use volute_notify::{Planner, Shared};
use volute_plant::{MaintenanceEvent, Timestamp};

use super::{NotifierActor, RETRY_INTERVAL, Work, queue::DeliveryQueue};

/// Rows may be durable so long after their time, and the clock may have been set back by so much, in milliseconds.
const MARGIN_MS: i64 = 3_600_000;
/// What happened longer ago is not told any more, in milliseconds: a week.
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
            // What an earlier incarnation or the feed has sent must be stored before it is read.
            recorder.wait_until_stored().await;
            read(&store, now, give_up_after_ms).await
        };
        ctx.spawn(load.into_actor(self).map(move |loaded, actor, ctx| match loaded {
            Ok(loaded) => actor.begin(loaded, now, ctx),
            Err(StoreError::Unavailable { .. } | StoreError::Database(_)) => {
                ctx.run_later(READ_AGAIN, |actor, ctx| actor.load(ctx));
            }
            Err(error) => {
                actor.incarnation.fail(format!("what is stored of notifications could not be read: {error}"), ctx)
            }
        }));
    }

    fn begin(&mut self, Loaded { stored, rows }: Loaded, now: Timestamp, ctx: &mut Context<Self>) {
        let settings = &self.context.settings;
        if let Some(work) = &mut self.work {
            // Rows were missed. What is being sent goes on.
            let messages = work.observe(&rows, &self.context.board, now);
            work.add(messages, settings, now);
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
        let mut work = Work { planner, queue, documents, titles: Default::default() };
        let messages = work.observe(&rows, &self.context.board, now);
        work.add(messages, settings, now);
        self.work = Some(work);
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
