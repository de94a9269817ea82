//! What a maintenance event is based on: the reading, the detection and the alarms at the time when it was opened, and
//! again at each time when its severity was raised.
//!
//! An example, of a rule with the levels "high above 85 °C" and "critical above 100 °C":
//!
//! | time | bearing | evidence |
//! | --- | --- | --- |
//! | 10:00 | 90 °C | high: 90 °C above 85 °C; all values of the reading; the anomaly of that window; no alarm |
//! | 10:05 | 99 °C | none: the severity is the same |
//! | 10:09 | 101 °C | critical: 101 °C above 100 °C; ...; the alarm "bearing above 93 °C", which stands since 10:04 |
//!
//! Evidence is never changed. It has copies of what it names, so it can be read when the readings are deleted.

use serde::{Deserialize, Serialize};

use crate::{Detection, Profile, Reading, Sample, Severity, Timestamp};

/// What opened an event or raised its severity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventEvidence {
    /// The severity of the event from then on.
    pub severity: Severity,
    /// The time of the reading, in device time.
    pub at: Timestamp,
    /// When the reading was received, by the node's clock.
    pub received_at: Timestamp,
    /// The channel that was above the limit.
    pub channel: String,
    /// Its value, in its unit.
    pub value: f64,
    /// The limit of the rule at this severity, in the channel's unit.
    pub limit: f64,
    /// All values of the reading.
    pub values: Vec<EvidenceValue>,
    /// The detection for the reading; none if the limit alone decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<EvidenceDetection>,
    /// The alarms of the pump that stood when the rule was evaluated, the highest priority first; at most
    /// [`MAX_EVIDENCE_ALARMS`].
    #[serde(default)]
    pub alarms: Vec<EvidenceAlarm>,
    /// How many alarms stood then.
    #[serde(default)]
    pub alarms_standing: usize,
}

/// The maximum number of alarms in an event's evidence.
pub const MAX_EVIDENCE_ALARMS: usize = 20;

/// A value of the reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceValue {
    /// The channel.
    pub channel: String,
    /// Its unit.
    pub unit: String,
    /// The value.
    pub value: f64,
    /// Whether a working sensor can have sent it.
    pub is_plausible: bool,
}

/// The detection for the reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceDetection {
    /// The value that was compared with the threshold.
    pub loss: f64,
    /// The threshold.
    pub threshold: f64,
    /// The model, with its version.
    pub model: String,
    /// Each channel's share, in the profile's order.
    pub contributions: Vec<(String, f64)>,
}

/// An alarm that stood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceAlarm {
    /// Its id.
    pub alarm: String,
    /// Its title then.
    pub title: String,
    /// Its priority then: `low`, `medium`, `high` or `critical`.
    pub priority: String,
    /// Its state then, such as `unacknowledged`.
    pub state: String,
    /// Its occurrence.
    pub occurrence: u32,
    /// When this occurrence was announced, by the node's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised_at: Option<Timestamp>,
    /// The value that raised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

/// A rule's violation.
pub(crate) struct Violation<'a> {
    pub severity: Severity,
    pub channel: &'a str,
    pub value: f64,
    pub limit: f64,
}

impl EventEvidence {
    /// Collects the evidence of a violation.
    pub(crate) fn new(
        violation: &Violation<'_>,
        profile: &Profile,
        reading: &Reading,
        detection: Option<&Detection>,
        mut alarms: Vec<EvidenceAlarm>,
    ) -> Self {
        let alarms_standing = alarms.len();
        alarms.truncate(MAX_EVIDENCE_ALARMS);
        let values = profile.channels().iter().zip(reading.samples.iter()).filter_map(|(channel, sample)| {
            let (value, is_plausible) = match *sample {
                Sample::Good(value) => (value, true),
                Sample::Bad(value) => (value, false),
                Sample::Filled | Sample::Missing => return None,
            };
            let (channel, unit) = (channel.name.clone(), channel.unit.clone());
            value.is_finite().then_some(EvidenceValue { channel, unit, value, is_plausible })
        });
        let detection = detection.map(|detection| EvidenceDetection {
            loss: detection.loss,
            threshold: detection.threshold,
            model: detection.model.to_string(),
            contributions: profile
                .channel_names()
                .map(ToOwned::to_owned)
                .zip(detection.contributions.iter().copied())
                .collect(),
        });
        Self {
            severity: violation.severity,
            at: reading.at,
            received_at: reading.received,
            channel: violation.channel.to_owned(),
            value: violation.value,
            limit: violation.limit,
            values: values.collect(),
            detection,
            alarms,
            alarms_standing,
        }
    }
}
