//! What is asked of one pump's stored rows: its readings (`sensor_history.rs`) and the verdicts on it (`anomaly_history.rs`).

use volute_data::{Order, Range};
use volute_plant::{Profile, PumpId};

use crate::{
    list::{Cursor, Limit, List, Page, page_range},
    problem::ApiError,
    query::{ChannelsParam, PumpParam, Span},
    stored::Stored,
};

/// A page of one pump's rows: oldest first if its beginning is given, else newest first.
#[derive(Debug)]
pub(crate) struct SeriesQuery {
    pub(crate) pump: PumpId,
    /// What its rows are shown by.
    pub(crate) profile: Profile,
    /// Places in the profile.
    pub(crate) channels: Vec<usize>,
    pub(crate) range: Range,
}

impl SeriesQuery {
    pub(crate) fn new(
        stored: &Stored,
        pump: Option<PumpParam>,
        span: Span,
        channels: Option<&ChannelsParam>,
        limit: Option<Limit>,
        cursor: Option<Cursor>,
    ) -> Result<Self, ApiError> {
        let order = if span.0.is_some() { Order::OldestFirst } else { Order::NewestFirst };
        let pump = pump.map_or_else(|| stored.default_pump.clone(), |pump| pump.0);
        let profile = (stored.profile_of)(&pump);
        let channels = ChannelsParam::places(channels, &profile)?;
        Ok(Self { pump, profile, range: page_range(order, span, limit, cursor)?, channels })
    }

    /// A page of rows as it is sent, each as `item` makes it of the profile, the channels' places and the row. A page without
    /// rows must be of a pump that is known.
    pub(crate) fn list<Row, Item>(
        &self,
        stored: &Stored,
        page: Page<Row>,
        item: impl Fn(&Profile, &[usize], Row) -> Item,
    ) -> Result<List<Item>, ApiError> {
        if page.rows.is_empty() {
            stored.check_known(&self.pump)?;
        }
        Ok(page.into_list(|row| item(&self.profile, &self.channels, row)))
    }
}
