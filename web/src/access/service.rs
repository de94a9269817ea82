//! The users, sessions and tokens of a running node: in memory for each request, and stored before a change takes
//! effect.
//!
//! Look-ups read a snapshot, and wait for nobody. A change is planned on the current snapshot (see `volute-access`),
//! committed to the store, and applied to a copy of the snapshot, which replaces it; changes wait for each other. If
//! the commit fails, a change that only takes rights away is applied nevertheless, until the next start, and its sender
//! gets the error.
//!
//! A login is refused by the lock-out before its password is hashed. Hashes are computed on a bounded pool of threads. A
//! login with an unknown name takes as long as one with a known name, so that it does not show which names exist.
//!
//! While the records could not be read (the database and its copy are damaged), nobody is let in; a client on the
//! node's machine may still post readings where that needs no token.

use std::{net::IpAddr, sync::Arc};

use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::task::spawn_blocking;
use volute_access::{
    AccessError, AnonymousIngest, Change, Credential, CredentialId, ExternalLogin, LocalRights, LockedOut, Lockout,
    LookupError, Name, NewSession, NewToken, PasswordError, PasswordHash, Permission, Principal, Role, SecondFactor,
    SessionLimits, UserDirectory, check_password, hash_password, verify_password,
};
use volute_data::StoreError;

use super::{hashing::HashingPool, store::AccessStore};

/// The settings of access.
#[derive(Debug, Clone, Copy)]
pub struct AccessSettings {
    /// How long sessions last.
    pub sessions: SessionLimits,
    /// Whether clients on the node's machine may post readings without a token.
    pub anonymous_ingest: AnonymousIngest,
    /// Whether users can log in at an identity provider. The node then asks for logins also before it has users.
    pub single_sign_on: bool,
}

/// The users, sessions and tokens of a node. Cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    store: Box<dyn AccessStore>,
    settings: AccessSettings,
    /// None until the records could be read.
    directory: RwLock<Option<Arc<UserDirectory>>>,
    /// Locked while a change is planned, stored and applied.
    changes: Arc<tokio::sync::Mutex<()>>,
    lockout: Mutex<Lockout>,
    hashing: HashingPool,
}

/// A request to log in.
pub struct Login<'a> {
    /// The user.
    pub name: &'a Name,
    /// The password as sent.
    pub password: String,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The code of the user's authenticator app, if one was sent.
    pub code: Option<String>,
    /// The session that the client has.
    pub previous: Option<CredentialId>,
}

impl<'a> Login<'a> {
    /// Creates a request with a name and a password alone.
    pub fn with_password(name: &'a Name, password: String, address: Option<IpAddr>) -> Self {
        Self { name, password, address, code: None, previous: None }
    }
}

/// Why a change or a login is refused.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It is not possible.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The password is not allowed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The name or the password is wrong. Which one is not said.
    #[error("the name or the password is wrong")]
    WrongPassword,
    /// There were too many failed logins.
    #[error(transparent)]
    LockedOut(#[from] LockedOut),
    /// Too many logins wait.
    #[error("too many logins are in progress; try again")]
    Busy,
    /// The records could not be read at the start.
    #[error("users and tokens cannot be read at the moment; the log says why")]
    Unavailable,
    /// The change could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Says whether a principal that was let in is still allowed to view, for responses that do not end.
pub type StillAllowed = Box<dyn Fn() -> bool>;

impl Access {
    /// Reads the records. If that fails, nobody is let in until [`Access::refresh`] has read them.
    pub async fn open(store: Box<dyn AccessStore>, settings: AccessSettings) -> Self {
        let inner = Inner {
            store,
            settings,
            directory: RwLock::default(),
            changes: Arc::default(),
            lockout: Mutex::default(),
            hashing: HashingPool::default(),
        };
        let access = Self(Arc::new(inner));
        access.load().await;
        access
    }

    /// Returns the settings.
    pub fn settings(&self) -> &AccessSettings {
        &self.0.settings
    }

    /// Returns whether requests need credentials: the node has users, or an identity provider has them. Also while the
    /// records could not be read.
    pub fn is_secured(&self) -> bool {
        self.0.settings.single_sign_on || self.0.directory().is_none_or(|directory| directory.is_secured())
    }

    /// Returns the current users, sessions and tokens.
    pub fn directory(&self) -> Result<Arc<UserDirectory>, ChangeError> {
        self.0.directory().ok_or(ChangeError::Unavailable)
    }

    /// Returns the principal of a pump token.
    pub(crate) fn token(&self, credential: &Credential, now_ms: i64) -> Result<Principal, LookupError> {
        self.0.directory().ok_or(LookupError::Unknown)?.token(credential, now_ms)
    }

    /// Returns the principal of a session.
    pub(crate) fn session(&self, credential: &Credential, now_ms: i64) -> Result<Principal, LookupError> {
        let idle_ms = self.0.settings.sessions.idle_ms;
        self.0.directory().ok_or(LookupError::Unknown)?.session(credential, idle_ms, now_ms)
    }

    /// Returns what a client without credentials may do.
    pub(crate) fn local_rights(&self, is_local: bool) -> LocalRights {
        LocalRights::of(is_local, self.is_secured(), self.0.settings.anonymous_ingest)
    }

    /// Returns whether a principal that was let in may still view.
    pub(crate) fn may_still_view(&self, principal: &Principal, now_ms: i64) -> bool {
        let Some(directory) = self.0.directory() else { return false };
        match principal {
            Principal::User { name, session, .. } => {
                directory.is_session_valid(session, self.0.settings.sessions.idle_ms, now_ms)
                    && directory.user(name).is_some_and(|user| user.role.may(Permission::View))
            }
            Principal::Anonymous { .. } => principal.may(Permission::View) && !self.is_secured(),
            Principal::PumpToken { .. } | Principal::LocalOperator { .. } => principal.may(Permission::View),
        }
    }

    /// Logs a user in, and returns the credential of the new session.
    pub async fn login(&self, login: Login<'_>, now_ms: i64) -> Result<Credential, ChangeError> {
        let Login { name, password, address: from, code, previous } = login;
        let verified = self.verify(name, password, from, now_ms).await?;
        let address = from.map(|address| address.to_string()).unwrap_or_default();
        let limits = self.0.settings.sessions;
        let session = self
            .change(|directory| {
                directory.check_password_unchanged(name, &verified)?;
                let previous = previous.as_ref();
                let login = NewSession { user: name, address, previous, code, password: None };
                directory.plan_login(login, limits, now_ms)
            })
            .await?;
        self.0.lockout().succeeded(name, from);
        Ok(session)
    }

    /// Logs in a user whom the identity provider has authenticated. Returns the user's name here and the credential of
    /// the new session.
    pub async fn external_login(
        &self,
        login: ExternalLogin<'_>,
        now_ms: i64,
    ) -> Result<(Name, Credential), ChangeError> {
        let limits = self.0.settings.sessions;
        self.change(|directory| directory.plan_external_login(login, limits, now_ms)).await
    }

    /// Changes a user's password. Ends all sessions of the user, and returns the credential of a new one.
    pub async fn change_password(
        &self,
        login: Login<'_>,
        new_password: String,
        now_ms: i64,
    ) -> Result<Credential, ChangeError> {
        let Login { name, password, address, .. } = login;
        check_password(name, &new_password)?;
        let verified = self.verify(name, password, address, now_ms).await?;
        self.0.lockout().succeeded(name, address);
        let is_valid = |directory: &UserDirectory| directory.check_password_unchanged(name, &verified);
        self.set_password(name, new_password, address, is_valid, now_ms).await
    }

    /// Sets the password of the user whose set-up link this is. Returns the user and the credential of a session.
    pub async fn set_up(
        &self,
        link: Credential,
        password: String,
        address: Option<IpAddr>,
        now_ms: i64,
    ) -> Result<(Name, Credential), ChangeError> {
        let name = self.directory()?.user_of_link(&link, now_ms)?;
        check_password(&name, &password)?;
        let is_valid = |directory: &UserDirectory| directory.user_of_link(&link, now_ms).map(drop);
        let session = self.set_password(&name, password, address, is_valid, now_ms).await?;
        Ok((name, session))
    }

    /// Gives a user a second factor, which the user has to confirm. Needs the password, so that a stolen session is not
    /// enough.
    pub async fn begin_second_factor(&self, login: Login<'_>, now_ms: i64) -> Result<SecondFactor, ChangeError> {
        let Login { name, password, address, .. } = login;
        let verified = self.verify(name, password, address, now_ms).await?;
        self.0.lockout().succeeded(name, address);
        self.change(|directory| {
            directory.check_password_unchanged(name, &verified)?;
            directory.plan_second_factor(name, now_ms)
        })
        .await
    }

    /// Confirms a user's second factor with a code: from now on logins need one. Attempts are counted like logins.
    pub async fn confirm_second_factor(
        &self,
        name: &Name,
        code: &str,
        address: Option<IpAddr>,
        now_ms: i64,
    ) -> Result<(), ChangeError> {
        self.0.lockout().begin(name, address, now_ms)?;
        self.change(|directory| Ok((directory.plan_confirm_factor(name, code, now_ms)?, ()))).await?;
        self.0.lockout().succeeded(name, address);
        Ok(())
    }

    /// Removes a user's second factor. Needs the password.
    pub async fn remove_second_factor(&self, login: Login<'_>, now_ms: i64) -> Result<(), ChangeError> {
        let Login { name, password, address, .. } = login;
        let verified = self.verify(name, password, address, now_ms).await?;
        self.0.lockout().succeeded(name, address);
        self.change(|directory| {
            directory.check_password_unchanged(name, &verified)?;
            Ok((directory.plan_remove_factor(name, now_ms)?, ()))
        })
        .await
    }

    /// Ends a session.
    pub async fn logout(&self, session: &CredentialId, now_ms: i64) -> Result<(), ChangeError> {
        self.change(|directory| Ok((directory.plan_end_session(session, now_ms), ()))).await
    }

    /// Adds a user. Returns the credential with which the user sets a password.
    pub async fn add_user(&self, name: &Name, role: Role, now_ms: i64) -> Result<Credential, ChangeError> {
        self.change(|directory| directory.plan_add_user(name, role, now_ms)).await
    }

    /// Ends a user's password and sessions. Returns the credential with which the user sets a new one.
    pub async fn reset_user(&self, name: &Name, now_ms: i64) -> Result<Credential, ChangeError> {
        self.change(|directory| directory.plan_reset_user(name, now_ms)).await
    }

    /// Disables a user, and ends the user's sessions.
    pub async fn disable_user(&self, name: &Name, now_ms: i64) -> Result<(), ChangeError> {
        self.change(|directory| Ok((directory.plan_disable_user(name, now_ms)?, ()))).await
    }

    /// Lets a disabled user of the identity provider log in again.
    pub async fn enable_user(&self, name: &Name, now_ms: i64) -> Result<(), ChangeError> {
        self.change(|directory| Ok((directory.plan_enable_user(name, now_ms)?, ()))).await
    }

    /// Gives a user another role.
    pub async fn set_role(&self, name: &Name, role: Role, now_ms: i64) -> Result<(), ChangeError> {
        self.change(|directory| Ok((directory.plan_set_role(name, role, now_ms)?, ()))).await
    }

    /// Adds a pump token, and returns its credential.
    pub async fn add_token(&self, new: NewToken, now_ms: i64) -> Result<Credential, ChangeError> {
        self.change(|directory| directory.plan_add_token(new, now_ms)).await
    }

    /// Revokes a pump token.
    pub async fn revoke_token(&self, id: &CredentialId, now_ms: i64) -> Result<(), ChangeError> {
        self.change(|directory| Ok((directory.plan_revoke_token(id, now_ms)?, ()))).await
    }

    /// Reads the records if that failed before, stores times of last use, and forgets expired sessions. Called now and
    /// then.
    pub async fn refresh(&self, now_ms: i64) {
        if self.0.directory().is_none() {
            self.load().await;
        }
        let idle_ms = self.0.settings.sessions.idle_ms;
        let saved = self.change(|directory| Ok((Change::grant(directory.unsaved_uses()), ()))).await;
        if let Err(error) = saved {
            tracing::warn!(%error, "times of last use were not stored");
        }
        let _changes = self.0.changes.lock().await;
        if let Some(directory) = self.0.directory() {
            let mut directory = UserDirectory::clone(&directory);
            directory.forget_expired(idle_ms, now_ms);
            self.0.replace(directory);
        }
    }

    async fn load(&self) {
        match self.0.store.load().await {
            Ok(records) => {
                self.0.replace(UserDirectory::new(records));
                let inner = self.0.clone();
                let _ = spawn_blocking(move || inner.write_copy()).await;
            }
            Err(error) => tracing::error!(%error, "users and tokens cannot be read: nobody can log in"),
        }
    }

    /// Verifies a password, and returns the hash that it was compared with. Each attempt counts as failed until the caller takes that back. Attempts are counted, and
    /// refused before the hash when there were too many failures.
    async fn verify(
        &self,
        name: &Name,
        password: String,
        address: Option<IpAddr>,
        now_ms: i64,
    ) -> Result<PasswordHash, ChangeError> {
        let directory = self.directory()?;
        self.0.lockout().begin(name, address, now_ms)?;
        let user = directory.user(name).filter(|user| !user.disabled);
        let hash = user.and_then(|user| user.password.clone());
        let verify = move || {
            // Also hashed if there is no such user, so that it takes as long.
            let is_right = verify_password(hash.as_ref(), &password);
            hash.filter(|_| is_right)
        };
        self.0.hashing.run(verify).await.ok_or(ChangeError::Busy)?.ok_or(ChangeError::WrongPassword)
    }

    async fn set_password(
        &self,
        name: &Name,
        password: String,
        address: Option<IpAddr>,
        is_valid: impl Fn(&UserDirectory) -> Result<(), AccessError>,
        now_ms: i64,
    ) -> Result<Credential, ChangeError> {
        let hash = self.0.hashing.run(move || hash_password(&password)).await.ok_or(ChangeError::Busy)??;
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        let limits = self.0.settings.sessions;
        self.change(|directory| {
            // The link may have been used, or the old password changed, while the password was hashed.
            is_valid(directory)?;
            let login = NewSession { user: name, address, previous: None, code: None, password: Some(hash) };
            directory.plan_login(login, limits, now_ms)
        })
        .await
    }

    /// Plans a change, stores it and applies it. Once it is planned it is completed, whether or not the caller waits.
    async fn change<T: Send + 'static>(
        &self,
        plan: impl FnOnce(&UserDirectory) -> Result<(Change, T), AccessError>,
    ) -> Result<T, ChangeError> {
        let turn = self.0.changes.clone().lock_owned().await;
        let directory = self.directory()?;
        let (change, result) = plan(&directory)?;
        if change.records.is_empty() {
            return Ok(result);
        }
        let inner = self.0.clone();
        let stored = tokio::spawn(async move {
            let outcome = inner.store.commit(&change.records).await;
            if outcome.is_ok() || change.restricts {
                let mut directory = UserDirectory::clone(&directory);
                directory.apply(change);
                inner.replace(directory);
                let writer = inner.clone();
                let _ = spawn_blocking(move || writer.write_copy()).await;
            }
            drop(turn);
            outcome
        });
        stored.await.unwrap_or(Err(StoreError::Closed))?;
        Ok(result)
    }
}

impl Inner {
    fn directory(&self) -> Option<Arc<UserDirectory>> {
        self.directory.read().clone()
    }

    fn replace(&self, directory: UserDirectory) {
        *self.directory.write() = Some(Arc::new(directory));
    }

    fn lockout(&self) -> MutexGuard<'_, Lockout> {
        self.lockout.lock()
    }

    /// The node works without the copy, so a failure is only logged.
    fn write_copy(&self) {
        let Some(directory) = self.directory() else { return };
        if let Err(error) = self.store.write_copy(&directory.records()) {
            tracing::warn!(%error, "the copy of users and tokens was not written");
        }
    }
}

#[cfg(test)]
mod tests;
