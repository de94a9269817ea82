//! A store in memory, for tests of routes.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use actix_web::{
    App,
    dev::ServiceResponse,
    test::{TestRequest, call_service, init_service, read_body_json},
    web,
};
use serde_json::Value;
use volute_alarm::{AlarmId, PastExcursion, Transition};
use volute_data::{
    AuditEntry, AuditFilter, Bucket, Completeness, DatabaseStatus, DocumentFilter, EventFilter, JournalStatus,
    PageRange, PumpRecord, PumpSettings, QueryResult, SortOrder, StoreError, StoreStatus,
};
use volute_plant::{Detection, EventKey, MaintenanceEvent, PlannedWork, PumpId, PumpName, Reading, Sample, Timestamp};

use super::{QueryFuture, StoreQueries};
use crate::{
    access::testing::open_access, channels::tests::profile, response_budget::ReadLimit, routes,
    store_context::StoreContext,
};

/// The address of a client on this machine.
pub(crate) const LOCAL_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// The stored rows, and whether they can be read.
pub(crate) struct MemoryStore {
    pub(crate) pumps: Vec<PumpRecord>,
    pub(crate) readings: Vec<Reading>,
    pub(crate) detections: Vec<Detection>,
    pub(crate) events: Vec<MaintenanceEvent>,
    pub(crate) works: Vec<PlannedWork>,
    /// When the user last looked at the handover.
    pub(crate) seen: Option<Timestamp>,
    pub(crate) audit: Vec<AuditEntry>,
    pub(crate) transitions: Vec<Transition>,
    /// The completeness that every query reports.
    pub(crate) completeness: Completeness,
    /// The reason why the database is unavailable, if it is.
    pub(crate) unavailable: Option<&'static str>,
}

impl MemoryStore {
    /// Creates a store with these pumps and no rows.
    pub(crate) fn of(pumps: &[&str]) -> Self {
        let record = |id: &&str| PumpRecord {
            id: id.parse().expect("an id"),
            profile: "small".into(),
            channels: vec!["Tb".into(), "Q".into()],
            registered_at: at(0),
        };
        Self {
            pumps: pumps.iter().map(record).collect(),
            readings: Vec::new(),
            detections: Vec::new(),
            events: Vec::new(),
            works: Vec::new(),
            seen: None,
            audit: Vec::new(),
            transitions: Vec::new(),
            completeness: Completeness::Complete,
            unavailable: None,
        }
    }

    /// Adds readings of a pump at these seconds.
    pub(crate) fn with_readings(mut self, pump: &str, seconds: impl IntoIterator<Item = i64>) -> Self {
        let pump: PumpId = pump.parse().expect("an id");
        self.readings.extend(seconds.into_iter().map(|second| Reading {
            pump: pump.clone(),
            at: at(second),
            received: at(second),
            samples: [Sample::Good(40.0), Sample::Good(second as f64)].into(),
            late: false,
        }));
        self
    }

    /// Returns a context that reads from this store.
    pub(crate) fn into_context(self) -> StoreContext {
        StoreContext {
            queries: Arc::new(self),
            read_limit: ReadLimit::new(1),
            profile: profile(),
            profile_of: Box::new(|_| profile()),
            default_pump: "P-0".parse().expect("an id"),
            now: Box::new(|| at(3600)),
        }
    }

    /// Sends a GET to a route. Returns the status, `Retry-After` and the body.
    pub(crate) async fn get(self, path: &str) -> (u16, Option<String>, Value) {
        let access = web::Data::new(open_access().await);
        let context = web::Data::new(self.into_context());
        let app = App::new().app_data(context).app_data(access).configure(routes::configure);
        let app = init_service(app).await;
        let response: ServiceResponse =
            call_service(&app, TestRequest::get().uri(path).peer_addr(LOCAL_PEER).to_request()).await;
        let retry_after = response.headers().get("retry-after").map(|value| value.to_str().expect("text").to_owned());
        (response.status().as_u16(), retry_after, read_body_json(response).await)
    }

    /// Returns the rows of a range. As in the real store, rows of the same time are never split.
    fn page<T: Clone>(
        &self,
        rows: &[T],
        range: &PageRange,
        at: fn(&T) -> Timestamp,
    ) -> Result<QueryResult<T>, StoreError> {
        if let Some(reason) = self.unavailable {
            return Err(StoreError::Unavailable { reason: reason.into() });
        }
        let beyond = |row: &&T| match range.order {
            SortOrder::OldestFirst => range.after.is_none_or(|after| at(row) > after),
            SortOrder::NewestFirst => range.after.is_none_or(|after| at(row) < after),
        };
        let within = |row: &&T| {
            range.from.is_none_or(|from| at(row) >= from) && range.to.is_none_or(|to| at(row) < to) && beyond(row)
        };
        let mut rows: Vec<T> = rows.iter().filter(within).cloned().collect();
        rows.sort_by_key(at);
        if range.order == SortOrder::NewestFirst {
            rows.reverse();
        }
        if let Some(last) = range.limit.checked_sub(1).and_then(|last| rows.get(last)).map(at) {
            let same_time = rows[range.limit..].iter().take_while(|row| at(row) == last).count();
            rows.truncate(range.limit + same_time);
        }
        Ok(QueryResult { rows, completeness: self.completeness.clone() })
    }
}

/// Returns the time `second` seconds after 2026-03-09T10:14:33Z.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_773_051_273_000 + 1000 * second).expect("a time")
}

impl StoreQueries for MemoryStore {
    fn pumps(&self) -> Vec<PumpRecord> {
        self.pumps.clone()
    }

    fn is_registered(&self, pump: &PumpId) -> bool {
        self.pumps.iter().any(|record| record.id == *pump)
    }

    fn pump_name(&self, _: &PumpId) -> Option<PumpName> {
        None
    }

    fn pump_names(&self) -> BTreeMap<PumpId, PumpName> {
        BTreeMap::new()
    }

    fn status(&self) -> StoreStatus {
        StoreStatus {
            database: self.unavailable.map_or(DatabaseStatus::Open, |why| DatabaseStatus::Unavailable(why.into())),
            unflushed_readings: 0,
            unflushed_bytes: 0,
            oldest_unflushed_ms: None,
            conflicts: 0,
            journal: JournalStatus::default(),
            damage: Vec::new(),
        }
    }

    fn pump_settings<'a>(&'a self, _: &'a PumpId) -> QueryFuture<'a, PumpSettings> {
        Box::pin(async move { Ok(PumpSettings::default()) })
    }

    fn readings<'a>(&'a self, pump: &'a PumpId, range: &'a PageRange) -> QueryFuture<'a, QueryResult<Reading>> {
        let own: Vec<Reading> = self.readings.iter().filter(|reading| reading.pump == *pump).cloned().collect();
        Box::pin(async move { self.page(&own, range, |reading| reading.at) })
    }

    fn buckets<'a>(
        &'a self,
        _: &'a PumpId,
        _: (Timestamp, Timestamp),
        _: usize,
    ) -> QueryFuture<'a, QueryResult<Bucket>> {
        Box::pin(async move { Ok(QueryResult { rows: Vec::new(), completeness: self.completeness.clone() }) })
    }

    fn detections<'a>(&'a self, pump: &'a PumpId, range: &'a PageRange) -> QueryFuture<'a, QueryResult<Detection>> {
        let own: Vec<Detection> = self.detections.iter().filter(|one| one.pump == *pump).cloned().collect();
        Box::pin(async move { self.page(&own, range, |detection| detection.at) })
    }

    fn events<'a>(&'a self, filter: &'a EventFilter) -> QueryFuture<'a, QueryResult<MaintenanceEvent>> {
        Box::pin(async move { self.page(&self.events, &filter.range, |event| event.opened_at) })
    }

    fn event<'a>(&'a self, key: &'a EventKey) -> QueryFuture<'a, Option<MaintenanceEvent>> {
        let event = self.events.iter().find(|event| event.key() == *key).cloned();
        Box::pin(async move { Ok(event) })
    }

    fn changed_events<'a>(
        &'a self,
        span: (Timestamp, Timestamp),
        limit: usize,
    ) -> QueryFuture<'a, QueryResult<MaintenanceEvent>> {
        let changed: Vec<MaintenanceEvent> =
            self.events.iter().filter(|event| crate::handover::has_changed(event, span)).cloned().collect();
        let range = PageRange { limit, ..PageRange::default() };
        Box::pin(async move { self.page(&changed, &range, |event| event.opened_at) })
    }

    fn planned_works<'a>(
        &'a self,
        pump: Option<&'a PumpId>,
        since: Option<Timestamp>,
    ) -> QueryFuture<'a, Vec<PlannedWork>> {
        let is_wanted = |work: &&PlannedWork| {
            pump.is_none_or(|pump| *pump == work.pump) && since.is_none_or(|since| work.until >= since)
        };
        let works = self.works.iter().filter(is_wanted).cloned().collect();
        Box::pin(async move { Ok(works) })
    }

    fn handover_seen<'a>(&'a self, _: &'a str) -> QueryFuture<'a, Option<Timestamp>> {
        Box::pin(async move { Ok(self.seen) })
    }

    fn audit<'a>(&'a self, filter: &'a AuditFilter) -> QueryFuture<'a, QueryResult<AuditEntry>> {
        Box::pin(async move { self.page(&self.audit, &filter.range, |entry| entry.at) })
    }

    fn transitions<'a>(
        &'a self,
        filter: &'a DocumentFilter,
        alarm: Option<&'a AlarmId>,
    ) -> QueryFuture<'a, QueryResult<Transition>> {
        let is_wanted = |row: &&Transition| filter.pump.is_none() || filter.pump == row.pump;
        let rows: Vec<Transition> = self.transitions.iter().filter(is_wanted).cloned().collect();
        let rows: Vec<Transition> =
            rows.into_iter().filter(|row| alarm.is_none_or(|alarm| *alarm == row.alarm)).collect();
        Box::pin(async move { self.page(&rows, &filter.range, |row| row.at) })
    }

    fn past_excursions<'a>(
        &'a self,
        filter: &'a DocumentFilter,
        _: Option<&'a AlarmId>,
    ) -> QueryFuture<'a, QueryResult<PastExcursion>> {
        Box::pin(async move { self.page(&[], &filter.range, |past: &PastExcursion| past.learned_at) })
    }
}
