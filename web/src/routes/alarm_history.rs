//! `GET /api/alarm-transitions`: the stored history of alarms, row by row; and `GET /api/alarm-metrics`: whether people can
//! follow, by the metrics of ISA-18.2.

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use volute_alarm::{AlarmId, MetricsCollector, Standing, Transition};
use volute_data::{Completeness, DocumentFilter, PageRange, QueryResult, SortOrder};
use volute_plant::{PumpId, Timestamp};

use crate::{
    list::{Cursor, IncompleteResponse, Limit, List, Page, page_range},
    problem::ApiError,
    query::{Parsed, PumpParam, Query, TimeParam, time_range},
    responses::{Invalid, Unavailable},
    store_context::StoreContext,
};

/// The time over which metrics are computed if the request does not say: a week.
const DEFAULT_METRICS_MS: i64 = 7 * 86_400_000;
/// The longest time over which metrics are computed: a year.
const MAX_METRICS_MS: i64 = 366 * 86_400_000;
/// The maximum number of rows that metrics are computed from.
const MAX_METRICS_ROWS: usize = 1_000_000;

/// Parameters: the requested rows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TransitionsQuery {
    /// Only rows of this pump
    #[param(value_type = Option<String>)]
    pump_id: Option<PumpParam>,
    /// Only rows of this alarm
    #[param(value_type = Option<String>)]
    alarm: Option<AlarmParam>,
    /// At or after this time; RFC 3339, or seconds to nanoseconds since 1970
    #[param(value_type = Option<String>)]
    from: Option<TimeParam>,
    /// Before this time
    #[param(value_type = Option<String>)]
    to: Option<TimeParam>,
    /// 1 to 10000; absent: 1000
    #[param(value_type = Option<u32>)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

/// Parameter `alarm`: an alarm's id.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AlarmParam(pub(super) AlarmId);

impl TryFrom<String> for AlarmParam {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        AlarmId::try_from(text).map(Self).map_err(|error| crate::decode::not_allowed(error.allowed))
    }
}

/// A row of an alarm's history. Rows are never changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransitionResponse {
    /// Its number among the alarm's rows, from 1 without gaps.
    seq: u64,
    /// The pump's id; null for an alarm of the node itself.
    #[schema(value_type = Option<String>, required)]
    pump_id: Option<PumpId>,
    /// The alarm's id.
    #[schema(value_type = String)]
    alarm: AlarmId,
    /// The newest occurrence after the row.
    occurrence: u32,
    /// Whether the row announces this occurrence to people.
    announces: bool,
    /// The alarm's priority at that time.
    priority: String,
    /// The state before.
    from: String,
    /// The state after.
    to: String,
    /// When, by the node's clock.
    #[schema(format = DateTime)]
    at: String,
    /// What happened: `raised`, `returned`, `acknowledged`, `shelved`, `unshelved`, `shelving_ended`, `suppression_began`,
    /// `suppression_ended`, `taken_out_of_service`, `returned_to_service` or `reset`.
    cause: String,
    /// Details of the cause: for `raised` and `returned` the `evidence` (`since`, `value`, `limit`).
    #[schema(value_type = Object)]
    details: Value,
    /// Who gave the command; null if it was not a command.
    #[schema(required)]
    by: Option<String>,
    /// What this person wrote; null if nothing.
    #[schema(required)]
    comment: Option<String>,
}

/// The history of alarms, newest first.
///
/// Rows of the same time stay together, so a page may be slightly longer than `limit`.
#[utoipa::path(
    get,
    path = "/api/alarm-transitions",
    tag = "alarms",
    params(TransitionsQuery),
    responses((status = 200, description = "A page of rows", body = List<TransitionResponse>), Invalid, Unavailable)
)]
pub(crate) async fn transitions(
    store: web::Data<StoreContext>,
    Query(query): Query<TransitionsQuery>,
) -> Result<web::Json<List<TransitionResponse>>, ApiError> {
    let TransitionsQuery { pump_id, alarm, from, to, limit, cursor } = query;
    let pump = pump_id.map(|Parsed(pump)| pump);
    let alarm = alarm.map(|AlarmParam(alarm)| alarm);
    let range = page_range(SortOrder::NewestFirst, time_range(from, to)?, limit, cursor)?;
    let _permit = store.read_limit.acquire().await?;
    let read = async |range| {
        let filter = DocumentFilter { pump: pump.clone(), range };
        store.queries.transitions(&filter, alarm.as_ref()).await
    };
    let mut page = Page::read(&range, |row: &Transition| row.at, read).await?;
    sort_newest_first(&mut page.rows);
    Ok(web::Json(page.into_list(TransitionResponse::from)))
}

/// Sorts rows, of which the store has those of one millisecond in the order of their alarms, oldest first: of one alarm the
/// newest row comes first.
fn sort_newest_first(rows: &mut [Transition]) {
    rows.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.key().cmp(&b.key())).then_with(|| b.seq.cmp(&a.seq)));
}

/// Parameters: the time of the metrics.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MetricsQuery {
    /// At or after this time; absent: a week before `to`
    #[param(value_type = Option<String>)]
    from: Option<TimeParam>,
    /// Before this time; absent: now. At most a year after `from`
    #[param(value_type = Option<String>)]
    to: Option<TimeParam>,
    /// The number of operators who share the alarms, 1 to 1000; absent: 1
    #[param(value_type = Option<u32>)]
    operators: Option<Operators>,
}

/// Parameter `operators`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Operators(u32);

impl TryFrom<String> for Operators {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let operators = text.parse().ok().filter(|operators| (1..=1_000).contains(operators));
        operators.map(Self).ok_or_else(|| crate::decode::not_allowed("1 to 1000"))
    }
}

/// The metrics of ISA-18.2 over a time, each with its target.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlarmMetricsResponse {
    /// From this time; later than asked for if the node watches pumps for a shorter time.
    #[schema(format = DateTime)]
    from: String,
    /// To this time.
    #[schema(format = DateTime)]
    to: String,
    /// Present if the metrics are not those of the whole time that was asked for: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<IncompleteResponse>,
    /// The metrics: `announcements`; `per_10_min`, `per_hour` and `per_day` with `value`, `acceptable`, `at_most` and `rating`
    /// (`acceptable`, `manageable`, `too_many`); `max_in_10_min`; `flood_share` and `top_ten_share`; `top_ten`; `chattering`
    /// and `stale` alarms; and `priorities`.
    #[schema(value_type = Object)]
    metrics: Value,
}

/// Whether people can follow the alarms, by the metrics of ISA-18.2.
#[utoipa::path(
    get,
    path = "/api/alarm-metrics",
    tag = "alarms",
    params(MetricsQuery),
    responses((status = 200, description = "The metrics", body = AlarmMetricsResponse), Invalid, Unavailable)
)]
pub(crate) async fn metrics(
    store: web::Data<StoreContext>,
    Query(query): Query<MetricsQuery>,
) -> Result<web::Json<AlarmMetricsResponse>, ApiError> {
    let to = query.to.map_or_else(|| (store.now)(), |TimeParam(to)| to);
    let from = query.from.map_or_else(|| to.plus_ms(-DEFAULT_METRICS_MS), |TimeParam(from)| from);
    let operators = query.operators.map_or(1, |Operators(operators)| operators);
    if from >= to || to.since_ms(from) > MAX_METRICS_MS {
        let allowed = "a time before `to`, by at most a year";
        return Err(ApiError::invalid("from", &from.to_string(), allowed, "not before `to`, or too long before it"));
    }
    let _permit = store.read_limit.acquire().await?;
    let range = PageRange { from: Some(from), to: Some(to), limit: MAX_METRICS_ROWS, ..PageRange::default() };
    let filter = DocumentFilter { pump: None, range };
    let QueryResult { rows, completeness } = store.queries.transitions(&filter, None).await?;
    let begun = store.queries.pumps().iter().map(|record| record.registered_at).min();
    let span = covered((from, to), begun);
    let metrics = compute(&rows, span, operators);
    let missing = missing((from, to), span, completeness, rows.len() >= MAX_METRICS_ROWS);
    let incomplete = IncompleteResponse::of(missing);
    Ok(web::Json(AlarmMetricsResponse { from: span.0.to_string(), to: to.to_string(), incomplete, metrics }))
}

/// Returns the part of the time in which the node watched pumps: rates over the time before would be too low. `begun` is when
/// its first pump was registered.
fn covered((from, to): (Timestamp, Timestamp), begun: Option<Timestamp>) -> (Timestamp, Timestamp) {
    match begun {
        Some(begun) if begun > from && begun < to => (begun, to),
        _ => (from, to),
    }
}

/// Returns why the metrics of `span` are not those of the time that was asked for.
fn missing(
    asked: (Timestamp, Timestamp),
    span: (Timestamp, Timestamp),
    completeness: Completeness,
    is_cut: bool,
) -> Completeness {
    match completeness {
        partial @ Completeness::Partial { .. } => partial,
        Completeness::Complete if is_cut => {
            let reason = format!("there are more than {MAX_METRICS_ROWS} rows: ask for a shorter time");
            Completeness::Partial { from: None, reason }
        }
        Completeness::Complete if span.0 > asked.0 => {
            let days = (span.1.since_ms(span.0)) as f64 / 86_400_000.0;
            let reason = format!("the node watches pumps since {}, for {days:.1} days of the time asked for", span.0);
            Completeness::Partial { from: Some(span.0), reason }
        }
        Completeness::Complete => Completeness::Complete,
    }
}

fn compute(rows: &[Transition], (from, to): (Timestamp, Timestamp), operators: u32) -> Value {
    let mut collector = MetricsCollector::new(from, to);
    rows.iter().for_each(|row| collector.add(row));
    let metrics = collector.finish(&Standing::replay(rows), operators);
    serde_json::to_value(metrics).unwrap_or_default()
}

impl From<Transition> for TransitionResponse {
    fn from(row: Transition) -> Self {
        let mut details = serde_json::to_value(&row.cause).unwrap_or_default();
        let cause = details.as_object_mut().and_then(|fields| fields.remove("cause"));
        Self {
            seq: row.seq,
            pump_id: row.pump,
            alarm: row.alarm,
            occurrence: row.occurrence,
            announces: row.announces,
            priority: row.priority.as_str().to_owned(),
            from: row.from.as_str().to_owned(),
            to: row.to.as_str().to_owned(),
            at: row.at.to_string(),
            cause: cause.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(),
            details,
            by: row.by,
            comment: row.comment.map(String::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_millis(1_773_050_400_000 + hour * 3_600_000).expect("a time")
    }

    #[test]
    fn rows_of_one_millisecond_are_in_the_order_of_their_numbers() {
        let row = |hour: i64, alarm: &str, seq: u64| Transition {
            seq,
            pump: None,
            alarm: AlarmId::from_text(alarm),
            occurrence: 1,
            announces: false,
            priority: volute_alarm::Priority::Low,
            from: volute_alarm::State::Normal,
            to: volute_alarm::State::Normal,
            at: at(hour),
            cause: volute_alarm::Cause::Unshelved,
            by: None,
            comment: None,
        };
        let mut rows = [row(2, "b", 1), row(1, "a", 1), row(1, "a", 2), row(1, "a", 10), row(1, "b", 7)];
        sort_newest_first(&mut rows);
        let order: Vec<(&str, u64)> = rows.iter().map(|row| (row.alarm.as_str(), row.seq)).collect();
        assert_eq!(order, [("b", 1), ("a", 10), ("a", 2), ("a", 1), ("b", 7)]);
    }

    #[test]
    fn metrics_of_a_shorter_time_than_asked_for_say_so() {
        let asked = (at(0), at(48));
        for (begun, from, says) in [
            (None, at(0), None),
            (Some(at(-5)), at(0), None),
            (Some(at(36)), at(36), Some("for 0.5 days of the time asked for")),
            (Some(at(50)), at(0), None),
        ] {
            let span = covered(asked, begun);
            assert_eq!(span, (from, at(48)));
            match (missing(asked, span, Completeness::Complete, false), says) {
                (Completeness::Complete, None) => {}
                (Completeness::Partial { from, reason }, Some(says)) => {
                    assert!(from == Some(span.0) && reason.ends_with(says), "{reason}");
                }
                (found, _) => panic!("{begun:?}: {found:?}"),
            }
        }
        assert!(matches!(
            missing(asked, asked, Completeness::Complete, true),
            Completeness::Partial { from: None, .. }
        ));
    }
}
