//! The audit log: what people did, those entries in the database together with those that wait.
//!
//! An entry goes the way of all rows, through the journal and the head. It never changes, and is never deleted. Its id is
//! made of its fields, so that what the journal brings again is the same row. Deliberately absent: who may do what, and
//! which actions there are (`audit_entry.rs`).

use sha2::{Digest, Sha256};
use surrealdb::types::{RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue, Value};
use volute_plant::Timestamp;

use super::{
    Store, StoreError,
    audit_entry::AuditEntry,
    engine::Engine,
    page,
    reading::outage,
    rows::time,
    types::{Answer, AuditFilter, Order, Reach},
};

const OLDEST: &str = "
    SELECT * FROM $range WHERE $action = NONE OR action = $action ORDER BY at_ms LIMIT $limit";
const NEWEST: &str = "
    SELECT * FROM $range WHERE $action = NONE OR action = $action ORDER BY at_ms DESC LIMIT $limit";

/// `audit_log:[at_ms, hash]`
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(crate) struct AuditRow {
    id: RecordId,
    at_ms: i64,
    who: String,
    action: String,
    object: String,
    outcome: String,
    detail: String,
}

impl Store {
    /// A page of the audit log by time, then by the other fields.
    ///
    /// Reads every entry of the range before it cuts the page: people do few things, thousands and not millions.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Answer<AuditEntry>, StoreError> {
        let state = self.0.database.read().await;
        let waiting: Vec<AuditEntry> = self.0.head().news().audit.iter().cloned().collect();
        let range = &filter.range;
        let stored = match state.engine() {
            Ok(engine) => stored(engine, filter).await,
            Err(error) => Err(error),
        };
        let (mut rows, reach) = match stored {
            Ok(rows) => (rows, Reach::Whole),
            Err(error) => (Vec::new(), Reach::Since { from: None, reason: outage(error)? }),
        };
        rows.extend(waiting.into_iter().filter(|entry| matches(filter, entry)));
        rows.sort_by(|a, b| range.order.compare(a.at, b.at).then_with(|| a.cmp(b)));
        // One that waits may be stored as well: what the journal brings again is.
        rows.dedup();
        Ok(Answer { rows: page::whole_moments(rows, range.limit, |entry| entry.at), reach })
    }
}

async fn stored(engine: &Engine, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StoreError> {
    let sql = match filter.range.order {
        Order::OldestFirst => OLDEST,
        Order::NewestFirst => NEWEST,
    };
    let select = async |from: i64, to: i64, limit: usize| {
        let vars = [
            ("range", between(from, to)),
            ("action", filter.action.clone().into_value()),
            ("limit", page::limit(limit)),
        ];
        engine.rows::<AuditRow, _>(sql, vars).await
    };
    let (span, limit) = (filter.range.bounds_ms(), filter.range.limit);
    let rows = page::rows_of_whole_moments(span, limit, |row: &AuditRow| row.at_ms, select).await?;
    rows.into_iter().map(AuditEntry::try_from).collect()
}

fn matches(filter: &AuditFilter, entry: &AuditEntry) -> bool {
    let (from, to) = filter.range.bounds_ms();
    (from..to).contains(&Timestamp::millis(entry.at))
        && filter.action.as_ref().is_none_or(|action| *action == entry.action)
}

impl From<&AuditEntry> for AuditRow {
    fn from(entry: &AuditEntry) -> Self {
        let id = RecordId::new("audit_log", key(entry.at.millis(), &hash(entry)));
        let AuditEntry { at, who, action, object, outcome, detail } = entry.clone();
        Self { id, at_ms: at.millis(), who, action, object, outcome, detail }
    }
}

impl TryFrom<AuditRow> for AuditEntry {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        let AuditRow { id, at_ms, who, action, object, outcome, detail } = row;
        Ok(Self { at: time(&id, at_ms)?, who, action, object, outcome, detail })
    }
}

/// The ids from `from` up to and without `to`; the empty text comes before every hash.
fn between(from: i64, to: i64) -> Value {
    let range = RecordIdKeyRange::from(key(from, "")..key(to, ""));
    RecordId::new("audit_log", RecordIdKey::Range(Box::new(range))).into_value()
}

fn key(at_ms: i64, hash: &str) -> RecordIdKey {
    RecordIdKey::Array(vec![at_ms.into_value(), hash.to_owned().into_value()].into())
}

/// The first half of a SHA-256 over all fields but the time, each behind its length.
fn hash(entry: &AuditEntry) -> String {
    let AuditEntry { at: _, who, action, object, outcome, detail } = entry;
    let mut hasher = Sha256::new();
    for field in [who, action, object, outcome, detail] {
        hasher.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
