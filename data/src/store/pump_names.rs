//! Names that users give to pumps, in addition to their ids.
//!
//! A name is written to the database directly, as a pump's settings are. It is durable when it is written, and changing
//! it fails while the database is unavailable. Every list of pumps shows the names, so all of them are in memory. A
//! copy in the file `names` is read if the database cannot be opened at the start. Does not check that names are
//! unique; a pump is identified by its id.

use std::{collections::BTreeMap, io};

use surrealdb::types::SurrealValue;
use volute_journal::durable::write_file;
use volute_plant::{PumpId, PumpName};

use super::{
    Store, StoreError, StoreInner, folder,
    pump_name_cache::{NameRow, id},
};

const SET: &str = "UPSERT $row.id CONTENT $row RETURN NONE";
const CLEAR: &str = "DELETE $id RETURN NONE";

impl Store {
    /// Returns a pump's name, if it has one.
    pub fn pump_name(&self, pump: &PumpId) -> Option<PumpName> {
        self.0.pump_names.of(pump)
    }

    /// Returns the names of all pumps that have one.
    pub fn pump_names(&self) -> BTreeMap<PumpId, PumpName> {
        self.0.pump_names.all()
    }

    /// Sets or removes a pump's name. Returns whether the pump is registered.
    pub async fn set_pump_name(&self, pump: &PumpId, name: Option<PumpName>) -> Result<bool, StoreError> {
        // The rows of a removed pump are deleted under this lock, so no name is written after that.
        let _flush_guard = self.0.flush_cache.lock().await;
        if !self.is_registered(pump) {
            return Ok(false);
        }
        let engine = self.engine().await?;
        match &name {
            Some(name) => {
                let row = NameRow { id: id(pump), name: name.as_str().to_owned() };
                engine.execute(SET, [("row", row.into_value())]).await?;
            }
            None => engine.execute(CLEAR, [("id", id(pump).into_value())]).await?,
        }
        self.0.pump_names.set(pump, name);
        self.0.save_names_copy();
        Ok(true)
    }
}

impl StoreInner {
    /// Replaces all names by those of the database.
    pub(super) fn replace_names(&self, names: BTreeMap<PumpId, PumpName>) {
        self.pump_names.replace(names);
        self.save_names_copy();
    }

    /// Removes the name of a pump that is removed.
    pub(super) fn remove_name(&self, pump: &PumpId) {
        if self.pump_names.remove(pump) {
            self.save_names_copy();
        }
    }

    /// Writes the copy. The store works without it, so a failure is only logged.
    fn save_names_copy(&self) {
        let written = serde_json::to_vec(&self.pump_names.all()).map_err(io::Error::other);
        if let Err(error) = written.and_then(|bytes| write_file(&self.dir.join(folder::NAMES), &bytes)) {
            tracing::warn!(%error, "the copy of the pumps' names was not written");
        }
    }
}
