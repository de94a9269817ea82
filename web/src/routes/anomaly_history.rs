//! `GET /api/anomaly-history`: the stored detections of one pump, page by page.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use volute_data::{PageRange, QueryResult, StoreError};
use volute_plant::{Detection, Profile, PumpId, Timestamp};

use crate::{
    channels::ByChannel,
    list::{Cursor, Limit, List, Page},
    problem::ApiError,
    query::{ChannelsParam, Flag, PumpParam, Query, TimeParam, time_range},
    responses::{Invalid, NotFound, Unavailable},
    series::SeriesQuery,
    store_context::StoreContext,
};

/// The most detections that are scanned for one page of anomalies. The cursor continues from there.
const MAX_SCANNED: usize = 50_000;
/// The fewest detections that are fetched at once.
const SCAN_ROWS: usize = 1000;

/// Parameters: the requested detections.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AnomalyHistoryQuery {
    /// The pump; absent: the node's default pump
    #[param(value_type = Option<String>)]
    pump_id: Option<PumpParam>,
    /// At or after this time; RFC 3339, or seconds to nanoseconds since 1970
    #[param(value_type = Option<String>)]
    from: Option<TimeParam>,
    /// Before this time
    #[param(value_type = Option<String>)]
    to: Option<TimeParam>,
    /// Only these channels' contributions
    #[param(value_type = Option<Vec<String>>)]
    channel: Option<ChannelsParam>,
    /// Only anomalous windows; absent: false
    #[param(value_type = Option<bool>)]
    only_anomalies: Option<Flag>,
    /// 1 to 10000; absent: 1000
    #[param(value_type = Option<u32>)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

/// A stored detection: the model's result for one window.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DetectionResponse {
    /// The pump's id.
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
    /// Each channel's share of the loss, to four decimals; the shares of all channels sum to 1, except for rounding.
    #[schema(value_type = BTreeMap<String, f64>)]
    contributions: ByChannel<f64>,
    /// The model that scored the window.
    model: String,
}

/// The stored detections of a pump.
///
/// Oldest first if `from` is given, else newest first. With `only_anomalies`, a page may have fewer items than `limit` and
/// still a `next_cursor`, because about 50,000 detections at most are scanned for one page.
#[utoipa::path(
    get,
    path = "/api/anomaly-history",
    tag = "history",
    params(AnomalyHistoryQuery),
    responses(
        (status = 200, description = "A page of detections", body = List<DetectionResponse>),
        Invalid, NotFound, Unavailable
    )
)]
pub(crate) async fn anomaly_history(
    store: web::Data<StoreContext>,
    Query(query): Query<AnomalyHistoryQuery>,
) -> Result<web::Json<List<DetectionResponse>>, ApiError> {
    let only_anomalies = query.only_anomalies.is_some_and(|flag| flag.0);
    let series = query.series(&store)?;
    let SeriesQuery { pump, range, .. } = &series;
    let _permit = store.read_limit.acquire().await?;
    let page = match only_anomalies {
        true => anomalies(&store, pump, range).await?,
        false => {
            let read = async |range| store.queries.detections(pump, &range).await;
            Page::read(range, at, read).await?
        }
    };
    series.list(&store, page, DetectionResponse::new).map(web::Json)
}

/// Reads a page of anomalous windows. If there are few, the page ends after [`MAX_SCANNED`] windows, and the next page
/// continues there.
async fn anomalies(store: &StoreContext, pump: &PumpId, range: &PageRange) -> Result<Page<Detection>, StoreError> {
    let mut step = PageRange { limit: (range.limit + 1).max(SCAN_ROWS), ..range.clone() };
    let mut found = Vec::new();
    let mut scanned = 0;
    loop {
        let QueryResult { rows, completeness } = store.queries.detections(pump, &step).await?;
        let (count, last) = (rows.len(), rows.last().map(at));
        scanned += count;
        found.extend(rows.into_iter().filter(|row| row.is_anomaly));
        let ended = found.len() > range.limit || count < step.limit;
        if ended || scanned >= MAX_SCANNED {
            let page = Page::from_rows(found, completeness, range, at);
            return Ok(if ended { page } else { page.continued_from(range, last) });
        }
        step.after = last;
    }
}

fn at(detection: &Detection) -> Timestamp {
    detection.at
}

impl AnomalyHistoryQuery {
    fn series(self, store: &StoreContext) -> Result<SeriesQuery, ApiError> {
        let Self { pump_id, from, to, channel, limit, cursor, .. } = self;
        SeriesQuery::new(store, pump_id, time_range(from, to)?, channel.as_ref(), limit, cursor)
    }
}

impl DetectionResponse {
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
    use volute_data::SortOrder;

    use super::*;
    use crate::{channels::tests::profile, queries::memory::MemoryStore};

    fn parse_series(query: &str) -> Result<SeriesQuery, ApiError> {
        Query::<AnomalyHistoryQuery>::parse(query)?.0.series(&MemoryStore::of(&[]).into_context())
    }

    fn at() -> Timestamp {
        Timestamp::from_millis(1_773_051_273_000).expect("a time")
    }

    #[test]
    fn from_selects_the_order_oldest_first() {
        let plain = parse_series("").expect("all defaults");
        assert_eq!((plain.pump.as_str(), plain.range.limit), ("P-0", 1000));
        assert_eq!((plain.range.order, plain.range.from, plain.range.to), (SortOrder::NewestFirst, None, None));
        let bounded = parse_series("from=1773051273000&to=1773051274000&pump_id=P-1&limit=5").expect("a range");
        assert_eq!((bounded.range.order, bounded.range.from), (SortOrder::OldestFirst, Some(at())));
        assert_eq!((bounded.range.to, bounded.range.limit), (Some(at().plus_ms(1000)), 5));
        assert_eq!(parse_series("to=1773051273000").expect("an end").range.order, SortOrder::NewestFirst);
    }

    #[test]
    fn a_cursor_continues_where_the_page_ended() {
        let text = "n19cd2175f28";
        assert_eq!(parse_series(&format!("cursor={text}")).expect("a cursor").range.after, Some(at()));
        for bad in [format!("cursor={text}&from=1773051273000"), "cursor=xyz".into()] {
            assert!(matches!(parse_series(&bad), Err(ApiError::Invalid(error)) if error.field == "cursor"), "{bad}");
        }
    }

    #[test]
    fn an_end_before_the_beginning_is_refused() {
        let backwards = parse_series("from=1773051273000&to=1773051272999");
        assert!(matches!(backwards, Err(ApiError::Invalid(error)) if error.field == "to"));
        assert!(parse_series("from=1773051273000&to=1773051273000").is_ok(), "an empty range is valid");
    }

    fn detection(second: i64, is_anomaly: bool) -> Detection {
        Detection {
            pump: "P-0".parse().expect("a name"),
            at: at().plus_ms(1000 * second),
            loss: 0.25,
            threshold: 0.5,
            is_anomaly,
            contributions: [0.75, 0.25].into(),
            model: "m-1".into(),
        }
    }

    #[actix_web::test]
    async fn anomalies_among_many_detections_are_found_page_by_page() {
        let anomalous = [3, 700, 2500, 2999];
        let store = || {
            let mut store = MemoryStore::of(&["P-0"]);
            store.detections = (0..3000).map(|second| detection(second, anomalous.contains(&second))).collect();
            store
        };
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/anomaly-history?only_anomalies=true&limit=3{cursor}");
            let (status, _, list) = store().get(&path).await;
            assert_eq!(status, 200, "{list}");
            let items = list["items"].as_array().expect("a list");
            found.push(items.iter().map(|item| item["timestamp"].clone()).collect::<Vec<_>>());
            match list["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let time = |second: i64| json!(at().plus_ms(1000 * second).to_string());
        assert_eq!(found, [vec![time(2999), time(2500), time(700)], vec![time(3)]]);
    }

    #[test]
    fn a_detection_has_the_requested_contributions() {
        let detection = Detection { pump: "P-1".parse().expect("a name"), ..detection(0, false) };
        assert_eq!(
            serde_json::to_value(DetectionResponse::new(&profile(), &[1], detection)).expect("JSON"),
            json!({
                "pump_id": "P-1", "timestamp": "2026-03-09T10:14:33.000Z", "loss": 0.25, "threshold": 0.5,
                "is_anomaly": false, "contributions": {"Q": 0.25}, "model": "m-1",
            })
        );
    }
}
