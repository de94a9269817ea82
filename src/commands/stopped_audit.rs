//! Audit entries of commands that are executed on the store of a stopped node, with what they change.

use anyhow::Result;
use volute_data::{AuditAction, AuditEntry, Batch, Change, Document, Store};
use volute_plant::{Clock, SystemClock};
use volute_web::{Access, AuditedState};

use super::open_store::current_user;

/// A command that is being executed.
pub(super) struct StoppedAudit {
    state: AuditedState,
    action: AuditAction,
    entry: AuditEntry,
    before: Option<String>,
}

impl StoppedAudit {
    /// Begins a command of the current user: reads the value that it changes.
    pub(super) async fn begin(store: &Store, action: AuditAction, object: &str) -> Result<Self> {
        let entry = AuditEntry::done(SystemClock.now(), &current_user()?, action, object);
        Ok(Self::of_entry(store, None, action, entry).await)
    }

    /// Begins a command with this entry, which may change users and tokens.
    pub(super) async fn of_entry(
        store: &Store,
        access: Option<Access>,
        action: AuditAction,
        entry: AuditEntry,
    ) -> Self {
        let state = AuditedState { store: store.clone(), engine: None, access };
        let before = state.value(action, &entry.object).await;
        Self { state, action, entry, before }
    }

    /// Adds details.
    pub(super) fn detail(self, detail: &str) -> Self {
        Self { entry: self.entry.detail(detail), ..self }
    }

    /// Returns the entry of a command that leaves nothing of what was before.
    pub(super) fn removal(self) -> Document {
        Document::of(&self.entry.changed(Change::new(self.before, None)))
    }

    /// Records the command, which is executed now.
    pub(super) async fn record(self) -> Result<()> {
        let Self { state, action, entry, before } = self;
        let change = state.change(action, &entry.object, before).await;
        let documents = vec![Document::of(&entry.changed(change))];
        Ok(state.store.commit(&Batch { documents, ..Batch::default() }).await?)
    }
}
