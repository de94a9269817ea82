//! Adds kinds of pumps over the API, as a trait: the routes parse the request, and the program stores the kind.
//!
//! An example: a client puts the profile `bearing` with a model. The route (`routes/profiles.rs`) parses the body into a
//! [`NewKind`]. The program validates it completely, writes it to the data folder and adds it to the engine, as
//! `volute profiles add` does, and returns the added kind.

use volute_actors::KindParts;
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
        /// The name of the existing one.
        name: String,
    },
    /// It is the profile of the node's configuration.
    #[error("{name} is the profile of the node's configuration, and is changed there")]
    Configured {
        /// The name.
        name: String,
    },
    /// The node has the maximum number of kinds.
    #[error("there are {limit} profiles already, and a node has no more; allowed: one of these, with another model")]
    TooMany {
        /// That maximum.
        limit: usize,
    },
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The files could not be written, or not read back. The kind may exist after a restart; adding it again is safe.
    #[error("the kind cannot be stored: {0}")]
    NotStored(String),
}

/// Adds kinds of pumps to the node.
pub trait AddKinds: Send + Sync {
    /// Validates a kind completely, writes it to the disk, and adds it to the engine.
    ///
    /// Blocks on the disk and on concurrent additions, so it must not be called on an async thread.
    fn add(&self, new: &NewKind) -> Result<AddedKind, AddKindError>;
}
