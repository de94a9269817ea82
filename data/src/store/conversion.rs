//! What is left of a database of an earlier format, once it has been converted.
//!
//! SurrealKV 1 converts a database of 0.2x when it opens it, and keeps the files that it replaced in a folder beside the
//! new ones: twice the room, for good. They are removed here, after the new ones have been read from end to end. Does
//! not convert: that is done by whoever opens the database. Does not lead back to the earlier version of the program.

use std::{fs, path::Path, time::Instant};

use surrealdb::types::SurrealValue;

use super::{StoreError, engine::Engine, folder, kinds::KINDS};

/// The folder of the replaced files, in the database's.
pub(super) const REPLACED: &str = "_surrealkv_v0_backup";

/// Every table that a store has, without those of documents.
const TABLES: [&str; 13] = [
    "journal_mark",
    "pump",
    "sensor_readings",
    "anomaly_detections",
    "system_metrics",
    "recorded_hour",
    "rollup_minute",
    "rollup_hour",
    "baseline",
    "active_baseline",
    "commissioning",
    "pump_state",
    "pump_setting",
];

/// Removes the files that a conversion replaced, if there are any. Where the converted tables cannot be read, or the
/// files not be removed, that is logged with what to do, and they stay.
///
/// Whoever calls has read the list of pumps and the journal's mark.
pub(super) async fn clear_replaced(engine: &Engine, dir: &Path) {
    let replaced = dir.join(folder::DATABASE).join(REPLACED);
    if fs::symlink_metadata(&replaced).is_err() {
        return;
    }
    let begun = Instant::now();
    let rows = match count_all(engine).await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::warn!(%error, folder = %replaced.display(), "the database was converted to a newer format, and could \
                not be read from end to end; the files of before are kept, and take as much room again");
            return;
        }
    };
    match fs::remove_dir_all(&replaced) {
        Ok(()) => tracing::info!(
            rows,
            took_ms = begun.elapsed().as_millis(),
            "the database was converted to a newer format and read from end to end; the files of before are removed"
        ),
        Err(error) => {
            tracing::warn!(%error, folder = %replaced.display(), "the database was converted to a newer format; \
            the files of before could not be removed: remove the folder by hand, it takes as much room again")
        }
    }
}

/// Reads every table to its end, and returns how many rows they have.
async fn count_all(engine: &Engine) -> Result<i64, StoreError> {
    let mut rows = 0;
    for table in TABLES.into_iter().chain(KINDS.iter().map(|kind| kind.table)) {
        let vars = [("table", table.to_owned().into_value())];
        let counted: Vec<i64> =
            engine.rows("SELECT VALUE count FROM (SELECT count() FROM type::table($table) GROUP ALL)", vars).await?;
        rows += counted.iter().sum::<i64>();
    }
    Ok(rows)
}
