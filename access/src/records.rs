//! Users, sessions and pump tokens, with the fields as they are stored.
//!
//! A record is replaced as a whole when it changes, and never deleted: a session that has ended and a token that is
//! revoked say so in a field. Names of fields never change; a new one is optional.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use volute_plant::PumpId;

use crate::{
    credential::{CredentialHash, CredentialId},
    name::Name,
    password::PasswordHash,
    permission::Role,
    second_factor::SecondFactor,
};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name, which never changes.
    pub name: Name,
    /// The role.
    pub role: Role,
    /// When the user was added, in milliseconds since 1970, as all times here.
    pub at_ms: i64,
    /// When the user was changed last.
    pub changed_ms: i64,
    /// Whether the user may not log in.
    pub disabled: bool,
    /// The hash of the password; none until the user has set one.
    pub password: Option<PasswordHash>,
    /// The link with which the user can set a password; none if it was used.
    pub setup: Option<SetupLink>,
    /// The user's authenticator app, if there is one.
    pub second_factor: Option<SecondFactor>,
    /// The account of the identity provider at which the user logs in; none for a user who logs in here.
    #[serde(default)]
    pub external: Option<ExternalIdentity>,
}

impl User {
    /// Returns the second factor that a login needs.
    pub fn confirmed_factor(&self) -> Option<&SecondFactor> {
        self.second_factor.as_ref().filter(|factor| factor.confirmed)
    }
}

/// An account of an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalIdentity {
    /// The provider.
    pub issuer: String,
    /// The account, as the provider calls it. It never changes, and is given to nobody else.
    pub subject: String,
}

/// A link that sets a user's password once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupLink {
    /// The id of its credential.
    pub id: CredentialId,
    /// The hash of the credential's secret.
    pub hash: CredentialHash,
    /// When it expires.
    pub expires_ms: i64,
}

/// A session: a user who has logged in with a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The id of its credential. A row has a field `id` of its own.
    #[serde(rename = "credential")]
    pub id: CredentialId,
    /// The hash of the credential's secret.
    pub hash: CredentialHash,
    /// The user.
    pub user: Name,
    /// The client's address at the login.
    pub address: String,
    /// When it began.
    pub at_ms: i64,
    /// When it was used last, as far as this was stored.
    pub seen_ms: i64,
    /// When it expires, however often it is used.
    pub expires_ms: i64,
    /// When it was ended; none if it was not.
    pub ended_ms: Option<i64>,
}

/// A pump token, with which a device or gateway posts readings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PumpToken {
    /// The id of its credential. A row has a field `id` of its own.
    #[serde(rename = "credential")]
    pub id: CredentialId,
    /// The hash of the credential's secret.
    pub hash: CredentialHash,
    /// The device or gateway. Two valid tokens may have one name, so that a token can be replaced without a gap.
    pub name: Name,
    /// The pumps whose readings it may post.
    pub pumps: Arc<BTreeSet<PumpId>>,
    /// Whether it may register those of them that are new.
    pub register: bool,
    /// Who added it.
    pub added_by: String,
    /// When it was added.
    pub at_ms: i64,
    /// When it expires; none: never.
    pub expires_ms: Option<i64>,
    /// When it was revoked; none if it was not.
    pub revoked_ms: Option<i64>,
    /// When it was used last, as far as this was stored; none if it was not used.
    pub used_ms: Option<i64>,
}

/// A record of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// A user.
    User(User),
    /// A session.
    Session(Session),
    /// A pump token.
    PumpToken(PumpToken),
}

impl PumpToken {
    /// Returns whether it is neither revoked nor expired.
    pub fn is_valid(&self, now_ms: i64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }
}
