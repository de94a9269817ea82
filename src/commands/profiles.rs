//! `volute profiles`: which kinds of pumps a node watches, and adding one; by the node if it runs, and without it if not.

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result};
use volute_actors::KindParts;
use volute_plant::Profile;

use super::{
    kind_reports::{Kind, kinds_listed},
    open_store::{open_stopped_or_new, runtime},
};
use crate::{
    cli::{ProfilesArgs, ProfilesCommand},
    config::Config,
    control::{ControlError, Request, tell},
    kinds::{AddedKinds, KindError, ModelFiles},
    profiles,
};

/// Does it, and says what came of it.
pub fn run(args: &ProfilesArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    match &args.command {
        ProfilesCommand::List { .. } => {
            for Kind { name, title, channels, model } in runtime()?.block_on(list(config))? {
                let model = model.map_or_else(|| "no model".to_owned(), |model| format!("model {model}"));
                writeln!(output, "{name}  {title}  {channels} channels  {model}")?;
            }
        }
        ProfilesCommand::Add { profile, model, .. } => {
            for Kind { name, model, .. } in runtime()?.block_on(add(profile, model.as_deref(), config))? {
                let model =
                    model.map_or_else(|| "without a model".to_owned(), |model| format!("with the model {model}"));
                writeln!(output, "the profile {name} is added {model}")?;
            }
        }
    }
    Ok(())
}

async fn list(config: &Config) -> Result<Vec<Kind>> {
    match tell(&config.store.dir, &Request::Profiles).await {
        Err(ControlError::NoNode { .. }) => Ok(kinds_listed(&known(config)?)),
        told => Ok(told?),
    }
}

async fn add(profile: &str, model: Option<&Path>, config: &Config) -> Result<Vec<Kind>> {
    let text = profiles::text(profile)?;
    let model = model.map(|model| fs::canonicalize(model).with_context(|| model.display().to_string())).transpose()?;
    let request = Request::AddProfile { profile: text.clone(), origin: profile.to_owned(), model: model.clone() };
    match tell(&config.store.dir, &request).await {
        Err(ControlError::NoNode { .. }) => {}
        told => return Ok(told?),
    }
    // What is no profile makes no folder.
    Profile::from_toml(&text).map_err(|source| KindError::Profile { file: profile.to_owned(), source })?;
    // Nobody else may have the folder meanwhile.
    let store = open_stopped_or_new(config).await?;
    let added = add_stopped(&text, profile, model.as_deref(), config);
    store.close().await?;
    Ok(kinds_listed(&[added?]))
}

/// Adds a kind to the data folder of a node that does not run.
fn add_stopped(text: &str, origin: &str, model: Option<&Path>, config: &Config) -> Result<KindParts> {
    let kinds = AddedKinds::of(&config.store.dir);
    Ok(kinds.add(text, origin, model.map(ModelFiles::Folder), &known(config)?)?)
}

/// The kinds that a node of this configuration has, by name.
fn known(config: &Config) -> Result<Vec<KindParts>> {
    let mut kinds = AddedKinds::of(&config.store.dir).load()?;
    let default = &config.model.profile;
    if kinds.iter().all(|kind| kind.profile.name() != default.name()) {
        kinds.push(KindParts { profile: default.clone(), model: None });
        kinds.sort_by(|a, b| a.profile.name().cmp(b.profile.name()));
    }
    Ok(kinds)
}
