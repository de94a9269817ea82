//! Commits a batch to the journal and then to the head.
//!
//! The steps after the append run on the journal's thread, so that a commit wakes no other thread. Does not decide when
//! a batch is large enough; see the recorder in the `actors` crate.

use tokio::sync::oneshot;

use super::{
    Store, StoreError,
    audit_seal::{self, ChainTurn},
    document_kinds, record,
    types::{Batch, CommitError, PumpRecord},
};
use volute_journal::Seq;

impl Store {
    /// Writes a batch to the journal, all of it or nothing. It is durable when this returns `Ok`.
    ///
    /// Writing the same batch again changes nothing. A reading, detection, metric or registration that is stored
    /// already is kept. Other channels for a registered pump are an error, because the pump's stored rows could not be
    /// read any more. Of several documents of one key the last one counts, of several checkpoints of a pump the newest.
    /// Audit entries get their place in the chain (`audit_seal.rs`), so each commit of one is another entry.
    /// A removal removes everything of its pump that earlier batches hold. Until that is deleted ([`Store::purge`]),
    /// the pump's id cannot be registered. After [`StoreError::Journal`] the content of the disk is known only after a
    /// restart, so treat it as fatal.
    pub async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        // The receiver is dropped if the caller was cancelled.
        self.commit_then(batch.clone(), move |outcome| drop(done.send(outcome.map_err(|failed| failed.error))));
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Like [`Store::commit`], but returns at once and calls `on_done` with the outcome: on the journal's thread, or on
    /// the caller's if nothing is written. The next record waits for `on_done`, so it should not take long.
    pub fn commit_then(&self, batch: Batch, on_done: impl FnOnce(Result<(), CommitError>) + Send + 'static) {
        if audit_seal::has_entries(&batch) {
            self.commit_linked(batch, Box::new(on_done));
        } else {
            self.append(batch, None, on_done);
        }
    }

    /// Appends a batch to the journal. `turn` is there if the batch has audit entries.
    pub(super) fn append(
        &self,
        batch: Batch,
        turn: Option<ChainTurn>,
        on_done: impl FnOnce(Result<(), CommitError>) + Send + 'static,
    ) {
        let record = match self.encode_checked(&batch) {
            Ok(record) => record,
            Err(error) => {
                drop(turn);
                return on_done(Err(CommitError { error, batch }));
            }
        };
        let pending = PendingRecord::new(self.clone());
        self.0.journal.append_then(record, move |written| {
            on_done(match written {
                Ok(seq) => {
                    pending.apply(seq, batch);
                    if let Some(turn) = turn {
                        turn.commit();
                    }
                    Ok(())
                }
                Err(error) => {
                    drop(turn);
                    Err(CommitError { error: error.into(), batch })
                }
            });
        });
    }

    /// Checks that every row of a batch can be read back after it is stored. [`Store::commit`] checks it, too.
    pub fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        self.0.pump_registry.check(batch)?;
        batch.documents.iter().try_for_each(document_kinds::check)
    }

    /// Checks the batch and encodes it as a record.
    fn encode_checked(&self, batch: &Batch) -> Result<Vec<u8>, StoreError> {
        self.check(batch)?;
        let waiting = {
            let head = self.0.head();
            let taken =
                |pump: &&PumpRecord| head.removals().contains(&pump.id) && !self.0.pump_registry.contains(&pump.id);
            if let Some(pump) = batch.pumps.iter().find(taken) {
                return Err(StoreError::BeingRemoved { pump: pump.id.clone() });
            }
            head.bytes()
        };
        if waiting > self.0.settings.backlog_bytes() {
            return Err(StoreError::HeadFull { waiting_mib: waiting >> 20 });
        }
        record::encode(batch)
            .map_err(|error| StoreError::InvalidRow { row: "the batch".into(), reason: error.to_string() })
    }
}

/// A record that is being appended to the journal. Until it is dropped, the low-water mark does not pass the record.
struct PendingRecord {
    store: Store,
    floor: Seq,
}

impl PendingRecord {
    fn new(store: Store) -> Self {
        let floor = store.0.head().begin_append(store.0.journal.durable_seq());
        Self { store, floor }
    }

    fn apply(self, seq: Seq, batch: Batch) {
        let (pumps, removals) = (batch.pumps.clone(), batch.removals.clone());
        self.store.0.head().apply(seq, batch);
        removals.iter().for_each(|pump| self.store.0.pump_registry.remove(pump));
        self.store.0.pump_registry.add(&pumps);
    }
}

impl Drop for PendingRecord {
    fn drop(&mut self) {
        self.store.0.head().end_append(self.floor);
    }
}
