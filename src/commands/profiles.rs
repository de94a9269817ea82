//! `volute profiles`: lists a node's kinds of pumps, or adds one. A running node does it itself; otherwise the command opens the
//! store.

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result};
use volute_actors::KindParts;
use volute_plant::Profile;

use super::{
    kind_reports::{KindSummary, summarize_kinds},
    open_store::{open_stopped_or_new, runtime},
};
use crate::{
    cli::{ProfilesArgs, ProfilesCommand},
    config::Config,
    control::{ControlError, Request, send_request},
    kinds::{AddedKinds, KindError, ModelFiles},
    model_versions::check_model_folder,
    profiles,
};

/// Executes the command, and prints its result.
pub fn run(args: &ProfilesArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    match &args.command {
        ProfilesCommand::List { .. } => {
            for KindSummary { name, title, channels, model } in runtime()?.block_on(list(config))? {
                let model = model.map_or_else(|| "no model".to_owned(), |model| format!("model {model}"));
                writeln!(output, "{name}  {title}  {channels} channels  {model}")?;
            }
        }
        ProfilesCommand::Add { profile, model, .. } => {
            for KindSummary { name, model, .. } in runtime()?.block_on(add(profile, model.as_deref(), config))? {
                let model =
                    model.map_or_else(|| "without a model".to_owned(), |model| format!("with the model {model}"));
                writeln!(output, "the profile {name} is added {model}")?;
            }
        }
    }
    Ok(())
}

async fn list(config: &Config) -> Result<Vec<KindSummary>> {
    match send_request(&config.store.dir, &Request::Profiles).await {
        Err(ControlError::NoNode { .. }) => Ok(summarize_kinds(&known(config)?)),
        response => Ok(response?),
    }
}

async fn add(profile: &str, model: Option<&Path>, config: &Config) -> Result<Vec<KindSummary>> {
    let text = profiles::text(profile)?;
    let model = model.map(|model| fs::canonicalize(model).with_context(|| model.display().to_string())).transpose()?;
    if let Some(model) = &model {
        check_model_folder(model)?;
    }
    let request = Request::AddProfile { profile: text.clone(), origin: profile.to_owned(), model: model.clone() };
    match send_request(&config.store.dir, &request).await {
        Err(ControlError::NoNode { .. }) => {}
        response => return Ok(response?),
    }
    // Before the store is opened, so that an invalid profile does not create a data directory.
    Profile::from_toml(&text).map_err(|source| KindError::Profile { file: profile.to_owned(), source })?;
    // The open store locks the data directory.
    let store = open_stopped_or_new(config).await?;
    let added = add_stopped(&text, profile, model.as_deref(), config);
    store.close().await?;
    Ok(summarize_kinds(&[added?]))
}

/// Adds a kind to the data directory of a stopped node.
fn add_stopped(text: &str, origin: &str, model: Option<&Path>, config: &Config) -> Result<KindParts> {
    let kinds = AddedKinds::of(&config.store.dir);
    let configured = config.model.profile.name();
    Ok(kinds.add(text, origin, model.map(ModelFiles::Folder), &known(config)?, configured)?)
}

/// Returns the kinds of a node with this configuration, sorted by name.
fn known(config: &Config) -> Result<Vec<KindParts>> {
    let mut kinds = AddedKinds::of(&config.store.dir).load()?;
    let default = &config.model.profile;
    if kinds.iter().all(|kind| kind.profile.name() != default.name()) {
        kinds.push(KindParts { profile: default.clone(), model: None });
        kinds.sort_by(|a, b| a.profile.name().cmp(b.profile.name()));
    }
    Ok(kinds)
}
