//! What a handler works with that returns what is stored.

use std::sync::Arc;

use volute_plant::{Profile, PumpId, Timestamp};

use crate::{problem::ApiError, queries::StoreQueries, response_budget::Readers};

/// The store's queries, and what a question about the stored rows is completed with.
pub(crate) struct Stored {
    pub(crate) queries: Arc<dyn StoreQueries>,
    /// How many of its questions are worked on at once.
    pub(crate) readers: Readers,
    /// The profile of pumps that name none.
    pub(crate) profile: Profile,
    /// The profile of a pump.
    pub(crate) profile_of: Box<dyn Fn(&PumpId) -> Profile + Send + Sync>,
    /// The pump of questions that name none.
    pub(crate) default_pump: PumpId,
    /// The node's time.
    pub(crate) now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Stored {
    /// Refuses a pump of which no reading was ever stored.
    pub(crate) fn check_known(&self, pump: &PumpId) -> Result<(), ApiError> {
        match self.queries.is_registered(pump) {
            true => Ok(()),
            false => Err(ApiError::UnknownPump(pump.clone())),
        }
    }
}
