//! What the ids of rows say.

use surrealdb::types::{RecordId, RecordIdKey, ToSql, Value};
use volute_plant::{PumpId, Timestamp};

use super::StoreError;

/// Whose block it is, and of which minute or hour.
pub(crate) fn pump_and_start(id: &RecordId) -> Result<(PumpId, i64), StoreError> {
    let (owner, start_ms) = owner_and_number(id)?;
    Ok((PumpId::stored(owner).map_err(|error| unreadable(id, error))?, start_ms))
}

/// The two parts of a series' id.
pub(crate) fn owner_and_number(id: &RecordId) -> Result<(&str, i64), StoreError> {
    if let RecordIdKey::Array(key) = &id.key
        && let [Value::String(owner), ms] = key.as_slice()
        && let Some(ms) = ms.as_int()
    {
        return Ok((owner, *ms));
    }
    Err(unreadable(id, "its id is not [name, number]"))
}

pub(crate) fn time(id: &RecordId, ms: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millis(ms).map_err(|error| unreadable(id, error))
}

pub(crate) fn unreadable(id: &RecordId, reason: impl ToString) -> StoreError {
    StoreError::Unreadable { row: id.to_sql(), reason: reason.to_string() }
}
