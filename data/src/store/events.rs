//! Queries of maintenance events.

use volute_plant::MaintenanceEvent;

use super::{
    Store, StoreError,
    types::{DocumentFilter, EventFilter, QueryResult},
};

impl Store {
    /// Returns a page of maintenance events, sorted by opening time and then by pump and rule.
    pub async fn events(&self, filter: &EventFilter) -> Result<QueryResult<MaintenanceEvent>, StoreError> {
        let documents = DocumentFilter { pump: filter.pump.clone(), range: filter.range.clone() };
        self.documents(&documents, |event: &MaintenanceEvent| filter.state.is_none_or(|state| state == event.state()))
            .await
    }
}
