//! The events of a live stream: the engine's frames as JSON columns, and the selection of events by a subscriber.

use actix_web::web::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use volute_actors::{DetectionFrame, FleetRow, Frame, ReadingFrame};
use volute_plant::{PumpId, PumpName, Timestamp};

use crate::{
    decode::not_allowed,
    wire::{AlarmSummaryResponse, PumpStatus},
};

/// Event `reading`: readings of one pump, in columns.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadingEvent<'a> {
    /// The readings' times, in milliseconds since 1970, in the order of arrival.
    t: Vec<i64>,
    /// The pump's id.
    #[schema(value_type = String)]
    pump: &'a PumpId,
    /// The channels' names.
    #[schema(value_type = Vec<String>)]
    channels: Vec<&'a str>,
    /// One column per channel, each as long as `t`; null if the channel was not sent.
    #[schema(value_type = Vec<Vec<Option<f64>>>)]
    values: &'a [Vec<Option<f64>>],
}

/// Event `detection`: the model's detections for windows of one pump, in columns.
#[derive(Serialize, ToSchema)]
pub(crate) struct DetectionEvent<'a> {
    /// The times of the windows' last readings, in milliseconds since 1970.
    t: Vec<i64>,
    /// The pump's id.
    #[schema(value_type = String)]
    pump: &'a PumpId,
    /// The reconstruction losses of the windows.
    #[schema(value_type = Vec<f64>)]
    loss: &'a [f64],
    /// The losses above which a window is anomalous.
    #[schema(value_type = Vec<f64>)]
    threshold: &'a [f64],
    /// Whether each window is anomalous.
    #[schema(value_type = Vec<bool>)]
    is_anomaly: &'a [bool],
    /// The channels' names.
    #[schema(value_type = Vec<String>)]
    channels: Vec<&'a str>,
    /// One column per channel, each as long as `t`: the channel's share of the loss; a window's shares sum to 1.
    #[schema(value_type = Vec<Vec<f64>>)]
    contributions: &'a [Vec<f64>],
}

/// Event `fleet`, once a second: the state of the pumps that have sent readings since the node started, in columns.
#[derive(Serialize, ToSchema)]
pub(crate) struct FleetEvent<'a> {
    /// The node's time, in milliseconds since 1970.
    now: i64,
    /// The ids of the pumps, sorted.
    #[schema(value_type = Vec<String>)]
    pumps: Vec<&'a PumpId>,
    /// The status of each pump.
    status: Vec<PumpStatus>,
    /// The time since each pump's last reading was received, in milliseconds.
    age_ms: Vec<Option<i64>>,
    /// What is wrong with its clock; null if nothing is.
    clock: Vec<Option<&'a str>>,
    /// The time of its last detection, in milliseconds since 1970.
    at: Vec<Option<i64>>,
    /// The reconstruction loss of that detection.
    loss: Vec<Option<f64>>,
    /// The loss above which a window is anomalous.
    threshold: Vec<Option<f64>>,
    /// Its alarms.
    alarms: Vec<AlarmSummaryResponse>,
}

/// Event `alarms`: the alarms of a pump have changed. It is sent with the event `fleet`, at once.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlarmsEvent<'a> {
    /// The pump's id.
    #[schema(value_type = String)]
    pump: &'a PumpId,
    /// Its alarms.
    alarms: AlarmSummaryResponse,
}

/// Event `removed`: a pump and its stored data were removed. It is sent whatever events are selected.
#[derive(Serialize, ToSchema)]
pub(crate) struct RemovedEvent<'a> {
    /// The pump's id.
    #[schema(value_type = String)]
    pump: &'a PumpId,
}

/// Event `renamed`: the display name of a pump was set or removed. It is sent whatever events are selected.
#[derive(Serialize, ToSchema)]
pub(crate) struct RenamedEvent<'a> {
    /// The pump's id.
    #[schema(value_type = String)]
    pump: &'a PumpId,
    /// Its display name; null if it was removed.
    #[schema(value_type = Option<String>, required)]
    name: Option<&'a PumpName>,
}

/// Event `lagged`: the subscriber was too slow.
#[derive(Serialize, ToSchema)]
pub(crate) struct LaggedEvent {
    /// The number of frames that were dropped, of all pumps.
    pub(crate) dropped: u64,
}

/// The events that a subscriber has selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct EventMask {
    reading: bool,
    detection: bool,
    fleet: bool,
}

impl TryFrom<String> for EventMask {
    type Error = String;

    /// Parses a list, for example `reading,fleet`.
    fn try_from(list: String) -> Result<Self, String> {
        let mut mask = Self { reading: false, detection: false, fleet: false };
        for name in list.split(',') {
            match name {
                "reading" => mask.reading = true,
                "detection" => mask.detection = true,
                "fleet" => mask.fleet = true,
                _ => return Err(not_allowed("reading, detection, fleet; several are separated by commas")),
            }
        }
        Ok(mask)
    }
}

impl Default for EventMask {
    fn default() -> Self {
        Self { reading: true, detection: true, fleet: false }
    }
}

/// Encodes a frame as an event; none if it is not selected by `mask` or is of another pump than `pump`.
pub(crate) fn frame_event(frame: &Frame, mask: EventMask, pump: Option<&PumpId>) -> Option<Bytes> {
    let is_for = |of| pump.is_none_or(|pump| pump == of);
    match frame {
        Frame::Readings(frame) if mask.reading && is_for(&frame.pump) => encode_event("reading", &readings(frame)),
        Frame::Detections(frame) if mask.detection && is_for(&frame.pump) => {
            encode_event("detection", &detections(frame))
        }
        Frame::Fleet(frame) if mask.fleet => {
            let rows: Vec<&FleetRow> = frame.pumps.iter().filter(|row| is_for(&row.pump)).collect();
            encode_event("fleet", &fleet(frame.now, &rows))
        }
        Frame::Alarms(pump, alarms) if mask.fleet && is_for(pump) => {
            encode_event("alarms", &AlarmsEvent { pump, alarms: AlarmSummaryResponse::of(alarms) })
        }
        Frame::Removed(removed) if is_for(removed) => encode_event("removed", &RemovedEvent { pump: removed }),
        Frame::Named(pump, name) if is_for(pump) => {
            encode_event("renamed", &RenamedEvent { pump, name: name.as_ref() })
        }
        _ => None,
    }
}

/// Encodes an event for the wire. The JSON has no line breaks, so it fits into one `data:` line.
pub(crate) fn encode_event(name: &str, data: &impl Serialize) -> Option<Bytes> {
    match serde_json::to_string(data) {
        Ok(json) => Some(format!("event: {name}\ndata: {json}\n\n").into()),
        Err(error) => {
            tracing::error!(event = name, %error, "live event not sent");
            None
        }
    }
}

fn readings(frame: &ReadingFrame) -> ReadingEvent<'_> {
    ReadingEvent {
        t: millis(&frame.t),
        pump: &frame.pump,
        channels: frame.profile.channel_names().collect(),
        values: &frame.values,
    }
}

fn detections(frame: &DetectionFrame) -> DetectionEvent<'_> {
    DetectionEvent {
        t: millis(&frame.t),
        pump: &frame.pump,
        loss: &frame.loss,
        threshold: &frame.threshold,
        is_anomaly: &frame.is_anomaly,
        channels: frame.profile.channel_names().collect(),
        contributions: &frame.contributions,
    }
}

fn fleet<'a>(now: Timestamp, rows: &[&'a FleetRow]) -> FleetEvent<'a> {
    FleetEvent {
        now: now.millis(),
        pumps: rows.iter().map(|row| &row.pump).collect(),
        status: rows.iter().map(|row| PumpStatus::of(&row.status)).collect(),
        age_ms: rows.iter().map(|row| row.age_ms).collect(),
        clock: rows.iter().map(|row| row.clock.as_deref()).collect(),
        at: rows.iter().map(|row| row.detection.map(|(at, _, _)| at.millis())).collect(),
        loss: rows.iter().map(|row| row.detection.map(|(_, loss, _)| loss)).collect(),
        threshold: rows.iter().map(|row| row.detection.map(|(_, _, threshold)| threshold)).collect(),
        alarms: rows.iter().map(|row| AlarmSummaryResponse::of(&row.alarms)).collect(),
    }
}

fn millis(times: &[Timestamp]) -> Vec<i64> {
    times.iter().map(|at| at.millis()).collect()
}
