//! Logins that have begun and wait for the browser to come back.
//!
//! Everybody can begin a login, so their number is bounded: with one more than [`MAX_PENDING`] the oldest is dropped
//! (the policy *drop oldest*). Refusing the new one instead would let a few hundred requests keep all users out for
//! ten minutes.

use std::collections::VecDeque;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How long a user may take to log in at the issuer.
pub(crate) const PENDING_LOGIN_MS: i64 = 600_000;
/// The most logins that may have begun at the same time.
pub(super) const MAX_PENDING: usize = 1_000;

/// A login that has begun.
pub(super) struct PendingLogin {
    nonce: String,
    verifier: String,
    /// The SHA-256 of the login cookie.
    cookie_hash: [u8; 32],
    next: String,
}

/// All logins that have begun, the oldest first.
#[derive(Default)]
pub(super) struct PendingLogins {
    logins: VecDeque<Entry>,
    /// How many were dropped because there were too many.
    dropped: u64,
}

struct Entry {
    state: String,
    expires_ms: i64,
    login: PendingLogin,
}

impl PendingLogin {
    pub(super) fn new(nonce: String, verifier: String, cookie: &str, next: String) -> Self {
        Self { nonce, verifier, cookie_hash: Sha256::digest(cookie).into(), next }
    }

    /// Returns whether the login began in the browser with this login cookie.
    pub(super) fn began_with(&self, cookie: &str) -> bool {
        let hash: [u8; 32] = Sha256::digest(cookie).into();
        hash.ct_eq(&self.cookie_hash).into()
    }

    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    pub(super) fn verifier(&self) -> &str {
        &self.verifier
    }

    pub(super) fn into_next(self) -> String {
        self.next
    }
}

impl PendingLogins {
    /// Adds a login. If there are too many, drops the oldest, and returns how many were dropped so far.
    pub(super) fn insert(&mut self, state: String, login: PendingLogin, now_ms: i64) -> Option<u64> {
        self.logins.retain(|entry| now_ms < entry.expires_ms);
        let is_full = self.logins.len() >= MAX_PENDING;
        if is_full {
            self.logins.pop_front();
            self.dropped += 1;
        }
        self.logins.push_back(Entry { state, expires_ms: now_ms.saturating_add(PENDING_LOGIN_MS), login });
        is_full.then_some(self.dropped)
    }

    /// Takes out the login with this state; none if there is none, or it has expired.
    pub(super) fn take(&mut self, state: &str, now_ms: i64) -> Option<PendingLogin> {
        let is_it = |entry: &Entry| bool::from(entry.state.as_bytes().ct_eq(state.as_bytes()));
        let index = self.logins.iter().position(is_it)?;
        let entry = self.logins.remove(index)?;
        (now_ms < entry.expires_ms).then_some(entry.login)
    }
}

/// Returns 256 random bits as text.
pub(super) fn random_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the PKCE challenge of a verifier by the method `S256` (RFC 7636).
pub(super) fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(next: &str) -> PendingLogin {
        PendingLogin::new("nonce".into(), "verifier".into(), "cookie", next.into())
    }

    #[test]
    fn a_login_is_taken_once_within_ten_minutes_by_its_browser() {
        let mut pending = PendingLogins::default();
        for state in ["a", "b"] {
            assert_eq!(pending.insert(state.into(), login("/"), 0), None);
        }
        assert!(pending.take("c", 1).is_none());
        let taken = pending.take("a", PENDING_LOGIN_MS - 1).expect("in time");
        assert!(taken.began_with("cookie") && !taken.began_with("other") && !taken.began_with(""));
        assert!(pending.take("a", 1).is_none(), "once");
        assert!(pending.take("b", PENDING_LOGIN_MS).is_none(), "too late");
    }

    #[test]
    fn with_too_many_the_oldest_is_dropped_and_those_that_expired_do_not_count() {
        let mut pending = PendingLogins::default();
        for number in 0..MAX_PENDING {
            assert_eq!(pending.insert(format!("old {number}"), login("/"), 0), None);
        }
        assert_eq!(pending.insert("new".into(), login("/"), 1), Some(1));
        assert_eq!(pending.insert("newer".into(), login("/"), 1), Some(2));
        assert!(pending.take("old 1", 2).is_none() && pending.take("old 2", 2).is_some());
        assert!(pending.take("new", 2).is_some());
        assert_eq!(pending.insert("late".into(), login("/"), PENDING_LOGIN_MS), None);
        assert_eq!(pending.logins.len(), 2, "what has expired is gone");
    }

    /// The example of RFC 7636, appendix B.
    #[test]
    fn the_challenge_is_that_of_the_standard() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        let (one, other) = (random_secret().expect("random"), random_secret().expect("random"));
        assert!(one.len() == 43 && one != other);
    }
}
