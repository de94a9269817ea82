//! The limits of the node's configuration that apply to an import: the number of pumps, and the retention of readings.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use volute_data::Store;
use volute_plant::{PumpId, Timestamp};

use crate::config::Config;

/// Returns an error if the import would register more pumps than `ingest.max_pumps` allows.
pub fn check_pump_limit<'a>(store: &Store, pumps: impl IntoIterator<Item = &'a PumpId>, config: &Config) -> Result<()> {
    let registered: BTreeSet<PumpId> = store.pumps().into_iter().map(|pump| pump.id).collect();
    let new: BTreeSet<&PumpId> = pumps.into_iter().filter(|pump| !registered.contains(pump)).collect();
    let max = config.ingest.max_pumps;
    ensure!(
        registered.len() + new.len() <= max || new.is_empty(),
        "too many pumps: {} new and {} registered, at most {max} are allowed (ingest.max_pumps)",
        new.len(),
        registered.len()
    );
    Ok(())
}

/// Returns the time before which the node deletes readings.
pub fn retention_start(config: &Config, now: Timestamp) -> Timestamp {
    let retention_ms = i64::try_from(config.retention.readings.as_millis()).unwrap_or(i64::MAX);
    now.plus_ms(retention_ms.saturating_neg())
}
