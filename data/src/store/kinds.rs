//! The kinds of documents that there are. A new kind is a line in [`KINDS`] and a file of its own; see `document.rs`.

use std::time::Duration;

use surrealdb::types::{Object, SurrealValue, Value};
use volute_plant::{MaintenanceEvent, PumpId};

#[cfg(test)]
use super::tests::documents::{Note, Token};
use super::{
    StoreError,
    audit_entry::AuditEntry,
    document::{self, Document, DocumentKind, Fields, PUMP},
};

/// Every kind.
pub(crate) const KINDS: &[KindInfo] = &[
    KindInfo::of::<AuditEntry>(),
    KindInfo::of::<MaintenanceEvent>(),
    #[cfg(test)]
    KindInfo::of::<Note>(),
    #[cfg(test)]
    KindInfo::of::<Token>(),
];

/// The longest document.
const MAX_BYTES: usize = 2 << 20;

/// What is declared of a kind.
pub(crate) struct KindInfo {
    pub(crate) table: &'static str,
    pub(crate) time: &'static str,
    pub(crate) with_pump: bool,
    pub(crate) age: Option<Duration>,
    pub(crate) secret: bool,
    /// Reads a document of it.
    readable: fn(Fields) -> Result<(), String>,
}

impl KindInfo {
    const fn of<K: DocumentKind>() -> Self {
        Self {
            table: K::TABLE,
            time: K::TIME,
            with_pump: K::WITH_PUMP,
            age: K::AGE,
            secret: K::SECRET,
            readable: |fields| document::read::<K>(fields).map(drop),
        }
    }
}

/// Refuses a document that could not be read again from the database.
pub(crate) fn check(document: &Document) -> Result<(), StoreError> {
    let wrong = || -> Result<(), String> {
        let kind = KINDS.iter().find(|kind| kind.table == document.table()).ok_or("there is no such kind")?;
        if document.json().len() > MAX_BYTES {
            return Err(format!("it has {} bytes, and at most {MAX_BYTES} are kept", document.json().len()));
        }
        let fields = from_row(to_row(document.fields()?));
        if kind.with_pump {
            let pump = fields.get(PUMP).and_then(serde_json::Value::as_str).ok_or("it names no pump")?;
            PumpId::stored(pump).map_err(|error| error.to_string())?;
        }
        (kind.readable)(fields)
    };
    wrong().map_err(|reason| StoreError::Impossible { row: document.name(), reason })
}

/// Fields as a row has them: what says nothing is absent.
pub(crate) fn to_row(fields: Fields) -> Object {
    fields.into_iter().filter(|(_, field)| !field.is_null()).map(|(name, field)| (name, field.into_value())).collect()
}

/// The fields of a row.
pub(crate) fn from_row(row: Object) -> Fields {
    let field = |(name, field): (String, Value)| (name, field.into_json_value());
    row.into_inner().into_iter().filter(|(name, _)| name != "id").map(field).collect()
}
