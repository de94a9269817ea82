//! Adds kinds of pumps to the running node, one at a time, for the API and the control socket.
//!
//! Example: two clients add different profiles named `bearing` at the same time. The second one waits until the first one's
//! profile is written and known to the engine, and then gets the error that the name is taken. Does not handle files; see
//! [`AddedKinds`].

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use volute_actors::EngineHandle;
use volute_anomaly::{Mismatch, ModelError};
use volute_plant::Rejection;
use volute_web::{AddKindError, AddKinds, AddedKind, NewKind, NewModel};

use crate::kinds::{ALLOWED_NAMES, AddedKinds, KindError, MAX_KINDS, ModelFiles};

/// The length of a quotation in an error, at most, in characters; the error is recorded in the audit log.
const MAX_QUOTED_CHARS: usize = 200;

/// Adds kinds to the node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct NodeKinds {
    engine: EngineHandle,
    added: AddedKinds,
    add_lock: Arc<Mutex<()>>,
}

impl NodeKinds {
    /// Returns the kinds of the node with this engine and data directory.
    pub(crate) fn new(engine: EngineHandle, data_dir: &Path) -> Self {
        Self { engine, added: AddedKinds::of(data_dir), add_lock: Arc::default() }
    }

    /// Checks a kind, writes it, and adds it to the engine. Blocks on the disk.
    pub(crate) fn add(&self, text: &str, origin: &str, model: Option<ModelFiles<'_>>) -> Result<AddedKind, KindError> {
        // A poisoned lock is harmless: the lock holds no data, and the files on disk are checked.
        let _guard = self.add_lock.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.engine.kinds();
        let kind = self.added.add(text, origin, model, &known, self.engine.profile().name())?;
        let is_new = known.iter().all(|known| known.profile.name() != kind.profile.name());
        self.engine.add_kind(kind.clone());
        Ok(AddedKind { kind, is_new })
    }
}

impl AddKinds for NodeKinds {
    fn add(&self, new: &NewKind) -> Result<AddedKind, AddKindError> {
        let model = new.model.as_ref().map(|NewModel { manifest, weights }| ModelFiles::Bytes { manifest, weights });
        NodeKinds::add(self, &new.profile, "sent over the API", model).map_err(api_error)
    }
}

/// Returns the error for a client of the API: the field of its body, the value, and what is allowed.
fn api_error(error: KindError) -> AddKindError {
    match error {
        KindError::NameTaken { name } => AddKindError::NameTaken { name },
        KindError::TooManyKinds => AddKindError::TooMany { limit: MAX_KINDS },
        KindError::Configured { name } => AddKindError::Configured { name },
        KindError::Name { name } => AddKindError::Invalid(Rejection::new(
            "profile.name",
            Some(name),
            ALLOWED_NAMES,
            "not a valid name of a profile",
        )),
        KindError::Profile { source, .. } => {
            AddKindError::Invalid(Rejection::new("profile", None, "a profile in TOML", &truncated(&source.to_string())))
        }
        KindError::Model(ModelError::Refused { what, found, expected, .. }) => {
            let (found, expected) = (truncated(&found), truncated(&expected));
            let reason = format!("{what} {found}");
            AddKindError::Invalid(Rejection::new(field(what), Some(found), expected, &reason))
        }
        KindError::Model(ModelError::Manifest { source, .. }) => {
            let allowed = "manifest.json as training wrote it";
            AddKindError::Invalid(Rejection::new("model.manifest", None, allowed, &truncated(&source.to_string())))
        }
        KindError::Model(ModelError::Io { source, .. }) | KindError::File { source, .. }
            if source.kind() == io::ErrorKind::StorageFull =>
        {
            AddKindError::DiskFull
        }
        KindError::Model(error @ (ModelError::Io { .. } | ModelError::Encode(_))) => {
            AddKindError::NotStored(error.to_string())
        }
        error @ (KindError::File { .. } | KindError::NotAModelFile { .. }) => {
            AddKindError::NotStored(error.to_string())
        }
    }
}

/// Returns the first [`MAX_QUOTED_CHARS`] characters.
fn truncated(text: &str) -> String {
    text.chars().take(MAX_QUOTED_CHARS).collect()
}

/// Returns the field of the body that a mismatch of the model is about.
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
    fn an_error_names_field_value_and_what_is_allowed_and_is_short() {
        let long = "x".repeat(1_000_000);
        for (what, field) in [(Mismatch::Channels, "model.manifest.channels"), (Mismatch::Checksum, "model.weights")] {
            let error = ModelError::Refused { file: "model".into(), what, found: long.clone(), expected: long.clone() };
            let AddKindError::Invalid(rejection) = api_error(error.into()) else {
                panic!("{field}: an error of the client")
            };
            assert_eq!(
                (rejection.field.as_str(), rejection.value.map(|value| value.len())),
                (field, Some(MAX_QUOTED_CHARS))
            );
            assert!(
                rejection.allowed.len() == MAX_QUOTED_CHARS && rejection.message.len() < 3 * MAX_QUOTED_CHARS,
                "{}",
                rejection.message.len()
            );
        }
    }

    #[test]
    fn a_disk_error_is_not_the_clients_error() {
        let error = |kind: io::ErrorKind| KindError::File { path: "small.toml".into(), source: kind.into() };
        assert!(matches!(api_error(error(io::ErrorKind::StorageFull)), AddKindError::DiskFull));
        assert!(matches!(api_error(error(io::ErrorKind::PermissionDenied)), AddKindError::NotStored(_)));
    }
}
