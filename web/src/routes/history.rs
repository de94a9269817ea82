//! `GET /api/sensor-history` and `/api/anomaly-history`: what is stored of one pump, page by page.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;
use volute_data::{Aggregate, Answer, Bucket, Order, Range};
use volute_plant::{Detection, Profile, PumpId, Reading, Timestamp};

use crate::{
    channels::ByChannel,
    list::{IncompleteData, List, cursor, write_cursor},
    openapi::{Invalid, NotFound, Unavailable},
    problem::ApiError,
    query::Params,
    server::Node,
};

/// How many detections are looked at for one page of anomalies; the cursor goes on from there.
const MAX_SCANNED: usize = 50_000;
/// How many of them are fetched at once, at least.
const SCAN_ROWS: usize = 1000;

const DAY_MS: i64 = 86_400_000;
/// A stretch in which a steady pump sends this many times the points asked for is summed up without counting first.
const RAW_FACTOR: i64 = 2;

/// A stored reading.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadingData {
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
    summary: Option<SummaryData>,
}

/// What an item sums up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SummaryData {
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

/// A stored verdict of the model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DetectionData {
    /// Whose window it was.
    #[schema(value_type = String)]
    pump_id: PumpId,
    /// The time of the window's last reading.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The reconstruction loss.
    loss: f64,
    /// The loss above which a window is anomalous.
    threshold: f64,
    /// Whether the window is anomalous.
    is_anomaly: bool,
    /// Each channel's share of the loss, to four decimals; the shares of all channels sum to 1 but for the rounding.
    #[schema(value_type = BTreeMap<String, f64>)]
    contributions: ByChannel<f64>,
    /// The model that said it.
    model: String,
}

/// What both histories are asked for.
#[derive(Debug)]
struct Question {
    pump: PumpId,
    /// Places in the profile.
    channels: Vec<usize>,
    /// How long a page is.
    limit: usize,
    range: Range,
}

/// A pump's stored readings.
///
/// Oldest first if `from` is given, else newest first.
#[utoipa::path(
    get,
    path = "/api/sensor-history",
    tag = "history",
    params(
        ("pump_id" = Option<String>, Query, description = "Which pump; absent: the node's default pump"),
        ("from" = Option<String>, Query, description = "From this time on; RFC 3339 or milliseconds since 1970"),
        ("to" = Option<String>, Query, description = "Before this time"),
        ("channel" = Option<Vec<String>>, Query, description = "Only these channels; repeated or separated by commas"),
        ("limit" = Option<u32>, Query, description = "1 to 10000; absent: 1000"),
        ("cursor" = Option<String>, Query, description = "The last page's next_cursor"),
        ("points" = Option<u32>, Query, description = "2 to 10000: all of the range in at most so many items, summed up \
            where the readings are more; without limit and cursor. Items of a minute or longer are made of whole minutes, \
            those of an hour or longer of whole hours: one that the range only touches counts whole. Absent from: a day \
            before to; absent to: now")
    ),
    responses(
        (status = 200, description = "A page of readings", body = List<ReadingData>),
        Invalid, NotFound, Unavailable
    )
)]
pub(crate) async fn sensor_history(
    node: web::Data<Node>,
    request: HttpRequest,
) -> Result<web::Json<List<ReadingData>>, ApiError> {
    let (engine, profile) = (&node.engine, node.engine.profile());
    let known = ["pump_id", "from", "to", "channel", "limit", "cursor", "points"];
    let params = Params::parse(request.query_string(), &known)?;
    let Question { pump, channels, limit, range } = Question::new(&params, profile, engine.default_pump())?;
    if let Some(points) = params.points()? {
        return buckets(&node, &params, pump, &channels, points).await;
    }
    let _turn = node.readers.turn().await?;
    let Answer { mut rows, reach } = engine.store().readings(&pump, &range).await?;
    if rows.is_empty() {
        known_pump(&node, pump)?;
    }
    let next_cursor = cut(&mut rows, limit, |row| row.at).map(|at| write_cursor(range.order, at));
    let items = rows.into_iter().map(|row| ReadingData::new(profile, &channels, row)).collect();
    Ok(web::Json(List { items, next_cursor, incomplete: IncompleteData::of(reach) }))
}

/// A pump's stored verdicts of the model.
///
/// Oldest first if `from` is given, else newest first. With `only_anomalies` a page may have fewer items
/// than `limit` and yet a `next_cursor`: a page looks at so many verdicts and no more.
#[utoipa::path(
    get,
    path = "/api/anomaly-history",
    tag = "history",
    params(
        ("pump_id" = Option<String>, Query, description = "Which pump; absent: the node's default pump"),
        ("from" = Option<String>, Query, description = "From this time on; RFC 3339 or milliseconds since 1970"),
        ("to" = Option<String>, Query, description = "Before this time"),
        ("channel" = Option<Vec<String>>, Query, description = "Only these channels' contributions"),
        ("only_anomalies" = Option<bool>, Query, description = "Only anomalous windows; absent: false"),
        ("limit" = Option<u32>, Query, description = "1 to 10000; absent: 1000"),
        ("cursor" = Option<String>, Query, description = "The last page's next_cursor")
    ),
    responses(
        (status = 200, description = "A page of verdicts", body = List<DetectionData>),
        Invalid, NotFound, Unavailable
    )
)]
pub(crate) async fn anomaly_history(
    node: web::Data<Node>,
    request: HttpRequest,
) -> Result<web::Json<List<DetectionData>>, ApiError> {
    let (engine, profile) = (&node.engine, node.engine.profile());
    let known = ["pump_id", "from", "to", "channel", "only_anomalies", "limit", "cursor"];
    let params = Params::parse(request.query_string(), &known)?;
    let only_anomalies = params.flag("only_anomalies")?;
    let Question { pump, channels, limit, mut range } = Question::new(&params, profile, engine.default_pump())?;
    if only_anomalies {
        range.limit = range.limit.max(SCAN_ROWS);
    }
    let _turn = node.readers.turn().await?;
    let mut found = Vec::new();
    let mut scanned = 0;
    let mut incomplete;
    let scanned_to = loop {
        let Answer { rows, reach } = engine.store().detections(Some(&pump), &range).await?;
        incomplete = IncompleteData::of(reach);
        let (count, last) = (rows.len(), rows.last().map(|row| row.at));
        scanned += count;
        found.extend(rows.into_iter().filter(|row| row.is_anomaly || !only_anomalies));
        if found.len() > limit || count < range.limit {
            break None;
        }
        if scanned >= MAX_SCANNED {
            break last;
        }
        range.after = last;
    };
    if scanned == 0 {
        known_pump(&node, pump)?;
    }
    let next = cut(&mut found, limit, |row| row.at).or(scanned_to);
    let next_cursor = next.map(|at| write_cursor(range.order, at));
    let items = found.into_iter().map(|row| DetectionData::new(profile, &channels, row)).collect();
    Ok(web::Json(List { items, next_cursor, incomplete }))
}

/// The readings of a stretch in at most `points` items: as they are, where they are few, else summed up.
async fn buckets(
    node: &Node,
    params: &Params,
    pump: PumpId,
    channels: &[usize],
    points: usize,
) -> Result<web::Json<List<ReadingData>>, ApiError> {
    if let Some(other) = ["limit", "cursor"].into_iter().find(|name| params.given(name)) {
        return Err(ApiError::invalid(other, "given", "nothing, where there is `points`", "it is one page"));
    }
    let (store, profile) = (node.engine.store(), node.engine.profile());
    let to = params.time("to")?.unwrap_or_else(|| node.engine.now().plus_ms(1));
    let from = params.time("from")?.unwrap_or_else(|| to.plus_ms(-DAY_MS));
    if to <= from {
        return Err(ApiError::invalid("to", &to.to_string(), format!("later than {from}"), "not after from"));
    }
    let order = if params.given("from") { Order::OldestFirst } else { Order::NewestFirst };
    let mut items: Vec<ReadingData>;
    let reach;
    let few = to.since_ms(from) / profile.interval_ms() <= RAW_FACTOR * i64::try_from(points).unwrap_or(i64::MAX);
    let range = Range { from: Some(from), to: Some(to), order, limit: points + 1, after: None };
    let _turn = node.readers.turn().await?;
    let raw = if few { Some(store.readings(&pump, &range).await?) } else { None };
    match raw {
        Some(raw) if raw.rows.len() <= points => {
            reach = raw.reach;
            items = raw.rows.into_iter().map(|row| ReadingData::new(profile, channels, row)).collect();
        }
        _ => {
            let answer = store.buckets(&pump, (from, to), points).await?;
            reach = answer.reach;
            items = answer.rows.iter().map(|row| ReadingData::of_bucket(profile, channels, &pump, row)).collect();
            if order == Order::NewestFirst {
                items.reverse();
            }
        }
    }
    if items.is_empty() {
        known_pump(node, pump)?;
    }
    Ok(web::Json(List { items, next_cursor: None, incomplete: IncompleteData::of(reach) }))
}

/// Cuts rows to a page. Where there were more, the time of the last row that stays.
fn cut<R>(rows: &mut Vec<R>, limit: usize, at: impl Fn(&R) -> Timestamp) -> Option<Timestamp> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| more).map(at)
}

/// Tells a pump with nothing to show from one that is not there.
fn known_pump(node: &Node, pump: PumpId) -> Result<(), ApiError> {
    let known = node.engine.store().pumps().into_iter().any(|record| record.id == pump);
    if known { Ok(()) } else { Err(ApiError::UnknownPump(pump)) }
}

impl Question {
    fn new(params: &Params, profile: &Profile, default_pump: &PumpId) -> Result<Self, ApiError> {
        let (from, to) = params.span()?;
        let order = if from.is_some() { Order::OldestFirst } else { Order::NewestFirst };
        let limit = params.limit()?;
        let after = cursor(params, order)?;
        Ok(Self {
            pump: params.pump()?.unwrap_or_else(|| default_pump.clone()),
            channels: params.channels(profile)?,
            limit,
            range: Range { from, to, order, limit: limit + 1, after },
        })
    }
}

impl ReadingData {
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
            summary: Some(SummaryData {
                length_ms: bucket.length_ms,
                readings: bucket.readings,
                min: by_channel(|aggregate| (aggregate.count > 0).then_some(aggregate.min)),
                max: by_channel(|aggregate| (aggregate.count > 0).then_some(aggregate.max)),
            }),
        }
    }
}

impl DetectionData {
    fn new(profile: &Profile, channels: &[usize], detection: Detection) -> Self {
        let shares = channels.iter().map(|&channel| (channel, detection.contributions[channel]));
        Self {
            timestamp: detection.at.to_string(),
            loss: detection.loss,
            threshold: detection.threshold,
            is_anomaly: detection.is_anomaly,
            contributions: ByChannel::new(profile, shares),
            model: detection.model.to_string(),
            pump_id: detection.pump,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use volute_plant::Sample;

    use super::*;
    use crate::channels::tests::profile;

    const KNOWN: [&str; 6] = ["pump_id", "from", "to", "channel", "limit", "cursor"];

    fn question(query: &str) -> Result<Question, ApiError> {
        Question::new(&Params::parse(query, &KNOWN)?, &profile(), &"P-0".parse().expect("a name"))
    }

    fn at() -> Timestamp {
        Timestamp::from_millis(1_773_051_273_000).expect("a time")
    }

    #[test]
    fn from_makes_it_oldest_first() {
        let plain = question("").expect("all defaults");
        assert_eq!((plain.pump.as_str(), plain.limit, plain.range.limit), ("P-0", 1000, 1001));
        assert_eq!((plain.range.order, plain.range.from, plain.range.to), (Order::NewestFirst, None, None));
        let bounded = question("from=1773051273000&to=1773051274000&pump_id=P-1&limit=5").expect("a range");
        assert_eq!((bounded.range.order, bounded.range.from), (Order::OldestFirst, Some(at())));
        assert_eq!((bounded.range.to, bounded.range.limit), (Some(at().plus_ms(1000)), 6));
        assert_eq!(question("to=1773051273000").expect("an end").range.order, Order::NewestFirst);
    }

    #[test]
    fn a_cursor_goes_on_where_the_page_ended() {
        let text = write_cursor(Order::NewestFirst, at());
        assert_eq!(question(&format!("cursor={text}")).expect("a cursor").range.after, Some(at()));
        for bad in [format!("cursor={text}&from=1773051273000"), "cursor=xyz".into()] {
            assert!(matches!(question(&bad), Err(ApiError::Invalid(no)) if no.field == "cursor"), "{bad}");
        }
    }

    #[test]
    fn only_a_page_with_another_behind_it_goes_on() {
        let cut_to_two = |mut rows: Vec<i64>| {
            let next = cut(&mut rows, 2, |&ms| at().plus_ms(ms));
            (rows, next.map(|next| next.since_ms(at())))
        };
        assert_eq!(cut_to_two(vec![]), (vec![], None));
        assert_eq!(cut_to_two(vec![1, 2]), (vec![1, 2], None));
        assert_eq!(cut_to_two(vec![1, 2, 3]), (vec![1, 2], Some(2)));
    }

    #[test]
    fn an_end_before_the_beginning_is_refused() {
        let backwards = question("from=1773051273000&to=1773051272999");
        assert!(matches!(backwards, Err(ApiError::Invalid(no)) if no.field == "to"));
        assert!(question("from=1773051273000&to=1773051273000").is_ok(), "empty, but no mistake");
    }

    #[test]
    fn a_reading_shows_the_channels_asked_for() {
        let samples = [Sample::Bad(900.0), Sample::Good(1.5)].into();
        let reading = Reading { pump: "P-1".parse().expect("a name"), at: at(), received: at(), samples, late: true };
        let shown = |channels: &[usize]| {
            serde_json::to_value(ReadingData::new(&profile(), channels, reading.clone())).expect("JSON")
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

    #[test]
    fn a_detection_shows_the_contributions_asked_for() {
        let detection = Detection {
            pump: "P-1".parse().expect("a name"),
            at: at(),
            loss: 0.25,
            threshold: 0.5,
            is_anomaly: false,
            contributions: [0.75, 0.25].into(),
            model: "m-1".into(),
        };
        assert_eq!(
            serde_json::to_value(DetectionData::new(&profile(), &[1], detection)).expect("JSON"),
            json!({
                "pump_id": "P-1", "timestamp": "2026-03-09T10:14:33.000Z", "loss": 0.25, "threshold": 0.5,
                "is_anomaly": false, "contributions": {"Q": 0.25}, "model": "m-1",
            })
        );
    }
}
