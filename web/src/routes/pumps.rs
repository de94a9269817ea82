//! `/api/pumps` and `/api/profile`: the registered pumps, removing a pump, and the node's default profile.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;
use volute_actors::{AlarmSummary, LATE_EXPLANATION, LivePump};
use volute_data::{AuditAction, EventFilter, PumpRecord, StoreError};
use volute_plant::{EventState, Profile, PumpId, PumpName};

use crate::{
    audit::AuditedCommand,
    extract::PumpPath,
    last_known::{with_latest_reading, without_reading_since_start},
    list::List,
    node::Node,
    problem::ApiError,
    query::{NoParameters, Query},
    responses::{DiskFull, Invalid, NotFound, TooMany, Unavailable, Unremovable},
    store_context::StoreContext,
    wire::{AlarmSummaryResponse, ClockResponse, FeedResponse, Learning, ProfileResponse, PumpStatus, status_reason},
};

/// How many pumps' last readings are looked up concurrently.
const MAX_CONCURRENT_LOOKUPS: usize = 16;

/// A registered pump.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PumpResponse {
    /// Its id: the pump's tag in the plant.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// Its display name; null if it has none.
    #[schema(value_type = Option<String>, required)]
    name: Option<PumpName>,
    /// Its profile's name.
    profile: String,
    /// When it was registered.
    #[schema(format = DateTime)]
    registered_at: String,
    status: PumpStatus,
    /// Why there is no current detection; null if there is one.
    #[schema(required)]
    status_reason: Option<String>,
    /// The progress towards the first detection, while the status is `LEARNING`; else null.
    #[schema(required)]
    learning: Option<Learning>,
    /// Since when it has this status; null if no reading was received since the node started.
    #[schema(format = DateTime, required)]
    since: Option<String>,
    /// The time since its last reading was received, in milliseconds; null if none was received since the node started.
    #[schema(required)]
    age_ms: Option<i64>,
    /// What is wrong with its clock; null if nothing is.
    #[schema(required)]
    clock: Option<ClockResponse>,
    /// Readings that arrived too late for their window since the node started, and the reason; null if none did.
    #[schema(required)]
    late: Option<LateResponse>,
    /// Its latest reading's time by the device's clock.
    #[schema(format = DateTime, required)]
    last_reading_at: Option<String>,
    /// The time of the last detection: that of the last reading of its window. The next three fields are of that detection.
    #[schema(format = DateTime, required)]
    judged_at: Option<String>,
    /// The reconstruction loss of the window.
    #[schema(required)]
    loss: Option<f64>,
    /// The loss above which a window is anomalous.
    #[schema(required)]
    threshold: Option<f64>,
    /// The channel with the largest share of the loss, if the window is anomalous; else null.
    #[schema(required)]
    top_channel: Option<String>,
    /// The properties of its feed; null if nothing is known yet.
    #[schema(required)]
    feed: Option<FeedResponse>,
    /// The number of active maintenance events.
    active_events: usize,
    /// Its alarms.
    alarms: AlarmSummaryResponse,
    /// On a demo node: true if the pump is not being simulated, so that no readings of it arrive. False on other nodes.
    simulation_ended: bool,
    /// The last detections.
    trend: TrendResponse,
}

/// Readings that arrived too late to be scored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LateResponse {
    /// The number of these readings since the node started.
    count: u64,
    /// Why these readings were late.
    reason: &'static str,
}

/// The last detections of one pump, in columns, oldest first.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct TrendResponse {
    /// The times of the windows' last readings, in milliseconds since 1970.
    t: Vec<i64>,
    /// The reconstruction losses of the windows.
    loss: Vec<f32>,
}

/// All registered pumps, by id, in one page.
#[utoipa::path(
    get,
    path = "/api/pumps",
    tag = "live",
    responses((status = 200, description = "All pumps", body = List<PumpResponse>), Invalid, Unavailable)
)]
pub(crate) async fn pumps(
    node: web::Data<Node>,
    store: web::Data<StoreContext>,
    _: Query<NoParameters>,
) -> Result<web::Json<List<PumpResponse>>, ApiError> {
    let engine = &node.engine;
    let (queries, profile_of) = (&store.queries, &store.profile_of);
    let mut live: BTreeMap<PumpId, LivePump> =
        node.engine.live_all().await.into_iter().map(|live| (live.pump.clone(), live)).collect();
    let active = EventFilter { state: Some(EventState::Active), ..EventFilter::default() };
    let mut events: BTreeMap<PumpId, usize> = BTreeMap::new();
    let active = queries.events(&active).await?;
    for event in active.rows {
        *events.entry(event.pump).or_default() += 1;
    }
    let simulation = match &node.simulation {
        Some(simulation) => Some(simulation.progress().await),
        None => None,
    };
    let mut names = queries.pump_names();
    let uptime_ms = node.uptime_ms();
    let rows = queries.pumps().into_iter().map(|record| {
        let (name, profile) = (names.remove(&record.id), profile_of(&record.id));
        let (live, events) = (live.remove(&record.id), events.get(&record.id).copied().unwrap_or(0));
        let ended = simulation.as_ref().is_some_and(|simulation| !simulation.plays(&record.id));
        async move {
            let live = match live {
                Some(live) => Some(with_latest_reading(live, engine).await?),
                None => {
                    let last = engine.last_shown(&record.id).await?;
                    last.map(|last| without_reading_since_start(last, if ended { i64::MAX } else { uptime_ms }))
                }
            };
            Ok::<_, StoreError>(PumpResponse {
                name,
                // From the view of standing alarms, because a pump that was silent since the node started has alarms too.
                alarms: AlarmSummaryResponse::of(&AlarmSummary::of(&engine.alarms().of(&record.id))),
                simulation_ended: ended,
                ..PumpResponse::new(record, live, events, &profile)
            })
        }
    });
    let mut items: Vec<PumpResponse> = stream::iter(rows).buffered(MAX_CONCURRENT_LOOKUPS).try_collect().await?;
    items.sort_by(|a, b| a.pump_id.cmp(&b.pump_id));
    Ok(web::Json(List::single_page(items, active.completeness)))
}

/// A pump that was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RemovedPump {
    /// Its id.
    #[schema(value_type = String)]
    pump_id: PumpId,
}

/// Removes a pump and its stored data.
///
/// Removes its readings, detections, rollups, baselines, maintenance events and checkpoint. The audit log and earlier
/// backups are kept. The removal is durable when the response is sent, and the pump is no longer shown. The node then deletes
/// the pump's rows from the database, which takes minutes for years of readings and continues after a restart. Until the rows
/// are deleted, posts for this id are refused (503, to be sent again). A pump that posts with this id afterwards is a new one,
/// without a baseline. Posts that arrived before the request are completed first. Pumps of a demo cannot be removed while they
/// are simulated.
#[utoipa::path(
    delete,
    path = "/api/pumps/{id}",
    tag = "live",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`")),
    responses(
        (status = 200, description = "The pump is removed", body = RemovedPump),
        Invalid, NotFound, Unremovable, TooMany, Unavailable, DiskFull
    )
)]
pub(crate) async fn remove(
    node: web::Data<Node>,
    request: HttpRequest,
    _: Query<NoParameters>,
    PumpPath(pump): PumpPath,
) -> Result<web::Json<RemovedPump>, ApiError> {
    let (engine, simulation, of) = (node.engine.clone(), node.simulation.clone(), pump.clone());
    let command = AuditedCommand::new(&node, &request, AuditAction::RemovePump, pump.as_str());
    let removal = async move {
        if let Some(simulation) = simulation
            && simulation.plays(&of).await
        {
            return Err(ApiError::SimulatedPump(of));
        }
        engine.remove_pump(&of).await.map_err(ApiError::from)
    };
    command.execute(removal).await?;
    Ok(web::Json(RemovedPump { pump_id: pump }))
}

/// The node's default profile.
#[utoipa::path(
    get,
    path = "/api/profile",
    tag = "live",
    responses((status = 200, description = "The profile", body = ProfileResponse), Invalid)
)]
pub(crate) async fn profile(store: web::Data<StoreContext>, _: Query<NoParameters>) -> web::Json<ProfileResponse> {
    web::Json(ProfileResponse::from(&store.profile))
}

impl PumpResponse {
    /// Creates the response. `live` is none if no reading of the pump was ever stored.
    fn new(record: PumpRecord, live: Option<LivePump>, active_events: usize, profile: &Profile) -> Self {
        let with_reading = live.as_ref().filter(|live| live.age_ms.is_some());
        let detection = live.as_ref().and_then(|live| live.detection.as_ref());
        let top = detection.filter(|d| d.is_anomaly).and_then(|d| index_of_largest(&d.contributions));
        let trend = live.as_ref().map_or_else(TrendResponse::default, |live| TrendResponse {
            t: live.trend.iter().map(|(at, _)| at.millis()).collect(),
            loss: live.trend.iter().map(|&(_, loss)| loss).collect(),
        });
        Self {
            pump_id: record.id,
            name: None,
            profile: record.profile,
            registered_at: record.registered_at.to_string(),
            status: live.as_ref().map_or(PumpStatus::Stale, |live| PumpStatus::of(&live.status)),
            status_reason: live.as_ref().and_then(status_reason),
            learning: live.as_ref().and_then(|live| Learning::of(&live.status)),
            since: with_reading.map(|live| live.since.to_string()),
            age_ms: with_reading.and_then(|live| live.age_ms),
            clock: live.as_ref().and_then(|live| live.clock).map(ClockResponse::from),
            late: live
                .as_ref()
                .filter(|live| live.late > 0)
                .map(|live| LateResponse { count: live.late, reason: LATE_EXPLANATION }),
            last_reading_at: live.as_ref().and_then(|live| Some(live.latest.as_ref()?.0.at.to_string())),
            judged_at: detection.map(|d| d.at.to_string()),
            loss: detection.map(|d| d.loss),
            threshold: detection.map(|d| d.threshold),
            top_channel: top.map(|index| profile.channels()[index].name.clone()),
            feed: live.as_ref().and_then(|live| live.cadence.as_ref()).map(FeedResponse::from),
            active_events,
            alarms: AlarmSummaryResponse::of(&AlarmSummary::default()),
            simulation_ended: false,
            trend,
        }
    }
}

/// Returns the index of the largest share.
fn index_of_largest(shares: &[f64]) -> Option<usize> {
    (0..shares.len()).max_by(|&a, &b| shares[a].total_cmp(&shares[b]))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use volute_actors::Status;
    use volute_plant::{Detection, Reading, Sample, Timestamp};

    use super::*;
    use crate::{channels::tests::profile, last_known::last_known};

    #[test]
    fn a_pump_has_its_last_detection() {
        let at = Timestamp::from_millis(1_773_051_273_000).expect("a time");
        let pump: PumpId = "P-1".parse().expect("a name");
        let record = PumpRecord { id: pump.clone(), profile: "small".into(), channels: vec![], registered_at: at };
        let detection = Detection {
            pump: pump.clone(),
            at,
            loss: 0.75,
            threshold: 0.5,
            is_anomaly: true,
            contributions: [0.1, 0.9].into(),
            model: "m-1".into(),
        };
        let samples = [Sample::Good(90.0), Sample::Missing].into();
        let last = Reading { pump, at, received: at.plus_ms(20), samples, late: false };
        let last_stored = || last_known(last.clone());
        let live = LivePump {
            age_ms: Some(150),
            status: Status::Anomaly,
            since: at.plus_ms(30),
            detection: Some(detection),
            trend: vec![(at, 0.75)],
            ..last_stored()
        };
        let json = |live, events| {
            serde_json::to_value(PumpResponse::new(record.clone(), live, events, &profile())).expect("JSON")
        };
        assert_eq!(
            json(Some(live), 2),
            json!({
                "pump_id": "P-1", "name": null, "profile": "small", "registered_at": "2026-03-09T10:14:33.000Z",
                "status": "ANOMALY", "status_reason": null, "learning": null, "since": "2026-03-09T10:14:33.030Z", "age_ms": 150,
                "last_reading_at": "2026-03-09T10:14:33.000Z", "judged_at": "2026-03-09T10:14:33.000Z",
                "loss": 0.75, "threshold": 0.5, "top_channel": "Q", "active_events": 2, "simulation_ended": false,
                "alarms": {"standing": 0, "unacknowledged": 0, "highest": null, "highest_unacknowledged": null, "set_aside": 0},
                "clock": null, "feed": null, "late": null,
                "trend": {"t": [1_773_051_273_000_i64], "loss": [0.75]},
            })
        );
        let json = json(Some(last_stored()), 0);
        assert_eq!((&json["status"], &json["since"], &json["loss"]), (&json!("STALE"), &Value::Null, &Value::Null));
        assert_eq!(json["last_reading_at"], "2026-03-09T10:14:33.000Z");
    }

    #[test]
    fn a_profile_has_its_channels() {
        let json = serde_json::to_value(ProfileResponse::from(&profile())).expect("JSON");
        assert_eq!(
            (&json["name"], &json["title"], &json["interval_ms"]),
            (&json!("small"), &json!("A pump for tests"), &json!(1000))
        );
        let limits = json!({"low_alarm": null, "low_warning": null, "high_warning": 80.0, "high_alarm": null});
        let bearing = json!({"name": "Tb", "quantity": "bearing_temperature", "unit": "°C", "plausible": [-40.0, 200.0], "resolution": 0.1, "limits": limits});
        assert_eq!((&json["channels"][0], &json["channels"][1]["name"]), (&bearing, &json!("Q")));
    }
}
