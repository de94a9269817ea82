//! What each pump's judge remembers: one document per pump, the newest of them.
//!
//! It goes the way of all rows, through the journal and the head, so it is as durable as the detections of its windows.
//! Deliberately absent: what is in it (the engine's business).

use surrealdb::types::{RecordId, RecordIdKey, SurrealValue};
use volute_plant::PumpId;

use super::{
    Store, StoreError,
    engine::Engine,
    ids::{time, unreadable},
    types::PumpState,
};

const ONE: &str = "SELECT * FROM $id";

/// `pump_state:pump`
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct StateRow {
    id: RecordId,
    at_ms: i64,
    document: String,
}

impl Store {
    /// What is remembered of a pump, if anything is. Where the database does not answer, what waits for it counts.
    pub async fn pump_state(&self, pump: &PumpId) -> Result<Option<PumpState>, StoreError> {
        let state = self.0.database.read().await;
        let waiting = self.0.head().news().states.get(pump).map(|(_, state)| state.clone());
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

async fn stored(engine: &Engine, pump: &PumpId) -> Result<Option<PumpState>, StoreError> {
    let mut rows: Vec<StateRow> = engine.rows(ONE, [("id", id(pump).into_value())]).await?;
    rows.pop().map(PumpState::try_from).transpose()
}

impl From<&PumpState> for StateRow {
    fn from(state: &PumpState) -> Self {
        Self { id: id(&state.pump), at_ms: state.at.millis(), document: state.document.clone() }
    }
}

impl TryFrom<StateRow> for PumpState {
    type Error = StoreError;

    fn try_from(row: StateRow) -> Result<Self, StoreError> {
        let RecordIdKey::String(name) = &row.id.key else { return Err(unreadable(&row.id, "its id is no name")) };
        let pump = PumpId::stored(name).map_err(|error| unreadable(&row.id, error))?;
        Ok(Self { pump, at: time(&row.id, row.at_ms)?, document: row.document })
    }
}

fn id(pump: &PumpId) -> RecordId {
    RecordId::new("pump_state", pump.as_str())
}
