//! Verifies the audit log: reads every entry, and checks the chain that they form (`audit_chain.rs`).
//!
//! Takes about 100 bytes of memory for each entry. Entries that are recorded meanwhile are not checked.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use volute_plant::Timestamp;

use super::{
    Store, StoreError,
    audit_chain::{ChainFault, ChainHash, ChainHead, FoundLink, first_fault},
    audit_entry::AuditEntry,
    audit_head::ChainEndRecord,
    document::{self, Document, DocumentKind, Fields},
    document_kinds,
    documents::{self, all_ids},
    ids::unreadable,
};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerification {
    /// The entries of the chain that are stored.
    pub entries: u64,
    /// The times of the first and the last of them, in milliseconds since 1970.
    pub span_ms: Option<(i64, i64)>,
    /// The entries of versions without the chain, which cannot be checked.
    pub before_chain: u64,
    /// The last entry that was deleted by age.
    pub anchor: Option<ChainHead>,
    /// The last entry of the chain.
    pub head: ChainHead,
    /// The first entry that contradicts the chain.
    pub fault: Option<ChainFault>,
}

/// The entries that were read.
#[derive(Default)]
struct Found {
    links: Vec<FoundLink>,
    before_chain: u64,
    /// The latest time of the entries without a link.
    unlinked: Option<Timestamp>,
}

impl Store {
    /// Verifies the audit log. `expected` is the number and the hash of an entry that were noted earlier. Fails while
    /// the database is unavailable.
    pub async fn verify_audit(&self, expected: Option<(u64, ChainHash)>) -> Result<AuditVerification, StoreError> {
        let state = self.0.database.read().await;
        let engine = state.engine()?;
        let (waiting, head) = {
            let memory = self.0.head();
            let waiting: Vec<Document> = memory.other_rows().documents(AuditEntry::TABLE).cloned().collect();
            (waiting, self.0.audit_chain.head())
        };
        let anchor =
            documents::stored::<ChainEndRecord>(engine, &ChainEndRecord::of_anchor(ChainHead::EMPTY).key()).await?;
        let anchor = anchor.as_ref().map(ChainEndRecord::entry);
        let mut found = Found::default();
        documents::scan(engine, AuditEntry::TABLE, all_ids(), |id, row| {
            found.add(document_kinds::from_row(row)).map_err(|error| unreadable(id, error))?;
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        for document in waiting {
            let added = document.fields().and_then(|fields| found.add_waiting(fields, head.number));
            added.map_err(|reason| StoreError::Unreadable { row: document.name(), reason })?;
        }
        Ok(found.verify(anchor, head, expected))
    }
}

impl Found {
    /// Adds an entry that waits for the database, unless the database has it too, or it is after the head: entries are in
    /// memory a moment before the head is raised.
    fn add_waiting(&mut self, fields: Fields, head: u64) -> Result<(), String> {
        let (at, entry) = document::read::<AuditEntry>(fields.clone())?;
        let known = |found: &FoundLink| Some(found.link) == entry.link && found.at == at;
        if entry.link.is_some_and(|link| link.number > head) || (entry.link.is_some() && self.links.iter().any(known)) {
            return Ok(());
        }
        self.add(fields)
    }

    fn add(&mut self, fields: Fields) -> Result<(), String> {
        let content = ChainHash::of(&fields);
        let (at, entry) = document::read::<AuditEntry>(fields)?;
        match entry.link {
            Some(link) => self.links.push(FoundLink { at, link, is_intact: link.hash == content }),
            None => {
                self.before_chain += 1;
                self.unlinked = self.unlinked.max(Some(at));
            }
        }
        Ok(())
    }

    fn verify(
        self,
        anchor: Option<ChainHead>,
        head: ChainHead,
        expected: Option<(u64, ChainHash)>,
    ) -> AuditVerification {
        let Self { links, before_chain, unlinked } = self;
        let times = || links.iter().map(|found| found.at.millis());
        AuditVerification {
            entries: links.len() as u64,
            span_ms: times().min().zip(times().max()),
            before_chain,
            anchor,
            head,
            fault: first_fault(links, (anchor.unwrap_or(ChainHead::EMPTY), head), unlinked, expected),
        }
    }
}
