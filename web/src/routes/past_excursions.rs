//! `GET /api/pumps/{id}/past-excursions`: times of the past in which an alarm's condition held, learned from readings that came
//! too late for an alarm.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use volute_alarm::{AlarmId, PastExcursion};
use volute_data::{DocumentFilter, SortOrder};

use super::alarm_history::AlarmParam;
use crate::{
    extract::PumpPath,
    list::{Cursor, Limit, List, Page, page_range},
    problem::ApiError,
    query::{Query, TimeParam, time_range},
    responses::{Invalid, NotFound, Unavailable},
    store_context::StoreContext,
};

/// Parameters: the requested excursions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExcursionsQuery {
    /// Only excursions of this alarm
    #[param(value_type = Option<String>)]
    alarm: Option<AlarmParam>,
    /// Learned at or after this time; RFC 3339, or seconds to nanoseconds since 1970
    #[param(value_type = Option<String>)]
    from: Option<TimeParam>,
    /// Learned before this time
    #[param(value_type = Option<String>)]
    to: Option<TimeParam>,
    /// 1 to 10000; absent: 1000
    #[param(value_type = Option<u32>)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

/// A time of the past in which an alarm's condition held. It raised no alarm, because nobody could act on it any more.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExcursionResponse {
    /// The alarm whose condition held.
    #[schema(value_type = String)]
    alarm: AlarmId,
    /// The first reading that shows it, by the pump's clock.
    #[schema(format = DateTime)]
    from: String,
    /// The last one.
    #[schema(format = DateTime)]
    to: String,
    /// How many readings show it.
    readings: u64,
    /// The value that is furthest beyond the limit, in the unit of the limit; null if there is no number.
    #[schema(required)]
    peak: Option<f64>,
    /// The limit of the alarm's definition then.
    #[schema(required)]
    limit: Option<f64>,
    /// When the first of its readings was received, by the node's clock.
    #[schema(format = DateTime)]
    learned_at: String,
    /// Whether it lasted for the on-delay, so that the alarm would have been raised.
    would_have_raised: bool,
}

/// What readings that came too late for an alarm show of a pump, the newest learned first.
///
/// Excursions that were learned at the same time stay together, so a page may be slightly longer than `limit`.
#[utoipa::path(
    get,
    path = "/api/pumps/{id}/past-excursions",
    tag = "alarms",
    params(("id" = String, Path, description = "The pump's id, percent-encoded, as `P-101A%2FB`"), ExcursionsQuery),
    responses(
        (status = 200, description = "A page of excursions", body = List<ExcursionResponse>),
        Invalid, NotFound, Unavailable
    )
)]
pub(crate) async fn past_excursions(
    store: web::Data<StoreContext>,
    PumpPath(pump): PumpPath,
    Query(query): Query<ExcursionsQuery>,
) -> Result<web::Json<List<ExcursionResponse>>, ApiError> {
    store.check_known(&pump)?;
    let ExcursionsQuery { alarm, from, to, limit, cursor } = query;
    let alarm = alarm.map(|AlarmParam(alarm)| alarm);
    let range = page_range(SortOrder::NewestFirst, time_range(from, to)?, limit, cursor)?;
    let _permit = store.read_limit.acquire().await?;
    let read = async |range| {
        let filter = DocumentFilter { pump: Some(pump.clone()), range };
        store.queries.past_excursions(&filter, alarm.as_ref()).await
    };
    let page = Page::read(&range, |excursion: &PastExcursion| excursion.learned_at, read).await?;
    Ok(web::Json(page.into_list(ExcursionResponse::from)))
}

impl From<PastExcursion> for ExcursionResponse {
    fn from(excursion: PastExcursion) -> Self {
        let PastExcursion { pump: _, alarm, from, to, readings, peak, limit, learned_at, would_have_raised } =
            excursion;
        Self {
            alarm,
            from: from.to_string(),
            to: to.to_string(),
            readings,
            peak,
            limit,
            learned_at: learned_at.to_string(),
            would_have_raised,
        }
    }
}
