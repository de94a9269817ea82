//! `volute import`: a recording, or the original system's history, taken into the store of a node that does not run.

mod cadence;
mod original;

use std::{collections::BTreeSet, io::Write};

use anyhow::{Result, bail, ensure};
use volute_data::{Dialect, Import, Imported, Store, StoreError, import, try_import};
use volute_plant::{Clock, PumpId, SystemClock, Timestamp};

use super::{runtime, serve::folder, store_settings};
use crate::{cli::ImportArgs, config::Config};

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
    if dry_run && !folder::in_use(dir) {
        return Ok(None);
    }
    folder::check(dir, false)?;
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
    tell(args.dry_run, pump, &imported, oldest_kept(config, now), output)?;
    ensure!(!imported.found_nothing(), "{}: no row holds a value: there is nothing to store", file.display());
    cadence::tell(pump, &imported, args, config, store, output).await
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

/// Refuses new pumps beyond the most that the node takes.
fn refuse_too_many<'a>(store: &Store, pumps: impl IntoIterator<Item = &'a PumpId>, config: &Config) -> Result<()> {
    let known: BTreeSet<PumpId> = store.pumps().into_iter().map(|pump| pump.id).collect();
    let new: BTreeSet<&PumpId> = pumps.into_iter().filter(|pump| !known.contains(pump)).collect();
    let most = config.ingest.max_pumps;
    ensure!(
        known.len() + new.len() <= most || new.is_empty(),
        "{} new pumps are too many beside {}: {most} are the most that may be (ingest.max_pumps)",
        new.len(),
        known.len()
    );
    Ok(())
}

/// The time before which the node deletes readings.
fn oldest_kept(config: &Config, now: Timestamp) -> Timestamp {
    let keep_ms = i64::try_from(config.retention.readings.as_millis()).unwrap_or(i64::MAX);
    now.plus_ms(keep_ms.saturating_neg())
}

fn tell(
    dry_run: bool,
    pump: &PumpId,
    imported: &Imported,
    oldest_kept: Timestamp,
    output: &mut dyn Write,
) -> Result<()> {
    let Imported { stored, joined, known, empty, labelled, first, last, .. } = *imported;
    for line in imported.notes.lines().into_iter().chain(imported.notes.utc_line()) {
        writeln!(output, "{line}")?;
    }
    match dry_run {
        true => writeln!(output, "{stored} readings of {pump} would be stored; this was a dry run")?,
        false => writeln!(output, "{stored} readings of {pump} stored")?,
    }
    if let (Some(first), Some(last)) = (first, last) {
        writeln!(output, "from {first} to {last}")?;
    }
    if joined > 0 {
        writeln!(output, "{joined} of them hold further channels of a reading that is stored")?;
    }
    if stored == 0 && known > 0 {
        writeln!(output, "nothing is new: all that the file holds is stored")?;
    }
    if known > 0 {
        writeln!(output, "{known} rows left out: they are stored already")?;
    }
    if let Some(finding) = &imported.contradicted {
        writeln!(output, "{} rows left out: {finding}", finding.count)?;
    }
    if empty > 0 {
        writeln!(output, "{empty} rows left out: they hold no value")?;
    }
    if labelled > 0 {
        writeln!(output, "the labels of {labelled} rows are not stored")?;
    }
    if first.is_some_and(|first| first < oldest_kept) {
        writeln!(output, "what is older than {oldest_kept} will be deleted by the node (retention.readings_days)")?;
    }
    Ok(())
}
