//! Planned work as documents: `planned_work:[pump, from, id]`, which is replaced when the work is ended early.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use volute_plant::{Comment, PlannedWork, PumpId, Timestamp, planned_work::WorkEnd};

use super::{
    Store, StoreError,
    document::{DocumentKey, DocumentKind, KeyPrefix},
    types::{Completeness, DocumentFilter, PageRange, QueryResult},
};

/// How long work is kept after its planned end: five years.
const RETENTION: Duration = Duration::from_secs(5 * 365 * 86_400);
/// The maximum number of works that are read at once.
const MAX_WORKS: usize = 100_000;

/// The stored fields. Its id is in `work`, because a row's `id` is its key.
#[derive(Serialize, Deserialize)]
pub struct WorkFields {
    work: String,
    pump: PumpId,
    from_ms: i64,
    until_ms: i64,
    why: Comment,
    by: String,
    planned_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<WorkEnd>,
}

impl DocumentKind for PlannedWork {
    const TABLE: &'static str = "planned_work";
    const TIME_FIELD: &'static str = "until_ms";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Pump;
    const BELONGS_TO_PUMP: bool = true;
    const RETENTION: Option<Duration> = Some(RETENTION);
    type Fields = WorkFields;

    fn key(&self) -> DocumentKey {
        DocumentKey::new([self.pump.as_str().into(), self.from.millis().into(), self.id.as_str().into()])
    }

    fn to_fields(&self) -> WorkFields {
        let Self { id, pump, from, until, why, by, at, ended } = self.clone();
        let [from_ms, until_ms, planned_ms] = [from, until, at].map(Timestamp::millis);
        WorkFields { work: id, pump, from_ms, until_ms, why, by, planned_ms, ended }
    }

    fn from_fields(fields: WorkFields) -> Result<Self, String> {
        let WorkFields { work: id, pump, from_ms, until_ms, why, by, planned_ms, ended } = fields;
        let time = |ms| Timestamp::from_millis(ms).map_err(|error| error.to_string());
        Ok(Self { id, pump, from: time(from_ms)?, until: time(until_ms)?, why, by, at: time(planned_ms)?, ended })
    }
}

impl Store {
    /// Returns the works of a pump, or of all, whose planned end is after `since`. Fails while the database is unavailable.
    pub async fn planned_works(
        &self,
        pump: Option<&PumpId>,
        since: Option<Timestamp>,
    ) -> Result<Vec<PlannedWork>, StoreError> {
        let range = PageRange { from: since, limit: MAX_WORKS, ..PageRange::default() };
        let filter = DocumentFilter { pump: pump.cloned(), range };
        let QueryResult { rows, completeness } = self.documents(&filter, |_: &PlannedWork| true).await?;
        match completeness {
            Completeness::Complete => Ok(rows),
            Completeness::Partial { reason, .. } => Err(StoreError::Unavailable { reason }),
        }
    }
}
