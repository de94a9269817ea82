//! `GET /api/store`: how what is stored is: the database, the journal, what waits, the disk, and how long things are kept.

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
    stored::Stored,
};

const DAY_S: f64 = 86_400.0;

/// How the store is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreResponse {
    /// `ok`, `degraded` (readings are taken, history is not whole) or `failed` (readings are refused).
    #[schema(example = "ok")]
    state: &'static str,
    /// What is wrong with it, and what else of the node is out of order, for people; empty where nothing is.
    problems: Vec<String>,
    /// What is stored and not in the database yet.
    waiting: WaitingResponse,
    /// The journal, which makes readings durable.
    journal: JournalResponse,
    /// The disk; null before it was first looked at.
    #[schema(required)]
    disk: Option<DiskResponse>,
    /// How long things are kept.
    retention: RetentionResponse,
}

/// What waits in the journal for the database.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WaitingResponse {
    /// Readings.
    readings: usize,
    /// About how much memory all that waits takes.
    bytes: usize,
    /// When the first of it came; null if nothing waits.
    #[schema(required, format = DateTime)]
    since: Option<String>,
}

/// The journal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JournalResponse {
    /// `ok`, `full` (the disk is), `shortage` (of file descriptors or memory; it passes) or `failed`.
    state: &'static str,
    /// The highest record that is durable.
    durable_seq: u64,
    /// Every record below this is in the database.
    low_water: u64,
    /// Its files.
    segments: u64,
    /// What was found damaged at the start, for people.
    damage: Vec<String>,
}

/// The disk that the data is on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiskResponse {
    /// When it was looked at.
    #[schema(format = DateTime)]
    at: String,
    /// The database's files, in bytes.
    database_bytes: u64,
    /// The journal's files, in bytes.
    journal_bytes: u64,
    /// What is free, in bytes.
    free_bytes: u64,
    /// The size of the file system, in bytes.
    total_bytes: u64,
    /// By how much the data grows in a day, in bytes; null where it has been watched for less than an hour.
    #[schema(required)]
    growth_bytes_per_day: Option<f64>,
    /// In how many days the disk is full at that pace; null where nothing grows or nothing is known.
    #[schema(required)]
    full_in_days: Option<f64>,
}

/// How long things are kept, in days.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetentionResponse {
    /// Readings one by one.
    readings_days: f64,
    /// Minima, maxima and means per minute and per hour.
    aggregates_days: f64,
    /// The model's verdicts.
    detections_days: f64,
    /// The node's own figures.
    metrics_days: f64,
}

/// How what is stored is.
#[utoipa::path(
    get,
    path = "/api/store",
    tag = "node",
    responses((status = 200, description = "The store", body = StoreResponse), Invalid, Unavailable)
)]
pub(crate) async fn store(
    node: web::Data<Node>,
    stored: web::Data<Stored>,
    _: Query<NoParameters>,
) -> web::Json<StoreResponse> {
    let engine = &node.engine;
    let mut data = StoreResponse::new(stored.queries.status(), engine.disk(), engine.retention());
    data.problems.extend(engine.troubles());
    web::Json(data)
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
            JournalHealth::Shortage(reason) => {
                problems.push(format!("Readings are refused, and taken again by itself: {reason}."));
                "shortage"
            }
            JournalHealth::Failed(reason) => {
                problems.push(format!("The journal failed, and readings are refused until a restart: {reason}."));
                "failed"
            }
        };
        if let DatabaseStatus::Unavailable(reason) = &status.database {
            problems.push(format!(
                "The database does not answer: {reason}. Readings are kept in the journal; history is not whole."
            ));
        }
        if !status.damage.is_empty() {
            problems.push(format!("The journal was damaged: {}.", status.damage.join("; ")));
        }
        if status.conflicts > 0 {
            problems.push(format!(
                "{} readings that were taken are not kept, because others have their times: the log says which records.",
                status.conflicts
            ));
        }
        problems.extend(disk.as_ref().and_then(|disk| disk.warning.clone()));
        let state = match (journal, &status.database) {
            ("ok", DatabaseStatus::Open) => "ok",
            ("ok", DatabaseStatus::Unavailable(_)) => "degraded",
            _ => "failed",
        };
        let since = status.oldest_waiting_ms.and_then(|ms| Timestamp::from_millis(ms).ok());
        Self {
            state,
            problems,
            waiting: WaitingResponse {
                readings: status.waiting_readings,
                bytes: status.waiting_bytes,
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
        }
    }
}
