//! Notifications as documents: the outbox with a row for each message to one receiver, and for each alarm and event a
//! *thread*: which messages about it were sent.
//!
//! An example: P-7's alarm `hot` is raised, and two people get e-mails.
//!
//! ```text
//! notification:[10:01:00, 'P-7/alarm hot/1@…/raised to ops@example.com']     queued, then sending, then sent
//! notification:[10:01:00, 'P-7/alarm hot/1@…/raised to head@example.com']
//! notification_thread:['P-7', 'alarm hot']                                   announced, not acknowledged, no reminder yet
//! notification_state:['state']                                               the next digest, counts per pump and hour
//! ```
//!
//! The rows of one step are in one record of the journal, so a message is made exactly once. They do not belong to their
//! pump: what was sent stays in the store when the pump is removed.
//!
//! Does not decide what is sent; see `volute-notify`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use volute_notify::{Delivery, DeliveryState, Shared, Subject, Thread};
use volute_plant::{PumpId, Timestamp};

use super::{
    Store, StoreError,
    document::{DocumentKey, DocumentKind, KeyPrefix},
    types::{Completeness, DocumentFilter, PageRange, QueryResult},
};

/// How long messages are kept: 90 days.
const RETENTION: Duration = Duration::from_secs(90 * 86_400);
/// How long the thread of an alarm or event that does not change is kept: two years.
const THREAD_RETENTION: Duration = Duration::from_secs(2 * 365 * 86_400);
/// The key of the only row of its table.
const STATE_KEY: &str = "state";

/// The stored state of the notifications.
#[derive(Debug, Clone, Default)]
pub struct StoredNotifications {
    /// What is known beside the threads; none before notifications were on.
    pub shared: Option<Shared>,
    /// Which messages were sent about each alarm and event.
    pub threads: Vec<Thread>,
    /// The messages that are neither sent nor given up.
    pub deliveries: Vec<Delivery>,
}

impl Store {
    /// Returns the stored state of the notifications, with the messages since `since` that are not sent yet. Fails while the
    /// database is unavailable.
    pub async fn stored_notifications(&self, since: Timestamp) -> Result<StoredNotifications, StoreError> {
        let shared = self.document::<Shared>(&DocumentKey::new([STATE_KEY.into()])).await?;
        let threads = complete(self.documents::<Thread>(&DocumentFilter::default(), |_| true).await?)?;
        let filter = DocumentFilter { pump: None, range: PageRange { from: Some(since), ..PageRange::default() } };
        let deliveries = complete(self.documents(&filter, Delivery::is_open).await?)?;
        Ok(StoredNotifications { shared, threads, deliveries })
    }

    /// Returns all documents of a kind since a time. Fails while the database is unavailable.
    pub async fn documents_since<K: DocumentKind>(&self, since: Timestamp) -> Result<Vec<K>, StoreError> {
        let range = PageRange { from: Some(since), ..PageRange::default() };
        complete(self.documents(&DocumentFilter { pump: None, range }, |_: &K| true).await?)
    }
}

fn complete<K>(QueryResult { rows, completeness }: QueryResult<K>) -> Result<Vec<K>, StoreError> {
    match completeness {
        Completeness::Complete => Ok(rows),
        Completeness::Partial { reason, .. } => Err(StoreError::Unavailable { reason }),
    }
}

/// The stored fields of a message to one receiver.
#[derive(Serialize, Deserialize)]
pub struct DeliveryFields {
    at_ms: i64,
    /// For a person who reads the table; it is also in `delivery`.
    state: DeliveryState,
    delivery: Delivery,
}

impl DocumentKind for Delivery {
    const TABLE: &'static str = "notification";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Time;
    const BELONGS_TO_PUMP: bool = false;
    const RETENTION: Option<Duration> = Some(RETENTION);
    type Fields = DeliveryFields;

    fn key(&self) -> DocumentKey {
        DocumentKey::new([self.message.at.millis().into(), self.message.id.as_str().into()])
    }

    fn to_fields(&self) -> DeliveryFields {
        DeliveryFields { at_ms: self.message.at.millis(), state: self.state, delivery: self.clone() }
    }

    fn from_fields(DeliveryFields { state, delivery, .. }: DeliveryFields) -> Result<Self, String> {
        if state == delivery.state { Ok(delivery) } else { Err("its two states differ".into()) }
    }
}

/// The stored fields of a thread.
#[derive(Serialize, Deserialize)]
pub struct ThreadFields {
    at_ms: i64,
    thread: Thread,
}

impl DocumentKind for Thread {
    const TABLE: &'static str = "notification_thread";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Other;
    const BELONGS_TO_PUMP: bool = false;
    const RETENTION: Option<Duration> = Some(THREAD_RETENTION);
    type Fields = ThreadFields;

    fn key(&self) -> DocumentKey {
        let pump = self.subject.pump().map_or("", PumpId::as_str);
        let local: &str = &Subject::local_id(&self.subject);
        DocumentKey::new([pump.into(), local.into()])
    }

    fn to_fields(&self) -> ThreadFields {
        ThreadFields { at_ms: self.at.millis(), thread: self.clone() }
    }

    fn from_fields(ThreadFields { thread, .. }: ThreadFields) -> Result<Self, String> {
        Ok(thread)
    }
}

/// The stored fields of what is known beside the threads.
#[derive(Serialize, Deserialize)]
pub struct StateFields {
    at_ms: i64,
    shared: Shared,
}

impl DocumentKind for Shared {
    const TABLE: &'static str = "notification_state";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Other;
    const BELONGS_TO_PUMP: bool = false;
    const RETENTION: Option<Duration> = None;
    type Fields = StateFields;

    fn key(&self) -> DocumentKey {
        DocumentKey::new([STATE_KEY.into()])
    }

    fn to_fields(&self) -> StateFields {
        StateFields { at_ms: self.seen_until.millis(), shared: self.clone() }
    }

    fn from_fields(StateFields { shared, .. }: StateFields) -> Result<Self, String> {
        Ok(shared)
    }
}
