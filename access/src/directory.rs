//! The user directory: all users, sessions and tokens in memory, and the look-ups that each request needs.
//!
//! A look-up is a hash of the sent secret (SHA-256, below 1 µs), a find by the credential's id, and a comparison. It
//! changes nothing but the time of the last use. Changes are in `plan.rs`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use crate::{
    credential::{Credential, CredentialId, CredentialKind},
    name::Name,
    permission::Role,
    principal::Principal,
    records::{PumpToken, Record, Session, User},
};

/// A record's time of last use is stored again when the stored one is this much older.
const STORE_USE_AFTER_MS: i64 = 5 * 60_000;

/// All users, sessions and tokens. Cloning shares the times of last use.
#[derive(Debug, Clone, Default)]
pub struct UserDirectory {
    pub(crate) users: BTreeMap<Name, User>,
    pub(crate) sessions: HashMap<CredentialId, WithLastUse<Session>>,
    pub(crate) tokens: BTreeMap<CredentialId, WithLastUse<PumpToken>>,
}

/// A record with the time of its last use, in milliseconds since 1970; 0: never.
#[derive(Debug, Clone)]
pub(crate) struct WithLastUse<T> {
    pub(crate) record: T,
    used_ms: Arc<AtomicI64>,
}

/// Why a credential is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// It is of no session or token.
    #[error("the credential is unknown")]
    Unknown,
    /// Its session has ended or expired.
    #[error("the session has ended; log in again")]
    Ended,
    /// Its token was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// Its token has expired.
    #[error("the token has expired")]
    Expired,
}

impl UserDirectory {
    /// Creates a directory of stored records. Sessions that have ended are left out.
    pub fn new(records: impl IntoIterator<Item = Record>) -> Self {
        let mut directory = Self::default();
        records.into_iter().for_each(|record| directory.insert(record));
        directory
    }

    /// Returns whether there are users: then every request needs credentials, with few exceptions.
    pub fn is_secured(&self) -> bool {
        !self.users.is_empty()
    }

    /// Returns the users by name.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// Returns the user of this name.
    pub fn user(&self, name: &Name) -> Option<&User> {
        self.users.get(name)
    }

    /// Returns the tokens, each with the time of its last use in milliseconds since 1970.
    pub fn tokens(&self) -> impl Iterator<Item = (&PumpToken, Option<i64>)> {
        self.tokens.values().map(|token| (&token.record, token.last_use()))
    }

    /// Returns the principal of a session's credential, and notes the use. `idle_ms`: a session that was not used for
    /// this time has expired.
    pub fn session(&self, credential: &Credential, idle_ms: i64, now_ms: i64) -> Result<Principal, LookupError> {
        let session = self.sessions.get(credential.id()).ok_or(LookupError::Unknown)?;
        let is_own = credential.kind() == CredentialKind::Session && session.record.hash.matches(&credential.hash());
        if !is_own {
            return Err(LookupError::Unknown);
        }
        let role = self.role_in(session, idle_ms, now_ms).ok_or(LookupError::Ended)?;
        session.used_ms.fetch_max(now_ms, Relaxed);
        Ok(Principal::User { name: session.record.user.clone(), role, session: session.record.id.clone() })
    }

    /// Returns whether a session is still valid, without noting a use.
    pub fn is_session_valid(&self, id: &CredentialId, idle_ms: i64, now_ms: i64) -> bool {
        self.sessions.get(id).is_some_and(|session| self.role_in(session, idle_ms, now_ms).is_some())
    }

    /// Returns the principal of a pump token's credential, and notes the use.
    pub fn token(&self, credential: &Credential, now_ms: i64) -> Result<Principal, LookupError> {
        let token = self.tokens.get(credential.id()).ok_or(LookupError::Unknown)?;
        let PumpToken { id, hash, name, pumps, register, revoked_ms, .. } = &token.record;
        if credential.kind() != CredentialKind::PumpToken || !hash.matches(&credential.hash()) {
            return Err(LookupError::Unknown);
        }
        if revoked_ms.is_some() {
            return Err(LookupError::Revoked);
        }
        if !token.record.is_valid(now_ms) {
            return Err(LookupError::Expired);
        }
        token.used_ms.fetch_max(now_ms, Relaxed);
        Ok(Principal::PumpToken { name: name.clone(), id: id.clone(), pumps: pumps.clone(), register: *register })
    }

    /// Returns the records whose stored time of last use is more than five minutes too old, with the current one.
    pub fn unsaved_uses(&self) -> Vec<Record> {
        let is_old = |stored: Option<i64>, last: Option<i64>| {
            last.is_some_and(|last| stored.is_none_or(|stored| last >= stored + STORE_USE_AFTER_MS))
        };
        let sessions =
            self.sessions.values().filter(|session| is_old(Some(session.record.seen_ms), session.last_use()));
        let tokens = self.tokens.values().filter(|token| is_old(token.record.used_ms, token.last_use()));
        let sessions = sessions.map(|session| {
            let seen_ms = session.last_use().unwrap_or(session.record.seen_ms);
            Record::Session(Session { seen_ms, ..session.record.clone() })
        });
        let tokens =
            tokens.map(|token| Record::PumpToken(PumpToken { used_ms: token.last_use(), ..token.record.clone() }));
        sessions.chain(tokens).collect()
    }

    /// Drops sessions that have expired.
    pub fn forget_expired(&mut self, idle_ms: i64, now_ms: i64) {
        let expired = |session: &WithLastUse<Session>| self.role_in(session, idle_ms, now_ms).is_none();
        let expired: Vec<CredentialId> = self
            .sessions
            .values()
            .filter(|session| expired(session))
            .map(|session| session.record.id.clone())
            .collect();
        for id in expired {
            self.sessions.remove(&id);
        }
    }

    /// Returns all records, with the times of their last use.
    pub fn records(&self) -> Vec<Record> {
        let users = self.users.values().cloned().map(Record::User);
        let sessions = self.sessions.values().map(|session| Record::Session(session.record.clone()));
        let tokens = self.tokens.values().map(|token| Record::PumpToken(token.record.clone()));
        users.chain(sessions).chain(tokens).collect()
    }

    /// Adds or replaces a record.
    pub(crate) fn insert(&mut self, record: Record) {
        match record {
            Record::User(user) => {
                self.users.insert(user.name.clone(), user);
            }
            Record::Session(session) if session.ended_ms.is_some() => {
                self.sessions.remove(&session.id);
            }
            Record::Session(session) => {
                let used_ms = self.sessions.remove(&session.id).map(|old| old.used_ms);
                self.sessions.insert(session.id.clone(), WithLastUse::new(session.seen_ms, used_ms, session));
            }
            Record::PumpToken(token) => {
                let used_ms = self.tokens.remove(&token.id).map(|old| old.used_ms);
                self.tokens.insert(token.id.clone(), WithLastUse::new(token.used_ms.unwrap_or(0), used_ms, token));
            }
        }
    }

    /// Returns the role of a session's user; none if the session is not valid.
    fn role_in(&self, session: &WithLastUse<Session>, idle_ms: i64, now_ms: i64) -> Option<Role> {
        let Session { user, expires_ms, .. } = &session.record;
        let is_idle = now_ms >= session.used_ms.load(Relaxed).saturating_add(idle_ms);
        let user = self.users.get(user).filter(|user| !user.disabled)?;
        (now_ms < *expires_ms && !is_idle).then_some(user.role)
    }
}

impl<T> WithLastUse<T> {
    fn new(stored_ms: i64, used_ms: Option<Arc<AtomicI64>>, record: T) -> Self {
        let used_ms = used_ms.unwrap_or_default();
        used_ms.fetch_max(stored_ms, Relaxed);
        Self { record, used_ms }
    }

    fn last_use(&self) -> Option<i64> {
        Some(self.used_ms.load(Relaxed)).filter(|used_ms| *used_ms != 0)
    }
}
