//! The removals of pumps that are not finished. See `removal.rs` for the steps of a removal.

use std::collections::BTreeMap;

use volute_journal::Seq;
use volute_plant::PumpId;

/// The maximum number of removals in one flush.
pub(super) const MAX_REMOVALS_PER_FLUSH: usize = 16;

/// The state of a removal in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredRemoval {
    /// Its record in the journal.
    pub seq: Seq,
    /// Whether everything of the pump is deleted.
    pub purged: bool,
}

/// The removals that are not finished.
#[derive(Debug, Default)]
pub(crate) struct PendingRemovals(BTreeMap<PumpId, Removal>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Removal {
    seq: Seq,
    /// Whether it is in the database.
    stored: bool,
}

impl PendingRemovals {
    /// Adds a removal that is durable as this record.
    pub(super) fn begin(&mut self, seq: Seq, pump: PumpId) {
        self.0.insert(pump, Removal { seq, stored: false });
    }

    /// Adds a removal that the file `pumps` lists, at a start without the database. The database has the removal; its
    /// journal record is not known.
    pub(super) fn restore(&mut self, pump: PumpId) {
        self.0.entry(pump).or_insert(Removal { seq: Seq::ZERO, stored: true });
    }

    /// Returns whether a pump has a removal that is not finished.
    pub(super) fn contains(&self, pump: &PumpId) -> bool {
        !self.0.is_empty() && self.0.contains_key(pump)
    }

    /// Returns the removals that are not in the database, with their records.
    pub(super) fn not_stored(&self) -> impl Iterator<Item = (Seq, &PumpId)> {
        self.0.iter().filter(|(_, removal)| !removal.stored).map(|(pump, removal)| (removal.seq, pump))
    }

    /// Returns the removals that are in the database: the rows of their pumps are to be deleted.
    pub(super) fn stored(&self) -> Vec<(Seq, PumpId)> {
        let stored = self.0.iter().filter(|(_, removal)| removal.stored);
        stored.map(|(pump, removal)| (removal.seq, pump.clone())).collect()
    }

    pub(super) fn pumps(&self) -> Vec<PumpId> {
        self.0.keys().cloned().collect()
    }

    /// Marks a removal as stored in the database.
    pub(super) fn mark_stored(&mut self, seq: Seq, pump: &PumpId) {
        if let Some(removal) = self.0.get_mut(pump).filter(|removal| removal.seq == seq) {
            removal.stored = true;
        }
    }

    /// Ends a removal. A later removal of the same pump stays.
    pub(super) fn end(&mut self, seq: Seq, pump: &PumpId) {
        if self.0.get(pump).is_some_and(|removal| removal.seq == seq && removal.stored) {
            self.0.remove(pump);
        }
    }

    /// Reconciles the removals of the journal with those of the database, which has every record below `mark`.
    pub(super) fn reconcile(&mut self, found: &BTreeMap<PumpId, StoredRemoval>, mark: Seq) {
        self.0.retain(|pump, removal| {
            !removal.stored && removal.seq >= mark && found.get(pump).is_none_or(|found| found.seq < removal.seq)
        });
        for (pump, StoredRemoval { seq, .. }) in found.iter().filter(|(_, found)| !found.purged) {
            self.0.entry(pump.clone()).or_insert(Removal { seq: *seq, stored: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pump() -> PumpId {
        "P-1".parse().expect("a name")
    }

    fn journal(seq: u64) -> PendingRemovals {
        let mut removals = PendingRemovals::default();
        removals.begin(Seq::new(seq), pump());
        removals
    }

    /// At every start, the removals that are replayed from the journal are compared with those in the database.
    #[test]
    fn a_removal_that_the_database_has_done_is_not_done_again() {
        let found = |seq, purged| Some(StoredRemoval { seq: Seq::new(seq), purged });
        for (in_journal, in_database, mark, waits, stored) in [
            (Some(18), None, 10, true, false),
            // The mark is above it, and its row is deleted.
            (Some(18), None, 19, false, false),
            (Some(18), found(18, false), 10, false, true),
            (Some(18), found(18, true), 10, false, false),
            // The new pump of the same id was removed as well.
            (Some(30), found(18, true), 10, true, false),
            (Some(30), found(18, false), 10, true, false),
            (None, found(18, false), 10, false, true),
            (None, found(18, true), 10, false, false),
        ] {
            let mut removals = in_journal.map(journal).unwrap_or_default();
            removals.reconcile(&in_database.map(|found| (pump(), found)).into_iter().collect(), Seq::new(mark));
            let case = format!("{in_journal:?} {in_database:?} {mark}");
            let found = (removals.not_stored().count() == 1, removals.stored().len() == 1);
            assert_eq!(found, (waits, stored), "{case}");
            assert_eq!(removals.contains(&pump()), waits || stored, "{case}");
        }
    }

    #[test]
    fn the_end_of_an_earlier_removal_does_not_end_a_later_one() {
        let mut removals = journal(18);
        removals.end(Seq::new(18), &pump());
        assert!(removals.contains(&pump()), "the database does not know of it yet");
        removals.mark_stored(Seq::new(18), &pump());
        removals.begin(Seq::new(30), pump());
        removals.end(Seq::new(18), &pump());
        removals.mark_stored(Seq::new(18), &pump());
        assert_eq!(removals.not_stored().count(), 1);
        removals.mark_stored(Seq::new(30), &pump());
        removals.end(Seq::new(30), &pump());
        assert!(!removals.contains(&pump()));
    }
}
