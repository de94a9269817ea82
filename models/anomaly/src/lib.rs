//! (skeleton)
mod network;
mod weights;
pub use weights::Shape;
