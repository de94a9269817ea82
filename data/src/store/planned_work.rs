//! Planned work as documents: `planned_work:[pump, from, id]`, which is replaced when the work is ended early.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use volute_plant::{PlannedWork, PumpId, Timestamp};

use super::{
    Store, StoreError,
    document::{DocumentKey, DocumentKind, KeyPrefix},
    types::{Completeness, DocumentFilter, PageRange, QueryResult},
};

/// How long work is kept after its planned end: five years.
const RETENTION: Duration = Duration::from_secs(5 * 365 * 86_400);
/// The maximum number of works that are read at once.
const MAX_WORKS: usize = 100_000;

/// The stored fields: those of the work, with its planned end as a number to sort by.
#[derive(Serialize, Deserialize)]
pub struct WorkFields {
    until_ms: i64,
    #[serde(flatten)]
    work: PlannedWork,
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
        WorkFields { until_ms: self.until.millis(), work: self.clone() }
    }

    fn from_fields(WorkFields { until_ms, work }: WorkFields) -> Result<Self, String> {
        if work.until.millis() == until_ms { Ok(work) } else { Err("its two ends differ".into()) }
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
