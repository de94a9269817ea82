//! `volute pumps`: which pumps a node has, what is set for one of them alone, naming one, and removing one with all that is stored of it; by the node if it runs, and
//! without it if not.

use std::{fs, io::Write, os::unix::fs::MetadataExt};

use anyhow::{Context, Result, ensure};
use volute_data::{AuditAction, AuditEntry, Batch, Document, PumpSetting, PumpSettings, Store};
use volute_plant::{Clock, Profile, PumpId, PumpName, SystemClock, cadence::in_words};

use super::{
    open_store::{open_stopped, runtime},
    pump_reports::{Listed, Pump, Settings, check_channel, listed, named, settings_of},
};
use crate::{
    cli::{PumpsArgs, PumpsCommand},
    config::Config,
    control::{ControlError, Request, tell},
    kinds::AddedKinds,
};

/// Does it, and says what came of it.
pub fn run(args: &PumpsArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    match &args.command {
        PumpsCommand::List { .. } => {
            let Listed { pumps, removing } = runtime()?.block_on(list(config))?;
            for Pump { id, name, profile, registered_at } in pumps {
                // An id has no two spaces in a row.
                let name = name.map(|name| format!("  {name}")).unwrap_or_default();
                writeln!(output, "{id}{name}  {profile}  since {registered_at}")?;
            }
            for pump in removing {
                writeln!(output, "{pump}  removed; its readings are being deleted")?;
            }
        }
        PumpsCommand::Settings { pump, .. } => {
            let Settings { settings, profile_interval_ms } = runtime()?.block_on(settings(pump, config))?;
            show(&settings, profile_interval_ms, output)?;
        }
        PumpsCommand::SetHold { pump, hold_s, channel, .. } => {
            let setting = PumpSetting::Hold { channel: channel.clone(), hold_s: *hold_s };
            runtime()?.block_on(set(pump, setting, config))?;
            let what = channel.as_ref().map_or_else(|| "the values".to_owned(), |name| format!("{name}'s last value"));
            let long = hold_s.map_or_else(|| "as long as its profile says".to_owned(), |s| in_words(1_000 * s));
            writeln!(output, "{what} of {pump} holds for {long}")?;
        }
        PumpsCommand::SetInterval { pump, interval_ms, .. } => {
            runtime()?.block_on(set(pump, PumpSetting::Interval(*interval_ms), config))?;
            let every = interval_ms.map_or_else(|| "its profile's".to_owned(), in_words);
            writeln!(output, "the interval of {pump} is {every}")?;
        }
        PumpsCommand::SetProfile { pump, profile, .. } => {
            let request = Request::AssignProfile { pump: pump.clone(), profile: profile.clone() };
            let told: Result<(), ControlError> = runtime()?.block_on(tell(&config.store.dir, &request));
            told.context("a profile is assigned while the node runs")?;
            writeln!(output, "{pump} is of the profile {profile}; what is normal for it is learned anew")?;
        }
        PumpsCommand::Rename { pump, name, .. } => {
            runtime()?.block_on(rename(pump, name.clone(), config))?;
            match name {
                Some(name) => writeln!(output, "{pump} is named {name}")?,
                None => writeln!(output, "{pump} has no name")?,
            }
        }
        PumpsCommand::Remove { pump, .. } => {
            runtime()?.block_on(remove(pump, config))?;
            writeln!(output, "{pump} is removed")?;
        }
    }
    Ok(())
}

async fn list(config: &Config) -> Result<Listed> {
    match tell(&config.store.dir, &Request::Pumps).await {
        Err(ControlError::NoNode { .. }) => {}
        told => return Ok(told?),
    }
    let store = open_stopped(config).await?;
    let listed = listed(&store);
    store.close().await?;
    Ok(listed)
}

async fn remove(pump: &PumpId, config: &Config) -> Result<()> {
    match tell(&config.store.dir, &Request::RemovePump { pump: pump.clone() }).await {
        Err(ControlError::NoNode { .. }) => {}
        told => return Ok(told?),
    }
    let store = open_stopped(config).await?;
    let removed = remove_stopped(&store, pump).await;
    store.close().await?;
    removed
}

async fn settings(pump: &PumpId, config: &Config) -> Result<Settings> {
    match tell(&config.store.dir, &Request::PumpSettings { pump: pump.clone() }).await {
        Err(ControlError::NoNode { .. }) => {}
        told => return Ok(told?),
    }
    let store = open_stopped(config).await?;
    let known = settings_stopped(&store, pump, config).await;
    store.close().await?;
    known
}

fn show(settings: &PumpSettings, profile_interval_ms: i64, output: &mut dyn Write) -> Result<()> {
    match settings.interval_ms {
        Some(ms) => writeln!(output, "interval  {} ({ms} ms), its own; {}", in_words(ms), settings.why)?,
        None => writeln!(output, "interval  {}, its profile's", in_words(profile_interval_ms))?,
    }
    match settings.hold_s {
        Some(s) => writeln!(output, "hold      {} ({s} s)", in_words(1_000 * s))?,
        None => writeln!(output, "hold      as its profile says")?,
    }
    for (channel, s) in &settings.channel_hold_s {
        writeln!(output, "hold      {} ({s} s) of {channel}", in_words(1_000 * s))?;
    }
    Ok(())
}

async fn set(pump: &PumpId, setting: PumpSetting, config: &Config) -> Result<()> {
    let request = Request::SetPump { pump: pump.clone(), setting: setting.clone() };
    match tell(&config.store.dir, &request).await {
        Err(ControlError::NoNode { .. }) => {}
        told => return Ok(told?),
    }
    let store = open_stopped(config).await?;
    let set = match profile_stopped(&store, pump, config) {
        Ok(profile) => set_stopped(&store, &profile, pump, setting).await,
        Err(error) => Err(error),
    };
    store.close().await?;
    set
}

async fn rename(pump: &PumpId, name: Option<PumpName>, config: &Config) -> Result<()> {
    match tell(&config.store.dir, &Request::NamePump { pump: pump.clone(), name: name.clone() }).await {
        Err(ControlError::NoNode { .. }) => {}
        told => return Ok(told?),
    }
    let store = open_stopped(config).await?;
    let renamed = rename_stopped(&store, pump, name).await;
    store.close().await?;
    renamed
}

/// What is set for a pump of a store that no node has open.
async fn settings_stopped(store: &Store, pump: &PumpId, config: &Config) -> Result<Settings> {
    settings_of(store, &profile_stopped(store, pump, config)?, pump).await
}

/// The profile of a pump of a store that no node has open; of one that is not registered, that of pumps that name none.
fn profile_stopped(store: &Store, pump: &PumpId, config: &Config) -> Result<Profile> {
    let default = &config.model.profile;
    let Some(name) = store.profile_of(pump).filter(|name| name != default.name()) else { return Ok(default.clone()) };
    let kinds = AddedKinds::of(&config.store.dir).load()?;
    let own = kinds.into_iter().map(|kind| kind.profile).find(|profile| profile.name() == name);
    Ok(own.unwrap_or_else(|| default.clone()))
}

/// Names a pump of a store that no node has open.
async fn rename_stopped(store: &Store, pump: &PumpId, name: Option<PumpName>) -> Result<()> {
    let note = AuditEntry::done(SystemClock.now(), who()?, AuditAction::NamePump, pump.as_str());
    let note = note.detail(&named(name.as_ref()));
    ensure!(store.set_pump_name(pump, name).await?, "there is no pump {pump}; see `volute pumps list`");
    Ok(store.commit(&Batch { documents: vec![Document::of(&note)], ..Batch::default() }).await?)
}

/// Sets something for a pump of a store that no node has open. Where its interval changes, the next node learns its baseline anew.
pub(super) async fn set_stopped(store: &Store, profile: &Profile, pump: &PumpId, setting: PumpSetting) -> Result<()> {
    let known = settings_of(store, profile, pump).await?;
    check_channel(&setting, profile)?;
    let note = AuditEntry::done(SystemClock.now(), who()?, AuditAction::SetPump, pump.as_str());
    let documents = vec![Document::of(&note.detail(&setting.to_string()))];
    store.set_pump_settings(pump, &known.settings.with(setting)).await?;
    Ok(store.commit(&Batch { documents, ..Batch::default() }).await?)
}

/// Removes a pump of a store that no node has open, and deletes all of it.
async fn remove_stopped(store: &Store, pump: &PumpId) -> Result<()> {
    let removing = store.is_removing(pump);
    ensure!(removing || store.is_registered(pump), "there is no pump {pump}; see `volute pumps list`");
    if !removing {
        let note = AuditEntry::done(SystemClock.now(), who()?, AuditAction::RemovePump, pump.as_str());
        store
            .commit(&Batch { removals: vec![pump.clone()], documents: vec![Document::of(&note)], ..Batch::default() })
            .await?;
    }
    // From here on it is done in the end, by the next node if need be.
    store.finish_removals().await?;
    Ok(())
}

/// Who asks.
fn who() -> Result<String> {
    Ok(format!("uid {}", fs::metadata("/proc/self")?.uid()))
}
