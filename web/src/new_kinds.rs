//! How a kind of pump is added over the API, as a trait: the routes know what is sent, and the program where kinds are kept.
//!
//! An example: a client puts the profile `bearing` with a model. The route (`routes/profiles.rs`) reads the body and hands it
//! over as a [`NewKind`]; the program checks it whole, writes it into the data folder and gives it to the engine, as it does
//! with `volute profiles add`, and returns the kind as it is from now on.

use volute_actors::KindParts;
use volute_plant::Rejection;

/// A kind of pump, as it was sent.
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

/// A kind that the node has from now on.
pub struct AddedKind {
    /// The kind.
    pub kind: KindParts,
    /// Whether there was none of its name before.
    pub is_new: bool,
}

/// Why a kind was not added. Nothing of it was written, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AddKindError {
    /// Something in it is not allowed; its field is named as in the body of the request.
    #[error("{}", .0.message)]
    Invalid(Rejection),
    /// There is another kind of this name.
    #[error("there is a profile {name} already, with other channels or another interval; give yours another name")]
    Taken {
        /// The name.
        name: String,
    },
    /// The node has as many kinds as it may have.
    #[error("there are {limit} profiles already, and a node has no more; allowed: one of these, with another model")]
    Full {
        /// How many those are.
        limit: usize,
    },
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The files could not be written or read again. The kind may be there after a restart; adding it again is safe.
    #[error("the kind cannot be kept: {0}")]
    NotKept(String),
}

/// Adds kinds of pumps to the node.
pub trait AddKinds: Send + Sync {
    /// Checks a kind whole, writes it to the disk, and has the engine watch pumps of it.
    ///
    /// Waits for the disk and for others who add one: not for an async thread.
    fn add(&self, new: &NewKind) -> Result<AddedKind, AddKindError>;
}
