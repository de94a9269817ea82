//! What waits in the head and is no series of a pump.

use std::collections::BTreeMap;

use volute_journal::Seq;
use volute_plant::PumpId;

use crate::store::{
    document::{Document, DocumentKey},
    removals::Removals,
    types::{Batch, PumpRecord, PumpState, SystemMetrics},
};

/// The most news of each kind in one transaction, and the most bytes of them: one that does not fit into a memtable fails for
/// ever.
pub(super) const NEWS: usize = 1_000;
const NEWS_BYTES: usize = 4 << 20;

/// What is no series of a pump.
#[derive(Default, Clone)]
pub(crate) struct News {
    pub pumps: Vec<(Seq, PumpRecord)>,
    pub metrics: Vec<(Seq, SystemMetrics)>,
    /// One per pump, its newest.
    pub states: BTreeMap<PumpId, (Seq, PumpState)>,
    /// One per kind and key, its newest.
    documents: BTreeMap<(String, DocumentKey), (Seq, Document)>,
    /// About how much memory all of it takes.
    bytes: usize,
}

/// The lowest records of the news that are left for another time.
#[derive(Default)]
pub(super) struct Left {
    /// Beyond what goes into one transaction.
    pub beyond: Option<Seq>,
    /// Of pumps whose removal is not done.
    pub held: Option<Seq>,
}

impl Left {
    /// The first of these that are not held.
    fn first_of<'a, T: Clone + 'a>(
        &mut self,
        news: impl IntoIterator<Item = &'a (Seq, T)>,
        held: impl Fn(&T) -> bool,
        bytes: impl Fn(&T) -> usize,
    ) -> Vec<(Seq, T)> {
        let (mut first, mut taken) = (Vec::new(), 0);
        for (seq, what) in news {
            let left = match held(what) {
                true => &mut self.held,
                false if first.len() < NEWS && taken < NEWS_BYTES => {
                    taken += bytes(what);
                    first.push((*seq, what.clone()));
                    continue;
                }
                false => &mut self.beyond,
            };
            *left = Some(left.map_or(*seq, |lowest| lowest.min(*seq)));
        }
        first
    }
}

impl News {
    /// That there is this pump.
    pub(crate) fn of_pump(seq: Seq, pump: PumpRecord) -> Self {
        Self { bytes: pump_bytes(&pump), pumps: vec![(seq, pump)], ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { pumps, documents, metrics, states, bytes: _ } = self;
        pumps.is_empty() && documents.is_empty() && metrics.is_empty() && states.is_empty()
    }

    /// The documents of a kind.
    pub(crate) fn documents<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a Document> {
        self.all_documents().filter(move |document| document.table() == table)
    }

    /// The documents of all kinds, each kind together.
    pub(crate) fn all_documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.values().map(|(_, document)| document)
    }

    /// The document of this kind and key.
    pub(crate) fn document(&self, table: &str, key: &DocumentKey) -> Option<&Document> {
        self.documents.get(&(table.to_owned(), key.clone())).map(|(_, document)| document)
    }

    /// The first of each kind, without those of pumps whose removal is not done, and what is left.
    pub(super) fn some(&self, removals: &Removals) -> (Self, Left) {
        let mut left = Left::default();
        let some = Self {
            pumps: left.first_of(&self.pumps, |pump| removals.holds(&pump.id), pump_bytes),
            documents: left
                .first_of(
                    self.documents.values(),
                    |document| document.pump().is_some_and(|pump| removals.holds(pump)),
                    Document::bytes,
                )
                .into_iter()
                .map(|(seq, document)| (id(&document), (seq, document)))
                .collect(),
            metrics: left.first_of(&self.metrics, |_| false, metrics_bytes),
            states: left
                .first_of(self.states.values(), |state| removals.holds(&state.pump), state_bytes)
                .into_iter()
                .map(|(seq, state)| (state.pump.clone(), (seq, state)))
                .collect(),
            bytes: 0,
        };
        (some, left)
    }

    /// Drops all that is of a pump.
    pub(super) fn forget(&mut self, pump: &PumpId) {
        self.pumps.retain(|(_, known)| known.id != *pump);
        self.documents.retain(|_, (_, document)| document.pump() != Some(pump));
        self.states.remove(pump);
        self.bytes = self.counted_bytes();
    }

    /// Takes in what of a record is no series of a pump.
    pub(super) fn take_in(&mut self, seq: Seq, batch: Batch) {
        for pump in batch.pumps {
            self.bytes += pump_bytes(&pump);
            self.pumps.push((seq, pump));
        }
        for metrics in batch.metrics {
            self.bytes += metrics_bytes(&metrics);
            self.metrics.push((seq, metrics));
        }
        for document in batch.documents {
            self.bytes += document.bytes();
            let before = self.documents.insert(id(&document), (seq, document));
            self.bytes -= before.map_or(0, |(_, known)| known.bytes());
        }
        for state in batch.states {
            self.remember(seq, state);
        }
    }

    /// All of this is in the database.
    pub(super) fn give_up(&mut self, stored: &Self) {
        let Self { pumps, documents, metrics, states, bytes: _ } = stored;
        self.pumps.retain(|known| !pumps.contains(known));
        self.documents.retain(|id, known| documents.get(id).is_none_or(|stored| stored.0 != known.0));
        self.metrics.retain(|known| !metrics.contains(known));
        self.states.retain(|pump, known| states.get(pump) != Some(known));
        self.bytes = self.counted_bytes();
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn counted_bytes(&self) -> usize {
        let Self { pumps, documents, metrics, states, bytes: _ } = self;
        pumps.iter().map(|(_, pump)| pump_bytes(pump)).sum::<usize>()
            + documents.values().map(|(_, document)| document.bytes()).sum::<usize>()
            + metrics.iter().map(|(_, metrics)| metrics_bytes(metrics)).sum::<usize>()
            + states.values().map(|(_, state)| state_bytes(state)).sum::<usize>()
    }

    /// Keeps a pump's state, unless it has a newer one.
    fn remember(&mut self, seq: Seq, state: PumpState) {
        if self.states.get(&state.pump).is_none_or(|(_, known)| known.at <= state.at) {
            self.bytes += state_bytes(&state);
            let before = self.states.insert(state.pump.clone(), (seq, state));
            self.bytes -= before.map_or(0, |(_, known)| state_bytes(&known));
        }
    }
}

fn id(document: &Document) -> (String, DocumentKey) {
    (document.table().to_owned(), document.key().clone())
}

/// A list's entry takes so much besides what it holds.
const ENTRY_BYTES: usize = 32;

fn pump_bytes(pump: &PumpRecord) -> usize {
    let channels: usize = pump.channels.iter().map(|channel| size_of::<String>() + channel.len()).sum();
    ENTRY_BYTES + size_of::<PumpRecord>() + pump.profile.len() + channels
}

fn metrics_bytes(metrics: &SystemMetrics) -> usize {
    let figures: usize = metrics.figures.keys().map(|name| size_of::<(String, f64)>() + name.len()).sum();
    ENTRY_BYTES + size_of::<SystemMetrics>() + figures
}

fn state_bytes(state: &PumpState) -> usize {
    ENTRY_BYTES + size_of::<PumpState>() + state.document.len()
}
