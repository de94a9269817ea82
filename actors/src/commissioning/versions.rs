//! Lists the versions of a pump's baseline for the API. Does not change which version is in use; see [`super::commands`].

use volute_anomaly::{Baseline, Model};
use volute_data::{BaselineRecord, BaselineStatus, NewBaseline, Store, StoreError};
use volute_plant::{Profile, PumpId, Timestamp};

use super::mode::{model_baseline, usable_baseline};

/// The versions of a pump's baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Baselines {
    /// The id of the network that scores the pump's windows.
    pub network: String,
    /// The version in use; none while the pump is learning. 0 is the baseline that comes with the model.
    pub in_use: Option<u32>,
    /// All versions, newest first.
    pub versions: Vec<BaselineVersion>,
}

/// One version of a pump's baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineVersion {
    /// The version's number, from 1; 0 is the baseline that comes with the model.
    pub version: u32,
    /// Whether the loaded model can use it.
    pub usable: bool,
    /// When it was learned.
    pub created_at: Timestamp,
    /// Why it was learned.
    pub reason: String,
    /// The baseline's id.
    pub id: String,
    /// The id of the network that it was learned with.
    pub network: String,
    /// The model's name in the detections that are made with this version.
    pub model: String,
    /// The method that turns scores into detections.
    pub detector: String,
    /// The start of the readings that it was learned from.
    pub from: Timestamp,
    /// The end of these readings, exclusive.
    pub to: Timestamp,
    /// The number of windows of normal running that it was learned from.
    pub windows: usize,
    /// The threshold of the reconstruction loss.
    pub loss_threshold: f64,
    /// The thresholds for the deviations of the detector `fused`, in spreads: of the levels over 5 steps, of the levels
    /// over 15 steps, and of the reconstruction errors.
    pub thresholds: [f64; 3],
    /// Each channel's lowest and highest value in these windows, in the profile's order, in the channel's unit.
    pub spans: Vec<[f64; 2]>,
}

/// Reads the versions of a pump's baseline.
pub(super) async fn versions(
    store: &Store,
    model: &Model,
    profile: &Profile,
    pump: &PumpId,
) -> Result<Baselines, StoreError> {
    let profile = &store.pump_settings(pump).await?.apply(profile);
    // The status is read before the versions, so the version in use is among them.
    let baseline_status = store.baseline_status(pump).await?;
    let mut versions = Vec::new();
    for record in store.baselines(pump).await?.into_iter().rev() {
        let baseline: Baseline = serde_json::from_str(&record.baseline.document).map_err(|error| {
            StoreError::Unreadable { row: format!("baseline {} of {pump}", record.version), reason: error.to_string() }
        })?;
        versions.push(describe(&record, &baseline, usable_baseline(model, profile, &record).is_ok()));
    }
    if let Some(baseline) = model.baseline() {
        let usable = model_baseline(model, profile).is_some();
        versions.push(describe(&model_record(model, baseline), baseline, usable));
    }
    let model_version = model_baseline(model, profile).map(|_| 0);
    let in_use = match baseline_status {
        BaselineStatus::Active(record) if usable_baseline(model, profile, &record).is_ok() => Some(record.version),
        BaselineStatus::Commissioning(record) if record.requested => None,
        _ => model_version,
    };
    Ok(Baselines { network: model.network_id().to_owned(), in_use, versions })
}

fn model_record(model: &Model, baseline: &Baseline) -> BaselineRecord {
    let from_model = NewBaseline {
        created_at: model.manifest().provenance.trained_at,
        network: baseline.network.clone(),
        baseline_id: baseline.id.clone(),
        from: baseline.learned.from,
        to: baseline.learned.to,
        reason: "learned with the model".into(),
        document: String::new(),
    };
    BaselineRecord { version: 0, baseline: from_model }
}

fn describe(record: &BaselineRecord, baseline: &Baseline, usable: bool) -> BaselineVersion {
    let NewBaseline { created_at, from, to, reason, .. } = record.baseline.clone();
    let thresholds = &baseline.thresholds;
    BaselineVersion {
        version: record.version,
        usable,
        created_at,
        reason,
        id: baseline.id.clone(),
        network: baseline.network.clone(),
        model: baseline.model_name().to_string(),
        detector: baseline.detector.to_string(),
        from,
        to,
        windows: baseline.learned.windows,
        loss_threshold: baseline.loss_threshold,
        thresholds: [thresholds.short, thresholds.long, thresholds.error],
        spans: baseline.scaler.spans().iter().map(|span| [span.min, span.max]).collect(),
    }
}
