//! Queries of the audit log. See `audit_entry.rs` for its entries.
//!
//! The newest entries are the table's first rows, so a page of the newest ones reads as many rows as it shows (in
//! steps of a thousand), and more only if it is filtered by an action. Entries of versions
//! without the chain are behind them, in the other order: a page that reaches them reads all of those in its range.

use std::{
    collections::BTreeSet,
    ops::{Bound, ControlFlow},
};

use surrealdb::types::RecordIdKeyRange;

use super::{
    Store, StoreError,
    audit_entry::AuditEntry,
    document::{self, Document, DocumentKey, DocumentKind, Fields},
    document_kinds,
    documents::{self, array},
    engine::DatabaseEngine,
    ids::unreadable,
    page::truncate_at_timestamp,
    types::{AuditFilter, Completeness, QueryResult, SortOrder},
};

impl Store {
    /// Returns a page of the audit log, sorted by time and then by the order in which entries were recorded.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<QueryResult<AuditEntry>, StoreError> {
        let state = self.0.database.read().await;
        let waiting: Vec<Document> = self.0.head().other_rows().documents(AuditEntry::TABLE).cloned().collect();
        let mut entries = Vec::new();
        for document in &waiting {
            let read = document.fields().and_then(|fields| wanted(filter, fields));
            entries.extend(read.map_err(|reason| StoreError::Unreadable { row: document.name(), reason })?);
        }
        let read = match state.engine() {
            Ok(engine) => stored(engine, filter).await,
            Err(error) => Err(error),
        };
        let completeness = match read {
            Ok(stored) => {
                // One that is replayed from the journal may be in both.
                let known: BTreeSet<&DocumentKey> = waiting.iter().map(Document::key).collect();
                entries.extend(stored.into_iter().filter(|entry| !known.contains(&entry.key())));
                Completeness::Complete
            }
            Err(error) => Completeness::Partial { from: None, reason: error.into_outage_reason()? },
        };
        let order = filter.range.order;
        entries.sort_by(|a, b| {
            let by_number = a.link.map(|link| link.number).cmp(&b.link.map(|link| link.number));
            let by_number = if order == SortOrder::NewestFirst { by_number.reverse() } else { by_number };
            order.compare(a.at, b.at).then(by_number).then_with(|| a.cmp(b))
        });
        Ok(QueryResult { rows: truncate_at_timestamp(entries, filter.range.limit, |entry| entry.at), completeness })
    }
}

/// Returns the entries in the database: all that a page needs.
async fn stored(engine: &DatabaseEngine, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StoreError> {
    let (range, mut entries) = (&filter.range, Vec::new());
    let (from_ms, to_ms) = range.bounds_ms();
    if from_ms >= to_ms || range.limit == 0 {
        return Ok(entries);
    }
    let (from_ms, to_ms) = (from_ms.max(1), to_ms.max(1));
    let linked = RecordIdKeyRange {
        start: Bound::Included(array(&[to_ms.saturating_sub(1).saturating_neg().into()])),
        end: Bound::Excluded(array(&[1_i64.saturating_sub(from_ms).into()])),
    };
    let unlinked = RecordIdKeyRange {
        start: Bound::Included(array(&[from_ms.into()])),
        end: Bound::Excluded(array(&[to_ms.into()])),
    };
    let newest_first = range.order == SortOrder::NewestFirst;
    documents::scan(engine, AuditEntry::TABLE, linked, |id, row| {
        let entry = wanted(filter, document_kinds::from_row(row)).map_err(|error| unreadable(id, error))?;
        if let Some(entry) = entry {
            if newest_first && entries.len() >= range.limit && entries.last().map(at) != Some(entry.at) {
                return Ok(ControlFlow::Break(()));
            }
            entries.push(entry);
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    if newest_first && entries.len() >= range.limit {
        return Ok(entries);
    }
    documents::scan(engine, AuditEntry::TABLE, unlinked, |id, row| {
        entries.extend(wanted(filter, document_kinds::from_row(row)).map_err(|error| unreadable(id, error))?);
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    Ok(entries)
}

fn at(entry: &AuditEntry) -> volute_plant::Timestamp {
    entry.at
}

/// Decodes an entry; none if the filter excludes it.
fn wanted(filter: &AuditFilter, fields: Fields) -> Result<Option<AuditEntry>, String> {
    let (at, entry) = document::read::<AuditEntry>(fields)?;
    let (from_ms, to_ms) = filter.range.bounds_ms();
    let is_wanted =
        (from_ms..to_ms).contains(&at.millis()) && filter.action.as_ref().is_none_or(|action| *action == entry.action);
    Ok(is_wanted.then_some(entry))
}
