//! A kind of pump: a profile, and the model that scores windows of such pumps.
//!
//! A node watches several kinds. A pump's kind is given by the name of its profile; the pump's own settings
//! ([`volute_data::PumpSettings`]) override the profile's. Does not know which pump is of which kind; see the store's
//! registry.

use std::sync::Arc;

use volute_anomaly::{Commissioning, Model};
use volute_plant::{Profile, PumpId};

use crate::settings::CommissioningSettings;

/// The maximum number of pumps that an error names.
const MAX_NAMED_PUMPS: usize = 5;

/// A kind of pump, as passed to the engine.
#[derive(Clone)]
pub struct KindParts {
    /// The profile of its pumps.
    pub profile: Profile,
    /// The model. Without one, readings are stored, shown and compared with limits, and no window is scored.
    pub model: Option<Model>,
    /// Why the kind's profile cannot be read, as text for users; none if it can. If it cannot be read, `profile` is a
    /// stand-in ([`Profile::placeholder`]), and the readings of its pumps are stored and not evaluated.
    pub damage: Option<Arc<str>>,
}

/// A kind of pump within the engine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PumpKind {
    pub profile: Profile,
    /// None without a model: no window is scored.
    pub detection: Option<DetectionContext>,
    /// Why its profile cannot be read; see [`KindParts::damage`].
    pub damage: Option<Arc<str>>,
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
    fn from(PumpKind { profile, detection, damage }: PumpKind) -> Self {
        Self { profile, model: detection.map(|detection| detection.model), damage }
    }
}

impl PumpKind {
    /// Returns whether both kinds have the same profile and the same model, so that both detect the same anomalies.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let model = |kind: &Self| kind.detection.as_ref().map(|detection| detection.model.id().clone());
        self.profile.is_same(&other.profile) && model(self) == model(other)
    }
}

impl KindParts {
    /// Returns the parts of a kind whose profile can be read.
    pub fn new(profile: Profile, model: Option<Model>) -> Self {
        Self { profile, model, damage: None }
    }

    /// Returns the parts of a kind whose profile cannot be read for the reason `why`. Only the names of its channels
    /// are known.
    pub fn damaged(name: &str, channels: &[String], reason: &str) -> Self {
        Self { profile: Profile::placeholder(name, channels), model: None, damage: Some(reason.into()) }
    }

    pub(crate) fn into_kind(self, settings: &CommissioningSettings) -> PumpKind {
        let Self { profile, model, damage } = self;
        let detection = model.map(|model| DetectionContext {
            how: Commissioning { detector: settings.detector, ..model.manifest().recipe.commissioning() },
            running_ms: i64::try_from(settings.running.as_millis()).unwrap_or(i64::MAX),
            model,
        });
        PumpKind { profile, detection, damage }
    }
}

/// Why a kind was not removed. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoveKindError {
    /// There is no such kind.
    #[error("this node has no profile {name}; it has: {known}")]
    Unknown {
        /// The name of its profile.
        name: String,
        /// The names of all profiles.
        known: String,
    },
    /// It is the default kind.
    #[error("{name} is the profile of the node's configuration (model.profile), and cannot be removed")]
    Default {
        /// The name of its profile.
        name: String,
    },
    /// Pumps are of this kind.
    #[error(
        "{} the profile {name}: {}; remove {}, or assign another profile (volute pumps set-profile), first",
        if pumps.len() == 1 { "a pump has".to_owned() } else { format!("{} pumps have", pumps.len()) },
        list(pumps),
        if pumps.len() == 1 { "it" } else { "them" }
    )]
    InUse {
        /// The name of its profile.
        name: String,
        /// The pumps, sorted by id.
        pumps: Vec<PumpId>,
    },
    /// The ingress is stopping or has failed, or the database with the pumps is unavailable.
    #[error("the node is stopping, or a part of it has failed, so its pumps are not known: see /api/actors")]
    Unavailable,
}

impl RemoveKindError {
    /// Returns an error unless the kind may be removed. `known` holds the names of all kinds, `default` is the name of
    /// the default kind, and `pumps` are the pumps of the kind, sorted by id.
    pub fn check(name: &str, default: &str, known: &[String], pumps: Vec<PumpId>) -> Result<(), Self> {
        let name = name.to_owned();
        if name == default {
            return Err(Self::Default { name });
        }
        if !known.contains(&name) {
            return Err(Self::Unknown { name, known: known.join(", ") });
        }
        if pumps.is_empty() { Ok(()) } else { Err(Self::InUse { name, pumps }) }
    }
}

/// Lists the first of these pumps.
fn list(pumps: &[PumpId]) -> String {
    let listed: Vec<&str> = pumps.iter().take(MAX_NAMED_PUMPS).map(PumpId::as_str).collect();
    let more = if pumps.len() > MAX_NAMED_PUMPS { " and others" } else { "" };
    format!("{}{more}", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_pumps() {
        let pumps = |n: usize| (1..=n).map(|n| format!("B-{n}").parse().expect("an id")).collect::<Vec<PumpId>>();
        let error = |n| RemoveKindError::InUse { name: "bearing".into(), pumps: pumps(n) }.to_string();
        assert!(error(1).starts_with("a pump has the profile bearing: B-1; remove it, or"), "{}", error(1));
        assert!(
            error(7).starts_with("7 pumps have the profile bearing: B-1, B-2, B-3, B-4, B-5 and others; remove them")
        );
    }
}
