//! The frames (messages) that the live feed broadcasts to subscribers. Their data is arranged in columns.

use volute_plant::{Detection, Profile, PumpId, PumpName, Reading, Timestamp};

use super::snapshot::Status;
use crate::protocol::alarms::AlarmSummary;

/// A frame for subscribers.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// Readings of one pump.
    Readings(ReadingFrame),
    /// Detections of one pump.
    Detections(DetectionFrame),
    /// The status of every pump. Sent once a second.
    Fleet(FleetFrame),
    /// The alarms of a pump have changed.
    Alarms(PumpId, AlarmSummary),
    /// A pump was removed.
    Removed(PumpId),
    /// A pump's display name was changed, or deleted (none).
    Named(PumpId, Option<PumpName>),
}

/// Readings of one pump, in columns.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadingFrame {
    /// The pump.
    pub pump: PumpId,
    /// Its profile. The columns are the channels of the profile, in its order.
    pub profile: Profile,
    /// The device times of the readings, in the order of arrival.
    pub t: Vec<Timestamp>,
    /// One column per channel of the profile, each as long as `t`; none where a reading has no value.
    pub values: Vec<Vec<Option<f64>>>,
}

/// Detections of one pump, in columns.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionFrame {
    /// The pump.
    pub pump: PumpId,
    /// Its profile. The columns are the channels of the profile, in its order.
    pub profile: Profile,
    /// The times of the windows' last readings.
    pub t: Vec<Timestamp>,
    /// The losses.
    pub loss: Vec<f64>,
    /// The thresholds.
    pub threshold: Vec<f64>,
    /// Whether each was anomalous.
    pub is_anomaly: Vec<bool>,
    /// One column per channel of the profile, each as long as `t`: the channel's share of the loss.
    pub contributions: Vec<Vec<f64>>,
}

/// The status of every pump from which a reading has arrived since the node started.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetFrame {
    /// The time of the frame, by the node's clock.
    pub now: Timestamp,
    /// The pumps, ordered by id.
    pub pumps: Vec<FleetRow>,
}

/// The status of one pump.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetRow {
    /// The pump.
    pub pump: PumpId,
    /// Its status.
    pub status: Status,
    /// How long ago its last reading was received, in milliseconds.
    pub age_ms: Option<i64>,
    /// What is wrong with its clock, as text for users.
    pub clock: Option<String>,
    /// The model's last detection: the time of the window's last reading, the loss and the threshold.
    pub detection: Option<(Timestamp, f64, f64)>,
    /// Its alarms.
    pub alarms: AlarmSummary,
}

impl ReadingFrame {
    /// Returns a frame without entries.
    pub(super) fn empty(pump: &PumpId, profile: &Profile) -> Self {
        let values = vec![Vec::new(); profile.channels().len()];
        Self { pump: pump.clone(), profile: profile.clone(), t: Vec::new(), values }
    }

    /// Adds a reading.
    pub(super) fn push(&mut self, reading: &Reading) {
        self.t.push(reading.at);
        for (column, sample) in self.values.iter_mut().zip(reading.samples.iter()) {
            column.push(sample.value());
        }
    }
}

impl DetectionFrame {
    /// Returns a frame without entries.
    pub(super) fn empty(pump: &PumpId, profile: &Profile) -> Self {
        let (t, loss, threshold, is_anomaly) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let contributions = vec![Vec::new(); profile.channels().len()];
        Self { pump: pump.clone(), profile: profile.clone(), t, loss, threshold, is_anomaly, contributions }
    }

    /// Adds a detection.
    pub(super) fn push(&mut self, detection: &Detection) {
        self.t.push(detection.at);
        self.loss.push(detection.loss);
        self.threshold.push(detection.threshold);
        self.is_anomaly.push(detection.is_anomaly);
        for (column, &share) in self.contributions.iter_mut().zip(detection.contributions.iter()) {
            column.push(share);
        }
    }
}
