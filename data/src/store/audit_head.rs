//! The head of the audit log's chain in memory, in the database and in the file `audit`.
//!
//! At a start the head is the furthest of three: that of the journal, that of the database, and that of the file, which
//! is written before entries are flushed, and when the store is closed. So a start without the database continues the chain, and entries that were
//! removed from database and journal are missing against the file. See `audit_seal.rs` for how the head moves.

use std::{collections::VecDeque, fs, io, path::Path, time::Duration};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use volute_journal::durable::write_file;

use super::{
    StoreError,
    audit_chain::ChainHead,
    document::{Document, DocumentKey, DocumentKind, KeyPrefix},
    folder,
    types::{Batch, CommitError},
};

/// The maximum number of commits with audit entries that wait for one that is being written. Further ones are refused
/// as busy.
const MAX_WAITING: usize = 64;

/// Called with the outcome of a commit.
pub(super) type OnDone = Box<dyn FnOnce(Result<(), CommitError>) + Send>;

/// The head of the chain, and the commits that wait for it.
#[derive(Default)]
pub(crate) struct AuditChain(Mutex<ChainState>);

struct ChainState {
    head: ChainHead,
    /// Whether a record with audit entries is being written.
    in_flight: bool,
    waiting: VecDeque<(Batch, OnDone)>,
}

impl Default for ChainState {
    fn default() -> Self {
        Self { head: ChainHead::EMPTY, in_flight: false, waiting: VecDeque::new() }
    }
}

/// What a commit with audit entries has to do.
pub(super) enum Turn {
    /// Write its record now.
    Begin(Batch, OnDone),
    /// Nothing: it waits.
    Wait,
    /// Fail: too many wait.
    Refuse(Batch, OnDone),
}

impl AuditChain {
    /// Returns the last entry of the chain.
    pub(crate) fn head(&self) -> ChainHead {
        self.0.lock().head
    }

    /// Sets the head to this one, if it is further on.
    pub(crate) fn raise(&self, head: ChainHead) {
        let mut state = self.0.lock();
        state.head = state.head.max(head);
    }

    /// Begins a commit, or lets it wait for the one that is being written.
    pub(super) fn begin(&self, batch: Batch, on_done: OnDone) -> Turn {
        let mut state = self.0.lock();
        if !state.in_flight {
            state.in_flight = true;
            return Turn::Begin(batch, on_done);
        }
        if state.waiting.len() >= MAX_WAITING {
            return Turn::Refuse(batch, on_done);
        }
        state.waiting.push_back((batch, on_done));
        Turn::Wait
    }

    /// Ends a commit, and returns the next one that waits.
    pub(super) fn end(&self) -> Option<(Batch, OnDone)> {
        let mut state = self.0.lock();
        let next = state.waiting.pop_front();
        state.in_flight = next.is_some();
        next
    }

    /// Writes the head to the file `audit` in the data directory, if there is one. Called before entries are flushed.
    pub(super) fn save(&self, dir: &Path) -> Result<(), StoreError> {
        if self.head().number == 0 {
            return Ok(());
        }
        let path = dir.join(folder::AUDIT);
        let json = serde_json::to_vec(&self.head()).unwrap_or_default();
        write_file(&path, &json).map_err(|source| StoreError::Directory { path, source })
    }
}

/// Returns the head in the file `audit`.
pub(super) fn read_head_file(dir: &Path) -> Option<ChainHead> {
    let path = dir.join(folder::AUDIT);
    let read = || serde_json::from_slice(&fs::read(&path)?).map_err(io::Error::other);
    match read() {
        Ok(head) => Some(head),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the head of the audit log cannot be read from its file");
            None
        }
    }
}

/// A stored end of the chain: its head, or the anchor before its first entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChainEndRecord {
    /// `head` or `anchor`.
    name: String,
    #[serde(flatten)]
    head: ChainHead,
}

impl ChainEndRecord {
    pub(crate) fn of_head(head: ChainHead) -> Self {
        Self { name: "head".to_owned(), head }
    }

    pub(crate) fn of_anchor(head: ChainHead) -> Self {
        Self { name: "anchor".to_owned(), head }
    }

    /// Returns the head in a document.
    pub(crate) fn read_head(document: &Document) -> Option<ChainHead> {
        document.read::<Self>()?.ok().filter(|record| record.name == "head").map(|record| record.head)
    }

    /// Returns the entry that it names.
    pub(crate) fn entry(&self) -> ChainHead {
        self.head
    }
}

impl DocumentKind for ChainEndRecord {
    const TABLE: &'static str = "audit_chain";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Other;
    const BELONGS_TO_PUMP: bool = false;
    const RETENTION: Option<Duration> = None;
    type Fields = Self;

    fn key(&self) -> DocumentKey {
        DocumentKey::new([self.name.as_str().into()])
    }

    fn to_fields(&self) -> Self {
        self.clone()
    }

    fn from_fields(fields: Self) -> Result<Self, String> {
        Ok(fields)
    }
}
