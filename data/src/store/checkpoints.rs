//! Checkpoints of the pumps' anomaly deciders: one document per pump, the newest.
//!
//! A checkpoint is committed through journal and head like all rows, so it is as durable as the detections of its
//! windows. Does not interpret the document; see the `actors` crate.

use surrealdb::types::{RecordId, RecordIdKey, SurrealValue};
use volute_plant::PumpId;

use super::{
    Store, StoreError,
    engine::DatabaseEngine,
    ids::{time, unreadable},
    types::PumpCheckpoint,
};

const ONE: &str = "SELECT * FROM $id";

/// `pump_state:pump`
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct CheckpointRow {
    id: RecordId,
    at_ms: i64,
    document: String,
}

impl Store {
    /// Returns a pump's newest checkpoint, if it has one. While the database is unavailable, the one in the head
    /// counts.
    pub async fn pump_checkpoint(&self, pump: &PumpId) -> Result<Option<PumpCheckpoint>, StoreError> {
        let state = self.0.database.read().await;
        let waiting = self.0.head().other_rows().checkpoints.get(pump).map(|(_, checkpoint)| checkpoint.clone());
        let stored = match state.engine() {
            Ok(engine) => stored(engine, pump).await,
            Err(error) => Err(error),
        };
        match (waiting, stored) {
            (Some(waiting), Ok(Some(stored))) if stored.at > waiting.at => Ok(Some(stored)),
            (Some(waiting), Ok(_) | Err(StoreError::Unavailable { .. } | StoreError::Database(_))) => Ok(Some(waiting)),
            (_, stored) => stored,
        }
    }
}

async fn stored(engine: &DatabaseEngine, pump: &PumpId) -> Result<Option<PumpCheckpoint>, StoreError> {
    let mut rows: Vec<CheckpointRow> = engine.rows(ONE, [("id", id(pump).into_value())]).await?;
    rows.pop().map(PumpCheckpoint::try_from).transpose()
}

impl From<&PumpCheckpoint> for CheckpointRow {
    fn from(checkpoint: &PumpCheckpoint) -> Self {
        Self { id: id(&checkpoint.pump), at_ms: checkpoint.at.millis(), document: checkpoint.document.clone() }
    }
}

impl TryFrom<CheckpointRow> for PumpCheckpoint {
    type Error = StoreError;

    fn try_from(row: CheckpointRow) -> Result<Self, StoreError> {
        let RecordIdKey::String(name) = &row.id.key else { return Err(unreadable(&row.id, "its id is not a text")) };
        let pump = PumpId::from_stored(name).map_err(|error| unreadable(&row.id, error))?;
        Ok(Self { pump, at: time(&row.id, row.at_ms)?, document: row.document })
    }
}

fn id(pump: &PumpId) -> RecordId {
    RecordId::new("pump_state", pump.as_str())
}
