//! Selects the mode of a pump when its actor starts: whether anomalies are detected, and with which baseline. Does no
//! I/O.
//!
//! The pump's own baseline is preferred, if it was learned for the node's model and the pump's interval. Without one,
//! the baseline that comes with the model is used. Without either, the pump is commissioned. A commissioning that was
//! requested takes precedence over the model's baseline. A pump whose own baseline no longer fits, and whose model
//! comes without one, learns a new baseline from the same range of readings.

use std::sync::Arc;

use volute_anomaly::{Baseline, BaselineError, Decider, Model};
use volute_data::{BaselineRecord, BaselineStatus, CommissioningRecord};
use volute_plant::Profile;

use super::collection::{BaselineCollection, CollectionGoal, goal};
use crate::kind::DetectionContext;

/// What happens to a pump's windows.
#[derive(Debug)]
pub(crate) enum PumpMode {
    /// They are not scored: the pump's kind has no model.
    NoModel,
    /// They are not scored: the status of the baseline could not be read yet.
    BaselineNotLoaded,
    /// They are counted for the pump's baseline.
    Learning(BaselineCollection),
    /// They are scored, and detections are made of the scores. `refinement` counts the running from which the baseline will be learned again; none
    /// if it was learned from enough running.
    Detecting { decider: Box<Decider>, refinement: Option<Box<BaselineCollection>> },
}

impl PumpMode {
    /// Returns the mode of a pump with a baseline.
    pub(crate) fn detecting(decider: Decider) -> Self {
        let refinement = BaselineCollection::refining(decider.baseline()).map(Box::new);
        Self::Detecting { decider: Box::new(decider), refinement }
    }

    /// Returns what is being collected for a baseline.
    pub(crate) fn collection(&self) -> Option<&BaselineCollection> {
        match self {
            Self::Learning(collection) => Some(collection),
            Self::Detecting { refinement, .. } => refinement.as_deref(),
            Self::NoModel | Self::BaselineNotLoaded => None,
        }
    }

    /// Returns what is being collected for a baseline.
    pub(crate) fn collection_mut(&mut self) -> Option<&mut BaselineCollection> {
        match self {
            Self::Learning(collection) => Some(collection),
            Self::Detecting { refinement, .. } => refinement.as_deref_mut(),
            Self::NoModel | Self::BaselineNotLoaded => None,
        }
    }
}

/// Why a stored baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnusableBaseline {
    #[error("the stored baseline cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Unfit(#[from] BaselineError),
    /// The pump has another interval now.
    #[error(transparent)]
    Interval(BaselineError),
}

/// Returns the mode in which a pump starts. `baseline_status` is none if it cannot be read from the store.
pub(crate) fn initial_mode(
    detection: Option<&DetectionContext>,
    profile: &Profile,
    baseline_status: Option<BaselineStatus>,
) -> PumpMode {
    let Some(DetectionContext { model, how, running_ms }) = detection else { return PumpMode::NoModel };
    let Some(baseline_status) = baseline_status else { return PumpMode::BaselineNotLoaded };
    let goal = goal(profile, how.detector, *running_ms);
    let from_model =
        || model_baseline(model, profile).cloned().map(|baseline| PumpMode::detecting(Decider::new(baseline)));
    let learning = |record| PumpMode::Learning(BaselineCollection::new(goal, record));
    match baseline_status {
        BaselineStatus::Active(record) => match usable_baseline(model, profile, &record) {
            Ok(baseline) => PumpMode::detecting(Decider::new(Arc::new(baseline))),
            Err(error) => {
                tracing::warn!(version = record.version, %error, "baseline not used");
                from_model().unwrap_or_else(|| learning(relearn(&record, &error, goal)))
            }
        },
        BaselineStatus::Commissioning(record) if record.requested => {
            PumpMode::Learning(BaselineCollection::stored(goal, record))
        }
        BaselineStatus::Commissioning(record) => {
            from_model().unwrap_or_else(|| PumpMode::Learning(BaselineCollection::stored(goal, record)))
        }
        BaselineStatus::New => from_model().unwrap_or_else(|| learning(first_commissioning())),
    }
}

/// Returns the baseline of a stored version if this model can use it for a pump of this profile.
pub(crate) fn usable_baseline(
    model: &Model,
    profile: &Profile,
    record: &BaselineRecord,
) -> Result<Baseline, UnusableBaseline> {
    let baseline: Baseline = serde_json::from_str(&record.baseline.document)?;
    baseline.check(model.id(), profile)?;
    let network_interval_ms = model.manifest().interval_ms;
    baseline.check_interval(profile.interval_ms(), network_interval_ms).map_err(UnusableBaseline::Interval)?;
    Ok(baseline)
}

/// Returns the baseline that comes with the model, if it is for the interval of this profile.
pub(crate) fn model_baseline<'a>(model: &'a Model, profile: &Profile) -> Option<&'a Arc<Baseline>> {
    model.baseline().filter(|_| model.manifest().interval_ms == profile.interval_ms())
}

/// Returns the record of a commissioning that was requested. It starts with the next reading.
pub(crate) fn requested() -> CommissioningRecord {
    CommissioningRecord { reason: "learned again, as asked".into(), requested: true, ..first_commissioning() }
}

/// Returns the record of a commissioning after another profile was assigned. It starts with the next reading.
pub(crate) fn profile_assigned(profile: &Profile) -> CommissioningRecord {
    CommissioningRecord {
        reason: format!("the profile {} was assigned", profile.name()),
        requested: true,
        ..first_commissioning()
    }
}

fn first_commissioning() -> CommissioningRecord {
    CommissioningRecord { reason: "first commissioning".into(), requested: false, from: None, to: None, running_ms: 0 }
}

fn relearn(record: &BaselineRecord, error: &UnusableBaseline, goal: CollectionGoal) -> CommissioningRecord {
    let cause = if matches!(error, UnusableBaseline::Interval(_)) {
        "the interval was changed"
    } else {
        "the model was replaced"
    };
    let reason = format!("{cause}; the readings are those of version {}", record.version);
    let (from, to) = (Some(record.baseline.from), Some(record.baseline.to));
    CommissioningRecord { reason, requested: false, from, to, running_ms: goal.needed_ms }
}
