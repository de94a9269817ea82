//! `volute backup`: a backup of a node's data directory, by the node if it runs, and without it if not.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};
use volute_data::{About, BackupReport, Store, check_repository, take_backup};
use volute_plant::{Clock, SystemClock};

use super::{
    data_folder,
    open_store::{absolute, open_stopped, runtime},
};
use crate::{
    cli::BackupArgs,
    config::Config,
    control::{ControlError, Request, tell},
};

/// The folder of the staged copy, in the data directory: its tables can be linked only on the same file system.
const STAGING: &str = "staging";

/// A backup that was made, and how long it took.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    report: BackupReport,
    /// How long who asks for history had to wait, at most. Readings are taken in meanwhile.
    pause_ms: u128,
    /// All in all.
    took_ms: u128,
}

/// Makes a backup and says what is in it.
pub fn run(args: &BackupArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let (dir, repository) = (&config.store.dir, absolute(&args.repository)?);
    let done: Done = runtime()?.block_on(async {
        match tell(dir, &Request::Backup { repository: repository.clone() }).await {
            Err(ControlError::NoNode { .. }) => {}
            told => return anyhow::Ok(told?),
        }
        let store = open_stopped(config).await?;
        let done = back_up(&store, dir, repository, Arc::default()).await;
        store.close().await?;
        done
    })?;
    let BackupReport { dir, files, bytes, copied, copied_bytes, linked, .. } = &done.report;
    writeln!(output, "{}", dir.display())?;
    writeln!(output, "{files} files, {bytes} bytes: {copied} copied ({copied_bytes} bytes), {linked} linked")?;
    writeln!(output, "took {} ms; history could not be asked for {} ms of it", done.took_ms, done.pause_ms)?;
    Ok(())
}

/// Makes a backup of an open store. One at a time: there is one folder for the staged copy.
pub(super) async fn back_up(store: &Store, dir: &Path, repository: PathBuf, stopping: Arc<AtomicBool>) -> Result<Done> {
    let begun = Instant::now();
    check_repository(dir, &repository)?;
    let staging = dir.join(STAGING);
    clear_staging(dir)?;
    fs::create_dir(&staging).map_err(|error| anyhow!("{} cannot be made: {error}", staging.display()))?;
    let created_at = SystemClock.now();
    let staged = store.stage(&staging).await;
    let pause_ms = begun.elapsed().as_millis();
    let report = match staged {
        Ok(staged) => {
            let (dir, staging) = (dir.to_owned(), staging.clone());
            let take = move || {
                data_folder::mark_copy(&dir, &staging).map_err(|error| anyhow!("{}: {error}", staging.display()))?;
                let product = env!("CARGO_PKG_VERSION");
                let about = About { data_dir: &dir, staged, created_at, product, stopping: &stopping };
                anyhow::Ok(take_backup(&staging, &repository, &about)?)
            };
            tokio::task::spawn_blocking(take).await?
        }
        Err(error) => Err(error.into()),
    };
    if let Err(error) = clear_staging(dir) {
        tracing::warn!(%error, "the staged copy is still there; the next backup or start removes it");
    }
    let report = report?;
    let took_ms = begun.elapsed().as_millis();
    let BackupReport { name, files, bytes, copied, linked, durable_seq, .. } = &report;
    tracing::info!(name, files, bytes, copied, linked, durable_seq, pause_ms, took_ms, "backup made");
    Ok(Done { report, pause_ms, took_ms })
}

/// Removes what a backup left that was cut short.
pub(super) fn clear_staging(dir: &Path) -> Result<()> {
    let staging = dir.join(STAGING);
    match fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(anyhow!("{} cannot be removed: {error}", staging.display()))
        }
        _ => Ok(()),
    }
}
