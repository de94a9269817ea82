//! Loads the kinds of pumps of a node: the kind of its configuration, and the kinds that were added to its data
//! directory.
//!
//! Used by the node itself, and by `volute profiles` for a stopped node, so both see the same kinds.

use anyhow::{Context, Result};
use volute_actors::KindParts;
use volute_anomaly::Model;
use volute_data::PumpRecord;
use volute_plant::{Profile, cadence::format_interval};

use crate::{config::Config, kinds::KindFiles, model_versions::check_model_folder, pretrained};

/// The kinds of a node.
pub struct NodeKindParts {
    /// The default kind.
    pub default_kind: KindParts,
    /// The other kinds, sorted by name.
    pub other_kinds: Vec<KindParts>,
}

/// Loads the kinds of a node with this configuration; `pumps` are its registered pumps.
///
/// If the default kind has no model, it gets the model of the added kind with the same name and channels. Its limits
/// and rules stay those of the configuration.
pub fn kinds_of_node(config: &Config, demo: bool, pumps: &[PumpRecord]) -> Result<NodeKindParts> {
    let (profile, mut model) = configured_model(config, demo)?;
    let added = KindFiles::of(&config.store.dir);
    let mut other_kinds = added.load(pumps)?;
    for kind in other_kinds.extract_if(.., |kind| kind.profile.name() == profile.name()) {
        let has_same_channels = kind.damage.is_some() || kind.profile.hash() == profile.hash();
        if model.is_none() && has_same_channels {
            model = added.model_of(&profile);
        }
    }
    Ok(NodeKindParts { default_kind: KindParts::new(profile, model), other_kinds })
}

/// Loads the configured profile and its model. The profile gets the model's interval, because a model is for one
/// interval.
fn configured_model(config: &Config, demo: bool) -> Result<(Profile, Option<Model>)> {
    let mut profile = config.model.profile.clone();
    let model = match &config.model.dir {
        Some(dir) => {
            check_model_folder(dir)?;
            let interval_ms = Model::interval_ms(dir)?;
            if interval_ms != profile.interval_ms() {
                let (every, dir) = (format_interval(interval_ms), dir.display());
                profile = profile
                    .with_interval(interval_ms)
                    .with_context(|| format!("{dir}: {every} is not a valid interval of a pump"))?;
            }
            Some(Model::load(dir, &profile)?)
        }
        None if demo => Some(pretrained::load(&profile)?),
        None => None,
    };
    Ok((profile, model))
}
