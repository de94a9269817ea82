//! `volute import`: a recording taken into the store of a node that does not run.

use std::io::Write;

use anyhow::{Result, ensure};
use volute_data::{Dialect, Import, Imported, Store, StoreError, import, try_import};
use volute_plant::{Clock, SystemClock, Timestamp};

use super::{runtime, serve::folder, store_settings};
use crate::{cli::ImportArgs, config::Config};

/// Imports, and says what became of the rows; or says what would become of them.
pub fn run(args: &ImportArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let now = SystemClock.now();
    let dialect = Dialect::from(args.dialect.clone());
    let (pump, profile, keep_first) = (&args.pump, &config.model.profile, args.keep_first);
    let what = Import { file: &args.file, dialect: &dialect, pump, profile, now, keep_first };
    let imported = runtime()?.block_on(async {
        match args.dry_run {
            true => dry_run(&what, config, output).await,
            false => store(&what, config).await,
        }
    })?;
    tell(args, &imported, oldest_kept(config, now), output)
}

async fn store(what: &Import<'_>, config: &Config) -> Result<Imported> {
    folder::check(&config.store.dir, false)?;
    let store = Store::open(&config.store.dir, &store_settings(config), what.now).await.map_err(unlock)?;
    if store.is_removing(what.pump) {
        store.finish_removals().await?;
    }
    let imported = match room(&store, what, config) {
        Ok(()) => import(&store, what).await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    store.close().await?;
    imported
}

/// Compares with what is stored where a store is there and no node runs on it.
async fn dry_run(what: &Import<'_>, config: &Config, output: &mut dyn Write) -> Result<Imported> {
    let dir = &config.store.dir;
    if !folder::in_use(dir) {
        return Ok(try_import(None, what).await?);
    }
    match Store::open(dir, &store_settings(config), what.now).await {
        Ok(store) => {
            let imported = try_import(Some(&store), what).await;
            store.close().await?;
            Ok(imported?)
        }
        Err(StoreError::Locked { path }) => {
            writeln!(output, "a node runs on {}: not compared with what is stored there", path.display())?;
            Ok(try_import(None, what).await?)
        }
        Err(error) => Err(error.into()),
    }
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

/// Refuses a new pump beyond the most that the node takes.
fn room(store: &Store, what: &Import<'_>, config: &Config) -> Result<()> {
    let (pumps, most) = (store.pumps(), config.ingest.max_pumps);
    let known = pumps.iter().any(|pump| pump.id == *what.pump);
    ensure!(known || pumps.len() < most, "there are {most} pumps already, the most that may be (ingest.max_pumps)");
    Ok(())
}

/// The time before which the node deletes readings.
fn oldest_kept(config: &Config, now: Timestamp) -> Timestamp {
    let keep_ms = i64::try_from(config.retention.readings.as_millis()).unwrap_or(i64::MAX);
    now.plus_ms(keep_ms.saturating_neg())
}

fn tell(args: &ImportArgs, imported: &Imported, oldest_kept: Timestamp, output: &mut dyn Write) -> Result<()> {
    let Imported { stored, known, empty, labelled, first, last, .. } = *imported;
    for line in imported.notes.lines().into_iter().chain(imported.notes.utc_line()) {
        writeln!(output, "{line}")?;
    }
    match args.dry_run {
        true => writeln!(output, "{stored} readings of {} would be stored; this was a dry run", args.pump)?,
        false => writeln!(output, "{stored} readings of {} stored", args.pump)?,
    }
    if let (Some(first), Some(last)) = (first, last) {
        writeln!(output, "from {first} to {last}")?;
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
