//! What a pump is judged by when its actor starts. Pure.
//!
//! Its own baseline, if it is for the node's network; else the model's own; else it is commissioned. A baseline for
//! another network is learned anew from the same stretch of readings. What somebody asked for goes before the model's own.

use std::sync::Arc;

use volute_anomaly::{Baseline, BaselineError, Decider, Model};
use volute_data::{BaselineRecord, CommissioningRecord, Standing};
use volute_plant::Profile;

use super::collection::{BaselineCollection, needed_ms};
use crate::kind::DetectionContext;

/// How a pump's windows are dealt with.
#[derive(Debug)]
pub(crate) enum PumpMode {
    /// There is no model.
    NoModel,
    /// What it goes by could not be read yet.
    Unread,
    /// What is normal for it is being learned.
    Learning(BaselineCollection),
    /// It is judged.
    Judged(Decider),
}

/// A stored baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("the stored baseline cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Unfit(#[from] BaselineError),
    /// The pump's readings come at another interval now.
    #[error(transparent)]
    Interval(BaselineError),
}

/// Where a pump of this interval stands that starts with what is stored of it; none where that cannot be read just now.
pub(crate) fn initial_mode(
    detection: Option<&DetectionContext>,
    profile: &Profile,
    standing: Option<Standing>,
) -> PumpMode {
    let Some(DetectionContext { model, running_ms, .. }) = detection else { return PumpMode::NoModel };
    let Some(standing) = standing else { return PumpMode::Unread };
    let needed_ms = needed_ms(profile, *running_ms);
    let of_model = || own_baseline(model, profile).cloned().map(|baseline| PumpMode::Judged(Decider::new(baseline)));
    let learning = |record| PumpMode::Learning(BaselineCollection::new(needed_ms, record));
    match standing {
        Standing::Active(record) => match usable(model, profile, &record) {
            Ok(baseline) => PumpMode::Judged(Decider::new(Arc::new(baseline))),
            Err(error) => {
                tracing::warn!(version = record.version, %error, "baseline not used");
                of_model().unwrap_or_else(|| learning(anew(&record, &error, needed_ms)))
            }
        },
        Standing::Commissioning(record) if record.asked => {
            PumpMode::Learning(BaselineCollection::stored(needed_ms, record))
        }
        Standing::Commissioning(record) => {
            of_model().unwrap_or_else(|| PumpMode::Learning(BaselineCollection::stored(needed_ms, record)))
        }
        Standing::New => of_model().unwrap_or_else(|| learning(first())),
    }
}

/// The baseline of a stored version, if this model can use it for a pump of this interval.
pub(crate) fn usable(model: &Model, profile: &Profile, record: &BaselineRecord) -> Result<Baseline, Unusable> {
    let baseline: Baseline = serde_json::from_str(&record.what.document)?;
    baseline.check(model.id(), model.manifest().channels.len())?;
    let of_network_ms = model.manifest().interval_ms;
    baseline.check_interval(profile.interval_ms(), of_network_ms).map_err(Unusable::Interval)?;
    Ok(baseline)
}

/// What the model brings along, if that is for a pump of this interval.
pub(crate) fn own_baseline<'a>(model: &'a Model, profile: &Profile) -> Option<&'a Arc<Baseline>> {
    model.baseline().filter(|_| model.manifest().interval_ms == profile.interval_ms())
}

/// A commissioning that begins with the next reading because somebody asked for it.
pub(crate) fn asked() -> CommissioningRecord {
    CommissioningRecord { why: "learned anew, as asked".into(), asked: true, ..first() }
}

/// A commissioning that begins with the next reading because the pump is of another profile now.
pub(crate) fn for_profile(profile: &Profile) -> CommissioningRecord {
    CommissioningRecord { why: format!("the profile {} was assigned", profile.name()), asked: true, ..first() }
}

fn first() -> CommissioningRecord {
    CommissioningRecord { why: "first commissioning".into(), asked: false, from: None, to: None, running_ms: 0 }
}

fn anew(record: &BaselineRecord, error: &Unusable, needed_ms: i64) -> CommissioningRecord {
    let what =
        if matches!(error, Unusable::Interval(_)) { "the interval was changed" } else { "the model was replaced" };
    let why = format!("{what}; the readings are those of version {}", record.version);
    let (from, to) = (Some(record.what.from), Some(record.what.to));
    CommissioningRecord { why, asked: false, from, to, running_ms: needed_ms }
}
