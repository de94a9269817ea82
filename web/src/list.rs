//! Lists that are read page by page.
//!
//! All lists go by time, and the store never parts rows of the same moment, so a place in a list is a time. To a client a
//! cursor is opaque. A list of five events, of which two were opened at 10:02, read with `limit=2`:
//!
//! ```text
//! ?limit=2                   10:04, 10:03           next_cursor n10:03
//! ?limit=2&cursor=n10:03     10:02, 10:02           next_cursor n10:02
//! ?limit=2&cursor=n10:02     10:01                  next_cursor null
//! ```
//!
//! [`Page`] is the one place that cuts rows to a page and knows whether another one follows.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use volute_data::{Answer, Order, Range, Reach, StoreError};
use volute_plant::Timestamp;

use crate::{decode::refused, problem::ApiError, query::Span};

/// How long a page is if nothing else is asked for.
const DEFAULT_LIMIT: usize = 1000;
/// How long a page, or another list that is asked for, can be.
pub(crate) const MAX_LIMIT: usize = 10_000;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The items, in the list's order.
    pub(crate) items: Vec<T>,
    /// Where the next page begins, to be sent back as `cursor`; null after the last page.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// Present if the database does not answer: then these are not all the items there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) incomplete: Option<IncompleteResponse>,
}

/// What is missing from an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncompleteResponse {
    /// From this time on nothing is missing; null if that cannot be said of any time.
    #[schema(required, format = DateTime)]
    since: Option<String>,
    /// Why the rest cannot be read.
    reason: String,
}

impl<T> List<T> {
    /// All that there is, in one page.
    pub(crate) fn whole(items: Vec<T>, reach: Reach) -> Self {
        Self { items, next_cursor: None, incomplete: IncompleteResponse::of(reach) }
    }
}

impl IncompleteResponse {
    /// None where the answer reaches as far as was asked.
    fn of(reach: Reach) -> Option<Self> {
        match reach {
            Reach::Whole => None,
            Reach::Since { from, reason } => Some(Self { since: from.map(|from| from.to_string()), reason }),
        }
    }
}

/// Parameter `limit`: how many items a page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Limit(usize);

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.map(Self).ok_or_else(|| refused(format_args!("1 to {MAX_LIMIT}")))
    }
}

/// Parameter `cursor`: where a page begins, in a list of this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Cursor {
    order: Order,
    /// The time of the last row of the page before.
    after: Timestamp,
}

impl Cursor {
    const ALLOWED: &str = "the next_cursor of this list, in the same order";

    fn parse(text: &str) -> Option<Self> {
        let order =
            [Order::OldestFirst, Order::NewestFirst].into_iter().find(|order| text.starts_with(letter(*order)))?;
        let digits = text.strip_prefix(letter(order))?;
        let ms = digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| i64::from_str_radix(digits, 16).ok())??;
        Some(Self { order, after: Timestamp::from_millis(ms).ok()? })
    }
}

impl TryFrom<String> for Cursor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| refused(Self::ALLOWED))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:x}", letter(self.order), self.after.millis())
    }
}

fn letter(order: Order) -> char {
    match order {
        Order::OldestFirst => 'o',
        Order::NewestFirst => 'n',
    }
}

/// The range of the page that is asked for.
pub(crate) fn page_range(
    order: Order,
    (from, to): Span,
    limit: Option<Limit>,
    cursor: Option<Cursor>,
) -> Result<Range, ApiError> {
    if let Some(cursor) = cursor.filter(|cursor| cursor.order != order) {
        return Err(ApiError::invalid("cursor", &cursor.to_string(), Cursor::ALLOWED, "not allowed here"));
    }
    let limit = limit.map_or(DEFAULT_LIMIT, |limit| limit.0);
    Ok(Range { from, to, order, limit, after: cursor.map(|cursor| cursor.after) })
}

/// The rows of one page.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) rows: Vec<T>,
    /// Where the next page begins, if there is one.
    next: Option<Cursor>,
    reach: Reach,
}

impl<T> Page<T> {
    /// The page of this range. `read` is asked for one row more than the page has, and that tells whether another follows.
    pub(crate) async fn read(
        range: &Range,
        at: fn(&T) -> Timestamp,
        read: impl AsyncFn(Range) -> Result<Answer<T>, StoreError>,
    ) -> Result<Self, StoreError> {
        let Answer { rows, reach } = read(Range { limit: range.limit.saturating_add(1), ..range.clone() }).await?;
        let found = rows.len();
        let mut page = Self::cut(rows, reach, range, at);
        // All that was beyond the limit is of the page's last moment, so nothing is known of what follows.
        if let Some(Cursor { after, .. }) = page.next.filter(|_| page.rows.len() == found) {
            let more = read(Range { limit: 1, after: Some(after), ..range.clone() }).await?;
            page.next = page.next.filter(|_| !more.rows.is_empty());
        }
        Ok(page)
    }

    /// A page of rows, and the time of its last one where there were more; rows of one moment stay together.
    pub(crate) fn cut(mut rows: Vec<T>, reach: Reach, range: &Range, at: fn(&T) -> Timestamp) -> Self {
        let more = rows.len() > range.limit;
        if let Some(last) = rows.get(range.limit.saturating_sub(1)).map(at).filter(|_| more) {
            let of_its_moment = rows[range.limit..].iter().take_while(|row| at(row) == last).count();
            rows.truncate(range.limit + of_its_moment);
        }
        let next = rows.last().filter(|_| more).map(|row| Cursor { order: range.order, after: at(row) });
        Self { rows, next, reach }
    }

    /// The same page where the list has been looked through up to this time, and goes on there if no earlier row ends it.
    pub(crate) fn or_from(self, range: &Range, looked_to: Option<Timestamp>) -> Self {
        let next = self.next.or(looked_to.map(|after| Cursor { order: range.order, after }));
        Self { next, ..self }
    }

    /// As it is sent.
    pub(crate) fn into_list<Item>(self, item: impl FnMut(T) -> Item) -> List<Item> {
        List {
            items: self.rows.into_iter().map(item).collect(),
            next_cursor: self.next.map(|cursor| cursor.to_string()),
            incomplete: IncompleteResponse::of(self.reach),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;
    use crate::query::Query;

    const BOTH: [Order; 2] = [Order::OldestFirst, Order::NewestFirst];

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Both {
        limit: Option<Limit>,
        cursor: Option<Cursor>,
    }

    fn range(query: &str, order: Order) -> Result<Range, ApiError> {
        let Query(Both { limit, cursor }) = Query::parse(query)?;
        page_range(order, (None, None), limit, cursor)
    }

    fn read(text: &str, order: Order) -> Result<Option<Timestamp>, ApiError> {
        range(&format!("cursor={text}"), order).map(|range| range.after)
    }

    fn write_cursor(order: Order, after: Timestamp) -> String {
        Cursor { order, after }.to_string()
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_went(ms in 946_684_800_000..7_258_118_400_000_i64, newest in any::<bool>()) {
            let at = Timestamp::from_millis(ms).expect("a time");
            let (order, other) = (BOTH[usize::from(newest)], BOTH[usize::from(!newest)]);
            let text = write_cursor(order, at);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric()), "no escaping in a URL");
            prop_assert_eq!(read(&text, order).expect("read"), Some(at));
            prop_assert!(read(&text, other).is_err(), "the other order goes the other way");
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[^&+%]*") {
            // It is the cursor of some time, or refused by name.
            match read(&text, Order::OldestFirst) {
                Ok(at) => prop_assert!(at.is_some()),
                Err(ApiError::Invalid(no)) => prop_assert_eq!(no.field, "cursor"),
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused_by_name() {
        for bad in ["", "o", "n19cd1d0d728", "o-1", "o+1", "oxyz", "o1", "offffffffffffffffff", "é", "2026-03-09"] {
            let bad = bad.replace('+', "%2B");
            assert!(
                matches!(read(&bad, Order::OldestFirst), Err(ApiError::Invalid(no)) if no.field == "cursor"),
                "{bad}"
            );
        }
    }

    #[test]
    fn limits_have_limits() {
        let limit = |query: &str| range(query, Order::OldestFirst).map(|range| range.limit);
        assert_eq!(limit("").expect("the default"), 1000);
        assert_eq!(limit("limit=10000").expect("the most"), 10_000);
        for bad in ["0", "10001", "-1", "many", "1.5", ""] {
            match limit(&format!("limit={bad}")) {
                Err(ApiError::Invalid(no)) => assert_eq!((no.field.as_str(), no.value.as_str()), ("limit", Some(bad))),
                other => panic!("{bad}: {other:?}"),
            }
        }
    }

    fn at(ms: &i64) -> Timestamp {
        Timestamp::from_millis(1_773_051_273_000 + ms).expect("a time")
    }

    /// The pages of a list of these times, two rows each, as the store has them: it never parts a moment.
    fn pages(times: &[i64]) -> Vec<Vec<i64>> {
        let stored = async |range: Range| {
            let beyond = |ms: &&i64| range.after.is_none_or(|after| at(ms) > after);
            let mut rows: Vec<i64> = times.iter().filter(beyond).copied().collect();
            let last = range.limit.checked_sub(1).and_then(|last| rows.get(last)).copied();
            rows.retain(|ms| last.is_none_or(|last| *ms <= last));
            Ok(Answer { rows, reach: Reach::Whole })
        };
        let mut range = Range { limit: 2, ..Range::default() };
        let mut pages = Vec::new();
        loop {
            let page = block_on(Page::read(&range, at, &stored)).expect("rows");
            pages.push(page.rows);
            match page.next {
                Some(next) => range.after = Some(next.after),
                None => return pages,
            }
        }
    }

    #[test]
    fn only_a_page_with_another_behind_it_goes_on() {
        assert_eq!(pages(&[]), [[0_i64; 0]]);
        assert_eq!(pages(&[1, 2]), [[1, 2]]);
        assert_eq!(pages(&[1, 2, 3]), [vec![1, 2], vec![3]]);
    }

    #[test]
    fn rows_of_one_moment_stay_together() {
        assert_eq!(pages(&[1, 2, 2]), [[1, 2, 2]]);
        assert_eq!(pages(&[1, 2, 2, 3]), [vec![1, 2, 2], vec![3]]);
        assert_eq!(pages(&[1, 1, 1, 1, 2, 2, 3]), [vec![1, 1, 1, 1], vec![2, 2], vec![3]]);
    }
}
