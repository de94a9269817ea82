//! Queries of the audit log. See `audit_entry.rs` for its entries.

use super::{
    Store, StoreError,
    audit_entry::AuditEntry,
    types::{AuditFilter, DocumentFilter, QueryResult},
};

impl Store {
    /// Returns a page of the audit log, sorted by time and then by the other fields.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<QueryResult<AuditEntry>, StoreError> {
        let documents = DocumentFilter { pump: None, range: filter.range.clone() };
        let is_wanted = |entry: &AuditEntry| filter.action.as_ref().is_none_or(|action| *action == entry.action);
        let mut found = self.documents(&documents, is_wanted).await?;
        found.rows.sort_by(|a, b| filter.range.order.compare(a.at, b.at).then_with(|| a.cmp(b)));
        Ok(found)
    }
}
