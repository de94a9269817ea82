//! The audit log: what people did, by time. Who may do what is not its business; the actions are in `audit_entry.rs`.

use super::{
    Store, StoreError,
    audit_entry::AuditEntry,
    types::{Answer, AuditFilter, DocumentFilter},
};

impl Store {
    /// A page of the audit log by time, then by the other fields.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Answer<AuditEntry>, StoreError> {
        let of = DocumentFilter { pump: None, range: filter.range.clone() };
        let is_wanted = |entry: &AuditEntry| filter.action.as_ref().is_none_or(|action| *action == entry.action);
        let mut found = self.documents(&of, is_wanted).await?;
        found.rows.sort_by(|a, b| filter.range.order.compare(a.at, b.at).then_with(|| a.cmp(b)));
        Ok(found)
    }
}
