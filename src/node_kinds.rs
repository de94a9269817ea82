//! Adds and removes kinds of pumps of the running node, one at a time, for the API and the control socket.
//!
//! Example: two clients add different profiles named `bearing` at the same time. The second client waits until the
//! profile of the first one is written and known to the engine, and then gets the error that the name is taken. Does
//! not read or write files; see [`KindFiles`].

use std::{io, path::Path, sync::Arc};

use futures::{FutureExt, future::LocalBoxFuture};
use tokio::{sync::Mutex, task::spawn_blocking};
use volute_actors::EngineHandle;
use volute_anomaly::{Mismatch, ModelError};
use volute_plant::Rejection;
use volute_web::{AddKindError, AddedKind, DeleteKindError, ManageKinds, NewKind, NewModel};

use crate::kinds::{ALLOWED_NAMES, KindError, KindFiles, MAX_KINDS, ModelFiles};

/// The maximum length of a quotation in an error, in characters. It is limited because the error is recorded in the
/// audit log.
const MAX_QUOTED_CHARS: usize = 200;

/// Changes the kinds of the node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct NodeKinds {
    engine: EngineHandle,
    added: KindFiles,
    /// Locked while a kind is added or removed.
    changes: Arc<Mutex<()>>,
}

impl NodeKinds {
    /// Returns the kinds of the node with this engine and data directory.
    pub(crate) fn new(engine: EngineHandle, data_dir: &Path) -> Self {
        Self { engine, added: KindFiles::of(data_dir), changes: Arc::default() }
    }

    /// Checks a kind, writes it, and adds it to the engine.
    pub(crate) async fn add(
        &self,
        text: String,
        origin: String,
        model: Option<ModelFiles>,
    ) -> Result<AddedKind, KindError> {
        let _guard = self.changes.lock().await;
        let (known, configured) = (self.engine.kinds(), self.engine.profile().name().to_owned());
        let names: Vec<String> = known.iter().map(|kind| kind.profile.name().to_owned()).collect();
        let added = self.added.clone();
        let write = move || added.add(&text, &origin, model.as_ref(), &known, &configured);
        let kind = spawn_blocking(write).await.map_err(|error| KindError::Aborted(error.to_string()))??;
        let is_new = names.iter().all(|name| name != kind.profile.name());
        self.engine.add_kind(kind.clone()).await;
        Ok(AddedKind { kind, is_new })
    }

    /// Removes a kind from the engine if no pump is of it, and deletes its files. If the files cannot be deleted, the
    /// kind is added to the engine again.
    pub(crate) async fn remove(&self, name: String) -> Result<(), DeleteKindError> {
        let _guard = self.changes.lock().await;
        let kind = self.engine.remove_kind(&name).await?;
        let added = self.added.clone();
        let deleted = spawn_blocking(move || added.remove(&name)).await;
        let error = match deleted {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.engine.restore_kind(kind);
        Err(DeleteKindError::NotDeleted(error))
    }
}

impl ManageKinds for NodeKinds {
    fn add(&self, NewKind { profile, model }: NewKind) -> LocalBoxFuture<'static, Result<AddedKind, AddKindError>> {
        let (kinds, origin) = (self.clone(), "sent over the API".to_owned());
        let model = model.map(|NewModel { manifest, weights }| ModelFiles::Bytes { manifest, weights });
        async move { NodeKinds::add(&kinds, profile, origin, model).await.map_err(api_error) }.boxed_local()
    }

    fn remove(&self, name: String) -> LocalBoxFuture<'static, Result<(), DeleteKindError>> {
        let kinds = self.clone();
        async move { NodeKinds::remove(&kinds, name).await }.boxed_local()
    }
}

/// Returns the error for a client of the API: the field of its body, the value, and what is allowed.
fn api_error(error: KindError) -> AddKindError {
    match error {
        KindError::NameTaken { name } => AddKindError::NameTaken { name },
        KindError::TooManyKinds => AddKindError::TooMany { limit: MAX_KINDS },
        KindError::IsDefaultKind { name } => AddKindError::IsDefaultKind { name },
        KindError::Name { name } => AddKindError::Invalid(Rejection::new(
            "profile.name",
            Some(name),
            ALLOWED_NAMES,
            "not a valid name of a profile",
        )),
        KindError::OtherChannels { stored, given, .. } => {
            let (given, reason) = (truncated(&given), "the profile is damaged, and its pumps have other channels");
            AddKindError::Invalid(Rejection::new("profile.channels", Some(given), truncated(&stored), reason))
        }
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
        error @ (KindError::File { .. }
        | KindError::NotAModelFile { .. }
        | KindError::NotAProfileFile { .. }
        | KindError::NameMismatch { .. }
        | KindError::Aborted(_)) => AddKindError::NotStored(error.to_string()),
    }
}

/// Returns the first [`MAX_QUOTED_CHARS`] characters.
fn truncated(text: &str) -> String {
    text.chars().take(MAX_QUOTED_CHARS).collect()
}

/// Returns the field of the request's body that a mismatch of the model is about.
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
