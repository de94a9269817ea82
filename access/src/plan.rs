//! Changes of users, sessions and tokens.
//!
//! A change is *planned* as the records that it replaces, without an effect. The caller stores them, and *applies* the
//! change when they are durable. Changes are planned, stored and applied one at a time.
//!
//! An example: an admin adds the engineer Ada at 10:00.
//!
//! 1. [`UserDirectory::plan_add_user`] returns a [`Change`] with one record, the user without a password, and the
//!    credential of a set-up link, which the admin gives to Ada. Nothing has changed yet.
//! 2. The record is stored. [`UserDirectory::apply`] puts it into the directory: the link is valid for 24 hours.
//! 3. Ada opens the link and sets a password. [`UserDirectory::plan_login`] returns the user with the password and
//!    without the link, and a session. When they are stored and applied, Ada is logged in, and the link is used up.
//!
//! If the record of 1 cannot be stored, the user does not exist. A change that only takes rights away
//! ([`Change::restricts`]) is applied even then.
//!
//! Does not store, and does not check who may change what; the caller does both.

use std::{collections::BTreeSet, sync::Arc};

use volute_plant::PumpId;

use crate::{
    credential::{Credential, CredentialId, CredentialKind},
    directory::UserDirectory,
    error::AccessError,
    name::Name,
    password::PasswordHash,
    permission::Role,
    records::{PumpToken, Record, Session, SetupLink, User},
    second_factor::SecondFactor,
};

pub(crate) const MAX_USERS: usize = 1_000;
const MAX_TOKENS: usize = 10_000;
/// The most pumps of one token: as many as one post has items.
const MAX_PUMPS_PER_TOKEN: usize = 10_000;
/// The most sessions of one user; a further login ends the oldest.
const MAX_SESSIONS_PER_USER: usize = 20;
/// How many valid tokens one device or gateway may have: the one in use, and the one that replaces it.
const MAX_VALID_TOKENS_PER_NAME: usize = 2;
/// How long a set-up link is valid.
const SETUP_LINK_MS: i64 = 24 * 3_600_000;

/// The records that a change replaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "a change has no effect until it is stored and applied"]
pub struct Change {
    /// The records.
    pub records: Vec<Record>,
    /// Whether it only takes rights away. Such a change takes effect even if it cannot be stored.
    pub restricts: bool,
}

impl Change {
    /// Creates a change that gives rights.
    pub fn grant(records: Vec<Record>) -> Self {
        Self { records, restricts: false }
    }

    /// Creates a change that only takes rights away.
    fn restrict(records: Vec<Record>) -> Self {
        Self { records, restricts: true }
    }
}

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// A session ends when it was not used for this time.
    pub idle_ms: i64,
    /// A session ends this time after the login.
    pub absolute_ms: i64,
}

/// The login of a user whose password was verified.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    /// The user.
    pub user: &'a Name,
    /// The client's address.
    pub address: String,
    /// The session that the client had, which ends.
    pub previous: Option<&'a CredentialId>,
    /// The code of the user's authenticator app, if one was sent.
    pub code: Option<String>,
    /// The password that is set at the same time: all other sessions end, and no code is needed.
    pub password: Option<PasswordHash>,
}

/// A token to be added.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The device or gateway.
    pub name: Name,
    /// Its pumps.
    pub pumps: BTreeSet<PumpId>,
    /// Whether it may register those that are new.
    pub register: bool,
    /// When it expires.
    pub expires_ms: Option<i64>,
    /// Who adds it.
    pub added_by: String,
}

impl UserDirectory {
    /// Makes a stored change effective.
    pub fn apply(&mut self, change: Change) {
        change.records.into_iter().for_each(|record| self.insert(record));
    }

    /// Plans a new user, who sets a password with the returned credential.
    pub fn plan_add_user(&self, name: &Name, role: Role, now_ms: i64) -> Result<(Change, Credential), AccessError> {
        if self.users.contains_key(name) {
            return Err(AccessError::UserExists(name.clone()));
        }
        if self.users.len() >= MAX_USERS {
            return Err(AccessError::TooManyUsers(MAX_USERS));
        }
        let (setup, link) = setup_link(now_ms)?;
        let name = name.clone();
        let user = User {
            name,
            role,
            at_ms: now_ms,
            changed_ms: now_ms,
            disabled: false,
            password: None,
            setup: Some(setup),
            second_factor: None,
            external: None,
        };
        Ok((Change::grant(vec![Record::User(user)]), link))
    }

    /// Plans the reset of a user: the password and all sessions end, and the user sets a new password with the returned
    /// credential. A disabled user is enabled.
    pub fn plan_reset_user(&self, name: &Name, now_ms: i64) -> Result<(Change, Credential), AccessError> {
        let user = self.local(name)?.clone();
        let (setup, link) = setup_link(now_ms)?;
        let user = User {
            changed_ms: now_ms,
            disabled: false,
            password: None,
            setup: Some(setup),
            second_factor: None,
            ..user
        };
        Ok((self.with_sessions_ended(user, now_ms), link))
    }

    /// Plans to disable a user: the user can no longer log in, and the user's sessions end.
    pub fn plan_disable_user(&self, name: &Name, now_ms: i64) -> Result<Change, AccessError> {
        self.check_admin_remains(name)?;
        let user = User { changed_ms: now_ms, disabled: true, setup: None, ..self.known(name)?.clone() };
        Ok(self.with_sessions_ended(user, now_ms))
    }

    /// Plans to enable a disabled user of an identity provider. A local user needs a reset instead.
    pub fn plan_enable_user(&self, name: &Name, now_ms: i64) -> Result<Change, AccessError> {
        let user = self.known(name)?;
        if user.external.is_none() {
            return Err(AccessError::NotExternal(name.clone()));
        }
        let user = User { changed_ms: now_ms, disabled: false, ..user.clone() };
        Ok(Change::grant(vec![Record::User(user)]))
    }

    /// Plans another role for a user. The user's sessions continue, with the new role.
    pub fn plan_set_role(&self, name: &Name, role: Role, now_ms: i64) -> Result<Change, AccessError> {
        let user = User { changed_ms: now_ms, role, ..self.local(name)?.clone() };
        if role != Role::Admin {
            self.check_admin_remains(name)?;
        }
        Ok(Change::grant(vec![Record::User(user)]))
    }

    /// Checks that a user still has the password that was verified. A verification takes so long that the password can be
    /// changed, reset or disabled before its result is used.
    pub fn check_password_unchanged(&self, name: &Name, verified: &PasswordHash) -> Result<(), AccessError> {
        let user = self.known(name)?;
        match !user.disabled && user.password.as_ref() == Some(verified) {
            true => Ok(()),
            false => Err(AccessError::PasswordChanged),
        }
    }

    /// Returns the user whose set-up link this is.
    pub fn user_of_link(&self, link: &Credential, now_ms: i64) -> Result<Name, AccessError> {
        let is_link =
            |setup: &SetupLink| setup.id == *link.id() && setup.hash.matches(&link.hash()) && now_ms < setup.expires_ms;
        let user = self.users.values().find(|user| !user.disabled && user.setup.as_ref().is_some_and(is_link));
        let user = user.filter(|_| link.kind() == CredentialKind::SetupLink);
        user.map(|user| user.name.clone()).ok_or(AccessError::InvalidLink)
    }

    /// Plans a session for a user, and returns its credential. With a new password, the set-up link and all other
    /// sessions end.
    pub fn plan_login(
        &self,
        login: NewSession<'_>,
        limits: SessionLimits,
        now_ms: i64,
    ) -> Result<(Change, Credential), AccessError> {
        let user = self.known(login.user)?;
        if user.disabled {
            return Err(AccessError::Disabled(user.name.clone()));
        }
        let (session, credential) = new_session(user.name.clone(), login.address, limits, now_ms)?;
        let mut change = match login.password {
            Some(password) => {
                let user = User { changed_ms: now_ms, password: Some(password), setup: None, ..user.clone() };
                Change { restricts: false, ..self.with_sessions_ended(user, now_ms) }
            }
            None => {
                let mut records = self.surplus_sessions(&user.name, login.previous, now_ms);
                records.extend(verify_code(user, login.code.as_deref(), now_ms)?.map(Record::User));
                Change::grant(records)
            }
        };
        change.records.push(Record::Session(session));
        Ok((change, credential))
    }

    /// Plans a second factor, which the user has to confirm with a code.
    pub fn plan_second_factor(&self, name: &Name, now_ms: i64) -> Result<(Change, SecondFactor), AccessError> {
        let user = self.local(name)?;
        if user.confirmed_factor().is_some() {
            return Err(AccessError::HasSecondFactor);
        }
        let factor = SecondFactor::random()?;
        let user = User { changed_ms: now_ms, second_factor: Some(factor.clone()), ..user.clone() };
        Ok((Change::grant(vec![Record::User(user)]), factor))
    }

    /// Plans to require a code at each login of a user. `code` proves that the user's app makes valid ones.
    pub fn plan_confirm_factor(&self, name: &Name, code: &str, now_ms: i64) -> Result<Change, AccessError> {
        let user = self.known(name)?;
        let factor = user.second_factor.as_ref().and_then(|factor| factor.accept(code, now_ms));
        let second_factor = Some(factor.ok_or(AccessError::WrongCode)?);
        let user = User { changed_ms: now_ms, second_factor, ..user.clone() };
        Ok(Change::grant(vec![Record::User(user)]))
    }

    /// Plans to remove a user's second factor: logins need no code any more.
    pub fn plan_remove_factor(&self, name: &Name, now_ms: i64) -> Result<Change, AccessError> {
        let user = User { changed_ms: now_ms, second_factor: None, ..self.known(name)?.clone() };
        Ok(Change::grant(vec![Record::User(user)]))
    }

    /// Plans the end of a session. Empty if there is no such session.
    pub fn plan_end_session(&self, id: &CredentialId, now_ms: i64) -> Change {
        Change::restrict(self.sessions.get(id).map(|session| ended(&session.record, now_ms)).into_iter().collect())
    }

    /// Plans a new token, and returns its credential.
    pub fn plan_add_token(&self, new: NewToken, now_ms: i64) -> Result<(Change, Credential), AccessError> {
        let NewToken { name, pumps, register, expires_ms, added_by } = new;
        if pumps.is_empty() || pumps.len() > MAX_PUMPS_PER_TOKEN {
            return Err(AccessError::WrongPumpCount(MAX_PUMPS_PER_TOKEN));
        }
        let valid = || self.tokens.values().filter(|token| token.record.is_valid(now_ms));
        if valid().filter(|token| token.record.name == name).count() >= MAX_VALID_TOKENS_PER_NAME {
            return Err(AccessError::TooManyTokensOfName(name));
        }
        if valid().count() >= MAX_TOKENS {
            return Err(AccessError::TooManyTokens(MAX_TOKENS));
        }
        let credential = Credential::random(CredentialKind::PumpToken)?;
        let (id, hash, pumps) = (credential.id().clone(), credential.hash(), Arc::new(pumps));
        let (at_ms, revoked_ms, used_ms) = (now_ms, None, None);
        let token = PumpToken { id, hash, name, pumps, register, added_by, at_ms, expires_ms, revoked_ms, used_ms };
        Ok((Change::grant(vec![Record::PumpToken(token)]), credential))
    }

    /// Plans the revocation of a token. Empty if it is revoked already.
    pub fn plan_revoke_token(&self, id: &CredentialId, now_ms: i64) -> Result<Change, AccessError> {
        let token = self.tokens.get(id).ok_or_else(|| AccessError::UnknownToken(id.to_string()))?;
        if token.record.revoked_ms.is_some() {
            return Ok(Change::restrict(Vec::new()));
        }
        let token = PumpToken { revoked_ms: Some(now_ms), ..token.record.clone() };
        Ok(Change::restrict(vec![Record::PumpToken(token)]))
    }

    /// Checks that without this user an enabled admin is left, if the user is one.
    fn check_admin_remains(&self, name: &Name) -> Result<(), AccessError> {
        let is_admin = |user: &&User| user.role == Role::Admin && !user.disabled;
        let is_last = is_admin(&self.known(name)?) && self.users.values().filter(is_admin).count() == 1;
        if is_last { Err(AccessError::LastAdmin(name.clone())) } else { Ok(()) }
    }

    fn known(&self, name: &Name) -> Result<&User, AccessError> {
        self.users.get(name).ok_or_else(|| AccessError::UnknownUser(name.clone()))
    }

    /// Returns a user who logs in here, not at an identity provider.
    fn local(&self, name: &Name) -> Result<&User, AccessError> {
        let user = self.known(name)?;
        if user.external.is_some() { Err(AccessError::External(name.clone())) } else { Ok(user) }
    }

    /// Returns the change to this user, with all the user's sessions ended.
    fn with_sessions_ended(&self, user: User, now_ms: i64) -> Change {
        let own = self.sessions.values().filter(|session| session.record.user == user.name);
        let mut records: Vec<Record> = own.map(|session| ended(&session.record, now_ms)).collect();
        records.push(Record::User(user));
        Change::restrict(records)
    }

    /// Returns the records of the sessions that end with a login: the client's previous session, whichever user it was
    /// of, and the user's oldest sessions beyond the limit.
    pub(crate) fn surplus_sessions(&self, user: &Name, previous: Option<&CredentialId>, now_ms: i64) -> Vec<Record> {
        let previous = previous.and_then(|id| self.sessions.get(id)).map(|session| &session.record);
        let is_previous = |session: &Session| previous.is_some_and(|previous| previous.id == session.id);
        let sessions = self.sessions.values().map(|session| &session.record);
        let mut own: Vec<&Session> =
            sessions.filter(|session| session.user == *user && !is_previous(session)).collect();
        own.sort_by_key(|session| session.at_ms);
        let surplus = (own.len() + 1).saturating_sub(MAX_SESSIONS_PER_USER);
        previous.into_iter().chain(own.into_iter().take(surplus)).map(|session| ended(session, now_ms)).collect()
    }
}

/// Returns a new session of a user, with its credential.
pub(crate) fn new_session(
    user: Name,
    address: String,
    limits: SessionLimits,
    now_ms: i64,
) -> Result<(Session, Credential), AccessError> {
    let credential = Credential::random(CredentialKind::Session)?;
    let session = Session {
        id: credential.id().clone(),
        hash: credential.hash(),
        user,
        address,
        at_ms: now_ms,
        seen_ms: now_ms,
        expires_ms: now_ms.saturating_add(limits.absolute_ms),
        ended_ms: None,
    };
    Ok((session, credential))
}

/// Returns the user after the code of a login was accepted; none if the user needs no code.
fn verify_code(user: &User, code: Option<&str>, now_ms: i64) -> Result<Option<User>, AccessError> {
    let Some(factor) = user.confirmed_factor() else { return Ok(None) };
    let code = code.ok_or(AccessError::CodeNeeded)?;
    let second_factor = Some(factor.accept(code, now_ms).ok_or(AccessError::WrongCode)?);
    Ok(Some(User { second_factor, ..user.clone() }))
}

fn ended(session: &Session, now_ms: i64) -> Record {
    Record::Session(Session { ended_ms: Some(now_ms), ..session.clone() })
}

fn setup_link(now_ms: i64) -> Result<(SetupLink, Credential), AccessError> {
    let link = Credential::random(CredentialKind::SetupLink)?;
    let setup =
        SetupLink { id: link.id().clone(), hash: link.hash(), expires_ms: now_ms.saturating_add(SETUP_LINK_MS) };
    Ok((setup, link))
}

#[cfg(test)]
mod tests;
