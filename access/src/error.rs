//! Why a change of users, sessions or tokens is refused.

use crate::name::Name;

/// Why a change is refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// There is such a user already.
    #[error("there is a user {0} already")]
    UserExists(Name),
    /// There is no such user.
    #[error("there is no user {0}")]
    UnknownUser(Name),
    /// The user is disabled.
    #[error("the user {0} is disabled")]
    Disabled(Name),
    /// The name of an account of the identity provider is that of another user.
    #[error("there is a user {0} already, who is not this account of the identity provider")]
    NameTaken(Name),
    /// The user logs in at an identity provider.
    #[error("the identity provider decides about the password, the second factor and the role of {0}")]
    External(Name),
    /// The user does not log in at an identity provider.
    #[error("{0} logs in with a password; a reset enables such a user again")]
    NotExternal(Name),
    /// There are too many users.
    #[error("there are {0} users already, and a node has no more")]
    TooManyUsers(usize),
    /// There are too many tokens.
    #[error("there are {0} valid tokens already, and a node has no more; revoke some")]
    TooManyTokens(usize),
    /// Two valid tokens have this name.
    #[error("there are two valid tokens of {0} already; revoke one of them first")]
    TooManyTokensOfName(Name),
    /// There is no such token.
    #[error("there is no token {0}")]
    UnknownToken(String),
    /// A token needs pumps, and not too many.
    #[error("a token is for 1 to {0} pumps")]
    WrongPumpCount(usize),
    /// The set-up link was used, or has expired.
    #[error("the set-up link was used already, or has expired; a new one is made with `volute user reset`")]
    InvalidLink,
    /// The password that was verified is no longer the user's: it was changed or reset at the same time.
    #[error("the password was changed or reset meanwhile")]
    PasswordChanged,
    /// No enabled admin would be left.
    #[error("{0} is the only admin who is not disabled; add another admin first")]
    LastAdmin(Name),
    /// The login needs a code of the user's authenticator app.
    #[error("a code of the authenticator app is needed")]
    CodeNeeded,
    /// The code is wrong, or was used.
    #[error("the code is wrong, or was used already")]
    WrongCode,
    /// The user has a second factor already.
    #[error("there is a second factor already; remove it first")]
    HasSecondFactor,
    /// The system has no randomness to give.
    #[error("the system returns no random numbers")]
    NoRandomness,
}

impl From<getrandom::Error> for AccessError {
    fn from(_: getrandom::Error) -> Self {
        Self::NoRandomness
    }
}
