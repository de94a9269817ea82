//! Commands that read or change users and tokens: sent to a running node over its control socket, or executed on the
//! store of a stopped one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use volute_access::{CredentialId, Name, NewToken, Principal, PumpToken, Role, User};
use volute_data::{AuditAction, AuditEntry};
use volute_plant::{PumpId, Timestamp};
use volute_web::{Access, ChangeError};

const DAY_MS: i64 = 86_400_000;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessCommand {
    /// List the users.
    Users,
    /// Add a user.
    AddUser {
        /// The user.
        name: Name,
        /// The user's role.
        role: Role,
    },
    /// End a user's password and sessions, and make a set-up link.
    ResetUser {
        /// The user.
        name: Name,
    },
    /// Give a user another role.
    SetRole {
        /// The user.
        name: Name,
        /// The role.
        role: Role,
    },
    /// Disable a user.
    DisableUser {
        /// The user.
        name: Name,
    },
    /// Let a disabled user of the identity provider log in again.
    EnableUser {
        /// The user.
        name: Name,
    },
    /// List the tokens.
    Tokens,
    /// Add a pump token.
    AddToken {
        /// The device or gateway.
        name: Name,
        /// Its pumps.
        pumps: BTreeSet<PumpId>,
        /// Whether it may register those that are new.
        register: bool,
        /// After how many days it expires; none: never.
        expires_days: Option<u32>,
    },
    /// Revoke a pump token.
    RevokeToken {
        /// The token's id.
        id: CredentialId,
    },
}

/// The result of a command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessReport {
    /// It is done.
    Done,
    /// The users.
    Users(Vec<UserSummary>),
    /// The link with which a user sets a password.
    SetUpLink(String),
    /// The tokens.
    Tokens(Vec<TokenSummary>),
    /// The text of a new token.
    NewToken(String),
}

/// A user in a list.
#[derive(Debug, Serialize, Deserialize)]
pub struct UserSummary {
    /// The name.
    pub name: Name,
    /// The role.
    pub role: Role,
    /// Whether the user may not log in.
    pub disabled: bool,
    /// Whether the user has set a password.
    pub has_password: bool,
    /// The identity provider at which the user logs in, if the user does.
    pub issuer: Option<String>,
}

/// A token in a list.
#[derive(Debug, Serialize, Deserialize)]
pub struct TokenSummary {
    /// The id.
    pub id: CredentialId,
    /// The device or gateway.
    pub name: Name,
    /// Its pumps.
    pub pumps: BTreeSet<PumpId>,
    /// Whether it may register those that are new.
    pub register: bool,
    /// `valid`, `revoked` or `expired`.
    pub state: String,
    /// When it was used last; none if it was not.
    pub used_at: Option<Timestamp>,
}

impl AccessCommand {
    /// Executes the command for `who`. `url` is the node's, for set-up links.
    pub async fn execute(
        self,
        access: &Access,
        who: &Principal,
        now_ms: i64,
        url: &str,
    ) -> Result<AccessReport, ChangeError> {
        let set_up_link = |token: String| AccessReport::SetUpLink(format!("{url}/setup#{token}"));
        Ok(match self {
            Self::Users => AccessReport::Users(access.directory()?.users().map(UserSummary::from).collect()),
            Self::AddUser { name, role } => set_up_link(access.add_user(&name, role, now_ms).await?.reveal()),
            Self::ResetUser { name } => set_up_link(access.reset_user(&name, now_ms).await?.reveal()),
            Self::SetRole { name, role } => {
                access.set_role(&name, role, now_ms).await?;
                AccessReport::Done
            }
            Self::DisableUser { name } => {
                access.disable_user(&name, now_ms).await?;
                AccessReport::Done
            }
            Self::EnableUser { name } => {
                access.enable_user(&name, now_ms).await?;
                AccessReport::Done
            }
            Self::Tokens => {
                let directory = access.directory()?;
                let summary = |(token, used_ms)| TokenSummary::new(token, used_ms, now_ms);
                AccessReport::Tokens(directory.tokens().map(summary).collect())
            }
            Self::AddToken { name, pumps, register, expires_days } => {
                let expires_ms = expires_days.map(|days| now_ms.saturating_add(i64::from(days) * DAY_MS));
                let new = NewToken { name, pumps, register, expires_ms, added_by: who.to_string() };
                AccessReport::NewToken(access.add_token(new, now_ms).await?.reveal())
            }
            Self::RevokeToken { id } => {
                access.revoke_token(&id, now_ms).await?;
                AccessReport::Done
            }
        })
    }

    /// Returns the audit entry of the command; none if it only reads.
    pub fn audit_entry(&self, who: &Principal, at: Timestamp) -> Option<AuditEntry> {
        let done = |action, object: &str| AuditEntry::done(at, who, action, object);
        Some(match self {
            Self::Users | Self::Tokens => return None,
            Self::AddUser { name, role } => {
                done(AuditAction::AddUser, name.as_str()).detail(&format!("role {}", role.as_str()))
            }
            Self::ResetUser { name } => done(AuditAction::ResetUser, name.as_str()),
            Self::SetRole { name, role } => done(AuditAction::SetRole, name.as_str()).detail(role.as_str()),
            Self::DisableUser { name } => done(AuditAction::DisableUser, name.as_str()),
            Self::EnableUser { name } => done(AuditAction::ResetUser, name.as_str()).detail("enabled"),
            Self::AddToken { name, pumps, register, .. } => {
                let register = if *register { ", may register them" } else { "" };
                done(AuditAction::AddToken, name.as_str()).detail(&format!("{} pumps{register}", pumps.len()))
            }
            Self::RevokeToken { id } => done(AuditAction::RevokeToken, id.as_str()),
        })
    }
}

impl From<&User> for UserSummary {
    fn from(user: &User) -> Self {
        let User { name, role, disabled, password, external, .. } = user;
        let issuer = external.as_ref().map(|account| account.issuer.clone());
        Self { name: name.clone(), role: *role, disabled: *disabled, has_password: password.is_some(), issuer }
    }
}

impl TokenSummary {
    fn new(token: &PumpToken, used_ms: Option<i64>, now_ms: i64) -> Self {
        let state = match token.revoked_ms {
            Some(_) => "revoked",
            None if token.is_valid(now_ms) => "valid",
            None => "expired",
        };
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            pumps: BTreeSet::clone(&token.pumps),
            register: token.register,
            state: state.to_owned(),
            used_at: used_ms.and_then(|ms| Timestamp::from_millis(ms).ok()),
        }
    }
}
