//! `volute import`: a recording taken into the store of a node that does not run.

use std::io::Write;

use anyhow::{Result, ensure};
use volute_data::{Import, Imported, Store, StoreError, import};
use volute_plant::{Clock, SystemClock, Timestamp};

use super::{runtime, serve::folder, store_settings};
use crate::{cli::ImportArgs, config::Config};

/// Imports, and says what became of the rows.
pub fn run(args: &ImportArgs, config: &Config, output: &mut dyn Write) -> Result<()> {
    let now = SystemClock.now();
    let imported = runtime()?.block_on(async {
        folder::check(&config.store.dir, false)?;
        let store = Store::open(&config.store.dir, &store_settings(config), now).await.map_err(unlock)?;
        if store.is_removing(&args.pump) {
            store.finish_removals().await?;
        }
        let imported = match room(&store, args, config) {
            Ok(()) => {
                let what = Import { file: &args.file, pump: &args.pump, profile: &config.model.profile, now };
                import(&store, &what).await.map_err(anyhow::Error::from)
            }
            Err(error) => Err(error),
        };
        store.close().await?;
        imported
    })?;
    tell(args, &imported, oldest_kept(config, now), output)
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
fn room(store: &Store, args: &ImportArgs, config: &Config) -> Result<()> {
    let (pumps, most) = (store.pumps(), config.ingest.max_pumps);
    let known = pumps.iter().any(|pump| pump.id == args.pump);
    ensure!(known || pumps.len() < most, "there are {most} pumps already, the most that may be (ingest.max_pumps)");
    Ok(())
}

/// The time before which the node deletes readings.
fn oldest_kept(config: &Config, now: Timestamp) -> Timestamp {
    let keep_ms = i64::try_from(config.retention.readings.as_millis()).unwrap_or(i64::MAX);
    now.plus_ms(keep_ms.saturating_neg())
}

fn tell(args: &ImportArgs, imported: &Imported, oldest_kept: Timestamp, output: &mut dyn Write) -> Result<()> {
    let Imported { stored, known, empty, labelled, first, last } = *imported;
    writeln!(output, "{stored} readings of {} stored", args.pump)?;
    if let (Some(first), Some(last)) = (first, last) {
        writeln!(output, "from {first} to {last}")?;
    }
    if known > 0 {
        writeln!(output, "{known} rows left out: their times are stored already")?;
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
