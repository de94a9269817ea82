//! The rows of the head other than readings and detections: pumps, documents, metrics, and checkpoints.

use std::collections::BTreeMap;

use volute_journal::Seq;
use volute_plant::PumpId;

use crate::store::{
    document::{Document, DocumentKey, KeyPart},
    pending_removals::PendingRemovals,
    types::{Batch, PumpCheckpoint, PumpRecord, SystemMetrics},
};

/// The maximum number of items of each kind in one transaction, and their maximum size in bytes. A transaction that
/// does not fit into a memtable fails at every attempt.
pub(super) const MAX_ITEMS_PER_KIND: usize = 1_000;
const MAX_ITEM_BYTES_PER_KIND: usize = 4 << 20;

/// Items that are not in the database yet, each with its journal record.
#[derive(Default, Clone)]
pub(crate) struct OtherRows {
    pub pumps: Vec<(Seq, PumpRecord)>,
    pub metrics: Vec<(Seq, SystemMetrics)>,
    /// The newest of each pump.
    pub checkpoints: BTreeMap<PumpId, (Seq, PumpCheckpoint)>,
    /// The newest of each kind (table) and key.
    documents: BTreeMap<(String, DocumentKey), (Seq, Document)>,
    /// About how many bytes of memory all of it takes.
    bytes: usize,
}

/// The lowest journal records of the items that a batch leaves in the head.
#[derive(Default)]
pub(super) struct Remaining {
    /// Of items beyond the limit of one transaction.
    pub over_limit: Option<Seq>,
    /// Of items of pumps whose removal is not finished.
    pub blocked: Option<Seq>,
}

impl Remaining {
    /// Returns the first items that are not blocked, up to the limits, and notes the others in `self`.
    fn take_first<'a, T: Clone + 'a>(
        &mut self,
        items: impl IntoIterator<Item = &'a (Seq, T)>,
        blocked: impl Fn(&T) -> bool,
        bytes: impl Fn(&T) -> usize,
    ) -> Vec<(Seq, T)> {
        let (mut first, mut taken_bytes) = (Vec::new(), 0);
        for (seq, item) in items {
            let remaining = match blocked(item) {
                true => &mut self.blocked,
                false if first.len() < MAX_ITEMS_PER_KIND && taken_bytes < MAX_ITEM_BYTES_PER_KIND => {
                    taken_bytes += bytes(item);
                    first.push((*seq, item.clone()));
                    continue;
                }
                false => &mut self.over_limit,
            };
            *remaining = Some(remaining.map_or(*seq, |lowest| lowest.min(*seq)));
        }
        first
    }
}

impl OtherRows {
    /// Creates the rows with one pump to register.
    pub(crate) fn with_pump(seq: Seq, pump: PumpRecord) -> Self {
        Self { bytes: pump_bytes(&pump), pumps: vec![(seq, pump)], ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { pumps, documents, metrics, checkpoints, bytes: _ } = self;
        pumps.is_empty() && documents.is_empty() && metrics.is_empty() && checkpoints.is_empty()
    }

    /// Returns the documents of a kind.
    pub(crate) fn documents<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a Document> {
        let first = (table.to_owned(), DocumentKey::new([]));
        let of_kind = self.documents.range(first..).take_while(move |((known, _), _)| known == table);
        of_kind.map(|(_, (_, document))| document)
    }

    /// Returns the documents of a kind whose keys begin with this pump. Reads no others: at a start every pump reads its own.
    pub(crate) fn documents_of_pump<'a>(&'a self, table: &'a str, pump: &'a str) -> impl Iterator<Item = &'a Document> {
        let first = (table.to_owned(), DocumentKey::new([pump.into()]));
        let of_pump = move |(known, key): &(String, DocumentKey)| {
            known == table && matches!(key.parts().first(), Some(KeyPart::Text(text)) if text == pump)
        };
        self.documents.range(first..).take_while(move |(key, _)| of_pump(key)).map(|(_, (_, document))| document)
    }

    /// Returns the documents of all kinds, grouped by kind.
    pub(crate) fn all_documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.values().map(|(_, document)| document)
    }

    /// Returns whether there are documents of a kind.
    pub(crate) fn has_documents(&self, table: &str) -> bool {
        self.documents(table).next().is_some()
    }

    /// Returns the document of this kind and key.
    pub(crate) fn document(&self, table: &str, key: &DocumentKey) -> Option<&Document> {
        self.documents.get(&(table.to_owned(), key.clone())).map(|(_, document)| document)
    }

    /// Returns the first items of each kind for one transaction, without those of pumps whose removal is not finished,
    /// and what remains.
    pub(super) fn first_batch(&self, removals: &PendingRemovals) -> (Self, Remaining) {
        let mut remaining = Remaining::default();
        let first = Self {
            pumps: remaining.take_first(&self.pumps, |pump| removals.contains(&pump.id), pump_bytes),
            documents: remaining
                .take_first(
                    self.documents.values(),
                    |document| document.pump().is_some_and(|pump| removals.contains(pump)),
                    Document::bytes,
                )
                .into_iter()
                .map(|(seq, document)| (id(&document), (seq, document)))
                .collect(),
            metrics: remaining.take_first(&self.metrics, |_| false, metrics_bytes),
            checkpoints: remaining
                .take_first(
                    self.checkpoints.values(),
                    |checkpoint| removals.contains(&checkpoint.pump),
                    checkpoint_bytes,
                )
                .into_iter()
                .map(|(seq, checkpoint)| (checkpoint.pump.clone(), (seq, checkpoint)))
                .collect(),
            bytes: 0,
        };
        (first, remaining)
    }

    /// Drops everything of a pump.
    pub(super) fn remove_pump(&mut self, pump: &PumpId) {
        self.pumps.retain(|(_, known)| known.id != *pump);
        self.documents.retain(|_, (_, document)| document.pump() != Some(pump));
        self.checkpoints.remove(pump);
        self.bytes = self.count_bytes();
    }

    /// Adds the pumps, documents, metrics and checkpoints of a record.
    pub(super) fn apply(&mut self, seq: Seq, batch: Batch) {
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
        for checkpoint in batch.checkpoints {
            self.set_checkpoint(seq, checkpoint);
        }
    }

    /// Removes what the database has now. Newer versions stay.
    pub(super) fn remove_flushed(&mut self, stored: &Self) {
        let Self { pumps, documents, metrics, checkpoints, bytes: _ } = stored;
        self.pumps.retain(|known| !pumps.contains(known));
        self.documents.retain(|id, known| documents.get(id).is_none_or(|stored| stored.0 != known.0));
        self.metrics.retain(|known| !metrics.contains(known));
        self.checkpoints.retain(|pump, known| checkpoints.get(pump) != Some(known));
        self.bytes = self.count_bytes();
    }

    /// Returns about how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn count_bytes(&self) -> usize {
        let Self { pumps, documents, metrics, checkpoints, bytes: _ } = self;
        pumps.iter().map(|(_, pump)| pump_bytes(pump)).sum::<usize>()
            + documents.values().map(|(_, document)| document.bytes()).sum::<usize>()
            + metrics.iter().map(|(_, metrics)| metrics_bytes(metrics)).sum::<usize>()
            + checkpoints.values().map(|(_, checkpoint)| checkpoint_bytes(checkpoint)).sum::<usize>()
    }

    /// Sets a pump's checkpoint, unless it has a newer one.
    fn set_checkpoint(&mut self, seq: Seq, checkpoint: PumpCheckpoint) {
        if self.checkpoints.get(&checkpoint.pump).is_none_or(|(_, known)| known.at <= checkpoint.at) {
            self.bytes += checkpoint_bytes(&checkpoint);
            let before = self.checkpoints.insert(checkpoint.pump.clone(), (seq, checkpoint));
            self.bytes -= before.map_or(0, |(_, known)| checkpoint_bytes(&known));
        }
    }
}

fn id(document: &Document) -> (String, DocumentKey) {
    (document.table().to_owned(), document.key().clone())
}

/// The bytes that an entry of a list takes besides its content.
const ENTRY_BYTES: usize = 32;

fn pump_bytes(pump: &PumpRecord) -> usize {
    let channels: usize = pump.channels.iter().map(|channel| size_of::<String>() + channel.len()).sum();
    ENTRY_BYTES + size_of::<PumpRecord>() + pump.profile.len() + channels
}

fn metrics_bytes(metrics: &SystemMetrics) -> usize {
    let figures: usize = metrics.figures.keys().map(|name| size_of::<(String, f64)>() + name.len()).sum();
    ENTRY_BYTES + size_of::<SystemMetrics>() + figures
}

fn checkpoint_bytes(checkpoint: &PumpCheckpoint) -> usize {
    ENTRY_BYTES + size_of::<PumpCheckpoint>() + checkpoint.document.len()
}
