//! Lists that are read page by page.
//!
//! All lists are ordered by time, and the store never splits rows of the same time, so a time is a position in a list. Cursors
//! are opaque to clients. For example, a list of five events, of which two were opened at 10:02, read with `limit=2` (a real
//! cursor has the time in hexadecimal):
//!
//! ```text
//! ?limit=2                   10:04, 10:03           next_cursor n10:03
//! ?limit=2&cursor=n10:03     10:02, 10:02           next_cursor n10:02
//! ?limit=2&cursor=n10:02     10:01                  next_cursor null
//! ```
//!
//! Only [`Page`] splits rows into pages and determines whether another page follows.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use volute_data::{Completeness, PageRange, QueryResult, SortOrder, StoreError};
use volute_plant::Timestamp;

use crate::{decode::not_allowed, problem::ApiError, query::TimeRange};

/// The default number of items of a page.
const DEFAULT_LIMIT: usize = 1000;
/// The most items of a page, and of other lists that are requested.
pub(crate) const MAX_LIMIT: usize = 10_000;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The items, in the list's order.
    pub(crate) items: Vec<T>,
    /// The start of the next page, to be sent as `cursor`; null on the last page.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// Present if items are missing, because the database is unavailable or the list says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) incomplete: Option<IncompleteResponse>,
}

/// What is missing from a response.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncompleteResponse {
    /// The list is complete from this time on; null if items of any time may be missing.
    #[schema(required, format = DateTime)]
    since: Option<String>,
    /// Why earlier items cannot be read.
    reason: String,
}

impl<T> List<T> {
    /// Creates a list with all items in one page.
    pub(crate) fn single_page(items: Vec<T>, completeness: Completeness) -> Self {
        Self { items, next_cursor: None, incomplete: IncompleteResponse::of(completeness) }
    }
}

impl IncompleteResponse {
    /// Returns what is missing; none if nothing is.
    pub(crate) fn of(completeness: Completeness) -> Option<Self> {
        match completeness {
            Completeness::Complete => None,
            Completeness::Partial { from, reason } => Some(Self { since: from.map(|from| from.to_string()), reason }),
        }
    }
}

/// Parameter `limit`: the number of items of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Limit(usize);

impl Limit {
    /// Returns the number.
    pub(crate) fn get(self) -> usize {
        self.0
    }
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.map(Self).ok_or_else(|| not_allowed(format_args!("1 to {MAX_LIMIT}")))
    }
}

/// Parameter `cursor`: the start of a page in a list of this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Cursor {
    order: SortOrder,
    /// The time of the last row of the previous page.
    after: Timestamp,
}

impl Cursor {
    const ALLOWED: &str = "the next_cursor of this list, in the same order";

    fn parse(text: &str) -> Option<Self> {
        let order = [SortOrder::OldestFirst, SortOrder::NewestFirst]
            .into_iter()
            .find(|order| text.starts_with(prefix(*order)))?;
        let digits = text.strip_prefix(prefix(order))?;
        let ms = digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| i64::from_str_radix(digits, 16).ok())??;
        Some(Self { order, after: Timestamp::from_millis(ms).ok()? })
    }
}

impl TryFrom<String> for Cursor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| not_allowed(Self::ALLOWED))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:x}", prefix(self.order), self.after.millis())
    }
}

fn prefix(order: SortOrder) -> char {
    match order {
        SortOrder::OldestFirst => 'o',
        SortOrder::NewestFirst => 'n',
    }
}

/// Returns the range of the requested page.
pub(crate) fn page_range(
    order: SortOrder,
    (from, to): TimeRange,
    limit: Option<Limit>,
    cursor: Option<Cursor>,
) -> Result<PageRange, ApiError> {
    if let Some(cursor) = cursor.filter(|cursor| cursor.order != order) {
        return Err(ApiError::invalid("cursor", &cursor.to_string(), Cursor::ALLOWED, "of a list in another order"));
    }
    let limit = limit.map_or(DEFAULT_LIMIT, |limit| limit.0);
    Ok(PageRange { from, to, order, limit, after: cursor.map(|cursor| cursor.after) })
}

/// The rows of one page.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) rows: Vec<T>,
    /// The start of the next page, if there is one.
    next: Option<Cursor>,
    completeness: Completeness,
}

impl<T> Page<T> {
    /// Reads the page of this range. Requests one row more than the page has, to determine whether another page follows.
    pub(crate) async fn read(
        range: &PageRange,
        at: fn(&T) -> Timestamp,
        read: impl AsyncFn(PageRange) -> Result<QueryResult<T>, StoreError>,
    ) -> Result<Self, StoreError> {
        let QueryResult { rows, completeness } =
            read(PageRange { limit: range.limit.saturating_add(1), ..range.clone() }).await?;
        let fetched = rows.len();
        let mut page = Self::from_rows(rows, completeness, range, at);
        // The rows beyond the limit have the time of the page's last row, so whether more rows follow is not known yet.
        if let Some(Cursor { after, .. }) = page.next.filter(|_| page.rows.len() == fetched) {
            let more = read(PageRange { limit: 1, after: Some(after), ..range.clone() }).await?;
            page.next = page.next.filter(|_| !more.rows.is_empty());
        }
        Ok(page)
    }

    /// Cuts rows to a page. Rows of the same time stay together. If there were more rows, the page has a next page.
    pub(crate) fn from_rows(
        mut rows: Vec<T>,
        completeness: Completeness,
        range: &PageRange,
        at: fn(&T) -> Timestamp,
    ) -> Self {
        let more = rows.len() > range.limit;
        if let Some(last) = rows.get(range.limit.saturating_sub(1)).map(at).filter(|_| more) {
            let same_time = rows[range.limit..].iter().take_while(|row| at(row) == last).count();
            rows.truncate(range.limit + same_time);
        }
        let next = rows.last().filter(|_| more).map(|row| Cursor { order: range.order, after: at(row) });
        Self { rows, next, completeness }
    }

    /// Returns the page with its next page starting after `scanned_to`, unless it has a next page already.
    pub(crate) fn continued_from(self, range: &PageRange, scanned_to: Option<Timestamp>) -> Self {
        let next = self.next.or(scanned_to.map(|after| Cursor { order: range.order, after }));
        Self { next, ..self }
    }

    /// Converts the page into a response.
    pub(crate) fn into_list<Item>(self, item: impl FnMut(T) -> Item) -> List<Item> {
        List {
            items: self.rows.into_iter().map(item).collect(),
            next_cursor: self.next.map(|cursor| cursor.to_string()),
            incomplete: IncompleteResponse::of(self.completeness),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;
    use crate::query::Query;

    const ORDERS: [SortOrder; 2] = [SortOrder::OldestFirst, SortOrder::NewestFirst];

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct PageParameters {
        limit: Option<Limit>,
        cursor: Option<Cursor>,
    }

    fn range(query: &str, order: SortOrder) -> Result<PageRange, ApiError> {
        let Query(PageParameters { limit, cursor }) = Query::parse(query)?;
        page_range(order, (None, None), limit, cursor)
    }

    fn read(text: &str, order: SortOrder) -> Result<Option<Timestamp>, ApiError> {
        range(&format!("cursor={text}"), order).map(|range| range.after)
    }

    fn write_cursor(order: SortOrder, after: Timestamp) -> String {
        Cursor { order, after }.to_string()
    }

    proptest! {
        #[test]
        fn a_cursor_is_parsed_to_what_was_written(ms in 946_684_800_000..7_258_118_400_000_i64, newest in any::<bool>()) {
            let at = Timestamp::from_millis(ms).expect("a time");
            let (order, other) = (ORDERS[usize::from(newest)], ORDERS[usize::from(!newest)]);
            let text = write_cursor(order, at);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric()), "no escaping in a URL");
            prop_assert_eq!(read(&text, order).expect("read"), Some(at));
            prop_assert!(read(&text, other).is_err(), "a cursor is for one order");
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "[^&+%]*") {
            // The text is a valid cursor, or it is refused as `cursor`.
            match read(&text, SortOrder::OldestFirst) {
                Ok(at) => prop_assert!(at.is_some()),
                Err(ApiError::Invalid(error)) => prop_assert_eq!(error.field, "cursor"),
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }
    }

    #[test]
    fn an_invalid_cursor_is_refused() {
        for bad in ["", "o", "n19cd1d0d728", "o-1", "o+1", "oxyz", "o1", "offffffffffffffffff", "é", "2026-03-09"] {
            let bad = bad.replace('+', "%2B");
            assert!(
                matches!(read(&bad, SortOrder::OldestFirst), Err(ApiError::Invalid(error)) if error.field == "cursor"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_limit_has_a_range() {
        let limit = |query: &str| range(query, SortOrder::OldestFirst).map(|range| range.limit);
        assert_eq!(limit("").expect("the default"), 1000);
        assert_eq!(limit("limit=10000").expect("the most"), 10_000);
        for bad in ["0", "10001", "-1", "many", "1.5", ""] {
            match limit(&format!("limit={bad}")) {
                Err(ApiError::Invalid(error)) => {
                    assert_eq!((error.field.as_str(), error.value.as_str()), ("limit", Some(bad)))
                }
                other => panic!("{bad}: {other:?}"),
            }
        }
    }

    fn at(ms: &i64) -> Timestamp {
        Timestamp::from_millis(1_773_051_273_000 + ms).expect("a time")
    }

    /// Returns the pages of a list of these times, two rows each. As in the store, rows of the same time are never split.
    fn pages(times: &[i64]) -> Vec<Vec<i64>> {
        let stored = async |range: PageRange| {
            let beyond = |ms: &&i64| range.after.is_none_or(|after| at(ms) > after);
            let mut rows: Vec<i64> = times.iter().filter(beyond).copied().collect();
            let last = range.limit.checked_sub(1).and_then(|last| rows.get(last)).copied();
            rows.retain(|ms| last.is_none_or(|last| *ms <= last));
            Ok(QueryResult { rows, completeness: Completeness::Complete })
        };
        let mut range = PageRange { limit: 2, ..PageRange::default() };
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
    fn only_a_page_that_is_not_the_last_has_a_next_page() {
        assert_eq!(pages(&[]), [[0_i64; 0]]);
        assert_eq!(pages(&[1, 2]), [[1, 2]]);
        assert_eq!(pages(&[1, 2, 3]), [vec![1, 2], vec![3]]);
    }

    #[test]
    fn rows_of_the_same_time_stay_together() {
        assert_eq!(pages(&[1, 2, 2]), [[1, 2, 2]]);
        assert_eq!(pages(&[1, 2, 2, 3]), [vec![1, 2, 2], vec![3]]);
        assert_eq!(pages(&[1, 1, 1, 1, 2, 2, 3]), [vec![1, 1, 1, 1], vec![2, 2], vec![3]]);
    }
}
