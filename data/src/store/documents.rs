//! Documents in the database, and over them those that wait. What a document is: `document.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use surrealdb::types::{Array, Object, RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue, Value};
use volute_plant::Timestamp;

use super::{
    Store, StoreError,
    document::{self, Document, DocumentKey, DocumentKind, Fields, KeyBegins, KeyPart},
    engine::Engine,
    ids::unreadable,
    kinds::{self, KINDS, KindInfo},
    page::{Enough, SCAN, limit, whole_moments},
    types::{Answer, DocumentFilter, Order, Reach},
};

/// Rows read at once.
const ROWS: usize = 1_000;

const DEFINE: &str = "DEFINE TABLE IF NOT EXISTS $table SCHEMALESS PERMISSIONS NONE";
const ONE: &str = "SELECT * FROM $id";

/// A document that was found, with what it is sorted by.
struct Found<K> {
    at: Timestamp,
    key: DocumentKey,
    what: K,
}

impl Store {
    /// The document of this key, if there is one.
    pub async fn document<K: DocumentKind>(&self, key: &DocumentKey) -> Result<Option<K>, StoreError> {
        let state = self.0.database.read().await;
        let waiting = self.0.head().news().document(K::TABLE, key).cloned();
        if let Some(waiting) = waiting {
            return typed(&waiting).map(Some);
        }
        let id = id(K::TABLE, key);
        let mut rows: Vec<Value> = state.engine()?.rows(ONE, [("id", id.clone().into_value())]).await?;
        let Some(row) = rows.pop() else { return Ok(None) };
        let (_, row) = parted(row)?;
        let (_, what) = document::read(kinds::from_row(row)).map_err(|error| unreadable(&id, error))?;
        Ok(Some(what))
    }

    /// A page of the documents of a kind that are `wanted`, by time and then by key. Where the database does not answer,
    /// those that wait for it.
    ///
    /// Reads every document of the range, or of the kind where its keys begin with neither pump nor time, before it cuts
    /// the page: documents are few, thousands and not millions.
    pub async fn documents<K: DocumentKind>(
        &self,
        filter: &DocumentFilter,
        wanted: impl Fn(&K) -> bool,
    ) -> Result<Answer<K>, StoreError> {
        let state = self.0.database.read().await;
        let (waiting, removed) = {
            let head = self.0.head();
            let removed: Vec<String> = head.removals().waiting().map(|(_, pump)| pump.to_string()).collect();
            (head.news().documents(K::TABLE).cloned().collect::<Vec<Document>>(), removed)
        };
        let (range, pump) = (&filter.range, filter.pump.as_ref().map(|pump| pump.as_str()));
        let (from_ms, to_ms) = range.bounds_ms();
        let is_wanted = |at: Timestamp, fields: &Fields| {
            let of = fields.get(document::PUMP).and_then(serde_json::Value::as_str);
            (from_ms..to_ms).contains(&at.millis())
                && pump.is_none_or(|pump| of == Some(pump))
                && !of.is_some_and(|of| K::WITH_PUMP && removed.iter().any(|removed| removed == of))
        };
        let mut found: Vec<Found<K>> = Vec::new();
        let mut take = |key: DocumentKey, fields: Fields| -> Result<(), String> {
            if is_wanted(document::time(&fields, K::TIME)?, &fields) {
                let (at, what) = document::read::<K>(fields)?;
                if wanted(&what) {
                    found.push(Found { at, key, what });
                }
            }
            Ok(())
        };
        let read = match state.engine() {
            Ok(engine) if from_ms < to_ms && range.limit > 0 => {
                let ids = ids::<K>(pump, (from_ms, to_ms));
                let newer: BTreeSet<&DocumentKey> = waiting.iter().map(Document::key).collect();
                scan(engine, K::TABLE, ids, |id, row| {
                    let key = key(id)?;
                    if !newer.contains(&key) {
                        take(key, kinds::from_row(row)).map_err(|error| unreadable(id, error))?;
                    }
                    Ok(Enough::No)
                })
                .await
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        for document in &waiting {
            let took = document.fields().and_then(|fields| take(document.key().clone(), fields));
            took.map_err(|reason| StoreError::Unreadable { row: document.name(), reason })?;
        }
        let reach = match read {
            Ok(()) => Reach::Whole,
            Err(error) => Reach::Since { from: None, reason: error.outage()? },
        };
        Ok(Answer { rows: page(found, range.order, range.limit), reach })
    }
}

impl Store {
    /// All documents of a kind by key, in the order of their keys. Fails where the database does not answer.
    pub(crate) async fn all_documents(&self, kind: &KindInfo) -> Result<BTreeMap<DocumentKey, Fields>, StoreError> {
        let state = self.0.database.read().await;
        let waiting: Vec<Document> = self.0.head().news().documents(kind.table).cloned().collect();
        let mut all = BTreeMap::new();
        scan(state.engine()?, kind.table, all_ids(), |id, row| {
            all.insert(key(id)?, kinds::from_row(row));
            Ok(Enough::No)
        })
        .await?;
        for document in waiting {
            let fields = document.fields().map_err(|reason| StoreError::Unreadable { row: document.name(), reason })?;
            all.insert(document.key().clone(), fields);
        }
        Ok(all)
    }
}

/// Defines the tables of all kinds.
pub(crate) async fn define_all(engine: &Engine) -> Result<(), StoreError> {
    for kind in KINDS {
        define(engine, kind.table).await?;
    }
    Ok(())
}

/// Defines the tables of documents whose kind this version does not know: a later one wrote them into the journal.
pub(crate) async fn define_unknown(
    engine: &Engine,
    documents: impl Iterator<Item = &Document>,
) -> Result<(), StoreError> {
    let mut tables: Vec<&str> = documents.map(Document::table).collect();
    tables.dedup();
    for table in tables {
        if !KINDS.iter().any(|kind| kind.table == table) {
            define(engine, table).await?;
        }
    }
    Ok(())
}

async fn define(engine: &Engine, table: &str) -> Result<(), StoreError> {
    engine.execute(DEFINE, [("table", table.to_owned().into_value())]).await
}

/// A document as a row of its table.
pub(crate) fn row(document: &Document) -> Result<Value, StoreError> {
    let unreadable = |reason| StoreError::Unreadable { row: document.name(), reason };
    let mut row = kinds::to_row(document.fields().map_err(unreadable)?);
    row.insert("id", id(document.table(), document.key()));
    Ok(Value::Object(row))
}

/// Goes through rows of a table in the order of their ids, until `take` has enough.
pub(crate) async fn scan(
    engine: &Engine,
    table: &str,
    mut ids: RecordIdKeyRange,
    mut take: impl FnMut(&RecordId, Object) -> Result<Enough, StoreError>,
) -> Result<(), StoreError> {
    loop {
        let range = RecordId::new(table, RecordIdKey::Range(Box::new(ids.clone())));
        let rows: Vec<Value> = engine.rows(SCAN, [("range", range.into_value()), ("limit", limit(ROWS))]).await?;
        let full = rows.len() == ROWS;
        for row in rows {
            let (id, row) = parted(row)?;
            ids.start = Bound::Excluded(id.key.clone());
            if take(&id, row)? == Enough::Yes {
                return Ok(());
            }
        }
        if !full {
            return Ok(());
        }
    }
}

/// The ids of all documents of a kind.
pub(crate) fn all_ids() -> RecordIdKeyRange {
    RecordIdKeyRange { start: Bound::Unbounded, end: Bound::Unbounded }
}

/// The key of a row.
pub(crate) fn key(id: &RecordId) -> Result<DocumentKey, StoreError> {
    let RecordIdKey::Array(parts) = &id.key else { return Err(unreadable(id, "its id is no list")) };
    let part = |part: &Value| match part {
        Value::String(text) => Ok(KeyPart::Text(text.clone())),
        other => other.as_int().copied().map(KeyPart::Number).ok_or_else(|| unreadable(id, "its id has other parts")),
    };
    Ok(DocumentKey::new(parts.iter().map(part).collect::<Result<Vec<_>, _>>()?))
}

/// The typed document.
fn typed<K: DocumentKind>(document: &Document) -> Result<K, StoreError> {
    let read = document.fields().and_then(document::read::<K>);
    read.map(|(_, what)| what).map_err(|reason| StoreError::Unreadable { row: document.name(), reason })
}

/// A row's id and its fields.
fn parted(row: Value) -> Result<(RecordId, Object), StoreError> {
    if let Value::Object(mut row) = row
        && let Some(Value::RecordId(id)) = row.remove("id")
    {
        return Ok((id, row));
    }
    Err(StoreError::Unreadable { row: "a document".into(), reason: "it has no id".into() })
}

fn page<K>(mut found: Vec<Found<K>>, order: Order, limit: usize) -> Vec<K> {
    found.sort_by(|a, b| order.compare(a.at, b.at).then_with(|| a.key.cmp(&b.key)));
    whole_moments(found, limit, |found| found.at).into_iter().map(|found| found.what).collect()
}

fn id(table: &str, key: &DocumentKey) -> RecordId {
    RecordId::new(table, array(key.parts()))
}

fn array(parts: &[KeyPart]) -> RecordIdKey {
    let part = |part: &KeyPart| match part {
        KeyPart::Number(number) => number.into_value(),
        KeyPart::Text(text) => text.clone().into_value(),
    };
    RecordIdKey::Array(Array::from(parts.iter().map(part).collect::<Vec<Value>>()))
}

/// The ids that documents of this pump and of these times can have. A list comes before all that it begins.
fn ids<K: DocumentKind>(pump: Option<&str>, (from_ms, to_ms): (i64, i64)) -> RecordIdKeyRange {
    let (first, beyond): (KeyPart, KeyPart) = match (K::KEY_BEGINS, pump) {
        (KeyBegins::WithTime, _) => (from_ms.into(), to_ms.into()),
        (KeyBegins::WithPump, Some(pump)) => (pump.into(), KeyPart::Text(format!("{pump}\0"))),
        (KeyBegins::WithPump, None) | (KeyBegins::Otherwise, _) => return all_ids(),
    };
    RecordIdKeyRange { start: Bound::Included(array(&[first])), end: Bound::Excluded(array(&[beyond])) }
}
