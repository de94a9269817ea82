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
            AddKindError::Invalid(Rejection::new("profile", None, "a profile in TOML", &source.to_string()))
        }
        KindError::Model(ModelError::Refused { what, found, expected, .. }) => {
            let reason = format!("{what} {found}");
            AddKindError::Invalid(Rejection::new(field(what), Some(found), expected, &reason))
        }
        KindError::Model(ModelError::Manifest { source, .. }) => {
            let allowed = "manifest.json as training wrote it";
            AddKindError::Invalid(Rejection::new("model.manifest", None, allowed, &source.to_string()))
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
