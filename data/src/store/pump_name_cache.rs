//! The pumps' names in memory, and reading them from the database. See `pump_names.rs` for setting them.

use std::{collections::BTreeMap, fs, io, path::Path};

use parking_lot::RwLock;
use surrealdb::types::{RecordId, RecordIdKey, SurrealValue};
use volute_plant::{PumpId, PumpName};

use super::{StoreError, engine::DatabaseEngine, folder, ids::unreadable};

const ALL: &str = "SELECT * FROM pump_name";

/// `pump_name:pump`
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(super) struct NameRow {
    pub(super) id: RecordId,
    pub(super) name: String,
}

/// The stored names.
#[derive(Debug, Default)]
pub(crate) struct PumpNameCache(RwLock<BTreeMap<PumpId, PumpName>>);

impl PumpNameCache {
    pub(super) fn new(names: BTreeMap<PumpId, PumpName>) -> Self {
        Self(RwLock::new(names))
    }

    /// Reads the names from the copy, if the database is unavailable.
    pub(super) fn read_copy(dir: &Path) -> BTreeMap<PumpId, PumpName> {
        let read = || serde_json::from_slice(&fs::read(dir.join(folder::NAMES))?).map_err(io::Error::other);
        match read() {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::warn!(%error, "the copy of the pumps' names cannot be read");
                BTreeMap::new()
            }
        }
    }

    pub(super) fn all(&self) -> BTreeMap<PumpId, PumpName> {
        self.0.read().clone()
    }

    pub(super) fn of(&self, pump: &PumpId) -> Option<PumpName> {
        self.0.read().get(pump).cloned()
    }

    pub(super) fn replace(&self, names: BTreeMap<PumpId, PumpName>) {
        *self.0.write() = names;
    }

    /// Removes a name. Returns whether the pump had one.
    pub(super) fn remove(&self, pump: &PumpId) -> bool {
        self.0.write().remove(pump).is_some()
    }

    pub(super) fn set(&self, pump: &PumpId, name: Option<PumpName>) {
        let mut names = self.0.write();
        match name {
            Some(name) => names.insert(pump.clone(), name),
            None => names.remove(pump),
        };
    }
}

/// Reads the names from the database.
pub(super) async fn read(engine: &DatabaseEngine) -> Result<BTreeMap<PumpId, PumpName>, StoreError> {
    let rows: Vec<NameRow> = engine.rows(ALL, []).await?;
    let name = |row: NameRow| {
        let RecordIdKey::String(pump) = &row.id.key else { return Err(unreadable(&row.id, "its id is not a text")) };
        let pump = PumpId::from_stored(pump).map_err(|error| unreadable(&row.id, error))?;
        let name = row.name.parse().map_err(|error| unreadable(&row.id, error))?;
        Ok((pump, name))
    };
    rows.into_iter().map(name).collect()
}

pub(super) fn id(pump: &PumpId) -> RecordId {
    RecordId::new("pump_name", pump.as_str())
}
