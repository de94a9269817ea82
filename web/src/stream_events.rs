//! What goes over a live stream: the engine's frames as JSON columns, and which of them somebody wants.

use actix_web::web::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use volute_actors::{DetectionFrame, FleetRow, Frame, ReadingFrame};
use volute_plant::{PumpId, PumpName, Timestamp};

use crate::{decode::refused, wire::PumpStatus};

/// Event `reading`: readings of one pump, column by column.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadingEvent<'a> {
    /// The readings' times, in milliseconds since 1970, in the order of arrival.
    t: Vec<i64>,
    /// Whose readings they are.
    #[schema(value_type = String)]
    pump: &'a PumpId,
    /// The channels' names.
    #[schema(value_type = Vec<String>)]
    channels: Vec<&'a str>,
    /// One column per channel, each as long as `t`; null where nothing was sent.
    #[schema(value_type = Vec<Vec<Option<f64>>>)]
    values: &'a [Vec<Option<f64>>],
}

/// Event `detection`: the model's verdicts on windows of one pump, column by column.
#[derive(Serialize, ToSchema)]
pub(crate) struct DetectionEvent<'a> {
    /// The times of the windows' last readings, in milliseconds since 1970.
    t: Vec<i64>,
    /// Whose windows they are.
    #[schema(value_type = String)]
    pump: &'a PumpId,
    /// The reconstruction losses.
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

/// Event `fleet`, once a second: how the pumps are that were heard since the node started, column by column.
#[derive(Serialize, ToSchema)]
pub(crate) struct FleetEvent<'a> {
    /// The node's time, in milliseconds since 1970.
    now: i64,
    /// The pumps, by name.
    #[schema(value_type = Vec<String>)]
    pumps: Vec<&'a PumpId>,
    /// How each is.
    status: Vec<PumpStatus>,
    /// How long ago its last reading was received, in milliseconds.
    age_ms: Vec<Option<i64>>,
    /// What is wrong with its clock; null where nothing is.
    clock: Vec<Option<&'a str>>,
    /// The time of its last reading that the model judged, in milliseconds since 1970.
    at: Vec<Option<i64>>,
    /// The reconstruction loss there.
    loss: Vec<Option<f64>>,
    /// The loss above which a window is anomalous.
    threshold: Vec<Option<f64>>,
}

/// Event `removed`: a pump was removed with all that was stored of it. Every subscriber is told.
#[derive(Serialize, ToSchema)]
pub(crate) struct RemovedEvent<'a> {
    /// Which pump.
    #[schema(value_type = String)]
    pump: &'a PumpId,
}

/// Event `renamed`: a pump was given a name for people, or none any more. Every subscriber is told.
#[derive(Serialize, ToSchema)]
pub(crate) struct RenamedEvent<'a> {
    /// Which pump.
    #[schema(value_type = String)]
    pump: &'a PumpId,
    /// Its name; null if it has none any more.
    #[schema(value_type = Option<String>, required)]
    name: Option<&'a PumpName>,
}

/// Event `lagged`: the subscriber was too slow.
#[derive(Serialize, ToSchema)]
pub(crate) struct LaggedEvent {
    /// Frames that it did not get, of all pumps.
    pub(crate) dropped: u64,
}

/// Which events a subscriber wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct EventMask {
    reading: bool,
    detection: bool,
    fleet: bool,
}

impl TryFrom<String> for EventMask {
    type Error = String;

    /// Reads a list as `reading,fleet`.
    fn try_from(list: String) -> Result<Self, String> {
        let mut mask = Self { reading: false, detection: false, fleet: false };
        for name in list.split(',') {
            match name {
                "reading" => mask.reading = true,
                "detection" => mask.detection = true,
                "fleet" => mask.fleet = true,
                _ => return Err(refused("reading, detection, fleet; several are separated by commas")),
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

/// A frame as an event's name and JSON, if somebody wants it; of one pump, or of all.
pub(crate) fn event(frame: &Frame, mask: EventMask, pump: Option<&PumpId>) -> Option<Bytes> {
    let about = |of| pump.is_none_or(|pump| pump == of);
    match frame {
        Frame::Readings(frame) if mask.reading && about(&frame.pump) => written("reading", &readings(frame)),
        Frame::Detections(frame) if mask.detection && about(&frame.pump) => written("detection", &detections(frame)),
        Frame::Fleet(frame) if mask.fleet => {
            let rows: Vec<&FleetRow> = frame.pumps.iter().filter(|row| about(&row.pump)).collect();
            written("fleet", &fleet(frame.now, &rows))
        }
        Frame::Removed(removed) if about(removed) => written("removed", &RemovedEvent { pump: removed }),
        Frame::Named(pump, name) if about(pump) => written("renamed", &RenamedEvent { pump, name: name.as_ref() }),
        _ => None,
    }
}

/// An event as it goes over the wire. JSON has no line breaks of its own, so one `data:` line holds it.
pub(crate) fn written(name: &str, data: &impl Serialize) -> Option<Bytes> {
    match serde_json::to_string(data) {
        Ok(json) => Some(format!("event: {name}\ndata: {json}\n\n").into()),
        Err(error) => {
            tracing::error!(event = name, %error, "not sent");
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
        at: rows.iter().map(|row| row.verdict.map(|(at, _, _)| at.millis())).collect(),
        loss: rows.iter().map(|row| row.verdict.map(|(_, loss, _)| loss)).collect(),
        threshold: rows.iter().map(|row| row.verdict.map(|(_, _, threshold)| threshold)).collect(),
    }
}

fn millis(times: &[Timestamp]) -> Vec<i64> {
    times.iter().map(|at| at.millis()).collect()
}
