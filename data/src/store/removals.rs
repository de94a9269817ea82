//! Which removals of pumps are not done. How a removal goes on: `removal.rs`.

use std::collections::BTreeMap;

use volute_journal::Seq;
use volute_plant::PumpId;

/// Removals in one flush.
pub(super) const AT_ONCE: usize = 16;

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
    pub(super) fn stored(&self) -> Vec<(Seq, PumpId)> {
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
    pub(super) fn end(&mut self, seq: Seq, pump: &PumpId) {
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
