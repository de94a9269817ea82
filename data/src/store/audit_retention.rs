//! Deletes audit entries that are too old, so that the rest of the chain can still be verified.
//!
//! Entries are deleted in the order of the chain, and the same transaction stores the *anchor*: the number and the hash
//! of the last deleted one. Example: entries 1 to 900 are too old. They are deleted, and the anchor is entry 900. A
//! verification starts with entry 901, which must hold the hash of entry 900. If entry 500 is not too old by its time,
//! because the clock was set back, entries 1 to 499 are deleted and the others wait.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
};

use surrealdb::types::{RecordId, RecordIdKeyRange, SurrealValue};

use super::{
    StoreError,
    audit_chain::ChainHead,
    audit_entry::AuditEntry,
    audit_head::ChainEndRecord,
    document::{self, Document, DocumentKind},
    document_kinds,
    documents::{self, array},
    engine::DatabaseEngine,
    ids::unreadable,
};

/// The maximum number of entries that one call deletes.
const ENTRIES_PER_SWEEP: usize = if cfg!(test) { 10 } else { 10_000 };
/// The maximum number of entries in one transaction.
const ENTRIES_PER_DELETE: usize = if cfg!(test) { 4 } else { 1_000 };

const DELETE: &str = "
    BEGIN;
    DELETE $ids RETURN NONE;
    UPSERT $anchor.id CONTENT $anchor RETURN NONE;
    COMMIT;
";

/// Deletes entries with a time before this one. Returns whether more may be left.
pub(super) async fn sweep(engine: &DatabaseEngine, before_ms: i64) -> Result<bool, StoreError> {
    let unlinked = first_unlinked(engine, before_ms).await?;
    let mut more = unlinked.len() == ENTRIES_PER_SWEEP;
    for ids in unlinked.chunks(ENTRIES_PER_DELETE) {
        engine.execute("DELETE $ids RETURN NONE", [("ids", ids.to_vec().into_value())]).await?;
    }
    let anchor_key = ChainEndRecord::of_anchor(ChainHead::EMPTY).key();
    let anchor = documents::stored::<ChainEndRecord>(engine, &anchor_key).await?;
    let mut anchor = anchor.as_ref().map_or(ChainHead::EMPTY, ChainEndRecord::entry);
    let expired = first_linked(engine, before_ms).await?;
    more |= expired.len() == ENTRIES_PER_SWEEP;
    let chain: Vec<(ChainHead, RecordId)> = expired
        .into_values()
        .zip(anchor.number + 1..)
        .take_while(|((head, _), n)| head.number == *n)
        .map(first)
        .collect();
    for entries in chain.chunks(ENTRIES_PER_DELETE) {
        let Some((last, _)) = entries.last() else { break };
        anchor = *last;
        let ids: Vec<RecordId> = entries.iter().map(|(_, id)| id.clone()).collect();
        let row = documents::row(&Document::of(&ChainEndRecord::of_anchor(anchor)))?;
        engine.execute(DELETE, [("ids", ids.into_value()), ("anchor", row)]).await?;
    }
    // If the chain has a gap, what follows it stays until the gap's end is too old too.
    Ok(more && !chain.is_empty())
}

fn first<A, B>((a, _): (A, B)) -> A {
    a
}

/// Returns the first expired entries of the chain by their numbers.
async fn first_linked(
    engine: &DatabaseEngine,
    before_ms: i64,
) -> Result<BTreeMap<u64, (ChainHead, RecordId)>, StoreError> {
    let mut expired: BTreeMap<u64, (ChainHead, RecordId)> = BTreeMap::new();
    let ids = RecordIdKeyRange {
        start: Bound::Excluded(array(&[(-before_ms).into(), i64::MAX.into()])),
        end: Bound::Excluded(array(&[0.into()])),
    };
    documents::scan(engine, AuditEntry::TABLE, ids, |id, row| {
        let read = document::read::<AuditEntry>(document_kinds::from_row(row));
        let (at, entry) = read.map_err(|error| unreadable(id, error))?;
        if let Some(link) = entry.link {
            let head = ChainHead { number: link.number, hash: link.hash, at_ms: at.millis() };
            expired.insert(link.number, (head, id.clone()));
            if expired.len() > ENTRIES_PER_SWEEP {
                expired.pop_last();
            }
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    Ok(expired)
}

/// Returns the first expired entries of versions without the chain.
async fn first_unlinked(engine: &DatabaseEngine, before_ms: i64) -> Result<Vec<RecordId>, StoreError> {
    let mut expired = Vec::new();
    let ids = RecordIdKeyRange {
        start: Bound::Included(array(&[0.into()])),
        end: Bound::Excluded(array(&[before_ms.into()])),
    };
    documents::scan(engine, AuditEntry::TABLE, ids, |id, _| {
        expired.push(id.clone());
        Ok(if expired.len() == ENTRIES_PER_SWEEP { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    .await?;
    Ok(expired)
}
