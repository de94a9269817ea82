//! `GET /api/live-data`: the current state of one pump.

use std::collections::BTreeMap;

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use volute_actors::{KindParts, LiveChannel, LivePump, Status, Totals};
use volute_plant::{Profile, PumpId, PumpName};

use crate::{
    channels::ByChannel,
    last_known::{last_known, with_latest_reading, without_reading_since_start},
    node::Node,
    problem::ApiError,
    query::{PumpParam, Query},
    responses::{Invalid, NotFound, Unavailable},
    store_context::StoreContext,
    wire::{ClockResponse, FeedResponse, Learning, PumpSimulation, PumpStatus, status_reason},
};

/// Parameters: the requested pump.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveQuery {
    /// The pump; absent: the node's default pump
    #[param(value_type = Option<String>)]
    pump_id: Option<PumpParam>,
}

/// The current state of one pump.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveResponse {
    /// The pump's id.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// Its display name; null if it has none.
    #[schema(value_type = Option<String>, required)]
    name: Option<PumpName>,
    status: PumpStatus,
    /// Why there is no current detection, or what is special about it, such as a channel that is missing; null if neither.
    #[schema(required)]
    status_reason: Option<String>,
    /// The time since the pump's last reading was received, in milliseconds; null if none was received since the node started.
    #[schema(required)]
    age_ms: Option<i64>,
    /// What is wrong with its clock; null if nothing is.
    #[schema(required)]
    clock: Option<ClockResponse>,
    /// The latest reading's time by the device's clock. The latest reading is the last one received whose time is close to
    /// the time of its receipt.
    #[schema(format = DateTime, required)]
    timestamp: Option<String>,
    /// When the node received it.
    #[schema(format = DateTime, required)]
    received_at: Option<String>,
    /// The channels of the latest reading, by name, in the profile's order.
    #[schema(value_type = BTreeMap<String, LiveChannelResponse>)]
    channels: ByChannel<LiveChannelResponse>,
    /// The time of the last detection: that of the last reading of its window. The next five fields are of that detection.
    #[schema(format = DateTime, required)]
    judged_at: Option<String>,
    /// The reconstruction loss of the window.
    #[schema(required)]
    loss: Option<f64>,
    /// The loss above which a window is anomalous.
    #[schema(required)]
    threshold: Option<f64>,
    /// Whether the window is anomalous.
    #[schema(required)]
    is_anomaly: Option<bool>,
    /// Each channel's share of the loss, by name; the shares sum to 1.
    #[schema(value_type = Option<BTreeMap<String, f64>>, required)]
    contributions: Option<ByChannel<f64>>,
    /// The model that scored it; before the first detection, the model that will.
    #[schema(required)]
    model: Option<String>,
    /// The progress towards the first detection, while the status is `LEARNING`; else null.
    #[schema(required)]
    learning: Option<Learning>,
    /// The properties of its feed; null if nothing is known yet.
    #[schema(required)]
    feed: Option<FeedResponse>,
    totals: LiveTotals,
    /// The simulation, on a demo node; null on other nodes.
    #[schema(required)]
    simulation: Option<PumpSimulation>,
}

/// One channel of the latest reading.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveChannelResponse {
    /// The value as sent; null if the channel was not sent.
    #[schema(required)]
    value: Option<f64>,
    /// Its unit.
    unit: String,
    /// `ok`, `bad`, `filled`, `missing`, or the limit that is violated: `low_alarm`, `low_warning`, `high_warning`,
    /// `high_alarm`; `unknown` if no reading was received since the node started.
    state: &'static str,
    /// `good`, `bad`, `filled` or `missing`.
    quality: &'static str,
}

/// Totals since the node started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveTotals {
    /// The totals of this pump.
    pump: PumpTotals,
    /// The totals of the whole node, by name.
    #[schema(value_type = BTreeMap<String, u64>)]
    node: BTreeMap<&'static str, u64>,
}

/// One pump's totals since the node started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PumpTotals {
    /// New readings.
    readings: u64,
    /// Readings, or parts of them, that arrived too late for their window: stored, not scored.
    late: u64,
    /// Readings, or parts of them, that were more than one minute old when they arrived. They are in the history, and not
    /// in the live stream.
    past: u64,
    /// Windows that the model scored.
    scored: u64,
    /// Windows that were anomalous.
    anomalies: u64,
}

/// The current state of one pump: its values, its status and its last detection.
#[utoipa::path(
    get,
    path = "/api/live-data",
    tag = "live",
    params(LiveQuery),
    responses((status = 200, description = "The current state", body = LiveResponse), Invalid, NotFound, Unavailable)
)]
pub(crate) async fn live_data(
    node: web::Data<Node>,
    store: web::Data<StoreContext>,
    Query(query): Query<LiveQuery>,
) -> Result<web::Json<LiveResponse>, ApiError> {
    let engine = &node.engine;
    let pump = query.pump_id.map_or_else(|| store.default_pump.clone(), |pump| pump.0);
    let live = match engine.live(&pump).await {
        Some(live) => with_latest_reading(live, engine).await?,
        None => {
            let last = engine.last_shown(&pump).await?;
            let last = last.ok_or_else(|| match engine.refused(&pump) {
                Some(reason) => ApiError::RefusedPump { pump: pump.clone(), reason },
                None => ApiError::UnknownPump(pump.clone()),
            })?;
            let ended = match &node.simulation {
                Some(simulation) => !simulation.progress().await.plays(&pump),
                None => false,
            };
            if ended {
                LivePump { status: Status::Stale, ..last_known(last.reading) }
            } else {
                without_reading_since_start(last, node.uptime_ms())
            }
        }
    };
    let KindParts { profile, model, .. } = engine.kind_parts_of(&pump);
    let model = model.map(|model| model.id().to_string());
    let mut response = LiveResponse::new(&profile, live, model, &engine.totals());
    response.name = store.queries.pump_name(&pump);
    if let Some(simulation) = &node.simulation {
        response.simulation = Some(PumpSimulation::new(simulation.progress().await, &pump));
    }
    Ok(web::Json(response))
}

impl LiveResponse {
    fn new(profile: &Profile, live: LivePump, model: Option<String>, node: &Totals) -> Self {
        let status_reason = status_reason(&live);
        let learning = Learning::of(&live.status);
        let (reading, channels) = live.latest.unzip();
        let to_response = |(channel, live): (&volute_plant::Channel, LiveChannel)| LiveChannelResponse {
            value: live.sample.value(),
            unit: channel.unit.clone(),
            state: live.state,
            quality: live.sample.flag().unwrap_or("good"),
        };
        let channels = profile.channels().iter().zip(channels.into_iter().flatten()).map(to_response);
        let detection = live.detection.as_ref();
        Self {
            pump_id: live.pump,
            name: None,
            status: PumpStatus::of(&live.status),
            status_reason,
            age_ms: live.age_ms,
            clock: live.clock.map(ClockResponse::from),
            timestamp: reading.as_ref().map(|r| r.at.to_string()),
            received_at: reading.as_ref().map(|r| r.received.to_string()),
            channels: ByChannel::new(profile, channels.enumerate()),
            judged_at: detection.map(|d| d.at.to_string()),
            loss: detection.map(|d| d.loss),
            threshold: detection.map(|d| d.threshold),
            is_anomaly: detection.map(|d| d.is_anomaly),
            contributions: detection.map(|d| ByChannel::new(profile, d.contributions.iter().copied().enumerate())),
            model: detection.map(|d| d.model.to_string()).or(model),
            learning,
            feed: live.cadence.as_ref().map(FeedResponse::from),
            totals: LiveTotals {
                pump: PumpTotals {
                    readings: live.readings,
                    late: live.late,
                    past: live.past,
                    scored: live.scored,
                    anomalies: live.anomalies,
                },
                node: node.figures().collect(),
            },
            simulation: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use volute_actors::{CommissioningPhase, LastShown, LearningProgress};
    use volute_plant::{Detection, Reading, Sample, Timestamp};

    use super::*;
    use crate::channels::tests::profile;

    fn reading() -> Reading {
        let at = Timestamp::from_millis(1_773_051_273_000).expect("a time");
        let samples = [Sample::Good(90.0), Sample::Missing].into();
        Reading { pump: "P-1".parse().expect("a name"), at, received: at.plus_ms(20), samples, late: false }
    }

    fn shown(live: LivePump) -> Value {
        let totals = Totals { accepted: 7, ..Totals::default() };
        serde_json::to_value(LiveResponse::new(&profile(), live, Some("m-2".into()), &totals)).expect("JSON")
    }

    #[test]
    fn a_judged_pump_has_values_a_detection_and_totals() {
        let reading = reading();
        let detection = Detection {
            pump: reading.pump.clone(),
            at: reading.at,
            loss: 0.75,
            threshold: 0.5,
            is_anomaly: true,
            contributions: [0.9, 0.1].into(),
            model: "m-1".into(),
        };
        let states = ["high_warning", "missing"];
        let channels = reading.samples.iter().zip(states).map(|(&sample, state)| LiveChannel { sample, state });
        let live = LivePump {
            pump: reading.pump.clone(),
            latest: Some((reading.clone(), channels.collect())),
            age_ms: Some(150),
            status: Status::Anomaly,
            clock: None,
            since: reading.received,
            note: None,
            detection: Some(detection),
            trend: Vec::new(),
            cadence: None,
            readings: 40,
            late: 3,
            past: 0,
            scored: 11,
            anomalies: 2,
        };
        let mut shown = shown(live);
        assert_eq!(shown["totals"]["node"]["accepted"].take(), json!(7));
        shown["totals"]["node"].take();
        assert_eq!(
            shown,
            json!({
                "pump_id": "P-1", "name": null, "status": "ANOMALY", "status_reason": null, "age_ms": 150, "clock": null,
                "timestamp": "2026-03-09T10:14:33.000Z", "received_at": "2026-03-09T10:14:33.020Z",
                "channels": {
                    "Tb": {"value": 90.0, "unit": "°C", "state": "high_warning", "quality": "good"},
                    "Q": {"value": null, "unit": "L/min", "state": "missing", "quality": "missing"},
                },
                "judged_at": "2026-03-09T10:14:33.000Z", "loss": 0.75, "threshold": 0.5, "is_anomaly": true,
                "contributions": {"Tb": 0.9, "Q": 0.1}, "model": "m-1", "learning": null, "feed": null,
                "totals": {"pump": {"readings": 40, "late": 3, "past": 0, "scored": 11, "anomalies": 2}, "node": null},
                "simulation": null,
            })
        );
    }

    #[test]
    fn a_pump_without_a_reading_since_the_start_is_stale_once_one_is_overdue() {
        let shown = |uptime_ms| {
            shown(without_reading_since_start(LastShown { reading: reading(), stale_after_ms: 180_000 }, uptime_ms))
        };
        let early = shown(60_000);
        assert_eq!(early["status"], "UNKNOWN");
        let reason = "no reading has arrived since the node was started; one is expected within 2 min";
        assert_eq!(early["status_reason"], reason);
        assert_eq!(shown(180_001)["status"], "STALE");
    }

    #[test]
    fn every_status_without_a_current_detection_has_a_reason() {
        let shown = |status, age_ms| shown(LivePump { status, age_ms, ..last_known(reading()) });
        let window = || Status::Learning(LearningProgress::Window { have: 12, need: 30 });
        let commissioning = |phase| {
            let (running_ms, needed_ms) = (11_520_000, 86_400_000);
            Status::Learning(LearningProgress::Commissioning { phase, running_ms, needed_ms, last_error: None })
        };
        let learning = shown(window(), Some(5));
        assert_eq!(
            (&learning["status"], &learning["learning"]),
            (&json!("LEARNING"), &json!({"of": "window", "have": 12, "need": 30}))
        );
        assert_eq!(
            shown(commissioning(CommissioningPhase::Gathering), Some(5))["learning"],
            json!({"of": "commissioning", "phase": "gathering", "running_h": 3.2, "needed_h": 24.0, "trouble": null})
        );
        assert_eq!((&learning["model"], &learning["loss"]), (&json!("m-2"), &Value::Null));
        for (status, age_ms, word, reason) in [
            (window(), Some(5), "LEARNING", json!("the window has 12 of 30 steps")),
            (
                commissioning(CommissioningPhase::Gathering),
                Some(5),
                "LEARNING",
                json!("the baseline is being learned: 3.2 of 24 h of normal running"),
            ),
            (
                commissioning(CommissioningPhase::Calculating),
                Some(5),
                "LEARNING",
                json!("the baseline is being learned: its threshold is being calculated"),
            ),
            (Status::Off { stopping: false }, Some(5), "OFF", json!("the pump is at standstill, so it is not judged")),
            (Status::Off { stopping: true }, Some(5), "OFF", json!("the pump is stopping, so it is not judged")),
            (
                Status::Starting { have: 12, need: 60 },
                Some(5),
                "STARTING",
                json!("it has run 12 of 60 steps since its start"),
            ),
            (Status::Unknown { reason: "no model".into() }, Some(5), "UNKNOWN", json!("no model")),
            (Status::Stale, Some(9000), "STALE", json!("the last reading arrived 9000 ms ago")),
            (
                Status::Stale,
                None,
                "STALE",
                json!("no reading has arrived since the node, or its live feed, was started"),
            ),
            (Status::Normal, Some(5), "NORMAL", Value::Null),
        ] {
            let shown = shown(status, age_ms);
            assert_eq!((&shown["status"], &shown["status_reason"]), (&json!(word), &reason));
        }
    }
}
