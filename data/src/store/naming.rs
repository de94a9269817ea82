//! What people call the pumps, beside their ids.
//!
//! A row is written into the database itself, as a pump's settings are: it is durable when it is written, and an order to
//! change it fails while the database does not answer. Every list of pumps shows the names, so all of them are in memory; a
//! copy in the file `names` stands in where the database cannot be opened at the start. Does not look for two pumps of one
//! name: it is the id that is a pump's own.

use std::{collections::BTreeMap, io};

use surrealdb::types::SurrealValue;
use volute_journal::durable::write_file;
use volute_plant::{PumpId, PumpName};

use super::{
    Inner, Store, StoreError, folder,
    names::{NameRow, id},
};

const SET: &str = "UPSERT $row.id CONTENT $row RETURN NONE";
const CLEAR: &str = "DELETE $id RETURN NONE";

impl Store {
    /// What people call a pump, if they do.
    pub fn pump_name(&self, pump: &PumpId) -> Option<PumpName> {
        self.0.names.of(pump)
    }

    /// The names of all pumps that have one.
    pub fn pump_names(&self) -> BTreeMap<PumpId, PumpName> {
        self.0.names.all()
    }

    /// Names a pump, or takes its name away. Returns whether there is such a pump.
    pub async fn set_pump_name(&self, pump: &PumpId, name: Option<PumpName>) -> Result<bool, StoreError> {
        // The rows of a removed pump are deleted by whoever has this: a name does not come after that.
        let _written = self.0.written.lock().await;
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
        self.0.names.set(pump, name);
        self.0.remember_names();
        Ok(true)
    }
}

impl Inner {
    /// Goes by the names that the database has.
    pub(super) fn take_names(&self, names: BTreeMap<PumpId, PumpName>) {
        self.names.replace(names);
        self.remember_names();
    }

    /// Forgets the name of a pump that is removed.
    pub(super) fn forget_name(&self, pump: &PumpId) {
        if self.names.remove(pump) {
            self.remember_names();
        }
    }

    /// Keeps the copy. It is a help, so a failure is only told.
    fn remember_names(&self) {
        let written = serde_json::to_vec(&self.names.all()).map_err(io::Error::other);
        if let Err(error) = written.and_then(|bytes| write_file(&self.dir.join(folder::NAMES), &bytes)) {
            tracing::warn!(%error, "the copy of the pumps' names was not written");
        }
    }
}
