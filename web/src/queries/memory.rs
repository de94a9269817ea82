//! A store of plain lists, for tests of routes.

use std::{collections::BTreeMap, sync::Arc};

use actix_web::{
    App,
    dev::ServiceResponse,
    test::{TestRequest, call_service, init_service, read_body_json},
    web,
};
use serde_json::Value;
use volute_data::{
    Answer, AuditEntry, AuditFilter, Bucket, DatabaseStatus, EventFilter, JournalStatus, Order, PumpRecord,
    PumpSettings, Range, Reach, StoreError, StoreStatus,
};
use volute_plant::{Detection, MaintenanceEvent, PumpId, PumpName, Reading, Sample, Timestamp};

use super::{QueryFuture, StoreQueries};
use crate::{channels::tests::profile, response_budget::Readers, routes, stored::Stored};

/// What is stored, and how much of it can be read.
pub(crate) struct MemoryStore {
    pub(crate) pumps: Vec<PumpRecord>,
    pub(crate) readings: Vec<Reading>,
    pub(crate) detections: Vec<Detection>,
    pub(crate) events: Vec<MaintenanceEvent>,
    pub(crate) audit: Vec<AuditEntry>,
    /// What a query says of its completeness.
    pub(crate) reach: Reach,
    /// Why nothing can be read, if so.
    pub(crate) unavailable: Option<&'static str>,
}

impl MemoryStore {
    /// With these pumps and nothing else.
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
            audit: Vec::new(),
            reach: Reach::Whole,
            unavailable: None,
        }
    }

    /// With readings of a pump at these seconds.
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

    /// With this in the place of the database.
    pub(crate) fn stored(self) -> Stored {
        Stored {
            queries: Arc::new(self),
            readers: Readers::new(1),
            profile: profile(),
            profile_of: Box::new(|_| profile()),
            default_pump: "P-0".parse().expect("an id"),
            now: Box::new(|| at(3600)),
        }
    }

    /// What a route returns to a GET: the status, `Retry-After`, and the body.
    pub(crate) async fn get(self, path: &str) -> (u16, Option<String>, Value) {
        let app = App::new().app_data(web::Data::new(self.stored())).configure(routes::configure);
        let app = init_service(app).await;
        let answer: ServiceResponse = call_service(&app, TestRequest::get().uri(path).to_request()).await;
        let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().expect("text").to_owned());
        (answer.status().as_u16(), retry_after, read_body_json(answer).await)
    }

    /// The rows of a range, as the store has them: those of one moment are never parted.
    fn page<T: Clone>(&self, rows: &[T], range: &Range, at: fn(&T) -> Timestamp) -> Result<Answer<T>, StoreError> {
        if let Some(reason) = self.unavailable {
            return Err(StoreError::Unavailable { reason: reason.into() });
        }
        let beyond = |row: &&T| match range.order {
            Order::OldestFirst => range.after.is_none_or(|after| at(row) > after),
            Order::NewestFirst => range.after.is_none_or(|after| at(row) < after),
        };
        let within = |row: &&T| {
            range.from.is_none_or(|from| at(row) >= from) && range.to.is_none_or(|to| at(row) < to) && beyond(row)
        };
        let mut rows: Vec<T> = rows.iter().filter(within).cloned().collect();
        rows.sort_by_key(at);
        if range.order == Order::NewestFirst {
            rows.reverse();
        }
        if let Some(last) = range.limit.checked_sub(1).and_then(|last| rows.get(last)).map(at) {
            let rest = rows[range.limit..].iter().take_while(|row| at(row) == last).count();
            rows.truncate(range.limit + rest);
        }
        Ok(Answer { rows, reach: self.reach.clone() })
    }
}

/// A time in seconds after 2026-03-09T10:14:33Z.
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
            waiting_readings: 0,
            waiting_bytes: 0,
            oldest_waiting_ms: None,
            conflicts: 0,
            journal: JournalStatus::default(),
            damage: Vec::new(),
        }
    }

    fn pump_settings<'a>(&'a self, _: &'a PumpId) -> QueryFuture<'a, PumpSettings> {
        Box::pin(async move { Ok(PumpSettings::default()) })
    }

    fn readings<'a>(&'a self, pump: &'a PumpId, range: &'a Range) -> QueryFuture<'a, Answer<Reading>> {
        let own: Vec<Reading> = self.readings.iter().filter(|reading| reading.pump == *pump).cloned().collect();
        Box::pin(async move { self.page(&own, range, |reading| reading.at) })
    }

    fn buckets<'a>(&'a self, _: &'a PumpId, _: (Timestamp, Timestamp), _: usize) -> QueryFuture<'a, Answer<Bucket>> {
        Box::pin(async move { Ok(Answer { rows: Vec::new(), reach: self.reach.clone() }) })
    }

    fn detections<'a>(&'a self, pump: &'a PumpId, range: &'a Range) -> QueryFuture<'a, Answer<Detection>> {
        let own: Vec<Detection> = self.detections.iter().filter(|one| one.pump == *pump).cloned().collect();
        Box::pin(async move { self.page(&own, range, |detection| detection.at) })
    }

    fn events<'a>(&'a self, filter: &'a EventFilter) -> QueryFuture<'a, Answer<MaintenanceEvent>> {
        Box::pin(async move { self.page(&self.events, &filter.range, |event| event.opened_at) })
    }

    fn audit<'a>(&'a self, filter: &'a AuditFilter) -> QueryFuture<'a, Answer<AuditEntry>> {
        Box::pin(async move { self.page(&self.audit, &filter.range, |entry| entry.at) })
    }
}
