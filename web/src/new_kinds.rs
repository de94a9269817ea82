//! Adds and removes kinds of pumps over the API, as a trait: the routes parse the request, and the program stores the kind.
//!
//! An example: a client puts the profile `bearing` with a model. The route (`routes/profiles.rs`) parses the body into a
//! [`NewKind`]. The program validates it completely, writes it to the data folder and adds it to the engine, as
//! `volute profiles add` does, and returns the added kind.

use futures::future::LocalBoxFuture;
use volute_actors::{KindParts, RemoveKindError};
use volute_plant::Rejection;

/// A kind of pump as sent, not validated yet.
#[derive(Debug)]
pub struct NewKind {
    /// The profile's text (TOML).
    pub profile: String,
    /// Its model, if it has one.
    pub model: Option<NewModel>,
}

/// The two files of a model.
#[derive(Debug)]
pub struct NewModel {
    /// `manifest.json`.
    pub manifest: Vec<u8>,
    /// `model.safetensors`.
    pub weights: Vec<u8>,
}

/// A kind that was added to the node.
pub struct AddedKind {
    /// The kind.
    pub kind: KindParts,
    /// Whether no kind of its name existed before.
    pub is_new: bool,
}

/// Why a kind was not added. Nothing was written, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AddKindError {
    /// A value is not allowed; its field is named as in the body of the request.
    #[error("{}", .0.message)]
    Invalid(Rejection),
    /// A different profile of this name exists, or one whose name differs only in the case of its letters.
    #[error("there is a different profile {name} already; give yours another name")]
    NameTaken {
        /// The name of the existing profile.
        name: String,
    },
    /// The profile is that of the node's configuration.
    #[error("{name} is the profile of the node's configuration, and is changed there")]
    IsDefaultKind {
        /// The name of the profile.
        name: String,
    },
    /// The node has the maximum number of kinds.
    #[error("there are {limit} profiles already, and a node has no more; allowed: one of these, with another model")]
    TooMany {
        /// The maximum number of kinds.
        limit: usize,
    },
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The files could not be written, or not read back. The kind may exist after a restart; adding it again is safe.
    #[error("the kind cannot be stored: {0}")]
    NotStored(String),
}

/// Why a kind was not removed. The node keeps the kind.
#[derive(Debug, thiserror::Error)]
pub enum DeleteKindError {
    /// The kind may not be removed.
    #[error(transparent)]
    Refused(#[from] RemoveKindError),
    /// Its files could not be deleted.
    #[error("the files of the kind cannot be deleted: {0}")]
    NotDeleted(String),
}

/// Adds and removes kinds of pumps of the node, one at a time. The futures must be polled to their end.
pub trait ManageKinds: Send + Sync {
    /// Validates a kind completely, writes it to the disk, and adds it to the engine. From then on all pumps of the kind use it.
    fn add(&self, new: NewKind) -> LocalBoxFuture<'static, Result<AddedKind, AddKindError>>;

    /// Removes the kind of this name from the engine and from the disk. Fails if a pump is of this kind.
    fn remove(&self, name: String) -> LocalBoxFuture<'static, Result<(), DeleteKindError>>;
}
