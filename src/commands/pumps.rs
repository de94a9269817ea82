//! `volute pumps`: which pumps a node has, naming one, and removing one with all that is stored of it; by the node if it runs, and
//! without it if not.

use std::{fs, io::Write, os::unix::fs::MetadataExt};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use volute_data::{AuditAction, AuditEntry, Batch, PumpSettings, Store};
use volute_plant::{Clock, PumpId, PumpName, SystemClock, cadence::in_words};

use super::{open_stopped, runtime};
use crate::{
    cli::{PumpsArgs, PumpsCommand},
    config::Config,
    control::{ControlError, Request, tell},
};

/// The pumps of a node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Listed {
    pumps: Vec<Pump>,
    /// Pumps that were removed, and whose readings are being deleted.
    removing: Vec<PumpId>,
}

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
struct Pump {
    id: PumpId,
    name: Option<PumpName>,
    profile: String,
    registered_at: String,
}

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
        PumpsCommand::SetInterval { pump, interval_ms, .. } => {
            runtime()?.block_on(set_interval(pump, *interval_ms, config))?;
            let every = interval_ms.map_or_else(|| "its profile's".to_owned(), in_words);
            writeln!(output, "the interval of {pump} is {every}")?;
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

/// The pumps of an open store.
pub(super) fn listed(store: &Store) -> Listed {
    let mut names = store.pump_names();
    let pump = |pump: volute_data::PumpRecord| Pump {
        name: names.remove(&pump.id),
        id: pump.id,
        profile: pump.profile,
        registered_at: pump.registered_at.to_string(),
    };
    Listed { pumps: store.pumps().into_iter().map(pump).collect(), removing: store.removing() }
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

async fn set_interval(pump: &PumpId, interval_ms: Option<i64>, config: &Config) -> Result<()> {
    match tell(&config.store.dir, &Request::SetInterval { pump: pump.clone(), interval_ms }).await {
        Err(ControlError::NoNode { .. }) => {}
        told => return Ok(told?),
    }
    let store = open_stopped(config).await?;
    let set = set_interval_stopped(&store, pump, interval_ms).await;
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

/// Names a pump of a store that no node has open.
async fn rename_stopped(store: &Store, pump: &PumpId, name: Option<PumpName>) -> Result<()> {
    let note = AuditEntry::done(SystemClock.now(), who()?, AuditAction::NamePump, pump.as_str());
    let note = note.detail(&named(name.as_ref()));
    ensure!(store.set_pump_name(pump, name).await?, "there is no pump {pump}; see `volute pumps list`");
    Ok(store.commit(&Batch { audit: vec![note], ..Batch::default() }).await?)
}

/// A name as the audit log has it.
pub(super) fn named(name: Option<&PumpName>) -> String {
    name.map_or_else(|| "no name".to_owned(), |name| format!("name {:?}", name.as_str()))
}

/// Sets the interval of a pump of a store that no node has open. The next node learns its baseline anew.
async fn set_interval_stopped(store: &Store, pump: &PumpId, interval_ms: Option<i64>) -> Result<()> {
    ensure!(store.is_registered(pump), "there is no pump {pump}; see `volute pumps list`");
    let settings = PumpSettings { interval_ms, why: "as asked".into(), ..store.pump_settings(pump).await? };
    store.set_pump_settings(pump, &settings).await?;
    let said = interval_ms.map_or_else(|| "as the profile".to_owned(), |ms| ms.to_string());
    let note = AuditEntry::done(SystemClock.now(), who()?, AuditAction::SetPump, pump.as_str());
    let audit = vec![note.detail(&format!("interval_ms {said}"))];
    Ok(store.commit(&Batch { audit, ..Batch::default() }).await?)
}

/// Removes a pump of a store that no node has open, and deletes all of it.
async fn remove_stopped(store: &Store, pump: &PumpId) -> Result<()> {
    let removing = store.is_removing(pump);
    ensure!(removing || store.is_registered(pump), "there is no pump {pump}; see `volute pumps list`");
    if !removing {
        let note = AuditEntry::done(SystemClock.now(), who()?, AuditAction::RemovePump, pump.as_str());
        store.commit(&Batch { removals: vec![pump.clone()], audit: vec![note], ..Batch::default() }).await?;
    }
    // From here on it is done in the end, by the next node if need be.
    store.finish_removals().await?;
    Ok(())
}

/// Who asks.
fn who() -> Result<String> {
    Ok(format!("uid {}", fs::metadata("/proc/self")?.uid()))
}
