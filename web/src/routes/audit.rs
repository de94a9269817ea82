//! `GET /api/audit-log`: commands of people, over the API or on the node's machine.
//!
//! Does not record commands; see [`crate::audit`].

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use volute_data::{AuditAction, AuditEntry, AuditFilter, Change, RequestOrigin, SortOrder};

use crate::{
    list::{Cursor, Limit, List, Page, page_range},
    problem::ApiError,
    query::{Query, TimeParam, one_of, time_range},
    responses::{Invalid, Unavailable},
    store_context::StoreContext,
};

/// Parameters: the requested entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only entries of this action, for example `restart`
    #[param(value_type = Option<String>)]
    action: Option<ActionName>,
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

/// The name of an action.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ActionName(String);

impl TryFrom<String> for ActionName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        one_of(text, &AuditAction::ALL.map(AuditAction::as_str)).map(Self)
    }
}

/// A command of a person, executed or refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditResponse {
    /// When it was requested.
    #[schema(format = DateTime)]
    at: String,
    /// Who sent it: `user ada`; `uid 0` for a command on the node's machine, with the id of the user there; or the
    /// address and port of a client without credentials, if the node has no users.
    #[schema(example = "user ada")]
    who: String,
    /// `restart`, `commission`, `activate-baseline`, `remove-pump`, `set-pump`, `name-pump`, `add-profile`,
    /// `remove-profile`, `assign-profile`, `start-simulation`, `stop-simulation`, `backup`, `export`, `confirm-clock`,
    /// `login`, `logout`, `set-password`, `set-second-factor`, `add-user`, `reset-user`, `set-role`, `disable-user`,
    /// `add-token` or `revoke-token`; of alarms `acknowledge-alarm`, `reset-alarm`, `shelve-alarm`, `unshelve-alarm`,
    /// `take-alarm-out-of-service`, `return-alarm-to-service` or `set-alarms`; of maintenance `acknowledge-event`,
    /// `plan-event`, `submit-event`, `approve-event`, `reject-event`, `finish-event`, `reopen-event`, `plan-work` or
    /// `end-work`; or `request` for a request that was refused because of its sender.
    #[schema(example = "restart")]
    action: String,
    /// The object of the command: the id of an actor, a stage or a pump, the name of a profile, the folder of a backup,
    /// or `simulation`; of a `request`, its method and route.
    #[schema(example = "pump/P-101")]
    object: String,
    /// `done`, or why it was refused.
    #[schema(example = "done")]
    outcome: String,
    /// Details; may be empty.
    detail: String,
    /// The client's address and port; null for a command on the node's machine, and for entries of earlier versions.
    #[schema(required)]
    peer: Option<String>,
    /// The header `Origin` of the request: the site whose page sent it.
    #[schema(required)]
    origin: Option<String>,
    /// The id of the request, as in the header `X-Request-Id` of its response.
    #[schema(required)]
    request_id: Option<String>,
    /// What it changed, before; null if it changed nothing, or there was nothing.
    #[schema(required, example = "role viewer, enabled")]
    before: Option<String>,
    /// What it changed, after; null if it changed nothing, or there is nothing left.
    #[schema(required, example = "role engineer, enabled")]
    after: Option<String>,
    /// Its number in the chain of entries; null for entries of versions without the chain.
    #[schema(required)]
    number: Option<u64>,
    /// The hash that the next entry holds, SHA-256 in hexadecimal digits.
    #[schema(required)]
    hash: Option<String>,
}

/// Commands of people, newest first: those sent over the API, and backups and exports that were started on the node's
/// machine.
///
/// Refused commands are included, with the reason, and so are requests that were refused because of their sender (401,
/// 403, 421, 429); requests that cannot be parsed are not. The first refusal of a kind, for a client and a reason, is
/// recorded at once. Further ones of the same kind, client and reason are counted, and recorded as one entry a minute,
/// with their number in `detail`. Entries are kept for `retention.audit_days`, and form a chain that `volute audit verify`
/// checks. Entries of the same time stay together, so a page may be slightly longer than `limit`.
#[utoipa::path(
    get,
    path = "/api/audit-log",
    tag = "node",
    params(AuditQuery),
    responses((status = 200, description = "A page of entries", body = List<AuditResponse>), Invalid, Unavailable)
)]
pub(crate) async fn audit_log(
    store: web::Data<StoreContext>,
    Query(query): Query<AuditQuery>,
) -> Result<web::Json<List<AuditResponse>>, ApiError> {
    let AuditFilter { action, range } = query.filter()?;
    let _permit = store.read_limit.acquire().await?;
    let read = async |range| store.queries.audit(&AuditFilter { action: action.clone(), range }).await;
    let page = Page::read(&range, |entry: &AuditEntry| entry.at, read).await?;
    Ok(web::Json(page.into_list(AuditResponse::from)))
}

impl AuditQuery {
    fn filter(self) -> Result<AuditFilter, ApiError> {
        let Self { action, from, to, limit, cursor } = self;
        let range = page_range(SortOrder::NewestFirst, time_range(from, to)?, limit, cursor)?;
        Ok(AuditFilter { action: action.map(|action| action.0), range })
    }
}

impl From<AuditEntry> for AuditResponse {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { at, who, action, object, outcome, detail, request, change, link } = entry;
        let RequestOrigin { peer, origin, id: request_id } = request;
        let Change { before, after } = change;
        let (number, hash) = link.map(|link| (link.number, link.hash.to_string())).unzip();
        let at = at.to_string();
        Self { at, who, action, object, outcome, detail, peer, origin, request_id, before, after, number, hash }
    }
}

#[cfg(test)]
mod tests {
    use volute_data::PageRange;

    use super::*;
    use crate::queries::memory::{MemoryStore, at};

    fn parse_filter(query: &str) -> Result<AuditFilter, ApiError> {
        Query::<AuditQuery>::parse(query)?.0.filter()
    }

    #[actix_web::test]
    async fn entries_of_the_same_time_are_on_one_page() {
        let who = volute_access::Principal::LocalOperator { uid: 0 };
        let entry = |second: i64, object: &str| AuditEntry::done(at(second), &who, AuditAction::Restart, object);
        let store = || {
            let mut store = MemoryStore::of(&[]);
            store.audit = vec![entry(1, "a"), entry(2, "b"), entry(2, "c"), entry(3, "d")];
            store
        };
        let (status, _, first) = store().get("/api/audit-log?limit=2").await;
        let objects = |list: &serde_json::Value| -> Vec<String> {
            let items = list["items"].as_array().expect("a list");
            items.iter().map(|item| item["object"].as_str().expect("text").to_owned()).collect()
        };
        assert_eq!((status, objects(&first).len()), (200, 3), "{first}");
        let next = first["next_cursor"].as_str().expect("one is left");
        let (_, _, last) = store().get(&format!("/api/audit-log?limit=2&cursor={next}")).await;
        assert_eq!((objects(&last), &last["next_cursor"]), (vec!["a".to_owned()], &serde_json::Value::Null));
    }

    #[test]
    fn entries_are_filtered_by_action_and_time_newest_first() {
        assert_eq!(
            parse_filter("").expect("all"),
            AuditFilter { range: PageRange::newest(1000), ..AuditFilter::default() }
        );
        for action in AuditAction::ALL {
            let some = parse_filter(&format!("action={}&limit=5", action.as_str())).expect("some");
            assert_eq!((some.action.as_deref(), some.range), (Some(action.as_str()), PageRange::newest(5)));
        }
        let range = parse_filter("from=2026-03-09T10:00:00Z&to=2026-03-09T10:00:01Z").expect("a range").range;
        let ms = |time: Option<volute_plant::Timestamp>| time.map(volute_plant::Timestamp::millis);
        assert_eq!((ms(range.from), ms(range.to)), (Some(1_773_050_400_000), Some(1_773_050_401_000)));
        assert_eq!(range.order, SortOrder::NewestFirst);
        for (bad, field) in [
            ("action=dance", "action"),
            ("action=", "action"),
            ("from=soon", "from"),
            ("from=2026-03-09T10:00:00Z&to=2026-03-09T09:00:00Z", "to"),
            ("limit=0", "limit"),
            ("cursor=o1", "cursor"),
            ("who=me", "who"),
        ] {
            match parse_filter(bad) {
                Err(ApiError::Invalid(error)) => assert_eq!(error.field, field, "{bad}"),
                other => panic!("{bad}: {other:?}"),
            }
        }
    }
}
