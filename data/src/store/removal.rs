//! Removing a pump with all that is stored of it.
//!
//! A removal is a record of the journal like any other, so it is durable when it is acknowledged. What follows is
//! repeated after a crash until it is done:
//!
//! ```text
//! record 17   readings of P      in the head
//! record 18   removal of P       P's rows leave the head; no rows and no registration of P are taken any more
//! flush       pump_removal:P {seq: 18, purged: false}; P's registration, baselines, state and events are deleted
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
    Inner, Store, StoreError,
    baselines::versions,
    engine::Engine,
    page::{Series, oldest},
    rows::unreadable,
    types::Purged,
};

/// Removals in one flush.
pub(super) const AT_ONCE: usize = 16;

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
    DELETE maintenance_events WHERE pump = $pump RETURN NONE;
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

/// What the database knows of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredRemoval {
    /// Its record in the journal.
    pub seq: Seq,
    /// Nothing of the pump is left.
    pub purged: bool,
}

/// The removals that are not done.
#[derive(Debug, Default)]
pub(crate) struct Removals(BTreeMap<PumpId, Removal>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Removal {
    seq: Seq,
    /// The database knows of it.
    stored: bool,
}

impl Removals {
    /// A removal has become durable as this record.
    pub(super) fn begin(&mut self, seq: Seq, pump: PumpId) {
        self.0.insert(pump, Removal { seq, stored: false });
    }

    /// A removal that the database knows of, by the copy of the list of pumps.
    pub(super) fn recall(&mut self, pump: PumpId) {
        self.0.entry(pump).or_insert(Removal { seq: Seq::ZERO, stored: true });
    }

    /// Whether a pump's removal is not done.
    pub(super) fn holds(&self, pump: &PumpId) -> bool {
        !self.0.is_empty() && self.0.contains_key(pump)
    }

    /// Those that are not in the database, with their records.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Seq, &PumpId)> {
        self.0.iter().filter(|(_, removal)| !removal.stored).map(|(pump, removal)| (removal.seq, pump))
    }

    /// Those that are in the database: their pumps' rows are to be deleted.
    fn stored(&self) -> Vec<(Seq, PumpId)> {
        let stored = self.0.iter().filter(|(_, removal)| removal.stored);
        stored.map(|(pump, removal)| (removal.seq, pump.clone())).collect()
    }

    pub(super) fn pumps(&self) -> Vec<PumpId> {
        self.0.keys().cloned().collect()
    }

    /// The database knows of this one.
    pub(super) fn note_stored(&mut self, seq: Seq, pump: &PumpId) {
        if let Some(removal) = self.0.get_mut(pump).filter(|removal| removal.seq == seq) {
            removal.stored = true;
        }
    }

    /// Nothing of the pump is left. Another removal that has come since stays.
    fn end(&mut self, seq: Seq, pump: &PumpId) {
        if self.0.get(pump).is_some_and(|removal| removal.seq == seq && removal.stored) {
            self.0.remove(pump);
        }
    }

    /// Brings what the journal says together with what the database knows, which has every record below `mark`.
    pub(super) fn reconcile(&mut self, found: &BTreeMap<PumpId, StoredRemoval>, mark: Seq) {
        self.0.retain(|pump, removal| {
            !removal.stored && removal.seq >= mark && found.get(pump).is_none_or(|found| found.seq < removal.seq)
        });
        for (pump, StoredRemoval { seq, .. }) in found.iter().filter(|(_, found)| !found.purged) {
            self.0.entry(pump.clone()).or_insert(Removal { seq: *seq, stored: true });
        }
    }
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
    let tables = ["pump", "pump_state", "active_baseline", "commissioning", "pump_setting", "pump_name"];
    let vars = [
        ("ids", tables.map(|table| RecordId::new(table, pump.as_str())).to_vec().into_value()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pump() -> PumpId {
        "P-1".parse().expect("a name")
    }

    fn journal(seq: u64) -> Removals {
        let mut removals = Removals::default();
        removals.begin(Seq::new(seq), pump());
        removals
    }

    /// What the journal brings again is compared with what the database has, at every start.
    #[test]
    fn a_removal_that_the_database_has_done_is_not_done_again() {
        let found = |seq, purged| Some(StoredRemoval { seq: Seq::new(seq), purged });
        for (in_journal, in_database, mark, waits, stored) in [
            (Some(18), None, 10, true, false),
            // The mark has passed it, and its row is gone.
            (Some(18), None, 19, false, false),
            (Some(18), found(18, false), 10, false, true),
            (Some(18), found(18, true), 10, false, false),
            // The new pump of the same name was removed as well.
            (Some(30), found(18, true), 10, true, false),
            (Some(30), found(18, false), 10, true, false),
            (None, found(18, false), 10, false, true),
            (None, found(18, true), 10, false, false),
        ] {
            let mut removals = in_journal.map(journal).unwrap_or_default();
            removals.reconcile(&in_database.map(|found| (pump(), found)).into_iter().collect(), Seq::new(mark));
            let case = format!("{in_journal:?} {in_database:?} {mark}");
            let found = (removals.waiting().count() == 1, removals.stored().len() == 1);
            assert_eq!(found, (waits, stored), "{case}");
            assert_eq!(removals.holds(&pump()), waits || stored, "{case}");
        }
    }

    #[test]
    fn the_end_of_an_earlier_removal_does_not_end_a_later_one() {
        let mut removals = journal(18);
        removals.end(Seq::new(18), &pump());
        assert!(removals.holds(&pump()), "the database does not know of it yet");
        removals.note_stored(Seq::new(18), &pump());
        removals.begin(Seq::new(30), pump());
        removals.end(Seq::new(18), &pump());
        removals.note_stored(Seq::new(18), &pump());
        assert_eq!(removals.waiting().count(), 1);
        removals.note_stored(Seq::new(30), &pump());
        removals.end(Seq::new(30), &pump());
        assert!(!removals.holds(&pump()));
    }
}
