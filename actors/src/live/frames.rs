//! What the live feed sends to those who listen, column by column.

use volute_plant::{Detection, Profile, PumpId, PumpName, Reading, Timestamp};

use super::snapshot::Status;

/// What listeners get.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// Readings of one pump.
    Readings(ReadingFrame),
    /// Detections of one pump.
    Detections(DetectionFrame),
    /// How every pump is; once a second.
    Fleet(FleetFrame),
    /// A pump was removed.
    Removed(PumpId),
    /// A pump was given a name for people, or none any more.
    Named(PumpId, Option<PumpName>),
}

/// Readings of one pump, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadingFrame {
    /// Which pump.
    pub pump: PumpId,
    /// Its profile, whose channels the columns are.
    pub profile: Profile,
    /// The times, in the order of arrival.
    pub t: Vec<Timestamp>,
    /// One column per channel of the profile, each as long as `t`; nothing where nothing was sent.
    pub values: Vec<Vec<Option<f64>>>,
}

/// Detections of one pump, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionFrame {
    /// Which pump.
    pub pump: PumpId,
    /// Its profile, whose channels the columns are.
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

/// How every pump is that was heard since the node started.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetFrame {
    /// When, by the node's clock.
    pub now: Timestamp,
    /// The pumps, by name.
    pub pumps: Vec<FleetRow>,
}

/// How one pump is.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetRow {
    /// Which pump.
    pub pump: PumpId,
    /// How it is.
    pub status: Status,
    /// How long ago its last reading was received, in milliseconds.
    pub age_ms: Option<i64>,
    /// What is wrong with its clock, for people.
    pub clock: Option<String>,
    /// The time of the last reading that the model judged, the loss there, and the threshold.
    pub verdict: Option<(Timestamp, f64, f64)>,
}

impl ReadingFrame {
    /// Nothing yet.
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
    /// Nothing yet.
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
