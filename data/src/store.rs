//! The database: one transaction in, pages of rows out.
//!
//! A batch is all or nothing, durable when [`Store::commit`] returns, and harmless to write again.
//! Each concern has its file: the engine and its threads, migrations, the rows' form at rest, paging
//! through time, which pumps there are, and what is normal for them. Deliberately absent: waiting for more rows before a
//! commit, trying again, and retention.

mod baselines;
mod engine;
mod error;
mod migrations;
mod page;
mod roster;
mod rows;
mod settings;
#[cfg(test)]
mod tests;
mod types;

use std::{path::Path, sync::Arc};

use surrealdb::types::{SurrealValue, Value};
use volute_plant::{Detection, MaintenanceEvent, PumpId, Reading, Timestamp};

pub use error::StoreError;
pub use settings::StoreSettings;
pub use types::{
    BaselineRecord, Batch, CommissioningRecord, Counts, EventFilter, NewBaseline, Order, PumpRecord, Range, Standing,
    SystemMetrics,
};

use engine::Engine;
use page::{Series, page, whole_moments};
use roster::Roster;
use rows::{DetectionRow, EventRow, MetricsRow, NODE, PumpRow, ReadingRow};

/// A handle on the open database. Cheap to clone, and usable from any tokio runtime: the database
/// has threads of its own, so a call costs the caller's thread no more than the conversion of rows.
///
/// Dropping the last handle closes the database too, and blocks until it is closed; [`Store::close`]
/// does not block.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    engine: Engine,
    roster: Roster,
}

/// Rows that never change are inserted unless they are there; an event's last word counts.
const COMMIT: &str = "
    BEGIN;
    INSERT IGNORE INTO pump $pumps RETURN NONE;
    INSERT IGNORE INTO recorded_minute $minutes RETURN NONE;
    INSERT IGNORE INTO sensor_readings $readings RETURN NONE;
    INSERT IGNORE INTO anomaly_detections $detections RETURN NONE;
    INSERT IGNORE INTO system_metrics $metrics RETURN NONE;
    FOR $event IN $events { UPSERT $event.id CONTENT $event RETURN NONE };
    COMMIT;
";

impl Store {
    /// Opens the database in `dir`, or creates it, and brings its schema up to date.
    ///
    /// Refused: a directory that another store has open, and a database newer than this binary.
    pub async fn open(dir: &Path, settings: &StoreSettings) -> Result<Self, StoreError> {
        let engine = Engine::start(dir, settings).await?;
        match prepare(&engine).await {
            Ok(roster) => Ok(Self(Arc::new(Inner { engine, roster }))),
            Err(error) => {
                if let Err(second) = engine.stop().await {
                    tracing::warn!(error = %second, "the store that could not be opened could not be closed either");
                }
                Err(error)
            }
        }
    }

    /// Writes a batch in one transaction: all of it or nothing. Durable when it returns `Ok`.
    ///
    /// Writing the same again changes nothing. A reading, detection or figure that is stored already
    /// stands, and so does a pump's registration, but other channels for a known pump are refused:
    /// its rows could not be read any more. Of several versions of an event the last one counts.
    /// After [`StoreError::Database`] what is on disk is known only after a restart: treat it as fatal.
    pub async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.0.roster.check(batch)?;
        self.write(batch).await?;
        self.0.roster.note(batch);
        Ok(())
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Writes a batch that has been checked.
    async fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let vars = [
            ("pumps", values(&batch.pumps, PumpRow::from)),
            ("minutes", self.0.roster.new_minutes(batch).into_value()),
            ("readings", values(&batch.readings, ReadingRow::from)),
            ("detections", values(&batch.detections, DetectionRow::from)),
            ("metrics", values(&batch.metrics, MetricsRow::from)),
            ("events", values(&batch.events, EventRow::from)),
        ];
        self.0.engine.execute(COMMIT, vars).await
    }

    /// All pumps, by name.
    pub async fn pumps(&self) -> Result<Vec<PumpRecord>, StoreError> {
        let rows: Vec<PumpRow> = self.0.engine.rows("SELECT * FROM pump", []).await?;
        rows.into_iter().map(PumpRecord::try_from).collect()
    }

    /// A page of a pump's readings.
    pub async fn readings(&self, pump: &PumpId, range: &Range) -> Result<Vec<Reading>, StoreError> {
        let rows: Vec<ReadingRow> = page(&self.0.engine, &Series::readings(pump), range).await?;
        rows.into_iter().map(Reading::try_from).collect()
    }

    /// Those of a pump's readings that were taken at exactly these times, oldest first. One query.
    pub async fn readings_at(&self, pump: &PumpId, at: &[Timestamp]) -> Result<Vec<Reading>, StoreError> {
        let mut at: Vec<i64> = at.iter().map(|at| at.millis()).collect();
        at.sort_unstable();
        at.dedup();
        let series = Series::readings(pump);
        let ids: Vec<_> = at.into_iter().map(|ms| series.id(ms)).collect();
        let rows: Vec<ReadingRow> = self.0.engine.rows("SELECT * FROM $ids", [("ids", ids.into_value())]).await?;
        rows.into_iter().map(Reading::try_from).collect()
    }

    /// The last `n` readings of a pump, oldest first.
    pub async fn latest_readings(&self, pump: &PumpId, n: usize) -> Result<Vec<Reading>, StoreError> {
        let mut readings = self.readings(pump, &Range::newest(n)).await?;
        readings.reverse();
        Ok(readings)
    }

    /// A page of one pump's detections, or of all pumps' together, by time and then by pump.
    ///
    /// All pumps' page costs one page of each of them.
    pub async fn detections(&self, pump: Option<&PumpId>, range: &Range) -> Result<Vec<Detection>, StoreError> {
        let pumps = match pump {
            Some(pump) => vec![pump.clone()],
            None => self.0.roster.pumps(),
        };
        let mut detections = Vec::new();
        for pump in &pumps {
            let rows: Vec<DetectionRow> = page(&self.0.engine, &Series::detections(pump), range).await?;
            for row in rows {
                detections.push(Detection::try_from(row)?);
            }
        }
        detections.sort_by(|a, b| range.order.compare(a.at, b.at).then_with(|| a.pump.cmp(&b.pump)));
        Ok(whole_moments(detections, range.limit, |detection| detection.at))
    }

    /// A page of the node's own figures.
    pub async fn metrics(&self, range: &Range) -> Result<Vec<SystemMetrics>, StoreError> {
        let rows: Vec<MetricsRow> = page(&self.0.engine, &Series::metrics(NODE), range).await?;
        rows.into_iter().map(SystemMetrics::try_from).collect()
    }

    /// A page of maintenance events by opening time, then by pump and rule.
    ///
    /// Reads every event of the range before it cuts the page: events are few, thousands and not millions.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<MaintenanceEvent>, StoreError> {
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
        let range = &filter.range;
        let sql = match range.order {
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
            self.0.engine.rows::<EventRow, _>(sql, vars).await
        };
        let (from, to) = range.bounds_ms();
        let mut rows = select(from, to, range.limit).await?;
        if let Some(last) = rows.last().filter(|_| rows.len() == range.limit).map(|row| row.opened_ms) {
            rows.retain(|row| row.opened_ms != last);
            rows.extend(select(last, last + 1, usize::MAX).await?);
        }
        rows.into_iter().map(MaintenanceEvent::try_from).collect()
    }

    /// How many readings and detections of a pump are stored.
    ///
    /// Walks the pump's keys, though not its values: about a microsecond a row, so not for every request.
    pub async fn counts(&self, pump: &PumpId) -> Result<Counts, StoreError> {
        let count = async |series: Series| {
            let vars = [("range", series.between(0, i64::MAX))];
            let counts: Vec<u64> =
                self.0.engine.rows("SELECT VALUE count FROM (SELECT count() FROM $range GROUP ALL)", vars).await?;
            Ok::<u64, StoreError>(counts.first().copied().unwrap_or(0))
        };
        Ok(Counts {
            readings: count(Series::readings(pump)).await?,
            detections: count(Series::detections(pump)).await?,
        })
    }

    /// Flushes and closes the database; the directory can be opened again at once.
    ///
    /// Other handles on it then answer [`StoreError::Closed`]; closing a closed store does nothing.
    pub async fn close(self) -> Result<(), StoreError> {
        self.0.engine.stop().await
    }
}

/// Brings the schema up to date and learns which pumps there are.
async fn prepare(engine: &Engine) -> Result<Roster, StoreError> {
    migrations::apply(engine, migrations::ALL).await?;
    let rows: Vec<PumpRow> = engine.rows("SELECT * FROM pump", []).await?;
    let pumps = rows.into_iter().map(PumpRecord::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(Roster::new(pumps))
}

fn values<'a, T, R: SurrealValue>(items: &'a [T], row: fn(&'a T) -> R) -> Value {
    items.iter().map(row).collect::<Vec<R>>().into_value()
}
