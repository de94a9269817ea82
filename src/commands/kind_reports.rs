//! Kinds of pumps as they are told by the control socket and the commands.

use serde::{Deserialize, Serialize};
use volute_actors::KindParts;

/// A kind of pump.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kind {
    pub name: String,
    pub title: String,
    /// How many it has.
    pub channels: usize,
    /// The id of its model.
    pub model: Option<String>,
}

/// Kinds, as they are told.
pub(super) fn kinds_listed(kinds: &[KindParts]) -> Vec<Kind> {
    let kind = |KindParts { profile, model }: &KindParts| Kind {
        name: profile.name().to_owned(),
        title: profile.title().to_owned(),
        channels: profile.channels().len(),
        model: model.as_ref().map(|model| model.id().to_string()),
    };
    kinds.iter().map(kind).collect()
}
