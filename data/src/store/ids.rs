//! Parsing the ids of rows.

use surrealdb::types::{RecordId, RecordIdKey, ToSql, Value};
use volute_plant::{PumpId, Timestamp};

use super::StoreError;

/// Returns the pump and the start of the minute or hour in the id of a block or rollup.
pub(crate) fn pump_and_start(id: &RecordId) -> Result<(PumpId, i64), StoreError> {
    let (owner, start_ms) = owner_and_number(id)?;
    Ok((PumpId::from_stored(owner).map_err(|error| unreadable(id, error))?, start_ms))
}

/// Returns the two parts of an id in a series.
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
