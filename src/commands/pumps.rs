//! `volute pumps`: which pumps a node has, and removing one with all that is stored of it; by the node if it runs, and
//! without it if not.

use std::{fs, io::Write, os::unix::fs::MetadataExt};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use volute_data::{AuditAction, AuditEntry, Batch, Store};
use volute_plant::{Clock, PumpId, SystemClock};

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
    profile: String,
    registered_at: String,
}

/// Does it, and says what came of it.
pub fn run(args: &PumpsArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    match &args.command {
        PumpsCommand::List { .. } => {
            let Listed { pumps, removing } = runtime()?.block_on(list(config))?;
            for Pump { id, profile, registered_at } in pumps {
                writeln!(output, "{id}  {profile}  since {registered_at}")?;
            }
            for pump in removing {
                writeln!(output, "{pump}  removed; its readings are being deleted")?;
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
    let pump = |pump: volute_data::PumpRecord| Pump {
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

/// Removes a pump of a store that no node has open, and deletes all of it.
async fn remove_stopped(store: &Store, pump: &PumpId) -> Result<()> {
    let removing = store.is_removing(pump);
    ensure!(removing || store.is_registered(pump), "there is no pump {pump}; see `volute pumps list`");
    if !removing {
        let who = format!("uid {}", fs::metadata("/proc/self")?.uid());
        let note = AuditEntry::done(SystemClock.now(), who, AuditAction::RemovePump, pump.as_str());
        store.commit(&Batch { removals: vec![pump.clone()], audit: vec![note], ..Batch::default() }).await?;
    }
    // From here on it is done in the end, by the next node if need be.
    store.finish_removals().await?;
    Ok(())
}
