//! Maintenance events by opening time, then by pump and rule.

use volute_plant::MaintenanceEvent;

use super::{
    Store, StoreError,
    types::{Answer, DocumentFilter, EventFilter},
};

impl Store {
    /// A page of maintenance events by opening time, then by pump and rule.
    pub async fn events(&self, filter: &EventFilter) -> Result<Answer<MaintenanceEvent>, StoreError> {
        let of = DocumentFilter { pump: filter.pump.clone(), range: filter.range.clone() };
        self.documents(&of, |event: &MaintenanceEvent| filter.state.is_none_or(|state| state == event.state())).await
    }
}
