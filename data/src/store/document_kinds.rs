//! The list of document kinds. A new kind is a line in [`DOCUMENT_KINDS`] and a file of its own; see `document.rs`.

use std::time::Duration;

use surrealdb::types::{Object, SurrealValue, Value};
use volute_access::{PumpToken, Session, User};
use volute_alarm::{PastExcursion, Transition};
use volute_notify::{Delivery, Shared, Thread};
use volute_plant::{MaintenanceEvent, PlannedWork, PumpId};

#[cfg(test)]
use super::tests::documents::{Note, Token};
use super::{
    StoreError,
    alarms::{AlarmCheckpoint, AlarmRecord, AlarmRules},
    audit_entry::AuditEntry,
    audit_head::ChainEndRecord,
    document::{self, Document, DocumentKind, Fields, PUMP},
    handover::HandoverSeen,
};

/// All kinds.
pub(crate) const DOCUMENT_KINDS: &[KindInfo] = &[
    KindInfo::of::<AlarmCheckpoint>(),
    KindInfo::of::<AlarmRecord>(),
    KindInfo::of::<AlarmRules>(),
    KindInfo::of::<AuditEntry>(),
    KindInfo::of::<Delivery>(),
    KindInfo::of::<HandoverSeen>(),
    KindInfo::of::<ChainEndRecord>(),
    KindInfo::of::<MaintenanceEvent>(),
    KindInfo::of::<PastExcursion>(),
    KindInfo::of::<PlannedWork>(),
    KindInfo::of::<PumpToken>(),
    KindInfo::of::<Session>(),
    KindInfo::of::<Shared>(),
    KindInfo::of::<Thread>(),
    KindInfo::of::<Transition>(),
    KindInfo::of::<User>(),
    #[cfg(test)]
    KindInfo::of::<Note>(),
    #[cfg(test)]
    KindInfo::of::<Token>(),
];

/// The maximum length of a document's JSON.
const MAX_DOCUMENT_BYTES: usize = 2 << 20;

/// The declaration of a kind; see [`DocumentKind`].
pub(crate) struct KindInfo {
    pub(crate) table: &'static str,
    pub(crate) time_field: &'static str,
    pub(crate) belongs_to_pump: bool,
    pump_is_optional: bool,
    pub(crate) retention: Option<Duration>,
    pub(crate) secret: bool,
    /// Decodes a document of the kind, to check that this is possible.
    validate: fn(Fields) -> Result<(), String>,
}

impl KindInfo {
    const fn of<K: DocumentKind>() -> Self {
        Self {
            table: K::TABLE,
            time_field: K::TIME_FIELD,
            belongs_to_pump: K::BELONGS_TO_PUMP,
            pump_is_optional: K::PUMP_IS_OPTIONAL,
            retention: K::RETENTION,
            secret: K::SECRET,
            validate: |fields| document::read::<K>(fields).map(drop),
        }
    }
}

/// Returns the declaration of a kind.
pub(crate) const fn kind_of<K: DocumentKind>() -> &'static KindInfo {
    const { &KindInfo::of::<K>() }
}

/// Checks that a document can be read back from the database.
pub(crate) fn check(document: &Document) -> Result<(), StoreError> {
    let check_fields = || -> Result<(), String> {
        let kind = DOCUMENT_KINDS.iter().find(|kind| kind.table == document.table()).ok_or("there is no such kind")?;
        if document.json().len() > MAX_DOCUMENT_BYTES {
            return Err(format!(
                "it has {} bytes, and at most {MAX_DOCUMENT_BYTES} are allowed",
                document.json().len()
            ));
        }
        let fields = from_row(to_row(document.fields()?));
        if kind.belongs_to_pump {
            match fields.get(PUMP).and_then(serde_json::Value::as_str) {
                Some(pump) => drop(PumpId::from_stored(pump).map_err(|error| error.to_string())?),
                None if kind.pump_is_optional => {}
                None => return Err("it names no pump".into()),
            }
        }
        (kind.validate)(fields)
    };
    check_fields().map_err(|reason| StoreError::InvalidRow { row: document.name(), reason })
}

/// Converts fields to a row's. A field that is null is left out.
pub(crate) fn to_row(fields: Fields) -> Object {
    fields.into_iter().filter(|(_, field)| !field.is_null()).map(|(name, field)| (name, field.into_value())).collect()
}

/// Returns the fields of a row.
pub(crate) fn from_row(row: Object) -> Fields {
    let field = |(name, field): (String, Value)| (name, field.into_json_value());
    row.into_inner().into_iter().filter(|(name, _)| name != "id").map(field).collect()
}
