//! The queue from the recorder to the notifier: the durable rows of which notifications are made.
//!
//! An example: P-7's alarm is raised. The recorder's record with the transition is durable, and the transition and the
//! alarm's status are put here. The notifier takes them half a second later.
//!
//! Bounded. If the notifier does not take the rows in time, those that do not fit are counted and dropped, and the notifier
//! reads what it has missed from the store. So nothing waits for the notifier.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use volute_alarm::Transition;
use volute_data::{AlarmRecord, Document, DocumentKind};
use volute_plant::MaintenanceEvent;

/// The maximum number of rows that wait.
const MAX_ROWS: usize = 20_000;
/// The tables whose rows are of interest.
const TABLES: [&str; 3] = [Transition::TABLE, AlarmRecord::TABLE, MaintenanceEvent::TABLE];

/// The waiting rows. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct NotificationFeed(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    /// Whether there is a notifier.
    is_on: bool,
    rows: VecDeque<Document>,
    dropped: u64,
    has_missed: bool,
}

/// What the notifier takes.
pub(super) struct TakenRows {
    pub rows: Vec<Document>,
    /// Whether rows were dropped since the last time.
    pub has_missed: bool,
}

impl NotificationFeed {
    /// Begins to keep rows.
    pub(super) fn turn_on(&self) {
        self.0.lock().is_on = true;
    }

    /// Returns the rows of a record that are of interest; none without a notifier.
    pub(crate) fn select(&self, documents: &[Document]) -> Vec<Document> {
        let is_wanted = |document: &&Document| TABLES.contains(&document.table());
        if documents.iter().any(|document| is_wanted(&document)) && self.0.lock().is_on {
            return documents.iter().filter(is_wanted).cloned().collect();
        }
        Vec::new()
    }

    /// Takes rows that are durable. Returns how many were dropped.
    pub(crate) fn put(&self, rows: Vec<Document>) -> usize {
        if rows.is_empty() {
            return 0;
        }
        let mut waiting = self.0.lock();
        let room = MAX_ROWS.saturating_sub(waiting.rows.len());
        let dropped = rows.len().saturating_sub(room);
        waiting.rows.extend(rows.into_iter().take(room));
        waiting.dropped += dropped as u64;
        waiting.has_missed |= dropped > 0;
        dropped
    }

    /// Removes and returns what waits.
    pub(super) fn take(&self) -> TakenRows {
        let mut waiting = self.0.lock();
        let has_missed = std::mem::take(&mut waiting.has_missed);
        TakenRows { rows: waiting.rows.drain(..).collect(), has_missed }
    }
}

#[cfg(test)]
mod tests {
    use volute_data::HandoverSeen;

    use super::*;
    use crate::testing::at;

    #[test]
    fn rows_without_a_notifier_and_other_rows_are_not_kept() {
        let feed = NotificationFeed::default();
        feed.turn_on();
        let seen = Document::of(&HandoverSeen { user: "ada".into(), at: at(0) });
        assert!(feed.select(std::slice::from_ref(&seen)).is_empty(), "of another kind");
        assert_eq!(feed.put(vec![seen.clone(); MAX_ROWS + 3]), 3);
        let taken = feed.take();
        assert!((taken.rows.len(), taken.has_missed) == (MAX_ROWS, true));
        let taken = feed.take();
        assert!(taken.rows.is_empty() && !taken.has_missed);
    }
}
