//! Summaries of kinds of pumps, for `volute profiles` and the control socket.

use serde::{Deserialize, Serialize};
use volute_actors::KindParts;

/// The summary of a kind of pump.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KindSummary {
    pub name: String,
    pub title: String,
    /// The number of channels.
    pub channels: usize,
    /// The id of its model, if it has one.
    pub model: Option<String>,
    /// Why its profile cannot be read, if it cannot.
    pub damage: Option<String>,
}

/// Returns the summaries of these kinds.
pub(super) fn summarize_kinds(kinds: &[KindParts]) -> Vec<KindSummary> {
    let kind = |KindParts { profile, model, damage }: &KindParts| KindSummary {
        name: profile.name().to_owned(),
        title: profile.title().to_owned(),
        channels: profile.channels().len(),
        model: model.as_ref().map(|model| model.id().to_string()),
        damage: damage.as_ref().map(ToString::to_string),
    };
    kinds.iter().map(kind).collect()
}
