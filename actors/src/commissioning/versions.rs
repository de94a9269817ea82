//! The versions of a pump's baseline, as they are told outside. Deliberately absent: changing which one is in use.

use volute_anomaly::{Baseline, Model};
use volute_data::{BaselineRecord, NewBaseline, Standing, Store, StoreError};
use volute_plant::{Profile, PumpId, Timestamp};

use super::mode::{own_baseline, usable};

/// What there is of a pump's baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Baselines {
    /// The node's network.
    pub network: String,
    /// The version that the pump is judged by; none while it is learning. 0 is what the model brings along.
    pub in_use: Option<u32>,
    /// All versions, newest first.
    pub versions: Vec<BaselineVersion>,
}

/// One version of a pump's baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineVersion {
    /// Its number, from 1; 0 is what the model brings along.
    pub version: u32,
    /// Whether the node's network can use it.
    pub usable: bool,
    /// When it was learned.
    pub created_at: Timestamp,
    /// Why.
    pub why: String,
    /// Its id.
    pub id: String,
    /// Its network's id.
    pub network: String,
    /// What detections by it name as their model.
    pub model: String,
    /// How detections are made.
    pub detector: String,
    /// The first of the readings that it was learned from.
    pub from: Timestamp,
    /// The first reading that no longer belongs to them.
    pub to: Timestamp,
    /// The windows of normal running in them.
    pub windows: usize,
    /// The threshold of the reconstruction loss.
    pub loss_threshold: f64,
    /// The thresholds of the deviations, in spreads: short levels, long levels, reconstruction errors.
    pub thresholds: [f64; 3],
    /// Each channel's lowest and highest value in them, in the profile's order, in the channel's unit.
    pub spans: Vec<[f64; 2]>,
}

/// Reads a pump's versions.
pub(super) async fn versions(
    store: &Store,
    model: &Model,
    profile: &Profile,
    pump: &PumpId,
) -> Result<Baselines, StoreError> {
    let profile = &store.pump_settings(pump).await?.apply(profile);
    // First which one is in use: by then that version is stored.
    let standing = store.standing(pump).await?;
    let mut versions = Vec::new();
    for record in store.baselines(pump).await?.into_iter().rev() {
        let baseline: Baseline = serde_json::from_str(&record.what.document).map_err(|error| {
            StoreError::Unreadable { row: format!("baseline {} of {pump}", record.version), reason: error.to_string() }
        })?;
        versions.push(told(&record, &baseline, usable(model, profile, &record).is_ok()));
    }
    if let Some(baseline) = model.baseline() {
        let usable = own_baseline(model, profile).is_some();
        versions.push(told(&of_model(model, baseline), baseline, usable));
    }
    let own = own_baseline(model, profile).map(|_| 0);
    let in_use = match standing {
        Standing::Active(record) if usable(model, profile, &record).is_ok() => Some(record.version),
        Standing::Commissioning(record) if record.asked => None,
        _ => own,
    };
    Ok(Baselines { network: model.network_id().to_owned(), in_use, versions })
}

fn of_model(model: &Model, baseline: &Baseline) -> BaselineRecord {
    let what = NewBaseline {
        created_at: model.manifest().provenance.trained_at,
        network: baseline.network.clone(),
        baseline: baseline.id.clone(),
        from: baseline.learned.from,
        to: baseline.learned.to,
        why: "learned with the model".into(),
        document: String::new(),
    };
    BaselineRecord { version: 0, what }
}

fn told(record: &BaselineRecord, baseline: &Baseline, usable: bool) -> BaselineVersion {
    let NewBaseline { created_at, from, to, why, .. } = record.what.clone();
    let thresholds = &baseline.thresholds;
    BaselineVersion {
        version: record.version,
        usable,
        created_at,
        why,
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
