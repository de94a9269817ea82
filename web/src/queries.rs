//! The store's queries as a trait, so that tests of routes use a store in memory and need no node.
//!
//! Each method corresponds to the method of [`Store`] with the same name; see there.

use std::collections::BTreeMap;

use futures::future::LocalBoxFuture;
use volute_alarm::{AlarmId, PastExcursion, Transition};
use volute_data::{
    AuditEntry, AuditFilter, Bucket, DocumentFilter, EventFilter, PageRange, PumpRecord, PumpSettings, QueryResult,
    Store, StoreError, StoreStatus,
};
use volute_plant::{Detection, EventKey, MaintenanceEvent, PlannedWork, PumpId, PumpName, Reading, Timestamp};

use crate::handover;

#[cfg(test)]
pub(crate) mod memory;

/// The result of a query that reads the disk.
pub(crate) type QueryFuture<'a, T> = LocalBoxFuture<'a, Result<T, StoreError>>;

/// The store's queries that the routes use.
pub(crate) trait StoreQueries: Send + Sync {
    /// All pumps, by id.
    fn pumps(&self) -> Vec<PumpRecord>;
    fn is_registered(&self, pump: &PumpId) -> bool;
    fn pump_name(&self, pump: &PumpId) -> Option<PumpName>;
    fn pump_names(&self) -> BTreeMap<PumpId, PumpName>;
    fn status(&self) -> StoreStatus;
    fn pump_settings<'a>(&'a self, pump: &'a PumpId) -> QueryFuture<'a, PumpSettings>;
    fn readings<'a>(&'a self, pump: &'a PumpId, range: &'a PageRange) -> QueryFuture<'a, QueryResult<Reading>>;
    /// Aggregates a pump's readings into at most `points` buckets. `span` excludes its end.
    fn buckets<'a>(
        &'a self,
        pump: &'a PumpId,
        span: (Timestamp, Timestamp),
        points: usize,
    ) -> QueryFuture<'a, QueryResult<Bucket>>;
    fn detections<'a>(&'a self, pump: &'a PumpId, range: &'a PageRange) -> QueryFuture<'a, QueryResult<Detection>>;
    fn events<'a>(&'a self, filter: &'a EventFilter) -> QueryFuture<'a, QueryResult<MaintenanceEvent>>;
    fn event<'a>(&'a self, key: &'a EventKey) -> QueryFuture<'a, Option<MaintenanceEvent>>;
    /// The events that were opened, resolved or worked on in a time, oldest first.
    fn changed_events<'a>(
        &'a self,
        span: (Timestamp, Timestamp),
        limit: usize,
    ) -> QueryFuture<'a, QueryResult<MaintenanceEvent>>;
    /// The works of a pump, or of all, whose planned end is after `since`.
    fn planned_works<'a>(
        &'a self,
        pump: Option<&'a PumpId>,
        since: Option<Timestamp>,
    ) -> QueryFuture<'a, Vec<PlannedWork>>;
    fn handover_seen<'a>(&'a self, user: &'a str) -> QueryFuture<'a, Option<Timestamp>>;
    fn audit<'a>(&'a self, filter: &'a AuditFilter) -> QueryFuture<'a, QueryResult<AuditEntry>>;
    /// The history of alarms; of this alarm only if it is given.
    fn transitions<'a>(
        &'a self,
        filter: &'a DocumentFilter,
        alarm: Option<&'a AlarmId>,
    ) -> QueryFuture<'a, QueryResult<Transition>>;
    /// What late readings show of the past; of this alarm only if it is given.
    fn past_excursions<'a>(
        &'a self,
        filter: &'a DocumentFilter,
        alarm: Option<&'a AlarmId>,
    ) -> QueryFuture<'a, QueryResult<PastExcursion>>;
}

impl StoreQueries for Store {
    fn pumps(&self) -> Vec<PumpRecord> {
        self.pumps()
    }

    fn is_registered(&self, pump: &PumpId) -> bool {
        self.is_registered(pump)
    }

    fn pump_name(&self, pump: &PumpId) -> Option<PumpName> {
        self.pump_name(pump)
    }

    fn pump_names(&self) -> BTreeMap<PumpId, PumpName> {
        self.pump_names()
    }

    fn status(&self) -> StoreStatus {
        self.status()
    }

    fn pump_settings<'a>(&'a self, pump: &'a PumpId) -> QueryFuture<'a, PumpSettings> {
        Box::pin(self.pump_settings(pump))
    }

    fn readings<'a>(&'a self, pump: &'a PumpId, range: &'a PageRange) -> QueryFuture<'a, QueryResult<Reading>> {
        Box::pin(self.readings(pump, range))
    }

    fn buckets<'a>(
        &'a self,
        pump: &'a PumpId,
        span: (Timestamp, Timestamp),
        points: usize,
    ) -> QueryFuture<'a, QueryResult<Bucket>> {
        Box::pin(self.buckets(pump, span, points))
    }

    fn detections<'a>(&'a self, pump: &'a PumpId, range: &'a PageRange) -> QueryFuture<'a, QueryResult<Detection>> {
        Box::pin(self.detections(Some(pump), range))
    }

    fn events<'a>(&'a self, filter: &'a EventFilter) -> QueryFuture<'a, QueryResult<MaintenanceEvent>> {
        Box::pin(self.events(filter))
    }

    fn event<'a>(&'a self, key: &'a EventKey) -> QueryFuture<'a, Option<MaintenanceEvent>> {
        Box::pin(self.event(key))
    }

    fn changed_events<'a>(
        &'a self,
        span: (Timestamp, Timestamp),
        limit: usize,
    ) -> QueryFuture<'a, QueryResult<MaintenanceEvent>> {
        Box::pin(async move {
            let filter = DocumentFilter { pump: None, range: PageRange { limit, ..PageRange::default() } };
            self.documents(&filter, |event| handover::has_changed(event, span)).await
        })
    }

    fn planned_works<'a>(
        &'a self,
        pump: Option<&'a PumpId>,
        since: Option<Timestamp>,
    ) -> QueryFuture<'a, Vec<PlannedWork>> {
        Box::pin(self.planned_works(pump, since))
    }

    fn handover_seen<'a>(&'a self, user: &'a str) -> QueryFuture<'a, Option<Timestamp>> {
        Box::pin(self.handover_seen(user))
    }

    fn audit<'a>(&'a self, filter: &'a AuditFilter) -> QueryFuture<'a, QueryResult<AuditEntry>> {
        Box::pin(self.audit(filter))
    }

    fn transitions<'a>(
        &'a self,
        filter: &'a DocumentFilter,
        alarm: Option<&'a AlarmId>,
    ) -> QueryFuture<'a, QueryResult<Transition>> {
        Box::pin(self.documents(filter, move |row: &Transition| alarm.is_none_or(|alarm| *alarm == row.alarm)))
    }

    fn past_excursions<'a>(
        &'a self,
        filter: &'a DocumentFilter,
        alarm: Option<&'a AlarmId>,
    ) -> QueryFuture<'a, QueryResult<PastExcursion>> {
        Box::pin(self.documents(filter, move |past: &PastExcursion| alarm.is_none_or(|alarm| *alarm == past.alarm)))
    }
}
