//! `GET /api/sensor-history`: the stored readings of one pump, page by page, or aggregated over a time range.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use volute_data::{Aggregate, Bucket, PageRange, SortOrder};
use volute_plant::{Profile, PumpId, Reading};

use crate::{
    channels::ByChannel,
    decode::not_allowed,
    list::{Cursor, Limit, List, MAX_LIMIT, Page},
    problem::ApiError,
    query::{ChannelsParam, PumpParam, Query, TimeParam, TimeRange, time_range},
    responses::{Invalid, NotFound, Unavailable},
    series::SeriesQuery,
    store_context::StoreContext,
};

const DAY_MS: i64 = 86_400_000;
/// If a time range has more readings at the profile's interval than this many times the requested points, they are
/// aggregated without reading them first.
const RAW_QUERY_FACTOR: i64 = 2;

/// Parameters: the requested readings.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SensorHistoryQuery {
    /// The pump; absent: the node's default pump
    #[param(value_type = Option<String>)]
    pump_id: Option<PumpParam>,
    /// At or after this time; RFC 3339, or seconds to nanoseconds since 1970
    #[param(value_type = Option<String>)]
    from: Option<TimeParam>,
    /// Before this time
    #[param(value_type = Option<String>)]
    to: Option<TimeParam>,
    /// Only these channels; repeated or separated by commas
    #[param(value_type = Option<Vec<String>>)]
    channel: Option<ChannelsParam>,
    /// 1 to 10000; absent: 1000
    #[param(value_type = Option<u32>)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 2 to 10000: the whole time range in at most this many items, which are aggregates if there are more readings. Cannot
    /// be combined with limit and cursor. Items of a minute or longer consist of whole minutes, items of an hour or longer of
    /// whole hours: a minute or hour that the range covers partly is included completely. If from is absent, the range starts
    /// a day before to; if to is absent, it ends now
    #[param(value_type = Option<u32>)]
    points: Option<Points>,
}

/// Parameter `points`: the most items into which a time range is aggregated.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Points(usize);

impl TryFrom<String> for Points {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let points = text.parse().ok().filter(|points| (2..=MAX_LIMIT).contains(points));
        points.map(Self).ok_or_else(|| not_allowed(format_args!("2 to {MAX_LIMIT}")))
    }
}

/// A stored reading.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadingResponse {
    /// The pump's id.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// Its time by the device's clock.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The values as sent, by channel; null if the channel was not sent.
    #[schema(value_type = BTreeMap<String, Option<f64>>)]
    values: ByChannel<Option<f64>>,
    /// The channels without a good value: `bad`, `filled` or `missing`.
    #[schema(value_type = BTreeMap<String, String>)]
    quality: ByChannel<&'static str>,
    /// Present, and true, if it arrived too late for its window: it was not scored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    late: bool,
    /// Present if the item is an aggregate of several readings (with `points`): then `values` are their means, and
    /// `timestamp` is the start of the aggregated interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<SummaryResponse>,
}

/// An aggregate of readings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SummaryResponse {
    /// The length of the interval, in milliseconds. It starts at a multiple of its length since 1970, except that no interval
    /// starts before 2000.
    length_ms: i64,
    /// The number of stored readings in it.
    readings: u64,
    /// The lowest good value, by channel; null if there is none.
    #[schema(value_type = BTreeMap<String, Option<f64>>)]
    min: ByChannel<Option<f64>>,
    /// The highest good value, by channel; null if there is none.
    #[schema(value_type = BTreeMap<String, Option<f64>>)]
    max: ByChannel<Option<f64>>,
}

/// The stored readings of a pump.
///
/// Oldest first if `from` is given, else newest first.
#[utoipa::path(
    get,
    path = "/api/sensor-history",
    tag = "history",
    params(SensorHistoryQuery),
    responses(
        (status = 200, description = "A page of readings", body = List<ReadingResponse>),
        Invalid, NotFound, Unavailable
    )
)]
pub(crate) async fn sensor_history(
    store: web::Data<StoreContext>,
    Query(query): Query<SensorHistoryQuery>,
) -> Result<web::Json<List<ReadingResponse>>, ApiError> {
    let SensorHistoryQuery { pump_id, from, to, channel, limit, cursor, points } = query;
    let paged = if limit.is_some() { Some("limit") } else { cursor.map(|_| "cursor") };
    let time_range = time_range(from, to)?;
    let query = SeriesQuery::new(&store, pump_id, time_range, channel.as_ref(), limit, cursor)?;
    match (points, paged) {
        (None, _) => page(&store, &query).await.map(web::Json),
        (Some(points), None) => buckets(&store, &query, time_range, points).await.map(web::Json),
        (Some(_), Some(parameter)) => {
            Err(ApiError::invalid(parameter, "given", "not with points", "the response has a single page"))
        }
    }
}

async fn page(store: &StoreContext, query: &SeriesQuery) -> Result<List<ReadingResponse>, ApiError> {
    let _permit = store.read_limit.acquire().await?;
    let read = async |range| store.queries.readings(&query.pump, &range).await;
    let page = Page::read(&query.range, |reading: &Reading| reading.at, read).await?;
    query.list(store, page, ReadingResponse::new)
}

/// Returns the readings of a time range in at most `points` items: unchanged if they are few enough, else aggregated.
async fn buckets(
    store: &StoreContext,
    query: &SeriesQuery,
    (from, to): TimeRange,
    Points(points): Points,
) -> Result<List<ReadingResponse>, ApiError> {
    let SeriesQuery { pump, profile, channels, range } = query;
    let to = to.unwrap_or_else(|| (store.now)().plus_ms(1));
    let from = from.unwrap_or_else(|| to.plus_ms(-DAY_MS));
    if to <= from {
        return Err(ApiError::invalid("to", &to.to_string(), format!("later than {from}"), "not after from"));
    }
    let _permit = store.read_limit.acquire().await?;
    let try_raw =
        to.since_ms(from) / profile.interval_ms() <= RAW_QUERY_FACTOR * i64::try_from(points).unwrap_or(i64::MAX);
    let raw = PageRange { from: Some(from), to: Some(to), order: range.order, limit: points + 1, after: None };
    let raw = if try_raw { Some(store.queries.readings(pump, &raw).await?) } else { None };
    let (items, completeness) = match raw {
        Some(raw) if raw.rows.len() <= points => {
            let readings = raw.rows.into_iter().map(|reading| ReadingResponse::new(profile, channels, reading));
            (readings.collect::<Vec<_>>(), raw.completeness)
        }
        _ => {
            let aggregated = store.queries.buckets(pump, (from, to), points).await?;
            let buckets =
                aggregated.rows.iter().map(|bucket| ReadingResponse::of_bucket(profile, channels, pump, bucket));
            let mut items: Vec<_> = buckets.collect();
            if range.order == SortOrder::NewestFirst {
                items.reverse();
            }
            (items, aggregated.completeness)
        }
    };
    if items.is_empty() {
        store.check_known(pump)?;
    }
    Ok(List::single_page(items, completeness))
}

impl ReadingResponse {
    fn new(profile: &Profile, channels: &[usize], reading: Reading) -> Self {
        let samples = || channels.iter().map(|&channel| (channel, reading.samples[channel]));
        Self {
            timestamp: reading.at.to_string(),
            values: ByChannel::new(profile, samples().map(|(channel, sample)| (channel, sample.value()))),
            quality: ByChannel::new(profile, samples().filter_map(|(channel, sample)| Some((channel, sample.flag()?)))),
            late: reading.late,
            pump_id: reading.pump,
            summary: None,
        }
    }

    fn of_bucket(profile: &Profile, channels: &[usize], pump: &PumpId, bucket: &Bucket) -> Self {
        let by_channel = |figure: fn(&Aggregate) -> Option<f64>| {
            let aggregate = |channel: usize| bucket.aggregates.channel(channel).and_then(figure);
            ByChannel::new(profile, channels.iter().map(|&channel| (channel, aggregate(channel))))
        };
        Self {
            pump_id: pump.clone(),
            timestamp: bucket.start.to_string(),
            values: by_channel(Aggregate::mean),
            quality: ByChannel::new(profile, []),
            late: false,
            summary: Some(SummaryResponse {
                length_ms: bucket.length_ms,
                readings: bucket.readings,
                min: by_channel(|aggregate| (aggregate.count > 0).then_some(aggregate.min)),
                max: by_channel(|aggregate| (aggregate.count > 0).then_some(aggregate.max)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use volute_data::Completeness;
    use volute_plant::{Sample, Timestamp};

    use super::*;
    use crate::{
        channels::tests::profile,
        queries::memory::{MemoryStore, at as second},
    };

    fn at() -> Timestamp {
        second(0)
    }

    fn flows(list: &Value) -> Vec<f64> {
        let items = list["items"].as_array().expect("a list");
        items.iter().filter_map(|item| item["values"]["Q"].as_f64()).collect()
    }

    #[actix_web::test]
    async fn a_history_is_returned_page_by_page_in_the_requested_order() {
        let store = || MemoryStore::of(&["P-0"]).with_readings("P-0", 0..5);
        let (status, _, newest) = store().get("/api/sensor-history?limit=3").await;
        assert_eq!((status, flows(&newest)), (200, vec![4.0, 3.0, 2.0]));
        let next = newest["next_cursor"].as_str().expect("two are left");
        let (_, _, second_page) = store().get(&format!("/api/sensor-history?limit=3&cursor={next}")).await;
        assert_eq!((flows(&second_page), &second_page["next_cursor"]), (vec![1.0, 0.0], &Value::Null));
        let (_, _, oldest) = store().get("/api/sensor-history?from=2026-03-09T10:14:34Z&to=2026-03-09T10:14:36Z").await;
        assert_eq!((flows(&oldest), oldest.get("incomplete")), (vec![1.0, 2.0], None));
    }

    #[actix_web::test]
    async fn an_incomplete_history_says_since_when_it_is_complete() {
        let mut store = MemoryStore::of(&["P-0"]).with_readings("P-0", 0..2);
        store.completeness = Completeness::Partial { from: Some(at()), reason: "it is closed".into() };
        let (status, _, list) = store.get("/api/sensor-history").await;
        let incomplete = json!({"since": "2026-03-09T10:14:33.000Z", "reason": "it is closed"});
        assert_eq!((status, flows(&list), &list["incomplete"]), (200, vec![1.0, 0.0], &incomplete));
    }

    #[actix_web::test]
    async fn an_unavailable_store_is_a_503_with_retry_after() {
        for path in ["sensor-history", "anomaly-history?pump_id=P-0", "maintenance-events", "audit-log"] {
            let mut store = MemoryStore::of(&["P-0"]);
            store.unavailable = Some("the words of the database");
            let (status, retry_after, problem) = store.get(&format!("/api/{path}")).await;
            assert_eq!((status, retry_after.as_deref()), (503, Some("1")), "{path}");
            assert_eq!(problem["type"], "urn:volute:problem:store-unavailable", "{path}");
            assert!(!problem.to_string().contains("words"), "messages of the database are not included: {problem}");
        }
    }

    #[actix_web::test]
    async fn a_pump_without_readings_differs_from_an_unknown_one() {
        let store = || MemoryStore::of(&["P-0"]);
        for (query, status) in [("", 200), ("?points=10", 200), ("?pump_id=P-9", 404), ("?pump_id=P-9&points=10", 404)]
        {
            assert_eq!(store().get(&format!("/api/sensor-history{query}")).await.0, status, "{query}");
        }
    }

    #[actix_web::test]
    async fn with_points_few_readings_are_returned_unchanged_in_one_page() {
        let store = || MemoryStore::of(&["P-0"]).with_readings("P-0", 0..5);
        let (status, _, list) = store().get("/api/sensor-history?points=10&from=1773051274000&to=1773051276000").await;
        assert_eq!((status, flows(&list)), (200, vec![1.0, 2.0]));
        for (other, field) in [("limit=5", "limit"), ("cursor=n19cd2175f28", "cursor"), ("points=1", "points")] {
            let (status, _, problem) = store().get(&format!("/api/sensor-history?{other}&points=10")).await;
            assert_eq!((status, &problem["field"]), (400, &json!(field)), "{other}");
        }
    }

    #[test]
    fn a_reading_has_the_requested_channels() {
        let samples = [Sample::Bad(900.0), Sample::Good(1.5)].into();
        let reading = Reading { pump: "P-1".parse().expect("a name"), at: at(), received: at(), samples, late: true };
        let shown = |channels: &[usize]| {
            serde_json::to_value(ReadingResponse::new(&profile(), channels, reading.clone())).expect("JSON")
        };
        assert_eq!(
            shown(&[0, 1]),
            json!({
                "pump_id": "P-1", "timestamp": "2026-03-09T10:14:33.000Z",
                "values": {"Tb": 900.0, "Q": 1.5}, "quality": {"Tb": "bad"}, "late": true,
            })
        );
        assert_eq!((&shown(&[1])["values"], &shown(&[1])["quality"]), (&json!({"Q": 1.5}), &json!({})));
    }
}
