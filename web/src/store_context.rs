//! The state that handlers of stored data use.

use std::sync::Arc;

use volute_plant::{Profile, PumpId, Timestamp};

use crate::{problem::ApiError, queries::StoreQueries, response_budget::ReadLimit};

/// The store's queries, and the defaults of a request for stored rows.
pub(crate) struct StoreContext {
    pub(crate) queries: Arc<dyn StoreQueries>,
    /// Limits how many queries run at once.
    pub(crate) read_limit: ReadLimit,
    /// The node's default profile.
    pub(crate) profile: Profile,
    /// Returns the profile of a pump.
    pub(crate) profile_of: Box<dyn Fn(&PumpId) -> Profile + Send + Sync>,
    /// The pump of a request that names none.
    pub(crate) default_pump: PumpId,
    /// Returns the node's time.
    pub(crate) now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl StoreContext {
    /// Returns an error for a pump of which no reading was ever stored.
    pub(crate) fn check_known(&self, pump: &PumpId) -> Result<(), ApiError> {
        match self.queries.is_registered(pump) {
            true => Ok(()),
            false => Err(ApiError::UnknownPump(pump.clone())),
        }
    }
}
