//! What the routes ask the store, as a trait, so that a test answers it from memory and needs no node.
//!
//! Each query is one of [`Store`]'s own, with its meaning; see there.

use std::collections::BTreeMap;

use futures::future::LocalBoxFuture;
use volute_data::{
    Answer, AuditEntry, AuditFilter, Bucket, EventFilter, PumpRecord, PumpSettings, Range, Store, StoreError,
    StoreStatus,
};
use volute_plant::{Detection, MaintenanceEvent, PumpId, PumpName, Reading, Timestamp};

#[cfg(test)]
pub(crate) mod memory;

/// What a query returns that has to read the disk.
pub(crate) type QueryFuture<'a, T> = LocalBoxFuture<'a, Result<T, StoreError>>;

/// What the routes ask the store.
pub(crate) trait StoreQueries: Send + Sync {
    /// All pumps, by id.
    fn pumps(&self) -> Vec<PumpRecord>;
    fn is_registered(&self, pump: &PumpId) -> bool;
    fn pump_name(&self, pump: &PumpId) -> Option<PumpName>;
    fn pump_names(&self) -> BTreeMap<PumpId, PumpName>;
    fn status(&self) -> StoreStatus;
    fn pump_settings<'a>(&'a self, pump: &'a PumpId) -> QueryFuture<'a, PumpSettings>;
    fn readings<'a>(&'a self, pump: &'a PumpId, range: &'a Range) -> QueryFuture<'a, Answer<Reading>>;
    /// A pump's readings from the first time up to and without the second, in at most so many buckets.
    fn buckets<'a>(
        &'a self,
        pump: &'a PumpId,
        span: (Timestamp, Timestamp),
        points: usize,
    ) -> QueryFuture<'a, Answer<Bucket>>;
    fn detections<'a>(&'a self, pump: &'a PumpId, range: &'a Range) -> QueryFuture<'a, Answer<Detection>>;
    fn events<'a>(&'a self, filter: &'a EventFilter) -> QueryFuture<'a, Answer<MaintenanceEvent>>;
    fn audit<'a>(&'a self, filter: &'a AuditFilter) -> QueryFuture<'a, Answer<AuditEntry>>;
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

    fn readings<'a>(&'a self, pump: &'a PumpId, range: &'a Range) -> QueryFuture<'a, Answer<Reading>> {
        Box::pin(self.readings(pump, range))
    }

    fn buckets<'a>(
        &'a self,
        pump: &'a PumpId,
        span: (Timestamp, Timestamp),
        points: usize,
    ) -> QueryFuture<'a, Answer<Bucket>> {
        Box::pin(self.buckets(pump, span, points))
    }

    fn detections<'a>(&'a self, pump: &'a PumpId, range: &'a Range) -> QueryFuture<'a, Answer<Detection>> {
        Box::pin(self.detections(Some(pump), range))
    }

    fn events<'a>(&'a self, filter: &'a EventFilter) -> QueryFuture<'a, Answer<MaintenanceEvent>> {
        Box::pin(self.events(filter))
    }

    fn audit<'a>(&'a self, filter: &'a AuditFilter) -> QueryFuture<'a, Answer<AuditEntry>> {
        Box::pin(self.audit(filter))
    }
}
