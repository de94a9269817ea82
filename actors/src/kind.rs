//! A kind of pump: its profile, and what windows of such pumps are scored and judged with.
//!
//! A node watches several kinds. Each pump has one, by the name of its profile; what is set for the pump alone
//! ([`volute_data::PumpSettings`]) is applied on top. Does not know which pump is of which kind: see the store's registry.

use volute_anomaly::{Commissioning, Model};
use volute_plant::Profile;

use crate::settings::CommissioningSettings;

/// A kind of pump, as it is given to the engine.
#[derive(Clone)]
pub struct KindParts {
    /// What its pumps measure.
    pub profile: Profile,
    /// What scores their windows; without one, readings are stored and shown, and nothing is judged.
    pub model: Option<Model>,
}

/// See the module's head. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PumpKind {
    pub profile: Profile,
    /// None: readings are stored, shown and held against their limits, and no window is scored.
    pub detection: Option<DetectionContext>,
}

/// What windows of a kind are scored with, and how its pumps are commissioned.
#[derive(Clone)]
pub(crate) struct DetectionContext {
    pub model: Model,
    pub how: Commissioning,
    /// Normal running that a pump is commissioned from at least, as it is configured.
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
