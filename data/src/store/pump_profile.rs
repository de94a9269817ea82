//! Which profile a pump is of, where another one was assigned than it was registered with.
//!
//! The pump's own row in the database is replaced, in one transaction with the commissioning that begins, so the change is durable when it is written, and an order to make it fails
//! while the database does not answer. The registration in the journal stays as it was: a row that is there goes before it.
//! Does not decide what follows from a change (the engine's business), nor whether there is such a profile.

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
    /// Assigns another profile to a pump, which is commissioned anew with that. Returns whether there is such a pump.
    ///
    /// Its stored rows must be readable by it: a profile of other channels, or of others in their places, is
    /// [`StoreError::OtherChannels`].
    pub async fn set_pump_profile(
        &self,
        pump: &PumpId,
        profile: &Profile,
        anew: &CommissioningRecord,
    ) -> Result<bool, StoreError> {
        // The rows of a removed pump are deleted by who holds this: a row does not come after that.
        let _written = self.0.written.lock().await;
        let Some(mut record) = self.0.roster.get(pump) else { return Ok(false) };
        let given: Vec<String> = profile.channel_names().map(str::to_owned).collect();
        if given != record.channels {
            return Err(StoreError::OtherChannels { pump: pump.clone(), stored: record.channels, given });
        }
        record.profile = profile.name().to_owned();
        let engine = self.engine().await?;
        let [active, row] = commissioning(pump, anew);
        engine.execute(REPLACE, [("pump", PumpRow::from(&record).into_value()), active, row]).await?;
        self.0.roster.replace(record);
        self.0.remember_pumps();
        Ok(true)
    }
}
