//! `GET /api/audit-log`: what people did, over the API or with a command on the node's machine.
//!
//! Deliberately absent: how an action gets there ([`crate::audit`]).

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;
use volute_data::{AuditAction, AuditEntry, AuditFilter, Order, Range};

use crate::{
    list::{List, cursor, page},
    openapi::{Invalid, Unavailable},
    problem::ApiError,
    query::Params,
    server::Node,
};

const PARAMETERS: [&str; 5] = ["action", "from", "to", "limit", "cursor"];

/// Something that a person did, or was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditData {
    /// When it was asked for.
    #[schema(format = DateTime)]
    at: String,
    /// Who asked: there are no users yet, so the peer's address and port, or `unknown`; for a command on the node's
    /// machine its user's number, as `uid 0`.
    #[schema(example = "127.0.0.1:50312")]
    who: String,
    /// `restart`, `commission`, `activate-baseline`, `remove-pump`, `set-pump`, `name-pump`, `start-simulation`, `stop-simulation`, `backup`, `export` or `confirm-clock`.
    #[schema(example = "restart")]
    action: String,
    /// Of what: the id of an actor, a stage or a pump, the folder of a backup, or `simulation`.
    #[schema(example = "pump/P-101")]
    object: String,
    /// `done`, or why it was refused.
    #[schema(example = "done")]
    outcome: String,
    /// More about it; may be empty.
    detail: String,
}

/// What people did, newest first: restarts, commissioning, baselines, pumps that were removed, the demo's controls; and the backups and exports that
/// commands on the node's machine had it make.
///
/// What was refused is there too, with the reason; what could not be understood is not. The first refusal of a kind (action,
/// client and reason) is an entry at once; those like it are counted for five minutes, and are one entry then, whose `detail`
/// says how many they were. Entries are kept for good. Those of
/// the same moment stay together, so a page may be a little longer than `limit`.
#[utoipa::path(
    get,
    path = "/api/audit-log",
    tag = "node",
    params(
        ("action" = Option<String>, Query, description = "Of this action only, as `restart`"),
        ("from" = Option<String>, Query, description = "From this time on; RFC 3339 or milliseconds since 1970"),
        ("to" = Option<String>, Query, description = "Before this time"),
        ("limit" = Option<u32>, Query, description = "1 to 10000; absent: 1000"),
        ("cursor" = Option<String>, Query, description = "The last page's next_cursor")
    ),
    responses((status = 200, description = "A page of entries", body = List<AuditData>), Invalid, Unavailable)
)]
pub(crate) async fn audit_log(
    node: web::Data<Node>,
    request: HttpRequest,
) -> Result<web::Json<List<AuditData>>, ApiError> {
    let store = node.engine.store();
    let AuditFilter { action, range } = filter(&Params::parse(request.query_string(), &PARAMETERS)?)?;
    let _turn = node.readers.turn().await?;
    let read = async |range| store.audit(&AuditFilter { action: action.clone(), range }).await;
    Ok(web::Json(page(range, |entry: &AuditEntry| entry.at, read).await?))
}

fn filter(params: &Params) -> Result<AuditFilter, ApiError> {
    let names = AuditAction::ALL.map(AuditAction::as_str);
    let action = params.parsed("action", &names.join(", "), |text| names.into_iter().find(|name| *name == text))?;
    let (from, to) = params.span()?;
    let range = Range { from, to, after: cursor(params, Order::NewestFirst)?, ..Range::newest(params.limit()?) };
    Ok(AuditFilter { action: action.map(str::to_owned), range })
}

impl From<AuditEntry> for AuditData {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { at, who, action, object, outcome, detail } = entry;
        Self { at: at.to_string(), who, action, object, outcome, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str) -> Result<AuditFilter, ApiError> {
        filter(&Params::parse(query, &PARAMETERS)?)
    }

    #[test]
    fn entries_are_asked_for_by_action_and_time_newest_first() {
        assert_eq!(ask("").expect("all"), AuditFilter { range: Range::newest(1000), ..AuditFilter::default() });
        for action in AuditAction::ALL {
            let some = ask(&format!("action={}&limit=5", action.as_str())).expect("some");
            assert_eq!((some.action.as_deref(), some.range), (Some(action.as_str()), Range::newest(5)));
        }
        let stretch = ask("from=2026-03-09T10:00:00Z&to=2026-03-09T10:00:01Z").expect("a stretch").range;
        let ms = |time: Option<volute_plant::Timestamp>| time.map(volute_plant::Timestamp::millis);
        assert_eq!((ms(stretch.from), ms(stretch.to)), (Some(1_773_050_400_000), Some(1_773_050_401_000)));
        assert_eq!(stretch.order, Order::NewestFirst);
        for (bad, field) in [
            ("action=dance", "action"),
            ("action=", "action"),
            ("from=soon", "from"),
            ("from=2026-03-09T10:00:00Z&to=2026-03-09T09:00:00Z", "to"),
            ("limit=0", "limit"),
            ("cursor=o1", "cursor"),
            ("who=me", "who"),
        ] {
            match ask(bad) {
                Err(ApiError::Invalid(no)) => assert_eq!(no.field, field, "{bad}"),
                other => panic!("{bad}: {other:?}"),
            }
        }
    }
}
