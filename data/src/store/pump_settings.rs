//! What was set for a pump alone, in the place of what its profile says.
//!
//! A row is written into the database itself, as a baseline is: it is durable when it is written, and an order to change it
//! fails while the database does not answer. Does not decide what follows from a change (the engine's business).

use surrealdb::types::{RecordId, SurrealValue};
use volute_plant::{Profile, PumpId};

use super::{Store, StoreError};

const ONE: &str = "SELECT * FROM $id";
const SET: &str = "UPSERT $row.id CONTENT $row RETURN NONE";
const CLEAR: &str = "DELETE $id RETURN NONE";

/// What was set for a pump alone; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PumpSettings {
    /// The time between two of its readings, in milliseconds; none: its profile's.
    pub interval_ms: Option<i64>,
    /// How long the last value of each of its channels holds where nothing new is sent, in milliseconds; none: as its
    /// profile says.
    pub hold_ms: Option<i64>,
    /// Who set it, for people.
    pub why: String,
}

impl PumpSettings {
    /// The kind of pump that this one is, with its own settings.
    pub fn apply(&self, profile: &Profile) -> Profile {
        let profile = self.interval_ms.map_or_else(|| profile.clone(), |ms| profile.with_interval(ms));
        self.hold_ms.map_or_else(|| profile.clone(), |ms| profile.with_hold(ms))
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.interval_ms.is_none() && self.hold_ms.is_none()
    }
}

/// `pump_setting:pump`
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct SettingRow {
    id: RecordId,
    interval_ms: Option<i64>,
    hold_ms: Option<i64>,
    why: String,
}

impl Store {
    /// What was set for a pump.
    pub async fn pump_settings(&self, pump: &PumpId) -> Result<PumpSettings, StoreError> {
        let mut rows: Vec<SettingRow> = self.engine().await?.rows(ONE, [("id", id(pump).into_value())]).await?;
        let settings = |SettingRow { interval_ms, hold_ms, why, .. }| PumpSettings { interval_ms, hold_ms, why };
        Ok(rows.pop().map(settings).unwrap_or_default())
    }

    /// Sets it; what says nothing takes away what was set.
    pub async fn set_pump_settings(&self, pump: &PumpId, settings: &PumpSettings) -> Result<(), StoreError> {
        if settings.is_empty() {
            return self.engine().await?.execute(CLEAR, [("id", id(pump).into_value())]).await;
        }
        let PumpSettings { interval_ms, hold_ms, why } = settings.clone();
        let row = SettingRow { id: id(pump), interval_ms, hold_ms, why };
        self.engine().await?.execute(SET, [("row", row.into_value())]).await
    }
}

fn id(pump: &PumpId) -> RecordId {
    RecordId::new("pump_setting", pump.as_str())
}
