//! Queries for one pump's stored rows: its readings (`sensor_history.rs`) and its detections (`anomaly_history.rs`).

use volute_data::{PageRange, SortOrder};
use volute_plant::{Profile, PumpId};

use crate::{
    list::{Cursor, Limit, List, Page, page_range},
    problem::ApiError,
    query::{ChannelsParam, PumpParam, TimeRange},
    store_context::StoreContext,
};

/// A query for a page of one pump's rows: oldest first if `from` is given, else newest first.
#[derive(Debug)]
pub(crate) struct SeriesQuery {
    pub(crate) pump: PumpId,
    /// The pump's profile, which names the channels of the rows.
    pub(crate) profile: Profile,
    /// The requested channels, by index in the profile.
    pub(crate) channels: Vec<usize>,
    pub(crate) range: PageRange,
}

impl SeriesQuery {
    pub(crate) fn new(
        store: &StoreContext,
        pump: Option<PumpParam>,
        time_range: TimeRange,
        channels: Option<&ChannelsParam>,
        limit: Option<Limit>,
        cursor: Option<Cursor>,
    ) -> Result<Self, ApiError> {
        let order = if time_range.0.is_some() { SortOrder::OldestFirst } else { SortOrder::NewestFirst };
        let pump = pump.map_or_else(|| store.default_pump.clone(), |pump| pump.0);
        let profile = (store.profile_of)(&pump);
        let channels = ChannelsParam::indices(channels, &profile)?;
        Ok(Self { pump, profile, range: page_range(order, time_range, limit, cursor)?, channels })
    }

    /// Converts a page of rows into a response. `item` converts one row, given the profile and the indices of the channels.
    ///
    /// Fails for a page without rows if the pump is not registered.
    pub(crate) fn list<Row, Item>(
        &self,
        store: &StoreContext,
        page: Page<Row>,
        item: impl Fn(&Profile, &[usize], Row) -> Item,
    ) -> Result<List<Item>, ApiError> {
        if page.rows.is_empty() {
            store.check_known(&self.pump)?;
        }
        Ok(page.into_list(|row| item(&self.profile, &self.channels, row)))
    }
}
