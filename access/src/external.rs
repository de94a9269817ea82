//! Users who log in at an identity provider (single sign-on) and have no password here.
//!
//! An example: an engineer logs in for the first time, is moved to another group, and leaves the plant.
//!
//! ```text
//! the provider says: issuer https://id.plant.example, subject 7f3a, name ada, groups [staff, plant-engineers]
//! role_of_groups: plant-engineers is mapped to engineer     no mapped group: nobody is let in
//! plan_external_login: no user has this issuer and subject, none is called ada: a new user ada, and a session
//! the next login has the groups [plant-heads]: the same user, with the role plant-head from now on
//! an admin disables ada here: the next login is refused, whatever the provider says
//! ```
//!
//! The issuer and the subject identify the user: a provider may give a name to somebody else one day. So an account that
//! is called like another user of the node is refused, and a user keeps the name of the first login.
//!
//! Does not know the protocol; see `web/src/oidc.rs`.

use std::collections::BTreeMap;

use crate::{
    credential::{Credential, CredentialId},
    directory::UserDirectory,
    error::AccessError,
    name::Name,
    permission::Role,
    plan::{Change, MAX_USERS, SessionLimits, new_session},
    records::{ExternalIdentity, Record, User},
};

/// The login of a user whom an identity provider has authenticated.
#[derive(Debug, Clone)]
pub struct ExternalLogin<'a> {
    /// The account.
    pub identity: ExternalIdentity,
    /// The user's name, if the user is new here.
    pub name: Name,
    /// The role by the user's groups.
    pub role: Role,
    /// The client's address.
    pub address: String,
    /// The session that the client had, which ends.
    pub previous: Option<&'a CredentialId>,
}

/// Returns the highest role that the map gives to one of the groups; none if it has none of them. The roles in rising
/// order: viewer, engineer, plant-head, manager, admin.
pub fn role_of_groups(groups: &[String], roles: &BTreeMap<String, Role>) -> Option<Role> {
    groups.iter().filter_map(|group| roles.get(group)).max().copied()
}

impl UserDirectory {
    /// Returns the user who has this account.
    pub fn external_user(&self, identity: &ExternalIdentity) -> Option<&User> {
        self.users().find(|user| user.external.as_ref() == Some(identity))
    }

    /// Plans a session for an account, and returns the user's name and the session's credential. Adds the user at the
    /// first login, and sets the role at each.
    pub fn plan_external_login(
        &self,
        login: ExternalLogin<'_>,
        limits: SessionLimits,
        now_ms: i64,
    ) -> Result<(Change, (Name, Credential)), AccessError> {
        let ExternalLogin { identity, name, role, address, previous } = login;
        let (user, is_changed) = match self.external_user(&identity) {
            Some(user) if user.disabled => return Err(AccessError::Disabled(user.name.clone())),
            Some(user) if user.role == role => (user.clone(), false),
            Some(user) => (User { role, changed_ms: now_ms, ..user.clone() }, true),
            None => (self.new_external_user(identity, name, role, now_ms)?, true),
        };
        let mut records = self.surplus_sessions(&user.name, previous, now_ms);
        let name = user.name.clone();
        if is_changed {
            records.push(Record::User(user));
        }
        let (session, credential) = new_session(name.clone(), address, limits, now_ms)?;
        records.push(Record::Session(session));
        Ok((Change::grant(records), (name, credential)))
    }

    fn new_external_user(
        &self,
        identity: ExternalIdentity,
        name: Name,
        role: Role,
        now_ms: i64,
    ) -> Result<User, AccessError> {
        if self.user(&name).is_some() {
            return Err(AccessError::NameTaken(name));
        }
        if self.users().count() >= MAX_USERS {
            return Err(AccessError::TooManyUsers(MAX_USERS));
        }
        Ok(User {
            name,
            role,
            at_ms: now_ms,
            changed_ms: now_ms,
            disabled: false,
            password: None,
            setup: None,
            second_factor: None,
            external: Some(identity),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{directory::LookupError, principal::Principal};

    const LIMITS: SessionLimits = SessionLimits { idle_ms: 1_000_000, absolute_ms: 1_000_000 };

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn identity(subject: &str) -> ExternalIdentity {
        ExternalIdentity { issuer: "https://id.plant.example".into(), subject: subject.into() }
    }

    fn login(
        directory: &mut UserDirectory,
        (subject, user): (&str, &str),
        role: Role,
        previous: Option<&CredentialId>,
    ) -> Result<(Name, Credential), AccessError> {
        let (identity, name) = (identity(subject), name(user));
        let login = ExternalLogin { identity, name, role, address: "10.0.0.7".into(), previous };
        let (change, result) = directory.plan_external_login(login, LIMITS, 5)?;
        directory.apply(change);
        Ok(result)
    }

    #[test]
    fn the_highest_role_of_the_mapped_groups_wins() {
        let roles = [
            ("staff", Role::Viewer),
            ("plant-engineers", Role::Engineer),
            ("plant-heads", Role::PlantHead),
            ("finance", Role::Manager),
            ("it", Role::Admin),
        ];
        let roles: BTreeMap<String, Role> = roles.map(|(group, role)| (group.to_owned(), role)).into();
        for (groups, role) in [
            (&[][..], None),
            (&["cleaners"], None),
            (&["Staff"], None),
            (&["staff "], None),
            (&[""], None),
            (&["staff"], Some(Role::Viewer)),
            (&["cleaners", "staff"], Some(Role::Viewer)),
            (&["staff", "plant-engineers"], Some(Role::Engineer)),
            (&["plant-engineers", "staff"], Some(Role::Engineer)),
            (&["finance", "plant-heads"], Some(Role::Manager)),
            (&["it", "staff", "it"], Some(Role::Admin)),
        ] {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            assert_eq!(role_of_groups(&groups, &roles), role, "{groups:?}");
        }
        assert_eq!(role_of_groups(&["staff".into()], &BTreeMap::new()), None);
    }

    #[test]
    fn a_user_is_added_at_the_first_login_and_the_role_follows_the_groups() {
        let mut directory = UserDirectory::default();
        let (ada, first) = login(&mut directory, ("7f3a", "ada"), Role::Engineer, None).expect("a new user");
        let user = directory.user(&ada).expect("added");
        assert_eq!((user.role, &user.password, &user.setup), (Role::Engineer, &None, &None));
        assert_eq!(user.external, Some(identity("7f3a")));
        // The provider has renamed the account.
        let (again, second) =
            login(&mut directory, ("7f3a", "countess"), Role::Viewer, Some(first.id())).expect("the same user");
        assert_eq!((again, directory.users().count()), (ada.clone(), 1));
        assert_ne!(first.id(), second.id(), "a login has a new session");
        assert_eq!(directory.session(&first, LIMITS.idle_ms, 6), Err(LookupError::Unknown), "the previous one ended");
        let principal = directory.session(&second, LIMITS.idle_ms, 6).expect("a session");
        assert!(matches!(principal, Principal::User { role: Role::Viewer, .. }), "{principal:?}");
        let reloaded = UserDirectory::new(directory.records());
        assert_eq!(reloaded.external_user(&identity("7f3a")).map(|user| user.name.clone()), Some(ada));
    }

    #[test]
    fn names_of_other_users_and_disabled_users_are_refused() {
        let mut directory = UserDirectory::default();
        let (change, _) = directory.plan_add_user(&name("ada"), Role::Admin, 0).expect("added");
        directory.apply(change);
        let refused = login(&mut directory, ("7f3a", "ada"), Role::Admin, None).map(drop);
        assert_eq!(refused, Err(AccessError::NameTaken(name("ada"))), "a local user");
        let (bob, session) = login(&mut directory, ("1", "bob"), Role::Viewer, None).expect("a new user");
        let refused = login(&mut directory, ("2", "Bob"), Role::Viewer, None).map(drop);
        assert_eq!(refused, Err(AccessError::NameTaken(bob.clone())), "another account");
        let other = ExternalIdentity { issuer: "https://other.example".into(), ..identity("1") };
        assert_eq!(directory.external_user(&other), None, "the same subject of another issuer");

        let change = directory.plan_disable_user(&bob, 6).expect("disabled");
        directory.apply(change);
        assert_eq!(directory.session(&session, LIMITS.idle_ms, 7), Err(LookupError::Unknown));
        let refused = login(&mut directory, ("1", "bob"), Role::Admin, None).map(drop);
        assert_eq!(refused, Err(AccessError::Disabled(bob.clone())));
        let change = directory.plan_enable_user(&bob, 8).expect("enabled");
        directory.apply(change);
        login(&mut directory, ("1", "bob"), Role::Viewer, None).expect("let in again");
        assert_eq!(directory.session(&session, LIMITS.idle_ms, 9), Err(LookupError::Unknown), "it stays ended");
    }

    #[test]
    fn the_password_and_the_role_of_an_external_user_are_not_set_here() {
        let mut directory = UserDirectory::default();
        let (ada, _) = login(&mut directory, ("7f3a", "ada"), Role::Viewer, None).expect("a new user");
        let external = AccessError::External(ada.clone());
        assert_eq!(directory.plan_reset_user(&ada, 6).map(drop), Err(external.clone()));
        assert_eq!(directory.plan_set_role(&ada, Role::Admin, 6), Err(external.clone()));
        assert_eq!(directory.plan_second_factor(&ada, 6).map(drop), Err(external));
        let (change, _) = directory.plan_add_user(&name("local"), Role::Viewer, 0).expect("added");
        directory.apply(change);
        assert_eq!(directory.plan_enable_user(&name("local"), 6), Err(AccessError::NotExternal(name("local"))));
    }
}
