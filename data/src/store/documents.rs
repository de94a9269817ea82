//! Reading documents from head and database, and writing them to the database. See `document.rs` for what a document
//! is.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, ControlFlow},
};

use surrealdb::types::{Array, Object, RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue, Value};
use volute_plant::{Clock, SystemClock, Timestamp};

use super::{
    Store, StoreError,
    document::{self, Document, DocumentKey, DocumentKind, Fields, KeyPart, KeyPrefix},
    document_kinds::{self, DOCUMENT_KINDS, KindInfo},
    engine::DatabaseEngine,
    ids::unreadable,
    page::{SCAN, limit, truncate_at_timestamp},
    series::HOUR_MS,
    types::{Completeness, DocumentFilter, QueryResult, SortOrder},
};

/// The maximum number of rows in one read.
pub(crate) const ROWS_PER_READ: usize = 1_000;

const DEFINE: &str = "DEFINE TABLE IF NOT EXISTS $table SCHEMALESS PERMISSIONS NONE";
const ONE: &str = "SELECT * FROM $id";

/// A document that was found, with its sort key.
struct FoundDocument<K> {
    at: Timestamp,
    key: DocumentKey,
    document: K,
}

impl Store {
    /// Returns the document with this key, if there is one.
    pub async fn document<K: DocumentKind>(&self, key: &DocumentKey) -> Result<Option<K>, StoreError> {
        let state = self.0.database.read().await;
        let waiting = self.0.head().other_rows().document(K::TABLE, key).cloned();
        if let Some(waiting) = waiting {
            return decode(&waiting).map(Some);
        }
        stored(state.engine()?, key).await
    }

    /// Returns a page of the documents of a kind that are `wanted`, sorted by time and then by key. While the database
    /// is unavailable, only those in the head.
    ///
    /// Of a kind whose keys begin with the time, a page of the newest reads few documents beyond the page, if those that
    /// are wanted are not rare. Otherwise every document of the range is read, or of the whole kind if its keys begin with
    /// neither pump nor time, before the page is cut: there are thousands of documents, not millions.
    pub async fn documents<K: DocumentKind>(
        &self,
        filter: &DocumentFilter,
        wanted: impl Fn(&K) -> bool,
    ) -> Result<QueryResult<K>, StoreError> {
        let state = self.0.database.read().await;
        let (waiting, removed) = {
            let head = self.0.head();
            let removed: Vec<String> = head.removals().not_stored().map(|(_, pump)| pump.to_string()).collect();
            let rows = head.other_rows();
            let waiting: Vec<Document> = match (K::KEY_PREFIX, &filter.pump) {
                (KeyPrefix::Pump, Some(pump)) => rows.documents_of_pump(K::TABLE, pump.as_str()).cloned().collect(),
                _ => rows.documents(K::TABLE).cloned().collect(),
            };
            (waiting, removed)
        };
        let (range, pump) = (&filter.range, filter.pump.as_ref().map(|pump| pump.as_str()));
        let (from_ms, to_ms) = range.bounds_ms();
        let is_wanted = |at: Timestamp, fields: &Fields| {
            let owner = fields.get(document::PUMP).and_then(serde_json::Value::as_str);
            (from_ms..to_ms).contains(&at.millis())
                && pump.is_none_or(|pump| owner == Some(pump))
                && !owner.is_some_and(|owner| K::BELONGS_TO_PUMP && removed.iter().any(|removed| removed == owner))
        };
        let mut found: Vec<FoundDocument<K>> = Vec::new();
        let take = |key: DocumentKey, fields: Fields, found: &mut Vec<FoundDocument<K>>| -> Result<(), String> {
            if is_wanted(document::time(&fields, K::TIME_FIELD)?, &fields) {
                let (at, document) = document::read::<K>(fields)?;
                if wanted(&document) {
                    found.push(FoundDocument { at, key, document });
                }
            }
            Ok(())
        };
        for document in &waiting {
            let took = document.fields().and_then(|fields| take(document.key().clone(), fields, &mut found));
            took.map_err(|reason| StoreError::Unreadable { row: document.name(), reason })?;
        }
        let spans = match (K::KEY_PREFIX, range.order) {
            (KeyPrefix::Time, SortOrder::NewestFirst) => spans_backward((from_ms, to_ms), SystemClock.now().millis()),
            _ => vec![(from_ms, to_ms)],
        };
        let read = async {
            let engine = state.engine()?;
            let newer: BTreeSet<&DocumentKey> = waiting.iter().map(Document::key).collect();
            for (from_ms, to_ms) in spans {
                // What is left is older than a full page.
                let is_full = found.iter().filter(|found| found.at.millis() >= to_ms).count() >= range.limit;
                if from_ms >= to_ms || is_full {
                    break;
                }
                scan(engine, K::TABLE, ids::<K>(pump, (from_ms, to_ms)), |id, row| {
                    let key = key(id)?;
                    if !newer.contains(&key) {
                        let took = take(key, document_kinds::from_row(row), &mut found);
                        took.map_err(|error| unreadable(id, error))?;
                    }
                    Ok(ControlFlow::Continue(()))
                })
                .await?;
            }
            Ok::<(), StoreError>(())
        };
        let read = read.await;
        let completeness = match read {
            Ok(()) => Completeness::Complete,
            Err(error) => Completeness::Partial { from: None, reason: error.into_outage_reason()? },
        };
        Ok(QueryResult { rows: page(found, range.order, range.limit), completeness })
    }
}

impl Store {
    /// Returns all documents of a kind by key. Fails while the database is unavailable.
    pub(crate) async fn all_documents(&self, kind: &KindInfo) -> Result<BTreeMap<DocumentKey, Fields>, StoreError> {
        let state = self.0.database.read().await;
        let waiting: Vec<Document> = self.0.head().other_rows().documents(kind.table).cloned().collect();
        let mut all = BTreeMap::new();
        scan(state.engine()?, kind.table, all_ids(), |id, row| {
            all.insert(key(id)?, document_kinds::from_row(row));
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        for document in waiting {
            let fields = document.fields().map_err(|reason| StoreError::Unreadable { row: document.name(), reason })?;
            all.insert(document.key().clone(), fields);
        }
        Ok(all)
    }
}

/// Returns the document with this key that the database has, if there is one.
pub(crate) async fn stored<K: DocumentKind>(
    engine: &DatabaseEngine,
    key: &DocumentKey,
) -> Result<Option<K>, StoreError> {
    let id = id(K::TABLE, key);
    let mut rows: Vec<Value> = engine.rows(ONE, [("id", id.clone().into_value())]).await?;
    let Some(row) = rows.pop() else { return Ok(None) };
    let (_, row) = split_id(row)?;
    let (_, what) = document::read(document_kinds::from_row(row)).map_err(|error| unreadable(&id, error))?;
    Ok(Some(what))
}

/// Defines the tables of all kinds.
pub(crate) async fn define_all(engine: &DatabaseEngine) -> Result<(), StoreError> {
    for kind in DOCUMENT_KINDS {
        define(engine, kind.table).await?;
    }
    Ok(())
}

/// Defines the tables of documents of a kind that this version does not know: a later version wrote them to the
/// journal.
pub(crate) async fn define_unknown(
    engine: &DatabaseEngine,
    documents: impl Iterator<Item = &Document>,
) -> Result<(), StoreError> {
    let mut tables: Vec<&str> = documents.map(Document::table).collect();
    tables.dedup();
    for table in tables {
        if !DOCUMENT_KINDS.iter().any(|kind| kind.table == table) {
            define(engine, table).await?;
        }
    }
    Ok(())
}

async fn define(engine: &DatabaseEngine, table: &str) -> Result<(), StoreError> {
    engine.execute(DEFINE, [("table", table.to_owned().into_value())]).await
}

/// Returns a document as a row of its table.
pub(crate) fn row(document: &Document) -> Result<Value, StoreError> {
    let unreadable = |reason| StoreError::Unreadable { row: document.name(), reason };
    let mut row = document_kinds::to_row(document.fields().map_err(unreadable)?);
    row.insert("id", id(document.table(), document.key()));
    Ok(Value::Object(row))
}

/// Calls `take` with the rows of a table in the order of their ids, until it breaks.
pub(crate) async fn scan(
    engine: &DatabaseEngine,
    table: &str,
    mut ids: RecordIdKeyRange,
    mut take: impl FnMut(&RecordId, Object) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    loop {
        let range = RecordId::new(table, RecordIdKey::Range(Box::new(ids.clone())));
        let rows: Vec<Value> =
            engine.rows(SCAN, [("range", range.into_value()), ("limit", limit(ROWS_PER_READ))]).await?;
        let full = rows.len() == ROWS_PER_READ;
        for row in rows {
            let (id, row) = split_id(row)?;
            ids.start = Bound::Excluded(id.key.clone());
            if take(&id, row)?.is_break() {
                return Ok(());
            }
        }
        if !full {
            return Ok(());
        }
    }
}

/// Returns the range of all ids of a kind.
pub(crate) fn all_ids() -> RecordIdKeyRange {
    RecordIdKeyRange { start: Bound::Unbounded, end: Bound::Unbounded }
}

/// Returns the key in a row's id.
pub(crate) fn key(id: &RecordId) -> Result<DocumentKey, StoreError> {
    let RecordIdKey::Array(parts) = &id.key else { return Err(unreadable(id, "its id is not a list")) };
    let part = |part: &Value| match part {
        Value::String(text) => Ok(KeyPart::Text(text.clone())),
        other => other.as_int().copied().map(KeyPart::Number).ok_or_else(|| unreadable(id, "its id has other parts")),
    };
    Ok(DocumentKey::new(parts.iter().map(part).collect::<Result<Vec<_>, _>>()?))
}

/// Decodes a document.
fn decode<K: DocumentKind>(document: &Document) -> Result<K, StoreError> {
    let read = document.fields().and_then(document::read::<K>);
    read.map(|(_, document)| document).map_err(|reason| StoreError::Unreadable { row: document.name(), reason })
}

/// Splits a row into its id and its fields.
fn split_id(row: Value) -> Result<(RecordId, Object), StoreError> {
    if let Value::Object(mut row) = row
        && let Some(Value::RecordId(id)) = row.remove("id")
    {
        return Ok((id, row));
    }
    Err(StoreError::Unreadable { row: "a document".into(), reason: "it has no id".into() })
}

fn page<K>(mut found: Vec<FoundDocument<K>>, order: SortOrder, limit: usize) -> Vec<K> {
    found.sort_by(|a, b| order.compare(a.at, b.at).then_with(|| a.key.cmp(&b.key)));
    truncate_at_timestamp(found, limit, |found| found.at).into_iter().map(|found| found.document).collect()
}

fn id(table: &str, key: &DocumentKey) -> RecordId {
    RecordId::new(table, array(key.parts()))
}

pub(crate) fn array(parts: &[KeyPart]) -> RecordIdKey {
    let part = |part: &KeyPart| match part {
        KeyPart::Number(number) => number.into_value(),
        KeyPart::Text(text) => text.clone().into_value(),
    };
    RecordIdKey::Array(Array::from(parts.iter().map(part).collect::<Vec<Value>>()))
}

/// Splits a range of times into spans, the newest first: an hour up to now, and each further one twice as long as the one
/// before. The ends are exclusive.
fn spans_backward((from_ms, to_ms): (i64, i64), now_ms: i64) -> Vec<(i64, i64)> {
    let mut spans = Vec::new();
    let (mut end_ms, mut length_ms) = (to_ms, HOUR_MS);
    let mut start_ms = now_ms.min(to_ms).saturating_sub(length_ms);
    while start_ms > from_ms {
        spans.push((start_ms, end_ms));
        length_ms = length_ms.saturating_mul(2);
        (start_ms, end_ms) = (start_ms.saturating_sub(length_ms), start_ms);
    }
    spans.push((from_ms, end_ms));
    spans
}

/// Returns the range of ids that documents of this pump and these times can have. In the order of ids, a list sorts
/// before all longer lists that start with it.
fn ids<K: DocumentKind>(pump: Option<&str>, (from_ms, to_ms): (i64, i64)) -> RecordIdKeyRange {
    let (first, beyond): (KeyPart, KeyPart) = match (K::KEY_PREFIX, pump) {
        (KeyPrefix::Time, _) => (from_ms.into(), to_ms.into()),
        (KeyPrefix::Pump, Some(pump)) => (pump.into(), KeyPart::Text(format!("{pump}\0"))),
        (KeyPrefix::Pump, None) | (KeyPrefix::Other, _) => return all_ids(),
    };
    RecordIdKeyRange { start: Bound::Included(array(&[first])), end: Bound::Excluded(array(&[beyond])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_the_range_once_and_begin_with_an_hour() {
        let now_ms = 1_000 * HOUR_MS;
        assert_eq!(spans_backward((now_ms - 5, i64::MAX), now_ms), [(now_ms - 5, i64::MAX)]);
        for (from_ms, to_ms) in [(0, i64::MAX), (0, now_ms), (7, 3 * HOUR_MS), (now_ms - 4 * HOUR_MS, now_ms + 9)] {
            let spans = spans_backward((from_ms, to_ms), now_ms);
            assert_eq!(spans[0], (now_ms.min(to_ms) - HOUR_MS, to_ms));
            assert!(spans.windows(2).all(|pair| pair[0].0 == pair[1].1), "{spans:?}");
            assert!(spans.len() < 12 && spans.last().is_some_and(|last| last.0 == from_ms), "{spans:?}");
        }
    }
}
