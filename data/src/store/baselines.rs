//! The versions of each pump's baseline, which one is active, and the progress of a pump's commissioning.
//!
//! A baseline is stored as a document under [pump, version], with a few fields that describe it. Each pump has one
//! writer, its actor: two concurrent writers would take the same version number, and the second would fail. Does not
//! interpret the document, and does not decide which version a pump should use; see the `actors` crate.

use surrealdb::types::{RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue, Value};
use volute_plant::{PumpId, Timestamp};

use super::{
    Store, StoreError,
    ids::{time, unreadable},
    types::{BaselineRecord, BaselineStatus, CommissioningRecord, NewBaseline},
};

const VERSIONS: &str = "SELECT * FROM $range";
const NUMBERS: &str = "SELECT VALUE id[1] FROM $range";
const ONE: &str = "SELECT * FROM $id";

/// Adds a version, makes it active, and ends the commissioning that it came from.
const ADD: &str = "
    BEGIN;
    CREATE $row.id CONTENT $row RETURN NONE;
    UPSERT $active.id CONTENT $active RETURN NONE;
    DELETE $commissioning RETURN NONE;
    COMMIT;
";
const ACTIVATE: &str = "
    BEGIN;
    UPSERT $active.id CONTENT $active RETURN NONE;
    DELETE $commissioning RETURN NONE;
    COMMIT;
";
const DEACTIVATE: &str = "
    BEGIN;
    DELETE $active RETURN NONE;
    DELETE $commissioning RETURN NONE;
    COMMIT;
";
const SAVE_COMMISSIONING: &str = "
    BEGIN;
    DELETE $active RETURN NONE;
    UPSERT $row.id CONTENT $row RETURN NONE;
    COMMIT;
";

#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct BaselineRow {
    id: RecordId,
    created_ms: i64,
    network: String,
    /// The id of the baseline; the baseline itself is `document`. A stored column keeps its name: `why` holds the
    /// reason.
    baseline: String,
    from_ms: i64,
    to_ms: i64,
    why: String,
    document: String,
}

#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct ActiveRow {
    id: RecordId,
    version: i64,
}

#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct CommissioningRow {
    id: RecordId,
    why: String,
    asked: bool,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    running_ms: i64,
}

impl Store {
    /// Stores a baseline as the pump's next version and makes it active. Returns its version number.
    pub async fn add_baseline(&self, pump: &PumpId, new: &NewBaseline) -> Result<u32, StoreError> {
        let numbers: Vec<i64> = self.engine().await?.rows(NUMBERS, [("range", versions(pump))]).await?;
        let version = numbers.into_iter().max().unwrap_or(0) + 1;
        let vars = [
            ("row", BaselineRow::new(pump, version, new).into_value()),
            ("active", ActiveRow { id: active_id(pump), version }.into_value()),
            ("commissioning", commissioning_id(pump).into_value()),
        ];
        self.engine().await?.execute(ADD, vars).await?;
        number(&baseline_id(pump, version), version)
    }

    /// Makes a stored version of a pump's baseline active, or none if `version` is 0. Ends its commissioning.
    pub async fn activate_baseline(&self, pump: &PumpId, version: u32) -> Result<(), StoreError> {
        let commissioning = ("commissioning", commissioning_id(pump).into_value());
        if version == 0 {
            let vars = [("active", active_id(pump).into_value()), commissioning];
            return self.engine().await?.execute(DEACTIVATE, vars).await;
        }
        let active = ActiveRow { id: active_id(pump), version: version.into() };
        self.engine().await?.execute(ACTIVATE, [("active", active.into_value()), commissioning]).await
    }

    /// Returns all versions of a pump's baseline, oldest first.
    pub async fn baselines(&self, pump: &PumpId) -> Result<Vec<BaselineRecord>, StoreError> {
        let rows: Vec<BaselineRow> = self.engine().await?.rows(VERSIONS, [("range", versions(pump))]).await?;
        rows.into_iter().map(BaselineRecord::try_from).collect()
    }

    /// Returns one version of a pump's baseline.
    pub async fn baseline(&self, pump: &PumpId, version: u32) -> Result<Option<BaselineRecord>, StoreError> {
        let id = baseline_id(pump, version.into()).into_value();
        let mut rows: Vec<BaselineRow> = self.engine().await?.rows(ONE, [("id", id)]).await?;
        rows.pop().map(BaselineRecord::try_from).transpose()
    }

    /// Returns a pump's active version, the progress of its commissioning, or neither.
    pub async fn baseline_status(&self, pump: &PumpId) -> Result<BaselineStatus, StoreError> {
        let mut active: Vec<ActiveRow> = self.engine().await?.rows(ONE, [("id", active_id(pump).into_value())]).await?;
        if let Some(row) = active.pop() {
            let version = number(&row.id, row.version)?;
            let found = self.baseline(pump, version).await?;
            return found.map(BaselineStatus::Active).ok_or_else(|| unreadable(&row.id, "there is no such version"));
        }
        let id = commissioning_id(pump).into_value();
        let mut rows: Vec<CommissioningRow> = self.engine().await?.rows(ONE, [("id", id)]).await?;
        match rows.pop() {
            Some(row) => Ok(BaselineStatus::Commissioning(CommissioningRecord::try_from(row)?)),
            None => Ok(BaselineStatus::New),
        }
    }

    /// Stores the progress of a pump's commissioning. No version of its baseline is active until the commissioning
    /// ends.
    pub async fn save_commissioning(&self, pump: &PumpId, record: &CommissioningRecord) -> Result<(), StoreError> {
        self.engine().await?.execute(SAVE_COMMISSIONING, commissioning(pump, record)).await
    }
}

/// Returns the variables of [`SAVE_COMMISSIONING`]: the id of the active version's row, which is deleted, and the row
/// of the commissioning.
pub(super) fn commissioning(pump: &PumpId, record: &CommissioningRecord) -> [(&'static str, Value); 2] {
    let row = CommissioningRow {
        id: commissioning_id(pump),
        why: record.reason.clone(),
        asked: record.requested,
        from_ms: record.from.map(Timestamp::millis),
        to_ms: record.to.map(Timestamp::millis),
        running_ms: record.running_ms,
    };
    [("active", active_id(pump).into_value()), ("row", row.into_value())]
}

impl BaselineRow {
    fn new(pump: &PumpId, version: i64, new: &NewBaseline) -> Self {
        Self {
            id: baseline_id(pump, version),
            created_ms: new.created_at.millis(),
            network: new.network.clone(),
            baseline: new.baseline_id.clone(),
            from_ms: new.from.millis(),
            to_ms: new.to.millis(),
            why: new.reason.clone(),
            document: new.document.clone(),
        }
    }
}

impl TryFrom<BaselineRow> for BaselineRecord {
    type Error = StoreError;

    fn try_from(row: BaselineRow) -> Result<Self, StoreError> {
        let version = match &row.id.key {
            RecordIdKey::Array(key) => key.get(1).and_then(Value::as_int).copied(),
            _ => None,
        };
        let version = version.ok_or_else(|| unreadable(&row.id, "its id is not [pump, version]"))?;
        let baseline = NewBaseline {
            created_at: time(&row.id, row.created_ms)?,
            from: time(&row.id, row.from_ms)?,
            to: time(&row.id, row.to_ms)?,
            network: row.network,
            baseline_id: row.baseline,
            reason: row.why,
            document: row.document,
        };
        Ok(Self { version: number(&row.id, version)?, baseline })
    }
}

impl TryFrom<CommissioningRow> for CommissioningRecord {
    type Error = StoreError;

    fn try_from(row: CommissioningRow) -> Result<Self, StoreError> {
        let at = |ms: Option<i64>| ms.map(|ms| time(&row.id, ms)).transpose();
        let (from, to) = (at(row.from_ms)?, at(row.to_ms)?);
        Ok(Self { reason: row.why, requested: row.asked, from, to, running_ms: row.running_ms })
    }
}

fn active_id(pump: &PumpId) -> RecordId {
    RecordId::new("active_baseline", pump.as_str())
}

fn commissioning_id(pump: &PumpId) -> RecordId {
    RecordId::new("commissioning", pump.as_str())
}

fn baseline_id(pump: &PumpId, version: i64) -> RecordId {
    RecordId::new("baseline", version_key(pump, version))
}

/// Returns the range of the ids of all versions.
pub(super) fn versions(pump: &PumpId) -> Value {
    let range = RecordIdKeyRange::from(version_key(pump, 0)..version_key(pump, i64::MAX));
    RecordId::new("baseline", RecordIdKey::Range(Box::new(range))).into_value()
}

fn version_key(pump: &PumpId, version: i64) -> RecordIdKey {
    RecordIdKey::Array(vec![pump.as_str().to_owned().into_value(), version.into_value()].into())
}

fn number(id: &RecordId, version: i64) -> Result<u32, StoreError> {
    u32::try_from(version).map_err(|error| unreadable(id, error))
}
