//! `GET /api/store`: the state of the store: the database, the journal, unflushed data, the disk, and the retention.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::DiskOutlook;
use volute_data::{DatabaseStatus, JournalHealth, Retention, StoreStatus};
use volute_plant::Timestamp;

use crate::{
    node::Node,
    query::{NoParameters, Query},
    responses::{Invalid, Unavailable},
    store_context::StoreContext,
};

const DAY_S: f64 = 86_400.0;

/// The state of the store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreResponse {
    /// `ok`, `degraded` (readings are accepted, history is incomplete) or `failed` (readings are refused).
    #[schema(example = "ok")]
    state: &'static str,
    /// Problems of the store and of the node, for people; empty if there are none.
    problems: Vec<String>,
    /// What is in the journal and not in the database yet.
    waiting: WaitingResponse,
    /// The journal, which makes readings durable.
    journal: JournalResponse,
    /// The disk; null before it was first measured.
    #[schema(required)]
    disk: Option<DiskResponse>,
    /// The retention.
    retention: RetentionResponse,
}

/// What is in the journal and not in the database yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WaitingResponse {
    /// The number of readings.
    readings: usize,
    /// The approximate memory of all waiting data, in bytes.
    bytes: usize,
    /// When the oldest waiting data arrived; null if there is none.
    #[schema(required, format = DateTime)]
    since: Option<String>,
}

/// The journal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JournalResponse {
    /// `ok`, `full` (the disk is full), `shortage` (of file descriptors or memory; it is temporary) or `failed`.
    state: &'static str,
    /// The sequence number of the last durable record.
    durable_seq: u64,
    /// All records below this sequence number are in the database.
    low_water: u64,
    /// The number of its files.
    segments: u64,
    /// The damage that was found at the start, for people.
    damage: Vec<String>,
}

/// The disk of the data folder.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiskResponse {
    /// When it was measured.
    #[schema(format = DateTime)]
    at: String,
    /// The size of the database's files, in bytes.
    database_bytes: u64,
    /// The size of the journal's files, in bytes.
    journal_bytes: u64,
    /// The free space, in bytes.
    free_bytes: u64,
    /// The size of the file system, in bytes.
    total_bytes: u64,
    /// The growth of the data per day, in bytes; null if the disk has been measured for less than an hour.
    #[schema(required)]
    growth_bytes_per_day: Option<f64>,
    /// The days until the disk is full at that rate; null if the data does not grow or the rate is not known.
    #[schema(required)]
    full_in_days: Option<f64>,
}

/// The retention, in days.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetentionResponse {
    /// Of single readings.
    readings_days: f64,
    /// Of minima, maxima and means per minute and per hour (rollups).
    aggregates_days: f64,
    /// Of detections.
    detections_days: f64,
    /// Of the node's own metrics.
    metrics_days: f64,
    /// Of the audit log.
    audit_days: f64,
}

/// The state of the store.
#[utoipa::path(
    get,
    path = "/api/store",
    tag = "node",
    responses((status = 200, description = "The store", body = StoreResponse), Invalid, Unavailable)
)]
pub(crate) async fn store(
    node: web::Data<Node>,
    store: web::Data<StoreContext>,
    _: Query<NoParameters>,
) -> web::Json<StoreResponse> {
    let engine = &node.engine;
    let mut response = StoreResponse::new(store.queries.status(), engine.disk(), engine.retention());
    response.problems.extend(engine.health_issues());
    response.problems.extend(node.certificate_problem());
    web::Json(response)
}

impl StoreResponse {
    fn new(status: StoreStatus, disk: Option<DiskOutlook>, retention: Retention) -> Self {
        let mut problems = Vec::new();
        let journal = match &status.journal.health {
            JournalHealth::Good => "ok",
            JournalHealth::Full => {
                problems.push("The disk is full: readings are refused until there is room.".to_owned());
                "full"
            }
            JournalHealth::OutOfResources(reason) => {
                problems.push(format!("Readings are refused until the shortage has passed: {reason}."));
                "shortage"
            }
            JournalHealth::Failed(reason) => {
                problems.push(format!("The journal failed, and readings are refused until a restart: {reason}."));
                "failed"
            }
        };
        if let DatabaseStatus::Unavailable(reason) = &status.database {
            problems.push(format!(
                "The database does not respond: {reason}. Readings are kept in the journal; history is incomplete."
            ));
        }
        if !status.damage.is_empty() {
            problems.push(format!("The journal was damaged: {}.", status.damage.join("; ")));
        }
        if status.conflicts > 0 {
            problems.push(format!(
                "{} accepted readings are not stored, because others have the same times; the log names their records.",
                status.conflicts
            ));
        }
        problems.extend(disk.as_ref().and_then(|disk| disk.warning.clone()));
        let state = match (journal, &status.database) {
            ("ok", DatabaseStatus::Open) => "ok",
            ("ok", DatabaseStatus::Unavailable(_)) => "degraded",
            _ => "failed",
        };
        let since = status.oldest_unflushed_ms.and_then(|ms| Timestamp::from_millis(ms).ok());
        Self {
            state,
            problems,
            waiting: WaitingResponse {
                readings: status.unflushed_readings,
                bytes: status.unflushed_bytes,
                since: since.map(|since| since.to_string()),
            },
            journal: JournalResponse {
                state: journal,
                durable_seq: status.journal.durable_seq.get(),
                low_water: status.journal.low_water.get(),
                segments: status.journal.segments,
                damage: status.damage,
            },
            disk: disk.map(DiskResponse::from),
            retention: RetentionResponse::from(retention),
        }
    }
}

impl From<DiskOutlook> for DiskResponse {
    fn from(disk: DiskOutlook) -> Self {
        Self {
            at: disk.at.to_string(),
            database_bytes: disk.used.database_bytes,
            journal_bytes: disk.used.journal_bytes,
            free_bytes: disk.used.free_bytes,
            total_bytes: disk.used.total_bytes,
            growth_bytes_per_day: disk.growth_bytes_per_day,
            full_in_days: disk.full_in_days,
        }
    }
}

impl From<Retention> for RetentionResponse {
    fn from(retention: Retention) -> Self {
        Self {
            readings_days: retention.readings.as_secs_f64() / DAY_S,
            aggregates_days: retention.aggregates.as_secs_f64() / DAY_S,
            detections_days: retention.detections.as_secs_f64() / DAY_S,
            metrics_days: retention.metrics.as_secs_f64() / DAY_S,
            audit_days: retention.audit.as_secs_f64() / DAY_S,
        }
    }
}
