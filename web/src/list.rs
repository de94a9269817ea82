//! Lists that are read page by page: their shape, and the cursor that says where the next page begins.
//!
//! All lists go by time, and the store never parts rows of the same moment, so a place in a list is a
//! time. To a client a cursor is opaque.

use serde::Serialize;
use utoipa::ToSchema;
use volute_data::{Answer, Order, Range, Reach, StoreError};
use volute_plant::Timestamp;

use crate::{problem::ApiError, query::Params};

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
    pub(crate) incomplete: Option<IncompleteData>,
}

/// What is missing from an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncompleteData {
    /// From this time on nothing is missing; null if that cannot be said of any time.
    #[schema(required, format = DateTime)]
    since: Option<String>,
    /// Why the rest cannot be read.
    reason: String,
}

impl<T> List<T> {
    /// All that there is, in one page.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None, incomplete: None }
    }
}

impl IncompleteData {
    /// None where the answer reaches as far as was asked.
    pub(crate) fn of(reach: Reach) -> Option<Self> {
        match reach {
            Reach::Whole => None,
            Reach::Since { from, reason } => Some(Self { since: from.map(|from| from.to_string()), reason }),
        }
    }
}

/// The page that `read` has for a range, and whether one follows.
pub(crate) async fn page<T, Data: From<T>>(
    range: Range,
    at: fn(&T) -> Timestamp,
    read: impl AsyncFn(Range) -> Result<Answer<T>, StoreError>,
) -> Result<List<Data>, ApiError> {
    let Answer { rows, reach } = read(range.clone()).await?;
    let mut next_cursor = None;
    if let Some(last) = rows.last().filter(|_| rows.len() >= range.limit).map(at) {
        let order = range.order;
        let more = !read(Range { limit: 1, after: Some(last), ..range }).await?.rows.is_empty();
        next_cursor = more.then(|| write_cursor(order, last));
    }
    let items = rows.into_iter().map(Data::from).collect();
    Ok(List { items, next_cursor, incomplete: IncompleteData::of(reach) })
}

/// The cursor of what comes after `at`.
pub(crate) fn write_cursor(order: Order, at: Timestamp) -> String {
    format!("{}{:x}", letter(order), at.millis())
}

/// Parameter `cursor`: the time that a list of this order goes on after.
pub(crate) fn cursor(params: &Params, order: Order) -> Result<Option<Timestamp>, ApiError> {
    params.parsed("cursor", "the next_cursor of this list, in the same order", |text| {
        let digits = text.strip_prefix(letter(order))?;
        let ms = digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| i64::from_str_radix(digits, 16).ok())??;
        Timestamp::from_millis(ms).ok()
    })
}

fn letter(order: Order) -> char {
    match order {
        Order::OldestFirst => 'o',
        Order::NewestFirst => 'n',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: [Order; 2] = [Order::OldestFirst, Order::NewestFirst];

    fn read(text: &str, order: Order) -> Result<Option<Timestamp>, ApiError> {
        cursor(&Params::parse(&format!("cursor={text}"), &["cursor"])?, order)
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
}
