//! A kind of pump: a profile, and the model that scores windows of such pumps.
//!
//! A node watches several kinds. A pump's kind is given by the name of its profile; the pump's own settings
//! ([`volute_data::PumpSettings`]) override the profile's. Does not know which pump is of which kind; see the store's
//! registry.

use volute_anomaly::{Commissioning, Model};
use volute_plant::Profile;

use crate::settings::CommissioningSettings;

/// A kind of pump, as passed to the engine.
#[derive(Clone)]
pub struct KindParts {
    /// The profile of its pumps.
    pub profile: Profile,
    /// The model; without one, readings are stored, shown and compared with limits, and no window is scored.
    pub model: Option<Model>,
}

/// A kind of pump within the engine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PumpKind {
    pub profile: Profile,
    /// None without a model: no window is scored.
    pub detection: Option<DetectionContext>,
}

/// The model of a kind, and the parameters of its pumps' commissioning.
#[derive(Clone)]
pub(crate) struct DetectionContext {
    pub model: Model,
    /// How a baseline is learned.
    pub how: Commissioning,
    /// The configured minimum of normal running for a baseline, in milliseconds.
    pub running_ms: i64,
}

impl From<PumpKind> for KindParts {
    fn from(PumpKind { profile, detection }: PumpKind) -> Self {
        Self { profile, model: detection.map(|detection| detection.model) }
    }
}

impl KindParts {
    pub(crate) fn into_kind(self, settings: &CommissioningSettings) -> PumpKind {
        let Self { profile, model } = self;
        let detection = model.map(|model| DetectionContext {
            how: Commissioning { detector: settings.detector, ..model.manifest().recipe.commissioning() },
            running_ms: i64::try_from(settings.running.as_millis()).unwrap_or(i64::MAX),
            model,
        });
        PumpKind { profile, detection }
    }
}
