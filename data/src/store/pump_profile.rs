//! Assigning another profile to a registered pump.
//!
//! The pump's row in the database is replaced in one transaction with the start of its new commissioning. So the change
//! is durable when it is written, and fails while the database is unavailable. The registration in the journal stays as
//! it was; a row in the database takes precedence over it. Does not decide what follows from a change (see the `actors`
//! crate), nor whether the profile exists.

use surrealdb::types::SurrealValue;
use volute_plant::{Profile, PumpId};

use super::{Store, StoreError, baselines::commissioning, rows::PumpRow, types::CommissioningRecord};

const REPLACE: &str = "
    BEGIN;
    UPSERT $pump.id CONTENT $pump RETURN NONE;
    DELETE $active RETURN NONE;
    UPSERT $row.id CONTENT $row RETURN NONE;
    COMMIT;
";

impl Store {
    /// Assigns another profile to a pump and starts a new commissioning. Returns whether the pump is registered.
    ///
    /// The pump's stored rows must stay readable. So a profile with other channels, or with the same channels in
    /// another order, is [`StoreError::OtherChannels`].
    pub async fn set_pump_profile(
        &self,
        pump: &PumpId,
        profile: &Profile,
        anew: &CommissioningRecord,
    ) -> Result<bool, StoreError> {
        // The rows of a removed pump are deleted under this lock, so no row is written after that.
        let _flush_guard = self.0.flush_cache.lock().await;
        let Some(mut record) = self.0.pump_registry.get(pump) else { return Ok(false) };
        let given: Vec<String> = profile.channel_names().map(str::to_owned).collect();
        if given != record.channels {
            return Err(StoreError::OtherChannels { pump: pump.clone(), stored: record.channels, given });
        }
        record.profile = profile.name().to_owned();
        let engine = self.engine().await?;
        let [active, row] = commissioning(pump, anew);
        engine.execute(REPLACE, [("pump", PumpRow::from(&record).into_value()), active, row]).await?;
        self.0.pump_registry.replace(record);
        self.0.save_pump_list_copy();
        Ok(true)
    }
}
