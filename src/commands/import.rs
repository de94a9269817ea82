//! `volute import`: imports a recording, or the original system's history, into the store of a stopped node.

mod cadence;
mod limits;
mod original;
mod report;

use std::io::Write;

use anyhow::{Result, bail, ensure};
use volute_data::{Dialect, ImportRequest, Store, StoreError, dry_run_import, import};
use volute_plant::{Clock, SystemClock, Timestamp};

use super::{
    data_folder,
    open_store::{runtime, store_settings},
};
use crate::{cli::ImportArgs, config::Config, kinds::KindFiles, profiles};
use limits::{check_pump_limit, retention_start};
use report::report;

/// Imports, or in a dry run only reports what would be imported. Prints how many rows are stored or left out, and why.
pub fn run(args: &ImportArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let now = SystemClock.now();
    runtime()?.block_on(async {
        let store = open_store(args.dry_run, config, now, output).await?;
        let result = async {
            if !args.dry_run {
                add_profile(args, config, store.as_ref(), output)?;
            }
            import_into(args, config, now, store.as_ref(), output).await
        };
        let result = result.await;
        if let Some(store) = store {
            store.close().await?;
        }
        result
    })
}

/// Adds the profile of `--profile` to the node, unless the node has it, because a node does not start without the
/// profiles of its pumps. The store is open, so no node runs on the data directory.
fn add_profile(args: &ImportArgs, config: &Config, store: Option<&Store>, output: &mut dyn Write) -> Result<()> {
    let Some(given) = &args.profile else { return Ok(()) };
    let (kinds, profile) = (KindFiles::of(&config.store.dir), &config.model.profile);
    let known = kinds.load(&store.map(Store::pumps).unwrap_or_default())?;
    if !known.iter().any(|kind| kind.profile.is_same(profile)) {
        // The profile may also be the one in the node's configuration. Then this copy is not used.
        kinds.add(&profiles::text(given)?, given, None, &known, "")?;
        writeln!(output, "the profile {} is added to the node's profiles", profile.name())?;
    }
    Ok(())
}

/// Opens the store; `None` if a dry run has no store to compare with.
async fn open_store(dry_run: bool, config: &Config, now: Timestamp, output: &mut dyn Write) -> Result<Option<Store>> {
    let dir = &config.store.dir;
    if dry_run && !data_folder::has_store(dir) {
        return Ok(None);
    }
    data_folder::check_or_mark(dir, false)?;
    match Store::open(dir, &store_settings(config), now).await {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::Locked { path }) if dry_run => {
            writeln!(output, "a node runs on {}: not compared with its stored readings", path.display())?;
            Ok(None)
        }
        Err(error) => Err(explain_lock(error)),
    }
}

async fn import_into(
    args: &ImportArgs,
    config: &Config,
    now: Timestamp,
    store: Option<&Store>,
    output: &mut dyn Write,
) -> Result<()> {
    if let (Some(store), false) = (store, args.dry_run)
        && !store.pumps_being_removed().is_empty()
    {
        store.finish_removals().await?;
    }
    if let Some(dir) = &args.original {
        return original::run(dir, args, config, now, store, output).await;
    }
    let (Some(file), Some(pump)) = (&args.file, &args.pump) else { bail!("a recording and its pump are needed") };
    let dialect = Dialect { expected_pump: Some(pump.clone()), ..args.dialect.clone().into() };
    let (profile, keep_first) = (&config.model.profile, args.keep_first);
    let request = ImportRequest { file, dialect: &dialect, pump, profile, now, keep_first };
    let imported = match store {
        Some(store) if !args.dry_run => {
            check_pump_limit(store, [pump], config)?;
            import(store, &request).await?
        }
        _ => dry_run_import(store, &request).await?,
    };
    report(args.dry_run, pump, &imported, retention_start(config, now), output)?;
    ensure!(!imported.found_nothing(), "{}: no row has a value, so there is nothing to store", file.display());
    cadence::report(pump, &imported, args, config, store, output).await
}

/// Adds advice to the error if a running node has the store open.
fn explain_lock(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Locked { path } => anyhow::anyhow!(
            "a node runs on {}: stop it first, or send the recording to it with `volute replay`",
            path.display()
        ),
        other => other.into(),
    }
}
