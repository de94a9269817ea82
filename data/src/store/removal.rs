//! Removing a pump with everything that is stored of it.
//!
//! A removal is a record of the journal, so it is durable when it is acknowledged. The steps after that are repeated
//! after a crash until they are done:
//!
//! ```text
//! record 17   readings of P      in the head
//! record 18   removal of P       P's rows leave the head; rows and registrations of P are refused
//! flush       pump_removal:P {seq: 18, purged: false}; P's registration, baselines, checkpoint and documents are deleted
//! purge       P's readings, detections and rollups are deleted, one slice (a time span) after another
//! purge       pump_removal:P {seq: 18, purged: true}; the id P can be used again
//! record 40   registration of P  a new pump
//! ```
//!
//! At a start the journal is replayed from the low-water mark, which may be below 18. The replay brings the rows of
//! record 17 back into the head, and record 18 drops them again. The row `pump_removal:P` shows that the removal of
//! record 18 is complete, so the replay deletes nothing of the new pump. Until a pump is purged, no row with its id is
//! written to the database or read from it. Does not change the audit log or backups.

use std::collections::BTreeMap;

use surrealdb::types::{RecordId, RecordIdKey, SurrealValue};
use volute_journal::Seq;
use volute_plant::PumpId;

use super::{
    Store, StoreError, StoreInner, baselines::versions, document_kinds::DOCUMENT_KINDS, engine::DatabaseEngine,
    ids::unreadable, page::oldest_number, pending_removals::StoredRemoval, series::Series, types::PurgeReport,
};

/// The tables with a pump's time series. With each table the length of a slice, in the unit of the numbers in the ids
/// of its rows. A slice has at most about 1,500 rows.
const SERIES: [(&str, i64); 5] = [
    ("sensor_readings", DAY_MS),
    ("anomaly_detections", DAY_MS),
    ("rollup_minute", DAY_MS),
    ("rollup_hour", 60 * DAY_MS),
    // The rows of this table are numbered by hours, those of the others by milliseconds.
    ("recorded_hour", 60 * 24),
];
const DAY_MS: i64 = 86_400_000;

/// Deletes everything of the pump except its time series, and writes the state of its removal. Also deletes the states
/// of completed removals below the low-water mark: no replay reads their records again.
const WRITE_REMOVAL: &str = "
    BEGIN;
    FOR $id IN $ids { DELETE $id RETURN NONE };
    DELETE $versions RETURN NONE;
    FOR $table IN $tables { DELETE type::table($table) WHERE pump = $pump RETURN NONE };
    DELETE pump_removal WHERE purged AND seq < $low_water RETURN NONE;
    UPSERT $row.id CONTENT $row RETURN NONE;
    COMMIT;
";

/// The state of a removal in the database: the row `pump_removal:` with the pump's id.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct RemovalRow {
    id: RecordId,
    /// The journal record of the removal.
    seq: i64,
    /// Whether everything of the pump is deleted.
    purged: bool,
}

impl Store {
    /// Returns whether a pump is registered.
    pub fn is_registered(&self, pump: &PumpId) -> bool {
        self.0.pump_registry.contains(pump)
    }

    /// Returns whether a pump was removed and its rows are not deleted yet. Until then its id cannot be registered.
    pub fn is_being_removed(&self, pump: &PumpId) -> bool {
        self.0.head().removals().contains(pump)
    }

    /// Returns the pumps that were removed and whose rows are not deleted yet, sorted by id.
    pub fn pumps_being_removed(&self) -> Vec<PumpId> {
        self.0.head().removals().pumps()
    }

    /// Deletes rows of removed pumps, at most `max_slices` slices. A slice is a time span of one series, and takes some
    /// tens of milliseconds.
    pub async fn purge(&self, max_slices: usize) -> Result<PurgeReport, StoreError> {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("purge", |_| Ok(PurgeReport::default()));
        let mut purged = PurgeReport::default();
        let removals = self.0.head().removals().stored();
        for (seq, pump) in removals {
            let engine = self.engine().await?;
            for (table, width) in SERIES {
                let series = Series::new(table, pump.as_str());
                while let Some(first) = oldest_number(&engine, &series).await? {
                    if purged.slices >= max_slices {
                        return Ok(PurgeReport { more: true, ..purged });
                    }
                    let slice = series.between(first, first.saturating_add(width));
                    engine.execute("DELETE $range RETURN NONE", [("range", slice)]).await?;
                    purged.slices += 1;
                }
            }
            self.0.finish_removal(&engine, seq, &pump).await?;
            tracing::info!(pump = pump.as_str(), "a removed pump's rows are deleted");
        }
        Ok(purged)
    }

    /// Completes all removals: flushes the head, and deletes all rows of removed pumps.
    pub async fn finish_removals(&self) -> Result<(), StoreError> {
        self.flush_all().await?;
        while self.purge(usize::MAX).await?.more {}
        Ok(())
    }
}

impl StoreInner {
    /// Ends a removal once the pump's time series are deleted. Clears the pump's entries in memory, so that a new pump
    /// with the same id starts empty.
    async fn finish_removal(&self, engine: &DatabaseEngine, seq: Seq, pump: &PumpId) -> Result<(), StoreError> {
        let mut flush_cache = self.flush_cache.lock().await;
        // Deletes again what the pump's actor may have been writing to the database when it ended.
        write(engine, seq, pump, true, self.low_water()).await?;
        flush_cache.remove(pump);
        self.oldest_rows.remove(pump);
        self.remove_name(pump);
        self.head().removals_mut().end(seq, pump);
        self.save_pump_list_copy();
        Ok(())
    }
}

/// Writes removals to the database, and deletes everything of their pumps except the time series.
pub(super) async fn write_all(
    engine: &DatabaseEngine,
    removals: &[(Seq, PumpId)],
    low_water: Seq,
) -> Result<(), StoreError> {
    for (seq, pump) in removals {
        write(engine, *seq, pump, false, low_water).await?;
    }
    Ok(())
}

/// Executes [`WRITE_REMOVAL`] for one removal.
async fn write(
    engine: &DatabaseEngine,
    seq: Seq,
    pump: &PumpId,
    purged: bool,
    low_water: Seq,
) -> Result<(), StoreError> {
    let number = |seq: Seq| i64::try_from(seq.get()).unwrap_or(i64::MAX);
    let row = RemovalRow { id: RecordId::new("pump_removal", pump.as_str()), seq: number(seq), purged };
    let tables_by_id = ["pump", "pump_state", "active_baseline", "commissioning", "pump_setting", "pump_name"];
    let of_documents = DOCUMENT_KINDS.iter().filter(|kind| kind.belongs_to_pump).map(|kind| kind.table.to_owned());
    let vars = [
        ("tables", of_documents.collect::<Vec<String>>().into_value()),
        ("ids", tables_by_id.map(|table| RecordId::new(table, pump.as_str())).to_vec().into_value()),
        ("versions", versions(pump)),
        ("pump", pump.to_string().into_value()),
        ("low_water", number(low_water).into_value()),
        ("row", row.into_value()),
    ];
    engine.execute(WRITE_REMOVAL, vars).await
}

/// Reads the removals in the database.
pub(super) async fn read(engine: &DatabaseEngine) -> Result<BTreeMap<PumpId, StoredRemoval>, StoreError> {
    let rows: Vec<RemovalRow> = engine.rows("SELECT * FROM pump_removal", []).await?;
    let parse = |row: RemovalRow| {
        let RecordIdKey::String(name) = &row.id.key else { return Err(unreadable(&row.id, "its id is not a text")) };
        let pump = PumpId::from_stored(name).map_err(|error| unreadable(&row.id, error))?;
        let seq = u64::try_from(row.seq).map_err(|error| unreadable(&row.id, error))?;
        Ok((pump, StoredRemoval { seq: Seq::new(seq), purged: row.purged }))
    };
    rows.into_iter().map(parse).collect()
}
