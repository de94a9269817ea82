//! Removing a pump with all that is stored of it.
//!
//! A removal is a record of the journal like any other, so it is durable when it is acknowledged. What follows is
//! repeated after a crash until it is done:
//!
//! ```text
//! record 17   readings of P      in the head
//! record 18   removal of P       P's rows leave the head; no rows and no registration of P are taken any more
//! flush       pump_removal:P {seq: 18, purged: false}; P's registration, baselines, state and documents are deleted
//! purge       P's readings, detections and rollups are deleted, slice by slice
//! purge       pump_removal:P {seq: 18, purged: true}; the name is free
//! record 40   registration of P  a new pump
//! ```
//!
//! A replay reads records from the low-water mark on, which may be below 18: the rows of record 17 are dropped again, and
//! because of the row `pump_removal:P` record 18 deletes nothing of the new pump. Until a pump is purged, nothing of its
//! name is written into the database, and nothing is read from there. Does not touch the audit log, and no backup.

use std::collections::BTreeMap;

use surrealdb::types::{RecordId, RecordIdKey, SurrealValue};
use volute_journal::Seq;
use volute_plant::PumpId;

use super::{
    Inner, Store, StoreError, baselines::versions, engine::Engine, ids::unreadable, kinds::KINDS, page::oldest,
    removals::StoredRemoval, series::Series, types::Purged,
};

/// The series of a pump, and how much of each one statement deletes: about 1,500 rows at most.
const SERIES: [(&str, i64); 5] = [
    ("sensor_readings", DAY_MS),
    ("anomaly_detections", DAY_MS),
    ("rollup_minute", DAY_MS),
    ("rollup_hour", 60 * DAY_MS),
    // Numbered by the hour.
    ("recorded_hour", 60 * 24),
];
const DAY_MS: i64 = 86_400_000;

/// All that is no series of the pump, and what is known of its removal.
const STORE: &str = "
    BEGIN;
    FOR $id IN $ids { DELETE $id RETURN NONE };
    DELETE $versions RETURN NONE;
    FOR $table IN $tables { DELETE type::table($table) WHERE pump = $pump RETURN NONE };
    DELETE pump_removal WHERE purged AND seq < $mark RETURN NONE;
    UPSERT $row.id CONTENT $row RETURN NONE;
    COMMIT;
";

/// `pump_removal:pump`
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
struct RemovalRow {
    id: RecordId,
    seq: i64,
    purged: bool,
}

impl Store {
    /// Whether a pump is registered.
    pub fn is_registered(&self, pump: &PumpId) -> bool {
        self.0.roster.knows(pump)
    }

    /// Whether a pump was removed, and its rows are not deleted yet: until they are, its name cannot be used.
    pub fn is_removing(&self, pump: &PumpId) -> bool {
        self.0.head().removals().holds(pump)
    }

    /// The pumps that were removed and whose rows are not deleted yet, by name.
    pub fn removing(&self) -> Vec<PumpId> {
        self.0.head().removals().pumps()
    }

    /// Deletes some of what is left of removed pumps, `most` slices; a slice is some tens of milliseconds.
    pub async fn purge(&self, most: usize) -> Result<Purged, StoreError> {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("purge", |_| Ok(Purged::default()));
        let mut purged = Purged::default();
        let removals = self.0.head().removals().stored();
        for (seq, pump) in removals {
            let engine = self.engine().await?;
            for (table, width) in SERIES {
                let series = Series::new(table, pump.as_str());
                while let Some(first) = oldest(&engine, &series).await? {
                    if purged.slices >= most {
                        return Ok(Purged { more: true, ..purged });
                    }
                    let slice = series.between(first, first.saturating_add(width));
                    engine.execute("DELETE $range RETURN NONE", [("range", slice)]).await?;
                    purged.slices += 1;
                }
            }
            self.0.end_removal(&engine, seq, &pump).await?;
            tracing::info!(pump = pump.as_str(), "a removed pump's rows are deleted");
        }
        Ok(purged)
    }

    /// Deletes all that is left of removed pumps.
    pub async fn finish_removals(&self) -> Result<(), StoreError> {
        self.flush_all().await?;
        while self.purge(usize::MAX).await?.more {}
        Ok(())
    }
}

impl Inner {
    /// Nothing of the pump is left; what was known of it is forgotten, so that a new one begins with nothing.
    async fn end_removal(&self, engine: &Engine, seq: Seq, pump: &PumpId) -> Result<(), StoreError> {
        let mut written = self.written.lock().await;
        // What the pump's actor had on its way to the database when it ended is deleted too.
        store(engine, seq, pump, true, self.marked()).await?;
        written.forget(pump);
        self.oldest.forget(pump);
        self.forget_name(pump);
        self.head().removals_mut().end(seq, pump);
        self.remember_pumps();
        Ok(())
    }
}

/// Notes removals in the database, and deletes what is no series of their pumps.
pub(super) async fn store_all(engine: &Engine, removals: &[(Seq, PumpId)], mark: Seq) -> Result<(), StoreError> {
    for (seq, pump) in removals {
        store(engine, *seq, pump, false, mark).await?;
    }
    Ok(())
}

async fn store(engine: &Engine, seq: Seq, pump: &PumpId, purged: bool, mark: Seq) -> Result<(), StoreError> {
    let number = |seq: Seq| i64::try_from(seq.get()).unwrap_or(i64::MAX);
    let row = RemovalRow { id: RecordId::new("pump_removal", pump.as_str()), seq: number(seq), purged };
    let by_name = ["pump", "pump_state", "active_baseline", "commissioning", "pump_setting", "pump_name"];
    let of_documents = KINDS.iter().filter(|kind| kind.with_pump).map(|kind| kind.table.to_owned());
    let vars = [
        ("tables", of_documents.collect::<Vec<String>>().into_value()),
        ("ids", by_name.map(|table| RecordId::new(table, pump.as_str())).to_vec().into_value()),
        ("versions", versions(pump)),
        ("pump", pump.to_string().into_value()),
        ("mark", number(mark).into_value()),
        ("row", row.into_value()),
    ];
    engine.execute(STORE, vars).await
}

/// What the database knows of removals.
pub(super) async fn read(engine: &Engine) -> Result<BTreeMap<PumpId, StoredRemoval>, StoreError> {
    let rows: Vec<RemovalRow> = engine.rows("SELECT * FROM pump_removal", []).await?;
    let removal = |row: RemovalRow| {
        let RecordIdKey::String(name) = &row.id.key else { return Err(unreadable(&row.id, "its id is no name")) };
        let pump = PumpId::stored(name).map_err(|error| unreadable(&row.id, error))?;
        let seq = u64::try_from(row.seq).map_err(|error| unreadable(&row.id, error))?;
        Ok((pump, StoredRemoval { seq: Seq::new(seq), purged: row.purged }))
    };
    rows.into_iter().map(removal).collect()
}
