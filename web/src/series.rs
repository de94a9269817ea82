//! What is asked of one pump's stored rows: its readings (`sensor_history.rs`) and the verdicts on it (`anomaly_history.rs`).

use volute_data::{Order, Range};
use volute_plant::PumpId;

use crate::{
    list::{Cursor, Limit, page_range},
    problem::ApiError,
    query::{ChannelsParam, PumpParam, Span},
    stored::Stored,
};

/// A page of one pump's rows: oldest first if its beginning is given, else newest first.
#[derive(Debug)]
pub(crate) struct SeriesQuery {
    pub(crate) pump: PumpId,
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
        let channels = ChannelsParam::places(channels, &(stored.profile_of)(&pump))?;
        Ok(Self { pump, range: page_range(order, span, limit, cursor)?, channels })
    }
}
