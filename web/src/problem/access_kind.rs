//! The status, type and title of the problem for a login, or a change of users and tokens, that is refused.

use actix_web::http::StatusCode;
use volute_access::{AccessError, PasswordError};

use crate::access::ChangeError;

/// Returns the status, the last part of the type's URN, and the title.
pub(super) fn of(error: &ChangeError) -> (StatusCode, &'static str, &'static str) {
    match error {
        ChangeError::WrongPassword => (StatusCode::UNAUTHORIZED, "login-failed", "The login failed"),
        ChangeError::Access(AccessError::WrongCode | AccessError::PasswordChanged) => {
            (StatusCode::UNAUTHORIZED, "login-failed", "The login failed")
        }
        ChangeError::Access(AccessError::CodeNeeded) => (StatusCode::UNAUTHORIZED, "code-needed", "A code is needed"),
        ChangeError::Access(AccessError::InvalidLink) => {
            (StatusCode::UNAUTHORIZED, "invalid-link", "The set-up link is not valid")
        }
        ChangeError::LockedOut(_) => (StatusCode::TOO_MANY_REQUESTS, "locked-out", "Too many logins have failed"),
        ChangeError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy-logins", "Too many logins are in progress"),
        ChangeError::Password(PasswordError::Hash)
        | ChangeError::Access(AccessError::NoRandomness)
        | ChangeError::Unavailable
        | ChangeError::Store(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "access-unavailable", "Users and tokens are unavailable")
        }
        ChangeError::Password(_) => (StatusCode::BAD_REQUEST, "weak-password", "The password is not allowed"),
        ChangeError::Access(AccessError::UnknownUser(_)) => {
            (StatusCode::NOT_FOUND, "unknown-user", "The user is unknown")
        }
        ChangeError::Access(AccessError::UnknownToken(_)) => {
            (StatusCode::NOT_FOUND, "unknown-token", "The token is unknown")
        }
        ChangeError::Access(AccessError::WrongPumpCount(_)) => {
            (StatusCode::BAD_REQUEST, "invalid-value", "A value is not allowed")
        }
        ChangeError::Access(
            AccessError::UserExists(_)
            | AccessError::NameTaken(_)
            | AccessError::External(_)
            | AccessError::NotExternal(_)
            | AccessError::Disabled(_)
            | AccessError::TooManyUsers(_)
            | AccessError::TooManyTokens(_)
            | AccessError::TooManyTokensOfName(_)
            | AccessError::HasSecondFactor
            | AccessError::LastAdmin(_),
        ) => (StatusCode::CONFLICT, "access-conflict", "The change contradicts what exists"),
    }
}
