//! Removing the files that a conversion of the database's format leaves behind.
//!
//! SurrealKV 1 converts a database of version 0.2x when it opens it. It leaves the replaced files in a folder beside
//! the new ones, which doubles the space on disk. This module removes them after it has read the new files from end to
//! end. After that there is no way back to the earlier version of the program. Does not convert; the engine does that
//! when it opens the database.

use std::{fs, path::Path, time::Instant};

use surrealdb::types::SurrealValue;

use super::{StoreError, document_kinds::DOCUMENT_KINDS, engine::DatabaseEngine, folder};

/// The name of the folder with the replaced files, in the database's folder.
pub(super) const REPLACED: &str = "_surrealkv_v0_backup";

/// All tables of a store except those of documents.
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

/// Removes the files that a conversion replaced, if there are any. If the converted tables cannot be read, or the files
/// cannot be removed, logs what to do and leaves the files.
///
/// The caller has read the list of pumps and the low-water mark.
pub(super) async fn clear_replaced(engine: &DatabaseEngine, dir: &Path) {
    let replaced = dir.join(folder::DATABASE).join(REPLACED);
    if fs::symlink_metadata(&replaced).is_err() {
        return;
    }
    let begun = Instant::now();
    let rows = match count_all(engine).await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::warn!(%error, folder = %replaced.display(), "the database was converted to a newer format, and could \
                not be read from end to end; the old files are kept, and take as much disk space as the new ones");
            return;
        }
    };
    match fs::remove_dir_all(&replaced) {
        Ok(()) => tracing::info!(
            rows,
            took_ms = begun.elapsed().as_millis(),
            "the database was converted to a newer format and read from end to end; the old files are removed"
        ),
        Err(error) => {
            tracing::warn!(%error, folder = %replaced.display(), "the database was converted to a newer format; \
            the old files could not be removed: remove the folder by hand, it takes as much space as the new files")
        }
    }
}

/// Reads every table to its end and returns the number of rows.
async fn count_all(engine: &DatabaseEngine) -> Result<i64, StoreError> {
    let mut rows = 0;
    for table in TABLES.into_iter().chain(DOCUMENT_KINDS.iter().map(|kind| kind.table)) {
        let vars = [("table", table.to_owned().into_value())];
        let counted: Vec<i64> =
            engine.rows("SELECT VALUE count FROM (SELECT count() FROM type::table($table) GROUP ALL)", vars).await?;
        rows += counted.iter().sum::<i64>();
    }
    Ok(rows)
}
