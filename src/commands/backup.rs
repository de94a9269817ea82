//! `volute backup`: makes a backup of a node's data directory. A running node makes the backup on request. If the node is
//! stopped, the command opens the store and makes the backup itself.
//!
//! The store stages a consistent copy in `DATA/staging/`, hard-linked to the data directory where possible. The copy is
//! then written to the repository. A file that the previous backup also has is hard-linked to the file there. Finally
//! the staged copy is removed.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};
use volute_data::{BackupReport, BackupRequest, Store, check_repository, take_backup};
use volute_plant::{Clock, SystemClock};

use super::{
    data_folder,
    open_store::{absolute, open_stopped, runtime},
};
use crate::{
    cli::BackupArgs,
    config::Config,
    control::{ControlError, Request, send_request},
};

/// The folder of the staged copy. It is in the data directory, because files can be hard-linked only within a file
/// system.
const STAGING_DIR: &str = "staging";

/// The result of a backup.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BackupSummary {
    report: BackupReport,
    /// The longest time for which a query for history had to wait, in milliseconds. Readings are accepted meanwhile.
    pause_ms: u128,
    /// How long the backup took in total, in milliseconds.
    took_ms: u128,
}

/// Makes a backup, and prints a summary.
pub fn run(args: &BackupArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let (dir, repository) = (&config.store.dir, absolute(&args.repository)?);
    let summary: BackupSummary = runtime()?.block_on(async {
        match send_request(dir, &Request::Backup { repository: repository.clone() }).await {
            Err(ControlError::NoNode { .. }) => {}
            response => return anyhow::Ok(response?),
        }
        let store = open_stopped(config).await?;
        let summary = back_up(&store, dir, repository, Arc::default()).await;
        store.close().await?;
        summary
    })?;
    let BackupReport { dir, files, bytes, copied, copied_bytes, linked, .. } = &summary.report;
    writeln!(output, "{}", dir.display())?;
    writeln!(output, "{files} files, {bytes} bytes: {copied} copied ({copied_bytes} bytes), {linked} linked")?;
    writeln!(output, "took {} ms; history could not be queried for {} ms of it", summary.took_ms, summary.pause_ms)?;
    Ok(())
}

/// Makes a backup of an open store. The caller runs one backup at a time, because there is one folder for the staged
/// copy.
pub(super) async fn back_up(
    store: &Store,
    dir: &Path,
    repository: PathBuf,
    stopping: Arc<AtomicBool>,
) -> Result<BackupSummary> {
    let start = Instant::now();
    check_repository(dir, &repository)?;
    let staging = dir.join(STAGING_DIR);
    clear_staging(dir)?;
    fs::create_dir(&staging).map_err(|error| anyhow!("{} cannot be created: {error}", staging.display()))?;
    let created_at = SystemClock.now();
    let staged = store.stage(&staging).await;
    let pause_ms = start.elapsed().as_millis();
    let report = match staged {
        Ok(staged) => {
            let (dir, staging) = (dir.to_owned(), staging.clone());
            let take = move || {
                data_folder::mark_copy(&dir, &staging).map_err(|error| anyhow!("{}: {error}", staging.display()))?;
                let product = env!("CARGO_PKG_VERSION");
                let request = BackupRequest { data_dir: &dir, staged, created_at, product, stopping: &stopping };
                anyhow::Ok(take_backup(&staging, &repository, &request)?)
            };
            tokio::task::spawn_blocking(take).await?
        }
        Err(error) => Err(error.into()),
    };
    if let Err(error) = clear_staging(dir) {
        tracing::warn!(%error, "the staged copy cannot be removed; the next backup or start removes it");
    }
    let report = report?;
    let took_ms = start.elapsed().as_millis();
    let BackupReport { name, files, bytes, copied, linked, durable_seq, .. } = &report;
    tracing::info!(name, files, bytes, copied, linked, durable_seq, pause_ms, took_ms, "backup made");
    Ok(BackupSummary { report, pause_ms, took_ms })
}

/// Removes the staged copy of the backup that has just ended, or of an earlier backup that was interrupted.
pub(super) fn clear_staging(dir: &Path) -> Result<()> {
    let staging = dir.join(STAGING_DIR);
    match fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(anyhow!("{} cannot be removed: {error}", staging.display()))
        }
        _ => Ok(()),
    }
}
