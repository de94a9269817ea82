//! `POST /api/ingest`: readings come in, and each has an answer.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use volute_actors::{BadChannel, LATE, LISTED, Receipt, RejectedItem};
use volute_plant::Draft;

use crate::{
    body::{Format, Items},
    invalid_value::InvalidValue,
    item::{LeftOut, NotANumber, UnknownField},
    node::Node,
    problem::{ApiError, Problem},
    responses::{Slow, TooLarge, TooMany, Unavailable, Unsupported},
};

/// What became of a post.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IngestResponse {
    /// New readings, and items that add channels to one: items of one pump and time are one reading.
    accepted: usize,
    /// Readings that were taken before, with the same values.
    duplicate: usize,
    /// New readings that came too late for their window: stored, not scored.
    late: usize,
    /// Why they were late; null if none was.
    #[schema(required)]
    late_reason: Option<&'static str>,
    /// Items that were not taken: the first 100 that may be sent again, and of the others the first 100.
    rejected: Vec<RejectedResponse>,
    /// How many more were not taken.
    rejected_not_listed: usize,
    /// All items that were not taken though nothing is wrong with them, listed above or not: exactly these are to be sent
    /// again. Ranges of places in the post, in order.
    send_again: Vec<SendAgain>,
    /// Channels of items that were taken, with values that no working sensor sends; the first 100 of them.
    bad_channels: Vec<BadChannelResponse>,
    /// How many more there were.
    bad_channels_not_listed: usize,
    /// Values of channels that are no numbers, and so are missing; of all items, the first 100 of them. `null` is none of
    /// these.
    missing_channels: Vec<MissingChannelResponse>,
    /// How many more there were.
    missing_channels_not_listed: usize,
    /// Fields that mean nothing here and were left out, by name; of all items, the first 100 names.
    unknown_fields: Vec<UnknownFieldResponse>,
    /// How many more there were, of other names.
    unknown_fields_not_listed: usize,
    /// All but the rejected items are on disk. Always true: a post that cannot be stored has no such answer.
    durable: bool,
}

/// An item that was not taken, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectedResponse {
    /// The item's place in the post, from 0; blank lines of NDJSON do not count.
    index: usize,
    /// The field that is wrong; empty where it is the item as a whole.
    field: String,
    /// What it held, as sent.
    value: Value,
    /// What it may hold.
    allowed: String,
    /// The whole as a sentence.
    message: String,
    /// Present where nothing is wrong with the item: send it again after so many seconds. Without it the rejection is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 10)]
    retry_after_s: Option<u64>,
}

/// Items of a post, from one place to another, that are to be sent again.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SendAgain {
    /// The place of the first one in the post, from 0.
    #[schema(example = 6000)]
    from: usize,
    /// The place of the last one.
    #[schema(example = 9999)]
    to: usize,
    /// When, in seconds.
    #[schema(example = 1)]
    retry_after_s: u64,
}

/// A value outside the channel's plausible range: stored as sent, kept from the model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BadChannelResponse {
    /// The item's place in the post, from 0.
    index: usize,
    /// The channel's name.
    channel: String,
    /// The value as sent, in the channel's unit.
    value: f64,
    /// The lowest and the highest plausible value.
    plausible: [f64; 2],
}

/// A channel's value that is no number. The channel is missing, the item's others are taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MissingChannelResponse {
    /// The item's place in the post, from 0.
    index: usize,
    /// The channel's name in the profile.
    channel: String,
    /// The value as sent; of a long one its beginning, as text.
    value: Value,
    /// Why it is no number.
    why: &'static str,
}

/// A field that is neither a channel of the pump's profile nor the name of a pump or a time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnknownFieldResponse {
    /// Its name.
    field: String,
    /// How often it is in the post.
    count: usize,
    /// The place of the first item that has it, from 0.
    index: usize,
    /// What it holds there; of a long value its beginning, as text.
    value: Value,
}

/// One object, or an array of them: at most 10,000, of one pump or of many.
#[derive(ToSchema)]
#[schema(as = IngestPost)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what `body` parses")]
pub(crate) enum PostSchema {
    One(ItemSchema),
    Many(Vec<ItemSchema>),
}

/// A reading: the profile's channels by name, a number or null each; their names in any case, and with spaces or dashes for
/// underscores. A number may be a text (`"61.5"`). Any other value is missing, and is listed in the answer, as is a field of
/// another name. The channels may be in an object `values`.
#[derive(ToSchema)]
#[schema(as = IngestItem, example = json!({"pump_id": "pump-1", "timestamp": "2026-03-09T10:14:33Z", "Motor_RPM": 2950.0}))]
#[expect(dead_code, reason = "it describes what `body` parses")]
pub(crate) struct ItemSchema {
    /// Whose reading it is; absent: what `pump` or else `device` says; without these: the node's default pump.
    pump_id: Option<String>,
    /// A time with an offset, or seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size;
    /// absent: what `ts`, `time` or else `datetime` says; without these: the time of receipt.
    timestamp: Option<TimeSchema>,
    #[serde(flatten)]
    channels: BTreeMap<String, Option<f64>>,
}

/// A time as text or as a number since 1970.
#[derive(ToSchema)]
#[schema(as = IngestTime)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what `body` parses")]
pub(crate) enum TimeSchema {
    Text(String),
    Number(f64),
}

/// Takes readings in.
///
/// Answers when every item that was taken is on disk. An item with a timestamp may be sent again after a
/// failure: it is then a duplicate. The first item of a pump that is stored registers it; a client may register so many
/// new pumps at once, and so many a minute: items of further ones are rejected, and a post of nothing else is answered 429.
/// A `Content-Type` has to be sent.
///
/// A post holds up to 10,000 items, also of one pump. More than the pump has room for at once (`ingest.burst_readings_per_pump`)
/// are taken in parts, in the order of their times, and the answer comes when the last part is on disk, or after
/// `ingest.backlog_answer_s` (10 s) with what was taken by then. While such a post is under way another one of the same pump is
/// answered 429; posts with few readings of the pump are taken beside it.
///
/// A rejected item with `retry_after_s` may be sent again by itself after so many seconds: the time for its post was up, or
/// the room for minutes of the past; it could not be stored; the node stops; its pump's actor is out of order; or its time is
/// not later than the pump's stored readings and these cannot be read while the database does not answer. `send_again` has
/// the places of all such items, `rejected` of the first 100. A post of nothing else is answered 503 as a whole. Any other
/// rejection is final.
///
/// The body may be compressed (`Content-Encoding: gzip`); taken out it has `server.max_body_bytes` (8 MiB) at most. JSON is
/// also taken as `text/plain`, from clients that cannot set another type.
#[utoipa::path(
    post,
    path = "/api/ingest",
    tag = "readings",
    request_body(
        content((PostSchema = "application/json"), (PostSchema = "text/plain"), (String = "application/x-ndjson")),
        description = "JSON, or one JSON object per line; at most 10,000 items. It may be in gzip (Content-Encoding: gzip)."
    ),
    responses(
        (status = 200, description = "Every item was taken", body = IngestResponse),
        (status = 207, description = "Some items were rejected", body = IngestResponse),
        (status = 400, description = "Every item was rejected for good; or the body is no JSON, or empty: a problem",
            content((IngestResponse = "application/json"), (Problem = "application/problem+json"))),
        Slow, TooLarge, Unsupported, TooMany, Unavailable
    )
)]
pub(crate) async fn ingest(
    node: web::Data<Node>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let format = Format::of(&request)?;
    // Its room is held until the answer is made.
    let body = node.read_body(&request, payload).await?;
    // A node that is full says so before the post costs it anything more.
    node.engine.check_room()?;
    let (items, left_out) = format.items(&body.bytes, &node.engine)?;
    let posted = items.len();
    let client = request.peer_addr().map(|peer| peer.ip());
    let (drafts, mut rejected) = split(items);
    let mut receipt = node.engine.ingest(drafts, client).await?;
    rejected.extend(receipt.rejected.drain(..).map(RejectedResponse::from));
    rejected.sort_by_key(|item| item.index);
    Ok(HttpResponse::build(status(&rejected, posted)).json(IngestResponse::new(receipt, rejected, left_out)))
}

/// What the engine takes in, and the items of which no draft could be made.
fn split(items: Items) -> (Vec<Option<Draft>>, Vec<RejectedResponse>) {
    let (mut drafts, mut rejected) = (Vec::with_capacity(items.len()), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Ok(draft) => drafts.push(Some(draft)),
            Err(no) => {
                drafts.push(None);
                rejected.push(RejectedResponse::new(index, no, None));
            }
        }
    }
    (drafts, rejected)
}

/// A client may discard what is answered 400: not if an item is to be sent again.
fn status(rejected: &[RejectedResponse], posted: usize) -> StatusCode {
    let for_good = rejected.iter().filter(|item| item.retry_after_s.is_none()).count();
    match (rejected.len(), for_good) {
        (0, _) => StatusCode::OK,
        (_, n) if n < posted => StatusCode::MULTI_STATUS,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl IngestResponse {
    /// `rejected` are all items that were not taken, in the order of their places.
    fn new(receipt: Receipt, mut rejected: Vec<RejectedResponse>, left_out: LeftOut) -> Self {
        let Receipt { accepted, duplicate, late, bad_channels, .. } = receipt;
        let (all, send_again) = (rejected.len(), ranges(&rejected));
        let (mut again, mut for_good) = (0, 0);
        rejected.retain(|item| {
            let count = if item.retry_after_s.is_some() { &mut again } else { &mut for_good };
            *count += 1;
            *count <= LISTED
        });
        Self {
            accepted,
            duplicate,
            late,
            late_reason: (late > 0).then_some(LATE),
            rejected_not_listed: all - rejected.len(),
            rejected,
            send_again,
            bad_channels_not_listed: bad_channels.len().saturating_sub(LISTED),
            bad_channels: bad_channels.into_iter().take(LISTED).map(BadChannelResponse::from).collect(),
            missing_channels_not_listed: left_out.not_numbers_unlisted,
            missing_channels: left_out.not_numbers.into_iter().map(MissingChannelResponse::from).collect(),
            unknown_fields_not_listed: left_out.unknown_unlisted,
            unknown_fields: left_out.unknown.into_iter().map(UnknownFieldResponse::from).collect(),
            durable: true,
        }
    }
}

/// The places of all items that are to be sent again. The items are in the order of their places.
fn ranges(rejected: &[RejectedResponse]) -> Vec<SendAgain> {
    let mut ranges: Vec<SendAgain> = Vec::new();
    for RejectedResponse { index, retry_after_s, .. } in rejected {
        let Some(retry_after_s) = *retry_after_s else { continue };
        match ranges.last_mut() {
            Some(last) if last.to + 1 == *index && last.retry_after_s == retry_after_s => last.to = *index,
            _ => ranges.push(SendAgain { from: *index, to: *index, retry_after_s }),
        }
    }
    ranges
}

impl From<NotANumber> for MissingChannelResponse {
    fn from(NotANumber { index, channel, value, why }: NotANumber) -> Self {
        Self { index, channel, value, why }
    }
}

impl From<(String, UnknownField)> for UnknownFieldResponse {
    fn from((field, UnknownField { count, index, value }): (String, UnknownField)) -> Self {
        Self { field, count, index, value }
    }
}

impl RejectedResponse {
    fn new(index: usize, no: InvalidValue, retry_after_s: Option<u64>) -> Self {
        let InvalidValue { field, value, allowed, message } = no;
        Self { index, field, value, allowed, message, retry_after_s }
    }
}

impl From<RejectedItem> for RejectedResponse {
    fn from(RejectedItem { index, rejection, retry_after_s }: RejectedItem) -> Self {
        Self::new(index, rejection.into(), retry_after_s)
    }
}

impl From<BadChannel> for BadChannelResponse {
    fn from(BadChannel { index, channel, value, plausible }: BadChannel) -> Self {
        Self { index, channel, value, plausible }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use volute_plant::Rejection;

    use super::*;

    fn receipt(accepted: usize) -> Receipt {
        Receipt { accepted, ..Receipt::default() }
    }

    /// So many items that were not taken, from the first on.
    fn rejected(count: usize) -> Vec<RejectedResponse> {
        let rejection = Rejection::new("Tb", Some("hot".into()), "a number", "not a number");
        let item = |index| RejectedItem { index, rejection: rejection.clone(), retry_after_s: None };
        (0..count).map(item).map(RejectedResponse::from).collect()
    }

    #[test]
    fn the_status_tells_all_some_and_none_apart() {
        for (count, expected) in [(0, 200), (1, 207), (3, 400)] {
            assert_eq!(status(&rejected(count), 3), expected);
        }
        let mut mixed = rejected(3);
        mixed[1].retry_after_s = Some(10);
        assert_eq!(status(&mixed, 3), 207, "one of them is to be sent again");
        let answer = IngestResponse::new(receipt(0), mixed, LeftOut::default());
        let answer = serde_json::to_value(answer).expect("JSON");
        assert_eq!(
            (&answer["rejected"][1]["retry_after_s"], answer["rejected"][0].get("retry_after_s")),
            (&json!(10), None)
        );
    }

    #[test]
    fn a_receipt_has_its_shape() {
        let bad = BadChannel { index: 1, channel: "Q".into(), value: 9e9, plausible: [0.0, 5000.0] };
        let receipt = Receipt { duplicate: 2, late: 1, bad_channels: vec![bad], ..receipt(1) };
        assert_eq!(
            serde_json::to_value(IngestResponse::new(receipt, rejected(1), LeftOut::default())).expect("JSON"),
            json!({
                "accepted": 1, "duplicate": 2, "late": 1, "late_reason": LATE,
                "rejected": [{
                    "index": 0, "field": "Tb", "value": "hot", "allowed": "a number",
                    "message": "Tb: not a number; allowed: a number"
                }],
                "rejected_not_listed": 0,
                "send_again": [],
                "bad_channels": [{"index": 1, "channel": "Q", "value": 9e9, "plausible": [0.0, 5000.0]}],
                "bad_channels_not_listed": 0,
                "missing_channels": [],
                "missing_channels_not_listed": 0,
                "unknown_fields": [],
                "unknown_fields_not_listed": 0,
                "durable": true
            })
        );
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let bad = BadChannel { index: 1, channel: "Q".into(), value: 9e9, plausible: [0.0, 5000.0] };
        let receipt = Receipt { bad_channels: vec![bad; LISTED + 2], ..receipt(1) };
        let answer = IngestResponse::new(receipt, rejected(LISTED + 3), LeftOut::default());
        assert_eq!((answer.rejected.len(), answer.rejected_not_listed), (LISTED, 3));
        assert_eq!((answer.bad_channels.len(), answer.bad_channels_not_listed), (LISTED, 2));
        assert_eq!(answer.rejected.last().map(|last| last.index), Some(LISTED - 1));
        let mut one_again = rejected(LISTED + 3);
        one_again[LISTED + 1].retry_after_s = Some(10);
        let answer = IngestResponse::new(self::receipt(1), one_again, LeftOut::default());
        assert_eq!((answer.rejected.len(), answer.rejected_not_listed), (LISTED + 1, 2));
        assert_eq!(answer.rejected.last().map(|last| last.index), Some(LISTED + 1), "it has to come again");
    }

    #[test]
    fn however_many_items_are_to_be_sent_again_their_places_are_told() {
        let mut rejected = rejected(5000);
        for item in &mut rejected {
            item.retry_after_s = match item.index {
                10..=4009 => Some(1),
                4010 | 4012 => Some(10),
                _ => None,
            };
        }
        let answer = IngestResponse::new(receipt(1), rejected, LeftOut::default());
        let again = |from, to, retry_after_s| SendAgain { from, to, retry_after_s };
        assert_eq!(answer.send_again, [again(10, 4009, 1), again(4010, 4010, 10), again(4012, 4012, 10)]);
        assert_eq!((answer.rejected.len(), answer.rejected_not_listed), (2 * LISTED, 5000 - 2 * LISTED));
    }

    #[test]
    fn an_item_of_which_no_draft_can_be_made_keeps_its_place_and_its_value() {
        let items: Items = vec![
            Err(InvalidValue::new("Tb", json!({"is": "hot"}), "a number", "an object, and no number")),
            Ok(Draft {
                pump: None,
                profile: crate::channels::tests::profile(),
                stamp: volute_plant::TimestampSource::Received,
                samples: [].into(),
            }),
            Err(InvalidValue::new("", json!([7]), "an object", "not an object")),
        ];
        let (drafts, rejected) = split(items);
        assert_eq!(drafts.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
        let shown: Vec<_> = rejected.iter().map(|item| (item.index, item.value.clone(), item.retry_after_s)).collect();
        assert_eq!(shown, [(0, json!({"is": "hot"}), None), (2, json!([7]), None)]);
    }
}
