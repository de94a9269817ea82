//! `volute profiles`: lists a node's kinds of pumps, adds one, or removes one. If the node runs, it carries out the
//! command. Otherwise the command opens the store.

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result, ensure};
use volute_actors::{KindParts, RemoveKindError};
use volute_data::{AuditAction, AuditEntry, Batch, Document, PumpRecord, Store};
use volute_plant::{Clock, SystemClock};

use super::{
    data_folder,
    kind_reports::{KindSummary, summarize_kinds},
    kinds_of_node::{NodeKindParts, kinds_of_node},
    open_store::{current_user, open_stopped, open_stopped_or_new, runtime},
};
use crate::{
    cli::{ProfilesArgs, ProfilesCommand},
    config::Config,
    control::{ControlError, Request, send_request},
    kinds::{KindError, KindFiles, ModelFiles},
    model_versions::check_model_folder,
    profiles,
};

/// Executes the command, and prints its result.
pub fn run(args: &ProfilesArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    match &args.command {
        ProfilesCommand::List { .. } => {
            for KindSummary { name, title, channels, model, damage } in runtime()?.block_on(list(config))? {
                if let Some(why) = damage {
                    writeln!(output, "{name}  cannot be used: {why}; add it again with `volute profiles add`")?;
                    continue;
                }
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
        ProfilesCommand::Remove { name, .. } => {
            runtime()?.block_on(remove(name, config))?;
            writeln!(output, "the profile {name} is removed")?;
        }
    }
    Ok(())
}

async fn list(config: &Config) -> Result<Vec<KindSummary>> {
    match send_request(&config.store.dir, &Request::Profiles).await {
        Err(ControlError::NoNode { .. }) => {}
        response => return Ok(response?),
    }
    let is_demo = data_folder::is_simulated(&config.store.dir);
    let NodeKindParts { default_kind, mut other_kinds } = kinds_of_node(config, is_demo, &[])?;
    other_kinds.push(default_kind);
    sort(&mut other_kinds);
    Ok(summarize_kinds(&other_kinds))
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
    // Checked before the store is opened, so that an invalid profile does not create a data directory.
    volute_alarm::load_profile(&text).map_err(|source| KindError::Profile { file: profile.to_owned(), source })?;
    // The open store locks the data directory.
    let store = open_stopped_or_new(config).await?;
    let added = add_stopped(&text, profile, model.as_deref(), config, &store).await;
    store.close().await?;
    Ok(summarize_kinds(&[added?]))
}

/// Adds a kind to the data directory of a stopped node.
async fn add_stopped(
    text: &str,
    origin: &str,
    model: Option<&Path>,
    config: &Config,
    store: &Store,
) -> Result<KindParts> {
    let (kinds, known) = (KindFiles::of(&config.store.dir), known(config, &store.pumps())?);
    let files = model.map(|model| ModelFiles::Folder(model.to_owned()));
    // A profile that is also the configured one is added too: the node may be started with another default profile, and
    // then needs it.
    let added = kinds.add(text, origin, files.as_ref(), &known, "")?;
    let detail = model.map(|model| model.display().to_string()).unwrap_or_default();
    record(store, AuditAction::AddProfile, origin, &detail).await?;
    Ok(added)
}

async fn remove(name: &str, config: &Config) -> Result<()> {
    match send_request(&config.store.dir, &Request::RemoveProfile { name: name.to_owned() }).await {
        Err(ControlError::NoNode { .. }) => {}
        response => return Ok(response?),
    }
    let store = open_stopped(config).await?;
    let removed = remove_stopped(name, config, &store).await;
    store.close().await?;
    removed
}

/// Removes a kind from the data directory of a stopped node.
async fn remove_stopped(name: &str, config: &Config, store: &Store) -> Result<()> {
    ensure!(store.has_complete_pump_list(), "the node's pumps cannot be read, so one may have the profile {name}");
    let pumps = store.pumps();
    let known: Vec<String> = known(config, &pumps)?.iter().map(|kind| kind.profile.name().to_owned()).collect();
    let of_kind = pumps.into_iter().filter(|pump| pump.profile == name).map(|pump| pump.id).collect();
    RemoveKindError::check(name, config.model.profile.name(), &known, of_kind)?;
    KindFiles::of(&config.store.dir).remove(name)?;
    record(store, AuditAction::RemoveProfile, name, "").await
}

/// Records a command in the audit log of a stopped node.
async fn record(store: &Store, action: AuditAction, object: &str, detail: &str) -> Result<()> {
    let entry = AuditEntry::done(SystemClock.now(), &current_user()?, action, object).detail(detail);
    Ok(store.commit(&Batch { documents: vec![Document::of(&entry)], ..Batch::default() }).await?)
}

/// Returns the kinds of a node with this configuration and these pumps, sorted by name. Does not load the configured
/// model.
fn known(config: &Config, pumps: &[PumpRecord]) -> Result<Vec<KindParts>> {
    let mut kinds = KindFiles::of(&config.store.dir).load(pumps)?;
    let default = &config.model.profile;
    if kinds.iter().all(|kind| kind.profile.name() != default.name()) {
        kinds.push(KindParts::new(default.clone(), None));
        sort(&mut kinds);
    }
    Ok(kinds)
}

fn sort(kinds: &mut [KindParts]) {
    kinds.sort_by(|a, b| a.profile.name().cmp(b.profile.name()));
}
