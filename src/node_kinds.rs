//! Adds kinds of pumps to the running node, for the API and the control socket: one at a time, and each by one way.
//!
//! An example: two clients put different profiles `bearing` at the same time. The second one waits until the first one's is
//! written and watched, and is then told that the name is taken. Does not handle how a kind is kept ([`AddedKinds`]).

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use volute_actors::EngineHandle;
use volute_anomaly::{Mismatch, ModelError};
use volute_plant::Rejection;
use volute_web::{AddKindError, AddKinds, AddedKind, NewKind, NewModel};

use crate::kinds::{AddedKinds, KindError, MOST_KINDS, ModelFiles, NAMES};

/// How much of what was sent is repeated in a refusal, which is noted in the audit log, in characters.
const SHOWN_CHARS: usize = 200;

/// See the module's head. Cheap to clone.
#[derive(Clone)]
pub(crate) struct NodeKinds {
    engine: EngineHandle,
    added: AddedKinds,
    adding: Arc<Mutex<()>>,
}

impl NodeKinds {
    /// Those of the node with this engine and data folder.
    pub(crate) fn new(engine: EngineHandle, data_dir: &Path) -> Self {
        Self { engine, added: AddedKinds::of(data_dir), adding: Arc::default() }
    }

    /// Checks a kind whole, writes it, and has the engine watch pumps of it. Waits for the disk.
    pub(crate) fn add(&self, text: &str, origin: &str, model: Option<ModelFiles<'_>>) -> Result<AddedKind, KindError> {
        // What a panic left is on the disk, and what is there is checked.
        let _one_at_a_time = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.engine.kinds();
        let kind = self.added.add(text, origin, model, &known)?;
        let is_new = known.iter().all(|known| known.profile.name() != kind.profile.name());
        self.engine.add_kind(kind.clone());
        Ok(AddedKind { kind, is_new })
    }
}

impl AddKinds for NodeKinds {
    fn add(&self, new: &NewKind) -> Result<AddedKind, AddKindError> {
        let model = new.model.as_ref().map(|NewModel { manifest, weights }| ModelFiles::Bytes { manifest, weights });
        NodeKinds::add(self, &new.profile, "sent over the API", model).map_err(refusal)
    }
}

/// What a client is told: the field of its body, what it held, and what it may hold.
fn refusal(error: KindError) -> AddKindError {
    match error {
        KindError::Taken { name } => AddKindError::Taken { name },
        KindError::Full => AddKindError::Full { limit: MOST_KINDS },
        KindError::Name { name } => {
            AddKindError::Invalid(Rejection::new("profile.name", Some(name), NAMES, "no name of a profile"))
        }
        KindError::Profile { source, .. } => {
            AddKindError::Invalid(Rejection::new("profile", None, "a profile in TOML", &cut(&source.to_string())))
        }
        KindError::Model(ModelError::Refused { what, found, expected, .. }) => {
            let (found, expected) = (cut(&found), cut(&expected));
            let reason = format!("{what} {found}");
            AddKindError::Invalid(Rejection::new(field(what), Some(found), expected, &reason))
        }
        KindError::Model(ModelError::Manifest { source, .. }) => {
            let allowed = "manifest.json as training wrote it";
            AddKindError::Invalid(Rejection::new("model.manifest", None, allowed, &cut(&source.to_string())))
        }
        KindError::Model(ModelError::Io { source, .. }) | KindError::File { source, .. }
            if source.kind() == io::ErrorKind::StorageFull =>
        {
            AddKindError::DiskFull
        }
        KindError::Model(error @ (ModelError::Io { .. } | ModelError::Encode(_))) => {
            AddKindError::NotKept(error.to_string())
        }
        error @ KindError::File { .. } => AddKindError::NotKept(error.to_string()),
    }
}

/// The beginning of a text.
fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

/// Where in a body that stands of which a model is refused.
fn field(what: Mismatch) -> &'static str {
    match what {
        Mismatch::FormatVersion => "model.manifest.format_version",
        Mismatch::Architecture => "model.manifest.architecture",
        Mismatch::Profile => "model.manifest.profile_hash",
        Mismatch::Channels => "model.manifest.channels",
        Mismatch::Interval => "model.manifest.interval_ms",
        Mismatch::Window => "model.manifest.window",
        Mismatch::Units => "model.manifest.units",
        Mismatch::Baseline => "model.manifest.baseline",
        Mismatch::Id => "model.manifest.id",
        Mismatch::Checksum | Mismatch::Weights => "model.weights",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_field_value_and_what_is_allowed_and_is_short() {
        let long = "x".repeat(1_000_000);
        for (what, named) in [(Mismatch::Channels, "model.manifest.channels"), (Mismatch::Checksum, "model.weights")] {
            let error = ModelError::Refused { file: "model".into(), what, found: long.clone(), expected: long.clone() };
            let AddKindError::Invalid(no) = refusal(error.into()) else {
                panic!("{named}: it is the client's to mend")
            };
            assert_eq!((no.field.as_str(), no.value.map(|value| value.len())), (named, Some(SHOWN_CHARS)));
            assert!(no.allowed.len() == SHOWN_CHARS && no.message.len() < 3 * SHOWN_CHARS, "{}", no.message.len());
        }
    }

    #[test]
    fn what_the_disk_refuses_is_not_the_clients_to_mend() {
        let error = |kind: io::ErrorKind| KindError::File { path: "small.toml".into(), source: kind.into() };
        assert!(matches!(refusal(error(io::ErrorKind::StorageFull)), AddKindError::DiskFull));
        assert!(matches!(refusal(error(io::ErrorKind::PermissionDenied)), AddKindError::NotKept(_)));
    }
}
