//! `GET /api/sensor-history`: the stored readings of one pump, page by page, or a stretch of them summed up.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use volute_data::{Aggregate, Bucket, Order, Range};
use volute_plant::{Profile, PumpId, Reading};

use crate::{
    channels::ByChannel,
    decode::refused,
    list::{Cursor, Limit, List, MAX_LIMIT, Page},
    problem::ApiError,
    query::{ChannelsParam, PumpParam, Query, Span, TimeParam, span},
    responses::{Invalid, NotFound, Unavailable},
    series::SeriesQuery,
    stored::Stored,
};

const DAY_MS: i64 = 86_400_000;
/// A stretch in which a steady pump sends this many times the points asked for is summed up without counting first.
const RAW_FACTOR: i64 = 2;

/// Which readings are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SensorHistoryQuery {
    /// Which pump; absent: the node's default pump
    #[param(value_type = Option<String>)]
    pump_id: Option<PumpParam>,
    /// From this time on; RFC 3339 or milliseconds since 1970
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
    /// The last page's next_cursor
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 2 to 10000: all of the range in at most so many items, summed up where the readings are more; without limit and cursor.
    /// Items of a minute or longer are made of whole minutes, those of an hour or longer of whole hours: one that the range
    /// only touches counts whole. Absent from: a day before to; absent to: now
    #[param(value_type = Option<u32>)]
    points: Option<Points>,
}

/// Parameter `points`: into how many items at most a stretch is summed up.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Points(usize);

impl TryFrom<String> for Points {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let points = text.parse().ok().filter(|points| (2..=MAX_LIMIT).contains(points));
        points.map(Self).ok_or_else(|| refused(format_args!("2 to {MAX_LIMIT}")))
    }
}

/// A stored reading.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadingResponse {
    /// Whose reading it is.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// Its time by the device's clock.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The values as sent, by channel; null where nothing was sent.
    #[schema(value_type = BTreeMap<String, Option<f64>>)]
    values: ByChannel<Option<f64>>,
    /// The channels without a good value: `bad`, `filled` or `missing`.
    #[schema(value_type = BTreeMap<String, String>)]
    quality: ByChannel<&'static str>,
    /// Present, and true, if it came after its place in the order had passed: it was not scored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    late: bool,
    /// Present if the item sums up several readings, with `points`: then `values` are their means, and `timestamp` is
    /// the beginning of the stretch.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<SummaryResponse>,
}

/// What an item sums up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SummaryResponse {
    /// The length of the stretch, in milliseconds. A multiple of it since 1970 is where it begins, but for one that would
    /// begin before 2000, which is cut off there.
    length_ms: i64,
    /// How many readings were stored of it.
    readings: u64,
    /// The lowest good value, by channel; null where there was none.
    #[schema(value_type = BTreeMap<String, Option<f64>>)]
    min: ByChannel<Option<f64>>,
    /// The highest good value.
    #[schema(value_type = BTreeMap<String, Option<f64>>)]
    max: ByChannel<Option<f64>>,
}

/// A pump's stored readings.
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
    stored: web::Data<Stored>,
    Query(query): Query<SensorHistoryQuery>,
) -> Result<web::Json<List<ReadingResponse>>, ApiError> {
    let SensorHistoryQuery { pump_id, from, to, channel, limit, cursor, points } = query;
    let paged = if limit.is_some() { Some("limit") } else { cursor.map(|_| "cursor") };
    let span = span(from, to)?;
    let query = SeriesQuery::new(&stored, pump_id, span, channel.as_ref(), limit, cursor)?;
    match (points, paged) {
        (None, _) => page(&stored, &query).await.map(web::Json),
        (Some(points), None) => buckets(&stored, &query, span, points).await.map(web::Json),
        (Some(_), Some(other)) => {
            Err(ApiError::invalid(other, "given", "nothing, where there is `points`", "it is one page"))
        }
    }
}

async fn page(stored: &Stored, query: &SeriesQuery) -> Result<List<ReadingResponse>, ApiError> {
    let _turn = stored.readers.turn().await?;
    let read = async |range| stored.queries.readings(&query.pump, &range).await;
    let page = Page::read(&query.range, |reading: &Reading| reading.at, read).await?;
    query.list(stored, page, ReadingResponse::new)
}

/// The readings of a stretch in at most so many items: as they are, where they are few, else summed up.
async fn buckets(
    stored: &Stored,
    query: &SeriesQuery,
    (from, to): Span,
    Points(points): Points,
) -> Result<List<ReadingResponse>, ApiError> {
    let SeriesQuery { pump, profile, channels, range } = query;
    let to = to.unwrap_or_else(|| (stored.now)().plus_ms(1));
    let from = from.unwrap_or_else(|| to.plus_ms(-DAY_MS));
    if to <= from {
        return Err(ApiError::invalid("to", &to.to_string(), format!("later than {from}"), "not after from"));
    }
    let _turn = stored.readers.turn().await?;
    let few = to.since_ms(from) / profile.interval_ms() <= RAW_FACTOR * i64::try_from(points).unwrap_or(i64::MAX);
    let raw = Range { from: Some(from), to: Some(to), order: range.order, limit: points + 1, after: None };
    let raw = if few { Some(stored.queries.readings(pump, &raw).await?) } else { None };
    let (items, reach) = match raw {
        Some(raw) if raw.rows.len() <= points => {
            let readings = raw.rows.into_iter().map(|reading| ReadingResponse::new(profile, channels, reading));
            (readings.collect::<Vec<_>>(), raw.reach)
        }
        _ => {
            let summed = stored.queries.buckets(pump, (from, to), points).await?;
            let buckets = summed.rows.iter().map(|bucket| ReadingResponse::of_bucket(profile, channels, pump, bucket));
            let mut items: Vec<_> = buckets.collect();
            if range.order == Order::NewestFirst {
                items.reverse();
            }
            (items, summed.reach)
        }
    };
    if items.is_empty() {
        stored.check_known(pump)?;
    }
    Ok(List::whole(items, reach))
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
    use volute_data::Reach;
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
    async fn a_history_comes_page_by_page_in_the_order_asked_for() {
        let store = || MemoryStore::of(&["P-0"]).with_readings("P-0", 0..5);
        let (status, _, newest) = store().get("/api/sensor-history?limit=3").await;
        assert_eq!((status, flows(&newest)), (200, vec![4.0, 3.0, 2.0]));
        let next = newest["next_cursor"].as_str().expect("two are left");
        let (_, _, rest) = store().get(&format!("/api/sensor-history?limit=3&cursor={next}")).await;
        assert_eq!((flows(&rest), &rest["next_cursor"]), (vec![1.0, 0.0], &Value::Null));
        let (_, _, oldest) = store().get("/api/sensor-history?from=2026-03-09T10:14:34Z&to=2026-03-09T10:14:36Z").await;
        assert_eq!((flows(&oldest), oldest.get("incomplete")), (vec![1.0, 2.0], None));
    }

    #[actix_web::test]
    async fn a_history_with_a_gap_says_since_when_it_is_whole() {
        let mut store = MemoryStore::of(&["P-0"]).with_readings("P-0", 0..2);
        store.reach = Reach::Since { from: Some(at()), reason: "it is closed".into() };
        let (status, _, list) = store.get("/api/sensor-history").await;
        let incomplete = json!({"since": "2026-03-09T10:14:33.000Z", "reason": "it is closed"});
        assert_eq!((status, flows(&list), &list["incomplete"]), (200, vec![1.0, 0.0], &incomplete));
    }

    #[actix_web::test]
    async fn where_the_store_cannot_be_read_a_client_is_told_when_to_come_back() {
        for path in ["sensor-history", "anomaly-history?pump_id=P-0", "maintenance-events", "audit-log"] {
            let mut store = MemoryStore::of(&["P-0"]);
            store.unavailable = Some("the words of the database");
            let (status, retry_after, problem) = store.get(&format!("/api/{path}")).await;
            assert_eq!((status, retry_after.as_deref()), (503, Some("1")), "{path}");
            assert_eq!(problem["type"], "urn:volute:problem:store-unavailable", "{path}");
            assert!(!problem.to_string().contains("words"), "they stay inside: {problem}");
        }
    }

    #[actix_web::test]
    async fn a_pump_without_readings_is_told_from_one_that_is_not_there() {
        let store = || MemoryStore::of(&["P-0"]);
        for (query, status) in [("", 200), ("?points=10", 200), ("?pump_id=P-9", 404), ("?pump_id=P-9&points=10", 404)]
        {
            assert_eq!(store().get(&format!("/api/sensor-history{query}")).await.0, status, "{query}");
        }
    }

    #[actix_web::test]
    async fn points_are_one_page_and_readings_as_they_are_where_these_are_few() {
        let store = || MemoryStore::of(&["P-0"]).with_readings("P-0", 0..5);
        let (status, _, list) = store().get("/api/sensor-history?points=10&from=1773051274000&to=1773051276000").await;
        assert_eq!((status, flows(&list)), (200, vec![1.0, 2.0]));
        for (other, field) in [("limit=5", "limit"), ("cursor=n19cd2175f28", "cursor"), ("points=1", "points")] {
            let (status, _, problem) = store().get(&format!("/api/sensor-history?{other}&points=10")).await;
            assert_eq!((status, &problem["field"]), (400, &json!(field)), "{other}");
        }
    }

    #[test]
    fn a_reading_shows_the_channels_asked_for() {
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
