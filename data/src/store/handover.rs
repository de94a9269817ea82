//! When each user last looked at the shift handover, as documents: `handover_seen:[user]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use volute_plant::Timestamp;

use super::{
    Store, StoreError,
    document::{DocumentKey, DocumentKind, KeyPrefix},
};

/// A user's last look at the handover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandoverSeen {
    /// The user, in the form of the audit log.
    pub user: String,
    /// Everything before this time was seen, by the node's clock.
    pub at: Timestamp,
}

/// The stored fields.
#[derive(Serialize, Deserialize)]
pub struct SeenFields {
    user: String,
    at_ms: i64,
}

impl DocumentKind for HandoverSeen {
    const TABLE: &'static str = "handover_seen";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Other;
    const BELONGS_TO_PUMP: bool = false;
    const RETENTION: Option<Duration> = Some(Duration::from_secs(2 * 365 * 86_400));
    type Fields = SeenFields;

    fn key(&self) -> DocumentKey {
        DocumentKey::new([self.user.as_str().into()])
    }

    fn to_fields(&self) -> SeenFields {
        SeenFields { user: self.user.clone(), at_ms: self.at.millis() }
    }

    fn from_fields(SeenFields { user, at_ms }: SeenFields) -> Result<Self, String> {
        Ok(Self { user, at: Timestamp::from_millis(at_ms).map_err(|error| error.to_string())? })
    }
}

impl Store {
    /// Returns when a user last looked at the handover; none if never.
    pub async fn handover_seen(&self, user: &str) -> Result<Option<Timestamp>, StoreError> {
        let seen: Option<HandoverSeen> = self.document(&DocumentKey::new([user.into()])).await?;
        Ok(seen.map(|seen| seen.at))
    }
}
