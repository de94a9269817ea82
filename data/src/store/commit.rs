//! A batch's way into the journal and the head.
//!
//! What follows a record is done on the journal's own thread, so that a batch wakes no other on its way. Deliberately
//! absent: when there is enough for a batch (the engine's recorder).

use tokio::sync::oneshot;

use super::{
    Store, StoreError, kinds, record,
    types::{Batch, PumpRecord},
};
use volute_journal::Seq;

/// A batch that is not stored, and why.
#[derive(Debug)]
pub struct Uncommitted {
    /// Why.
    pub error: StoreError,
    /// Here it is back.
    pub batch: Batch,
}

impl Store {
    /// Writes a batch to the journal: all of it or nothing. Durable when it returns `Ok`.
    ///
    /// Writing the same again changes nothing. A reading, detection or figure that is stored already
    /// stands, and so does a pump's registration, but other channels for a known pump are refused:
    /// its rows could not be read any more. Of several documents of one key the last one counts,
    /// of several states of a pump the newest. A removal takes all that earlier batches
    /// hold of its pump; until that is deleted ([`Store::purge`]), the pump's name is refused.
    /// After [`StoreError::Journal`] what is on disk is known only after a restart: treat it as fatal.
    pub async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let (answer, told) = oneshot::channel();
        // Whoever asked may have gone.
        self.commit_then(batch.clone(), move |outcome| drop(answer.send(outcome.map_err(|not| not.error))));
        told.await.unwrap_or(Err(StoreError::Closed))
    }

    /// The same for one who does not wait: told on the journal's thread, or at once on this one where nothing is written.
    /// The next record waits meanwhile, so it should not take long.
    pub fn commit_then(&self, batch: Batch, told: impl FnOnce(Result<(), Uncommitted>) + Send + 'static) {
        let record = match self.record_of(&batch) {
            Ok(record) => record,
            Err(error) => return told(Err(Uncommitted { error, batch })),
        };
        let expected = Expected::new(self.clone());
        self.0.journal.append_then(record, move |written| {
            told(match written {
                Ok(seq) => {
                    expected.take_in(seq, batch);
                    Ok(())
                }
                Err(error) => Err(Uncommitted { error: error.into(), batch }),
            });
        });
    }

    /// The batch as a record, if it can be taken.
    fn record_of(&self, batch: &Batch) -> Result<Vec<u8>, StoreError> {
        self.0.roster.check(batch)?;
        batch.documents.iter().try_for_each(kinds::check)?;
        let waiting = {
            let head = self.0.head();
            let taken = |pump: &&PumpRecord| head.removals().holds(&pump.id) && !self.0.roster.knows(&pump.id);
            if let Some(pump) = batch.pumps.iter().find(taken) {
                return Err(StoreError::BeingRemoved { pump: pump.id.clone() });
            }
            head.bytes()
        };
        if waiting > self.0.settings.backlog_bytes() {
            return Err(StoreError::Backlog { waiting_mib: waiting >> 20 });
        }
        record::encode(batch)
            .map_err(|error| StoreError::Impossible { row: "the batch".into(), reason: error.to_string() })
    }
}

/// A record on its way to the journal: until it is dropped, the low-water mark stays below it.
struct Expected {
    store: Store,
    floor: Seq,
}

impl Expected {
    fn new(store: Store) -> Self {
        let floor = store.0.head().expect(store.0.journal.durable_seq());
        Self { store, floor }
    }

    fn take_in(self, seq: Seq, batch: Batch) {
        let (pumps, removals) = (batch.pumps.clone(), batch.removals.clone());
        self.store.0.head().take_in(seq, batch);
        removals.iter().for_each(|pump| self.store.0.roster.forget(pump));
        self.store.0.roster.note(&pumps);
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.store.0.head().settle(self.floor);
    }
}
