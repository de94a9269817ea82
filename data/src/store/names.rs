//! The pumps' names in memory and in the database. How a pump is named: `naming.rs`.

use std::{collections::BTreeMap, fs, io, path::Path};

use parking_lot::RwLock;
use surrealdb::types::{RecordId, RecordIdKey, SurrealValue};
use volute_plant::{PumpId, PumpName};

use super::{StoreError, engine::Engine, folder, ids::unreadable};

const ALL: &str = "SELECT * FROM pump_name";

/// `pump_name:pump`
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(super) struct NameRow {
    pub(super) id: RecordId,
    pub(super) name: String,
}

/// The names that are stored.
#[derive(Debug, Default)]
pub(crate) struct Names(RwLock<BTreeMap<PumpId, PumpName>>);

impl Names {
    pub(super) fn new(names: BTreeMap<PumpId, PumpName>) -> Self {
        Self(RwLock::new(names))
    }

    /// The names in the file, where the database cannot be asked.
    pub(super) fn in_copy(dir: &Path) -> BTreeMap<PumpId, PumpName> {
        let read = || serde_json::from_slice(&fs::read(dir.join(folder::NAMES))?).map_err(io::Error::other);
        match read() {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::warn!(%error, "the copy of the pumps' names cannot be read either");
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

    /// Returns whether it had one.
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

/// The names in the database.
pub(super) async fn read(engine: &Engine) -> Result<BTreeMap<PumpId, PumpName>, StoreError> {
    let rows: Vec<NameRow> = engine.rows(ALL, []).await?;
    let name = |row: NameRow| {
        let RecordIdKey::String(pump) = &row.id.key else { return Err(unreadable(&row.id, "its id is no name")) };
        let pump = PumpId::stored(pump).map_err(|error| unreadable(&row.id, error))?;
        let name = row.name.parse().map_err(|error| unreadable(&row.id, error))?;
        Ok((pump, name))
    };
    rows.into_iter().map(name).collect()
}

pub(super) fn id(pump: &PumpId) -> RecordId {
    RecordId::new("pump_name", pump.as_str())
}
