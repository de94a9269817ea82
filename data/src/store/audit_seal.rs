//! Gives audit entries their place in the chain, in the order in which the journal makes them durable.
//!
//! An entry that is committed gets the number and the hash after those of the last durable entry, and the same record
//! of the journal holds the new head ([`ChainEndRecord`]). So entries and head are durable together or not at all, and a
//! replay after a kill finds the chain as it was. If a record fails, the head stays, and the entries get other numbers
//! when they are committed again. Only one record with audit entries is written at a time; further ones wait:
//!
//! ```text
//! commit(a)   head 7   a is number 8; its record is written
//! commit(b)            waits
//! durable     head 8   b is number 9; its record is written
//! ```

use super::{
    Store, StoreError,
    audit_chain::ChainHead,
    audit_entry::AuditEntry,
    audit_head::{ChainEndRecord, OnDone, Turn},
    document::{Document, DocumentKind},
    types::{Batch, CommitError},
};

/// The right to write the next audit entries. Its drop lets the next commit begin.
pub(super) struct ChainTurn {
    store: Store,
    next: Option<ChainHead>,
}

impl ChainTurn {
    /// Records that the entries are durable.
    pub(super) fn commit(mut self) {
        if let Some(next) = self.next.take() {
            self.store.0.audit_chain.raise(next);
        }
    }
}

impl Drop for ChainTurn {
    fn drop(&mut self) {
        if let Some((batch, on_done)) = self.store.0.audit_chain.end() {
            self.store.append_linked(batch, on_done);
        }
    }
}

/// Returns whether a batch has audit entries.
pub(super) fn has_entries(batch: &Batch) -> bool {
    batch.documents.iter().any(|document| document.table() == AuditEntry::TABLE)
}

impl Store {
    /// Commits a batch with audit entries, when its turn comes.
    pub(super) fn commit_linked(&self, batch: Batch, on_done: OnDone) {
        match self.0.audit_chain.begin(batch, on_done) {
            Turn::Begin(batch, on_done) => self.append_linked(batch, on_done),
            Turn::Wait => {}
            Turn::Refuse(batch, on_done) => on_done(Err(CommitError { error: StoreError::Busy, batch })),
        }
    }

    /// Links the entries of a batch and appends it. No other record with audit entries is being written.
    fn append_linked(&self, mut batch: Batch, on_done: OnDone) {
        let turn = |next| ChainTurn { store: self.clone(), next };
        match link(&batch.documents, self.0.audit_chain.head()) {
            Ok((linked, head)) => {
                let unlinked = std::mem::replace(&mut batch.documents, linked);
                self.append(batch, Some(turn(Some(head))), move |outcome| {
                    on_done(outcome.map_err(|CommitError { error, batch }| {
                        let batch = Batch { documents: unlinked, ..batch };
                        CommitError { error, batch }
                    }));
                });
            }
            Err(error) => {
                drop(turn(None));
                on_done(Err(CommitError { error, batch }));
            }
        }
    }
}

/// Returns the documents with their audit entries linked after `head`, and the new head.
fn link(documents: &[Document], mut head: ChainHead) -> Result<(Vec<Document>, ChainHead), StoreError> {
    let mut linked = Vec::with_capacity(documents.len() + 1);
    for document in documents {
        let Some(entry) = document.read::<AuditEntry>() else {
            linked.push(document.clone());
            continue;
        };
        let invalid = |reason| StoreError::InvalidRow { row: document.name(), reason };
        let entry = entry.and_then(|entry| entry.linked(head.number + 1, head.hash)).map_err(invalid)?;
        if let Some(link) = entry.link {
            head = ChainHead { number: link.number, hash: link.hash, at_ms: entry.at.millis() };
        }
        linked.push(Document::of(&entry));
    }
    linked.push(Document::of(&ChainEndRecord::of_head(head)));
    Ok((linked, head))
}
