//! What the node's configuration says about an import: how many pumps there may be, and how long readings are kept.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use volute_data::Store;
use volute_plant::{PumpId, Timestamp};

use crate::config::Config;

/// Refuses new pumps beyond the most that the node takes.
pub fn refuse_too_many<'a>(store: &Store, pumps: impl IntoIterator<Item = &'a PumpId>, config: &Config) -> Result<()> {
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
pub fn oldest_kept(config: &Config, now: Timestamp) -> Timestamp {
    let keep_ms = i64::try_from(config.retention.readings.as_millis()).unwrap_or(i64::MAX);
    now.plus_ms(keep_ms.saturating_neg())
}
