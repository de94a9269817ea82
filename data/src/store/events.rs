//! Queries of maintenance events.

use volute_plant::{EventKey, MaintenanceEvent};

use super::{
    Store, StoreError, event,
    types::{DocumentFilter, EventFilter, QueryResult},
};

impl Store {
    /// Returns one event; none if there is none. Fails while the database is unavailable, unless the event still waits to be
    /// written into it.
    pub async fn event(&self, key: &EventKey) -> Result<Option<MaintenanceEvent>, StoreError> {
        self.document(&event::document_key(key)).await
    }

    /// Returns a page of maintenance events, sorted by opening time and then by pump and rule.
    pub async fn events(&self, filter: &EventFilter) -> Result<QueryResult<MaintenanceEvent>, StoreError> {
        let documents = DocumentFilter { pump: filter.pump.clone(), range: filter.range.clone() };
        self.documents(&documents, |event: &MaintenanceEvent| filter.state.is_none_or(|state| state == event.state()))
            .await
    }
}
