//! The encoding of pumps, readings, detections, checkpoints and metrics in a journal record: fields by position.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use volute_plant::{Detection, PumpId, Reading, Sample, Timestamp};

use crate::store::types::{PumpCheckpoint, PumpRecord, SystemMetrics};

/// The version that this binary writes.
pub(super) const VERSION: u8 = 6;

/// Why a record cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// It has a version that this binary does not read.
    #[error("its version is {0:?}; this binary reads 1 to {VERSION}")]
    Version(Option<u8>),
    /// It is not a valid encoding.
    #[error(transparent)]
    Form(#[from] postcard::Error),
    /// A field has an invalid value.
    #[error("{0}")]
    Field(String),
}

#[derive(Serialize, Deserialize)]
pub(super) struct PumpForm {
    id: String,
    profile: String,
    channels: Vec<String>,
    registered: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ReadingForm {
    pump: String,
    at: i64,
    received: i64,
    late: bool,
    samples: Vec<SampleForm>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum SampleForm {
    Good(f64),
    Bad(f64),
    Filled,
    Missing,
}

#[derive(Serialize, Deserialize)]
pub(super) struct DetectionForm {
    pump: String,
    at: i64,
    loss: f64,
    threshold: f64,
    is_anomaly: bool,
    contributions: Vec<f64>,
    model: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CheckpointForm {
    pump: String,
    at: i64,
    document: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct MetricsForm {
    at: i64,
    figures: BTreeMap<String, f64>,
}

impl From<&PumpRecord> for PumpForm {
    fn from(pump: &PumpRecord) -> Self {
        Self {
            id: pump.id.to_string(),
            profile: pump.profile.clone(),
            channels: pump.channels.clone(),
            registered: pump.registered_at.millis(),
        }
    }
}

impl TryFrom<PumpForm> for PumpRecord {
    type Error = RecordError;

    fn try_from(form: PumpForm) -> Result<Self, RecordError> {
        let PumpForm { id, profile, channels, registered } = form;
        Ok(Self { id: name(&id)?, profile, channels, registered_at: time(registered)? })
    }
}

impl From<&Reading> for ReadingForm {
    fn from(reading: &Reading) -> Self {
        let form = |sample: &Sample| match *sample {
            Sample::Good(value) => SampleForm::Good(value),
            Sample::Bad(value) => SampleForm::Bad(value),
            Sample::Filled => SampleForm::Filled,
            Sample::Missing => SampleForm::Missing,
        };
        Self {
            pump: reading.pump.to_string(),
            at: reading.at.millis(),
            received: reading.received.millis(),
            late: reading.late,
            samples: reading.samples.iter().map(form).collect(),
        }
    }
}

impl TryFrom<ReadingForm> for Reading {
    type Error = RecordError;

    fn try_from(form: ReadingForm) -> Result<Self, RecordError> {
        let sample = |form: &SampleForm| match *form {
            SampleForm::Good(value) => Sample::Good(value),
            SampleForm::Bad(value) => Sample::Bad(value),
            SampleForm::Filled => Sample::Filled,
            SampleForm::Missing => Sample::Missing,
        };
        Ok(Self {
            pump: name(&form.pump)?,
            at: time(form.at)?,
            received: time(form.received)?,
            late: form.late,
            samples: form.samples.iter().map(sample).collect(),
        })
    }
}

impl From<&Detection> for DetectionForm {
    fn from(detection: &Detection) -> Self {
        Self {
            pump: detection.pump.to_string(),
            at: detection.at.millis(),
            loss: detection.loss,
            threshold: detection.threshold,
            is_anomaly: detection.is_anomaly,
            contributions: detection.contributions.to_vec(),
            model: detection.model.to_string(),
        }
    }
}

impl TryFrom<DetectionForm> for Detection {
    type Error = RecordError;

    fn try_from(form: DetectionForm) -> Result<Self, RecordError> {
        let DetectionForm { pump, at, loss, threshold, is_anomaly, contributions, model } = form;
        let (contributions, model) = (contributions.into(), model.into());
        Ok(Self { pump: name(&pump)?, at: time(at)?, loss, threshold, is_anomaly, contributions, model })
    }
}

impl From<&PumpCheckpoint> for CheckpointForm {
    fn from(checkpoint: &PumpCheckpoint) -> Self {
        Self { pump: checkpoint.pump.to_string(), at: checkpoint.at.millis(), document: checkpoint.document.clone() }
    }
}

impl TryFrom<CheckpointForm> for PumpCheckpoint {
    type Error = RecordError;

    fn try_from(form: CheckpointForm) -> Result<Self, RecordError> {
        let CheckpointForm { pump, at, document } = form;
        Ok(Self { pump: name(&pump)?, at: time(at)?, document })
    }
}

pub(super) fn name(text: &str) -> Result<PumpId, RecordError> {
    PumpId::from_stored(text).map_err(|error| RecordError::Field(format!("pump {text:?}: {error}")))
}

pub(super) fn time(ms: i64) -> Result<Timestamp, RecordError> {
    Timestamp::from_millis(ms).map_err(|error| RecordError::Field(format!("time {ms}: {error}")))
}

impl From<&SystemMetrics> for MetricsForm {
    fn from(metrics: &SystemMetrics) -> Self {
        Self { at: metrics.at.millis(), figures: metrics.figures.clone() }
    }
}

impl TryFrom<MetricsForm> for SystemMetrics {
    type Error = RecordError;

    fn try_from(form: MetricsForm) -> Result<Self, RecordError> {
        Ok(Self { at: time(form.at)?, figures: form.figures })
    }
}

/// Decodes each element of a list.
pub(super) fn all<T: TryFrom<F, Error = RecordError>, F>(forms: Vec<F>) -> Result<Vec<T>, RecordError> {
    forms.into_iter().map(T::try_from).collect()
}
