//! Maintenance events: those in the database, and over them those that wait.

use surrealdb::types::SurrealValue;
use volute_plant::{MaintenanceEvent, PumpId, Timestamp};

use super::{
    Store, StoreError,
    engine::Engine,
    head::same_event,
    page,
    reading::outage,
    rows::EventRow,
    types::{Answer, EventFilter, Order, Reach},
};

const OLDEST: &str = "
    SELECT * FROM maintenance_events
    WHERE opened_ms >= $from AND opened_ms < $to
        AND ($pump = NONE OR pump = $pump) AND ($state = NONE OR state = $state)
    ORDER BY opened_ms, pump, rule LIMIT $limit";
const NEWEST: &str = "
    SELECT * FROM maintenance_events
    WHERE opened_ms >= $from AND opened_ms < $to
        AND ($pump = NONE OR pump = $pump) AND ($state = NONE OR state = $state)
    ORDER BY opened_ms DESC, pump, rule LIMIT $limit";

impl Store {
    /// A page of maintenance events by opening time, then by pump and rule.
    ///
    /// Reads every event of the range before it cuts the page: events are few, thousands and not millions.
    pub async fn events(&self, filter: &EventFilter) -> Result<Answer<MaintenanceEvent>, StoreError> {
        let state = self.0.database.read().await;
        let (waiting, removed): (Vec<MaintenanceEvent>, Vec<PumpId>) = {
            let head = self.0.head();
            let removed = head.removals().waiting().map(|(_, pump)| pump.clone());
            (head.news().events.iter().map(|(_, e)| e.clone()).collect(), removed.collect())
        };
        let range = &filter.range;
        let stored = match state.engine() {
            Ok(engine) => stored(engine, filter, range.limit.saturating_add(waiting.len())).await,
            Err(error) => Err(error),
        };
        let (mut rows, reach) = match stored {
            Ok(rows) => (rows, Reach::Whole),
            Err(error) => (Vec::new(), Reach::Since { from: None, reason: outage(error)? }),
        };
        rows.retain(|row| !waiting.iter().any(|event| same_event(event, row)) && !removed.contains(&row.pump));
        rows.extend(waiting.into_iter().filter(|event| matches(filter, event)));
        let by_time = |a: &MaintenanceEvent, b: &MaintenanceEvent| range.order.compare(a.opened_at, b.opened_at);
        rows.sort_by(|a, b| by_time(a, b).then_with(|| (&a.pump, &a.rule).cmp(&(&b.pump, &b.rule))));
        Ok(Answer { rows: page::whole_moments(rows, range.limit, |event| event.opened_at), reach })
    }
}

async fn stored(engine: &Engine, filter: &EventFilter, limit: usize) -> Result<Vec<MaintenanceEvent>, StoreError> {
    let sql = match filter.range.order {
        Order::OldestFirst => OLDEST,
        Order::NewestFirst => NEWEST,
    };
    let select = async |from: i64, to: i64, limit: usize| {
        let vars = [
            ("from", from.into_value()),
            ("to", to.into_value()),
            ("pump", filter.pump.as_ref().map(ToString::to_string).into_value()),
            ("state", filter.state.map(|state| state.as_str().to_owned()).into_value()),
            ("limit", page::limit(limit)),
        ];
        engine.rows::<EventRow, _>(sql, vars).await
    };
    let span = filter.range.bounds_ms();
    let rows = page::rows_of_whole_moments(span, limit, |row: &EventRow| row.opened_ms, select).await?;
    rows.into_iter().map(MaintenanceEvent::try_from).collect()
}

fn matches(filter: &EventFilter, event: &MaintenanceEvent) -> bool {
    let (from, to) = filter.range.bounds_ms();
    (from..to).contains(&Timestamp::millis(event.opened_at))
        && filter.pump.as_ref().is_none_or(|pump| *pump == event.pump)
        && filter.state.is_none_or(|state| state == event.state())
}
