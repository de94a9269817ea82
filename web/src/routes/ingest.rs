//! `POST /api/ingest`: accepts readings, and reports the outcome of each.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use volute_access::{Permission, Principal};
use volute_actors::{BadChannel, IngestError, LATE_EXPLANATION, MAX_LISTED, PostSender, Receipt, RejectedItem};
use volute_plant::{Draft, PumpId};

use crate::{
    access::who,
    body::{Format, Items},
    invalid_value::InvalidValue,
    item::{IgnoredFields, NonNumericValue, UnknownField},
    node::Node,
    problem::{ApiError, Problem},
    responses::{Slow, TooLarge, TooMany, Unavailable, Unsupported},
};

/// The outcome of a post.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IngestResponse {
    /// New readings, and items that add channels to a reading: items of the same pump and time are one reading.
    accepted: usize,
    /// Readings that were accepted before with the same values.
    duplicate: usize,
    /// New readings that arrived too late for their window: stored, not scored.
    late: usize,
    /// Why they were late; null if none was.
    #[schema(required)]
    late_reason: Option<&'static str>,
    /// Rejected items: the first 100 that can be sent again, and the first 100 others.
    rejected: Vec<RejectedResponse>,
    /// The number of further rejected items.
    rejected_not_listed: usize,
    /// All items that are rejected with `retry_after_s`, listed above or not: exactly these are to be sent again. Ranges of
    /// indices in the post, in order.
    send_again: Vec<ResendRange>,
    /// Values in accepted items that are outside the plausible range of their channel; the first 100.
    bad_channels: Vec<BadChannelResponse>,
    /// The number of further such values.
    bad_channels_not_listed: usize,
    /// Channels that are missing because their values are not numbers, in all items; the first 100. Channels with `null`
    /// are not listed.
    missing_channels: Vec<MissingChannelResponse>,
    /// The number of further such values.
    missing_channels_not_listed: usize,
    /// Unknown fields, which were ignored, by name, in all items; the first 100 names.
    unknown_fields: Vec<UnknownFieldResponse>,
    /// The number of further unknown fields with other names.
    unknown_fields_not_listed: usize,
    /// Whether all items except the rejected ones are on disk. Always true: a post that cannot be stored gets an error.
    durable: bool,
}

/// A rejected item, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectedResponse {
    /// The item's index in the post, from 0; blank lines of NDJSON are not counted.
    index: usize,
    /// The invalid field; empty if it is the item as a whole.
    field: String,
    /// The field's value as sent.
    value: Value,
    /// The allowed values.
    allowed: String,
    /// The rejection as a sentence, for people.
    message: String,
    /// Present if the item is valid: send it again after this many seconds. If it is absent, the rejection is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 10)]
    retry_after_s: Option<u64>,
}

/// A range of items of a post that are to be sent again.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ResendRange {
    /// The index of the first item in the post, from 0.
    #[schema(example = 6000)]
    from: usize,
    /// The index of the last item.
    #[schema(example = 9999)]
    to: usize,
    /// Send them again after this many seconds.
    #[schema(example = 1)]
    retry_after_s: u64,
}

/// A value outside its channel's plausible range: stored as sent, and not passed to the model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BadChannelResponse {
    /// The item's index in the post, from 0.
    index: usize,
    /// The channel's name.
    channel: String,
    /// The value as sent, in the channel's unit.
    value: f64,
    /// The lowest and the highest plausible value.
    plausible: [f64; 2],
}

/// A channel's value that is not a number. The channel is missing; the item's other channels are accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MissingChannelResponse {
    /// The item's index in the post, from 0.
    index: usize,
    /// The channel's name in the profile.
    channel: String,
    /// The value as sent; a long one is truncated, as text.
    value: Value,
    /// Why it is not a number.
    why: &'static str,
}

/// A field that is neither a channel of the pump's profile nor a field for the pump, the time or the profile.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnknownFieldResponse {
    /// The field's name.
    field: String,
    /// How often it occurs in the post.
    count: usize,
    /// The index of the first item that has it, from 0.
    index: usize,
    /// Its value there; a long one is truncated, as text.
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

/// A reading: a number or null for each channel, by the channel's name; the name in any case, and with spaces or dashes for
/// underscores. A number may be text (`"61.5"`). Any other value is missing and is listed in the response, as is a field with
/// another name. The channels may be in an object `values`.
#[derive(ToSchema)]
#[schema(as = IngestItem, example = json!({"pump_id": "pump-1", "timestamp": "2026-03-09T10:14:33Z", "Motor_RPM": 2950.0}))]
#[expect(dead_code, reason = "it describes what `body` parses")]
pub(crate) struct ItemSchema {
    /// The pump's id. If absent: the field `pump`, else `device`, else the node's default pump.
    pump_id: Option<String>,
    /// A time with an offset, or seconds, milliseconds, microseconds or nanoseconds since 1970, distinguished by their
    /// magnitude. If absent: the field `ts`, else `time`, else `datetime`, else the time of receipt.
    timestamp: Option<TimeSchema>,
    #[serde(flatten)]
    channels: BTreeMap<String, Option<f64>>,
}

/// A time as text, or as a number since 1970.
#[derive(ToSchema)]
#[schema(as = IngestTime)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what `body` parses")]
pub(crate) enum TimeSchema {
    Text(String),
    Number(f64),
}

/// Accepts readings.
///
/// The response is sent when every accepted item is on disk. An item with a timestamp may be sent again after a failure: it is
/// then a duplicate. The first item of a pump that is stored registers the pump. The number of new pumps that a client may
/// register at once and per minute is limited: items of further pumps are rejected, and a post of only such items gets a 429.
/// A `Content-Type` is required.
///
/// A post has at most 10,000 items, of any number of pumps. If a pump has more items than it can accept at once
/// (`ingest.max_in_flight_readings_per_pump`), they are accepted in parts, in the order of their times. The response is
/// sent when the last part is on disk, or after `ingest.backlog_timeout_s` (10 s by default) with what was accepted by then.
/// While such a post is in progress, a second one for the same pump gets a 429; posts with few readings of the pump are
/// accepted.
///
/// A pump token (`Authorization: Bearer vpt_…`) posts readings of its pumps only: items of other pumps are rejected, and a post with
/// nothing else gets a 403. It registers new pumps only if it has the right to.
///
/// A rejected item with `retry_after_s` may be sent again by itself after that many seconds. The possible reasons: the post
/// timed out; the space for readings of the past was exhausted; the item could not be stored; the node is stopping; the
/// actor of its pump has failed; its pump is being given another profile or model; its pump is new and its profile cannot be
/// read; or its time is not later than the pump's stored readings, and these cannot be read because the database is
/// unavailable. `send_again` has the indices of all such items, `rejected` the first 100 of them. A post of only such items
/// gets a 503. Any other rejection is final.
///
/// The body may be compressed (`Content-Encoding: gzip`); decompressed, the body may have at most `server.max_body_bytes`
/// (8 MiB by default). JSON is also accepted as `text/plain`, from clients that cannot set another type.
#[utoipa::path(
    post,
    path = "/api/ingest",
    tag = "readings",
    request_body(
        content((PostSchema = "application/json"), (PostSchema = "text/plain"), (String = "application/x-ndjson")),
        description = "JSON, or one JSON object per line; at most 10,000 items. It may be compressed (Content-Encoding: gzip)."
    ),
    responses(
        (status = 200, description = "Every item was accepted", body = IngestResponse),
        (status = 207, description = "Some items were rejected", body = IngestResponse),
        (status = 400, description = "Every item was rejected and the rejections are final; or the body is not JSON, or empty: a problem",
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
    // The memory of the body is reserved until the response is made.
    let body = node.read_body(&request, payload).await?;
    // An overloaded node refuses the post before it is parsed.
    node.engine.check_capacity()?;
    let (items, ignored) = format.items(&body.bytes, &node.engine)?;
    let item_count = items.len();
    let principal = who(&request);
    let items = reject_foreign_pumps(items, &principal, node.engine.default_pump())?;
    let (drafts, mut rejected) = split(items);
    if let Some(deferred) = deferred(&rejected, item_count) {
        node.engine.count_refusal(&deferred);
        return Err(deferred.into());
    }
    let mut receipt = node.engine.ingest(drafts, sender(&node, &request, &principal)).await?;
    rejected.extend(receipt.rejected.drain(..).map(RejectedResponse::from));
    rejected.sort_by_key(|item| item.index);
    Ok(HttpResponse::build(status(&rejected, item_count)).json(IngestResponse::new(receipt, rejected, ignored)))
}

/// Returns the client for the engine. A token says itself whether it registers pumps; for others, the configuration does.
fn sender(node: &Node, request: &HttpRequest, principal: &Principal) -> PostSender {
    let may_register = match principal {
        Principal::PumpToken { .. } => principal.may(Permission::RegisterPumps),
        _ => principal.may(Permission::RegisterPumps) && node.registers_pumps,
    };
    PostSender { client: request.peer_addr().map(|peer| peer.ip()), may_register }
}

/// Rejects the items of pumps whose readings the principal may not post. Fails if these are all.
fn reject_foreign_pumps(items: Items, principal: &Principal, default_pump: &PumpId) -> Result<Items, ApiError> {
    if !matches!(principal, Principal::PumpToken { .. }) {
        return Ok(items);
    }
    let (count, mut foreign) = (items.len(), 0);
    let check = |draft: Draft| {
        let pump = draft.pump.as_ref().unwrap_or(default_pump);
        if principal.may_post(pump) {
            return Ok(draft);
        }
        foreign += 1;
        let error =
            InvalidValue::new("pump_id", pump.as_str().into(), "a pump of the token", "the token is for other pumps");
        Err(if foreign > MAX_LISTED { error.unlisted() } else { error })
    };
    let mut check = check;
    let items: Items = items.into_iter().map(|item| item.and_then(&mut check)).collect();
    if foreign == count { Err(ApiError::ForeignPumps { who: principal.to_string() }) } else { Ok(items) }
}

/// Separates the drafts for the engine from the rejected items. A rejected item is `None` among the drafts, so that the drafts
/// keep their indices.
fn split(items: Items) -> (Vec<Option<Draft>>, Vec<RejectedResponse>) {
    let (mut drafts, mut rejected) = (Vec::with_capacity(items.len()), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Ok(draft) => drafts.push(Some(draft)),
            Err(error) => {
                drafts.push(None);
                let retry_after_s = error.retry_after_s;
                rejected.push(RejectedResponse::new(index, error, retry_after_s));
            }
        }
    }
    (drafts, rejected)
}

/// Returns the error for the whole post, if all of its items are rejected and all may be sent again.
fn deferred(rejected: &[RejectedResponse], item_count: usize) -> Option<IngestError> {
    if rejected.len() < item_count {
        return None;
    }
    let retries: Option<Vec<u64>> = rejected.iter().map(|item| item.retry_after_s).collect();
    let reason = rejected.first()?.message.clone();
    Some(IngestError::Deferred { reason, retry_after_s: retries?.into_iter().max()? })
}

/// Returns the status of the response. It is 400 only if no item is to be sent again, because clients may discard such a post.
fn status(rejected: &[RejectedResponse], item_count: usize) -> StatusCode {
    let final_rejections = rejected.iter().filter(|item| item.retry_after_s.is_none()).count();
    match (rejected.len(), final_rejections) {
        (0, _) => StatusCode::OK,
        (_, n) if n < item_count => StatusCode::MULTI_STATUS,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl IngestResponse {
    /// `rejected` has all rejected items, in the order of their indices.
    fn new(receipt: Receipt, mut rejected: Vec<RejectedResponse>, ignored: IgnoredFields) -> Self {
        let Receipt { accepted, duplicate, late, bad_channels, .. } = receipt;
        let (all, send_again) = (rejected.len(), resend_ranges(&rejected));
        let (mut again, mut final_rejections) = (0, 0);
        rejected.retain(|item| {
            let count = if item.retry_after_s.is_some() { &mut again } else { &mut final_rejections };
            *count += 1;
            *count <= MAX_LISTED
        });
        Self {
            accepted,
            duplicate,
            late,
            late_reason: (late > 0).then_some(LATE_EXPLANATION),
            rejected_not_listed: all - rejected.len(),
            rejected,
            send_again,
            bad_channels_not_listed: bad_channels.len().saturating_sub(MAX_LISTED),
            bad_channels: bad_channels.into_iter().take(MAX_LISTED).map(BadChannelResponse::from).collect(),
            missing_channels_not_listed: ignored.non_numeric_unlisted,
            missing_channels: ignored.non_numeric.into_iter().map(MissingChannelResponse::from).collect(),
            unknown_fields_not_listed: ignored.unknown_unlisted,
            unknown_fields: ignored.unknown.into_iter().map(UnknownFieldResponse::from).collect(),
            durable: true,
        }
    }
}

/// Returns the ranges of the items that are to be sent again. `rejected` is in the order of the indices.
fn resend_ranges(rejected: &[RejectedResponse]) -> Vec<ResendRange> {
    let mut resend_ranges: Vec<ResendRange> = Vec::new();
    for RejectedResponse { index, retry_after_s, .. } in rejected {
        let Some(retry_after_s) = *retry_after_s else { continue };
        match resend_ranges.last_mut() {
            Some(last) if last.to + 1 == *index && last.retry_after_s == retry_after_s => last.to = *index,
            _ => resend_ranges.push(ResendRange { from: *index, to: *index, retry_after_s }),
        }
    }
    resend_ranges
}

impl From<NonNumericValue> for MissingChannelResponse {
    fn from(NonNumericValue { index, channel, value, why }: NonNumericValue) -> Self {
        Self { index, channel, value, why }
    }
}

impl From<(String, UnknownField)> for UnknownFieldResponse {
    fn from((field, UnknownField { count, index, value }): (String, UnknownField)) -> Self {
        Self { field, count, index, value }
    }
}

impl RejectedResponse {
    fn new(index: usize, error: InvalidValue, retry_after_s: Option<u64>) -> Self {
        let InvalidValue { field, value, allowed, message, .. } = error;
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

    /// Returns `count` rejected items, from index 0 on.
    fn rejected(count: usize) -> Vec<RejectedResponse> {
        let rejection = Rejection::new("Tb", Some("hot".into()), "a number", "not a number");
        let item = |index| RejectedItem { index, rejection: rejection.clone(), retry_after_s: None };
        (0..count).map(item).map(RejectedResponse::from).collect()
    }

    #[test]
    fn the_status_depends_on_how_many_items_are_rejected() {
        for (count, expected) in [(0, 200), (1, 207), (3, 400)] {
            assert_eq!(status(&rejected(count), 3), expected);
        }
        let mut mixed = rejected(3);
        mixed[1].retry_after_s = Some(10);
        assert_eq!(status(&mixed, 3), 207, "one of them is to be sent again");
        let response = IngestResponse::new(receipt(0), mixed, IgnoredFields::default());
        let response = serde_json::to_value(response).expect("JSON");
        assert_eq!(
            (&response["rejected"][1]["retry_after_s"], response["rejected"][0].get("retry_after_s")),
            (&json!(10), None)
        );
    }

    #[test]
    fn a_post_of_items_to_be_sent_again_is_deferred() {
        let mut all = rejected(3);
        for (item, retry_after_s) in all.iter_mut().zip([1, 10, 1]) {
            item.retry_after_s = Some(retry_after_s);
        }
        assert!(matches!(deferred(&all, 3), Some(IngestError::Deferred { retry_after_s: 10, .. })));
        assert_eq!(deferred(&all, 4), None, "one of them is taken");
        all[1].retry_after_s = None;
        assert_eq!(deferred(&all, 3), None, "one of them is final");
        assert_eq!(deferred(&[], 0), None);
    }

    #[test]
    fn a_receipt_is_serialized_with_all_fields() {
        let bad = BadChannel { index: 1, channel: "Q".into(), value: 9e9, plausible: [0.0, 5000.0] };
        let receipt = Receipt { duplicate: 2, late: 1, bad_channels: vec![bad], ..receipt(1) };
        assert_eq!(
            serde_json::to_value(IngestResponse::new(receipt, rejected(1), IgnoredFields::default())).expect("JSON"),
            json!({
                "accepted": 1, "duplicate": 2, "late": 1, "late_reason": LATE_EXPLANATION,
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
    fn long_lists_are_truncated_with_the_number_of_further_items() {
        let bad = BadChannel { index: 1, channel: "Q".into(), value: 9e9, plausible: [0.0, 5000.0] };
        let receipt = Receipt { bad_channels: vec![bad; MAX_LISTED + 2], ..receipt(1) };
        let response = IngestResponse::new(receipt, rejected(MAX_LISTED + 3), IgnoredFields::default());
        assert_eq!((response.rejected.len(), response.rejected_not_listed), (MAX_LISTED, 3));
        assert_eq!((response.bad_channels.len(), response.bad_channels_not_listed), (MAX_LISTED, 2));
        assert_eq!(response.rejected.last().map(|last| last.index), Some(MAX_LISTED - 1));
        let mut one_again = rejected(MAX_LISTED + 3);
        one_again[MAX_LISTED + 1].retry_after_s = Some(10);
        let response = IngestResponse::new(self::receipt(1), one_again, IgnoredFields::default());
        assert_eq!((response.rejected.len(), response.rejected_not_listed), (MAX_LISTED + 1, 2));
        assert_eq!(response.rejected.last().map(|last| last.index), Some(MAX_LISTED + 1), "it is to be sent again");
    }

    #[test]
    fn the_ranges_of_all_items_to_send_again_are_listed() {
        let mut rejected = rejected(5000);
        for item in &mut rejected {
            item.retry_after_s = match item.index {
                10..=4009 => Some(1),
                4010 | 4012 => Some(10),
                _ => None,
            };
        }
        let response = IngestResponse::new(receipt(1), rejected, IgnoredFields::default());
        let again = |from, to, retry_after_s| ResendRange { from, to, retry_after_s };
        assert_eq!(response.send_again, [again(10, 4009, 1), again(4010, 4010, 10), again(4012, 4012, 10)]);
        assert_eq!((response.rejected.len(), response.rejected_not_listed), (2 * MAX_LISTED, 5000 - 2 * MAX_LISTED));
    }

    #[test]
    fn a_rejected_item_keeps_its_index_and_its_value() {
        let items: Items = vec![
            Err(InvalidValue::new("Tb", json!({"is": "hot"}), "a number", "an object, not a number")),
            Ok(Draft {
                pump: None,
                profile: crate::channels::tests::profile(),
                timestamp: volute_plant::TimestampSource::Received,
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
