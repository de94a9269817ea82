//! `volute import`: a recording, or the original system's history, taken into the store of a node that does not run.

mod cadence;
mod limits;
mod original;
mod report;

use std::io::Write;

use anyhow::{Result, bail, ensure};
use volute_data::{Dialect, Import, Store, StoreError, import, try_import};
use volute_plant::{Clock, SystemClock, Timestamp};

use super::{
    data_folder,
    open_store::{runtime, store_settings},
};
use crate::{cli::ImportArgs, config::Config};
use limits::{oldest_kept, refuse_too_many};
use report::report;

/// Imports, and says what became of the rows; or says what would become of them.
pub fn run(args: &ImportArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let now = SystemClock.now();
    runtime()?.block_on(async {
        let store = open(args.dry_run, config, now, output).await?;
        let ended = with_store(args, config, now, store.as_ref(), output).await;
        if let Some(store) = store {
            store.close().await?;
        }
        ended
    })
}

/// The store; none where a dry run has none to compare with.
async fn open(dry_run: bool, config: &Config, now: Timestamp, output: &mut dyn Write) -> Result<Option<Store>> {
    let dir = &config.store.dir;
    if dry_run && !data_folder::in_use(dir) {
        return Ok(None);
    }
    data_folder::check(dir, false)?;
    match Store::open(dir, &store_settings(config), now).await {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::Locked { path }) if dry_run => {
            writeln!(output, "a node runs on {}: not compared with what is stored there", path.display())?;
            Ok(None)
        }
        Err(error) => Err(unlock(error)),
    }
}

async fn with_store(
    args: &ImportArgs,
    config: &Config,
    now: Timestamp,
    store: Option<&Store>,
    output: &mut dyn Write,
) -> Result<()> {
    if let (Some(store), false) = (store, args.dry_run)
        && !store.removing().is_empty()
    {
        store.finish_removals().await?;
    }
    if let Some(dir) = &args.original {
        return original::run(dir, args, config, now, store, output).await;
    }
    let (Some(file), Some(pump)) = (&args.file, &args.pump) else { bail!("a recording and its pump are needed") };
    let dialect = Dialect { read_for: Some(pump.clone()), ..args.dialect.clone().into() };
    let (profile, keep_first) = (&config.model.profile, args.keep_first);
    let what = Import { file, dialect: &dialect, pump, profile, now, keep_first };
    let imported = match store {
        Some(store) if !args.dry_run => {
            refuse_too_many(store, [pump], config)?;
            import(store, &what).await?
        }
        _ => try_import(store, &what).await?,
    };
    report(args.dry_run, pump, &imported, oldest_kept(config, now), output)?;
    ensure!(!imported.found_nothing(), "{}: no row holds a value: there is nothing to store", file.display());
    cadence::report(pump, &imported, args, config, store, output).await
}

/// Says what to do where a node runs.
fn unlock(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Locked { path } => anyhow::anyhow!(
            "a node runs on {}: stop it first, or send the recording to it with `volute replay`",
            path.display()
        ),
        other => other.into(),
    }
}
