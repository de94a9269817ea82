//! The lifecycle of users, sessions and tokens. The tests pass the time.

use super::*;
use crate::{directory::LookupError, principal::Principal};

const HOUR_MS: i64 = 3_600_000;
const LIMITS: SessionLimits = SessionLimits { idle_ms: 8 * HOUR_MS, absolute_ms: 100 * HOUR_MS };

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// Returns a directory with the engineer ada, who has a password.
fn with_ada() -> UserDirectory {
    let mut directory = UserDirectory::default();
    let (change, link) = directory.plan_add_user(&name("ada"), Role::Engineer, 0).expect("added");
    directory.apply(change);
    let user = directory.user_of_link(&link, 1).expect("a link");
    login(&mut directory, &user, Some(hash()), None, 1);
    directory
}

fn hash() -> PasswordHash {
    serde_json::from_value("$argon2id$hash".into()).expect("a hash")
}

fn login(
    directory: &mut UserDirectory,
    user: &Name,
    password: Option<PasswordHash>,
    previous: Option<&CredentialId>,
    now_ms: i64,
) -> Credential {
    let session = NewSession { user, address: "10.0.0.7".into(), previous, code: None, password };
    let (change, credential) = directory.plan_login(session, LIMITS, now_ms).expect("logged in");
    directory.apply(change);
    credential
}

fn session(directory: &UserDirectory, credential: &Credential, now_ms: i64) -> Result<Principal, LookupError> {
    directory.session(credential, LIMITS.idle_ms, now_ms)
}

#[test]
fn a_set_up_link_works_once_and_for_a_day() {
    let mut directory = UserDirectory::default();
    assert!(!directory.is_secured());
    let (change, link) = directory.plan_add_user(&name("ada"), Role::Admin, 0).expect("added");
    assert!(!directory.is_secured(), "planned only");
    directory.apply(change);
    assert!(directory.is_secured());
    assert!(matches!(directory.plan_add_user(&name("ada"), Role::Viewer, 0), Err(AccessError::UserExists(_))));
    assert_eq!(directory.user_of_link(&link, SETUP_LINK_MS - 1), Ok(name("ada")));
    assert_eq!(directory.user_of_link(&link, SETUP_LINK_MS), Err(AccessError::InvalidLink));
    let other = Credential::random(CredentialKind::SetupLink).expect("random");
    assert_eq!(directory.user_of_link(&other, 1), Err(AccessError::InvalidLink));
    login(&mut directory, &name("ada"), Some(hash()), None, 1);
    assert_eq!(directory.user_of_link(&link, 2), Err(AccessError::InvalidLink), "it was used");
}

#[test]
fn a_session_ends_when_idle_and_after_its_absolute_limit() {
    let mut directory = with_ada();
    let idle = login(&mut directory, &name("ada"), None, None, 0);
    let used = login(&mut directory, &name("ada"), None, None, 0);
    for hour in (0..100).step_by(7) {
        session(&directory, &used, hour * HOUR_MS).expect("it is used all the time");
    }
    assert_eq!(session(&directory, &idle, 8 * HOUR_MS), Err(LookupError::Ended));
    assert_eq!(session(&directory, &used, 100 * HOUR_MS), Err(LookupError::Ended));
    let reloaded = UserDirectory::new(directory.records());
    assert_eq!(session(&reloaded, &used, 9 * HOUR_MS), Err(LookupError::Ended), "the use was not stored");
    directory.apply(Change::grant(directory.unsaved_uses()));
    assert_eq!(directory.unsaved_uses(), []);
    let reloaded = UserDirectory::new(directory.records());
    session(&reloaded, &used, 99 * HOUR_MS).expect("the use is stored now");
    directory.forget_expired(LIMITS.idle_ms, 200 * HOUR_MS);
    assert_eq!(session(&directory, &used, 0), Err(LookupError::Unknown));
}

#[test]
fn a_login_gives_a_new_session_and_ends_the_previous_and_the_oldest() {
    let mut directory = with_ada();
    let first = login(&mut directory, &name("ada"), None, None, 2);
    let second = login(&mut directory, &name("ada"), None, Some(first.id()), 3);
    assert_ne!(first.id(), second.id());
    assert_eq!(session(&directory, &first, 4), Err(LookupError::Unknown));
    let many: Vec<Credential> = (10..40).map(|ms| login(&mut directory, &name("ada"), None, None, ms)).collect();
    let valid = many.iter().filter(|credential| session(&directory, credential, 50).is_ok()).count();
    assert_eq!(valid, MAX_SESSIONS_PER_USER, "the newest");
    assert!(session(&directory, &many[29], 50).is_ok());
    let change = directory.plan_end_session(many[29].id(), 60);
    directory.apply(change);
    assert_eq!(session(&directory, &many[29], 61), Err(LookupError::Unknown), "logged out");
}

#[test]
fn sessions_end_with_a_new_password_a_reset_and_a_disablement() {
    let ada = name("ada");
    let mut directory = with_ada();
    let old = login(&mut directory, &ada, None, None, 2);
    let new = login(&mut directory, &ada, Some(hash()), None, 3);
    assert_eq!(session(&directory, &old, 4), Err(LookupError::Unknown));
    session(&directory, &new, 4).expect("the session that changed the password");
    let (change, link) = directory.plan_reset_user(&ada, 5).expect("reset");
    directory.apply(change);
    assert_eq!(session(&directory, &new, 6), Err(LookupError::Unknown));
    assert_eq!(directory.user(&ada).and_then(|user| user.password.clone()), None);
    let change = directory.plan_disable_user(&ada, 7).expect("disabled");
    directory.apply(change);
    assert_eq!(directory.user_of_link(&link, 8), Err(AccessError::InvalidLink));
    let again = NewSession { user: &ada, address: String::new(), previous: None, code: None, password: None };
    assert_eq!(directory.plan_login(again, LIMITS, 8).map(drop), Err(AccessError::Disabled(ada.clone())));
    assert!(directory.is_secured(), "a node without an enabled user is not open");
    let reloaded = UserDirectory::new(directory.records());
    assert_eq!(session(&reloaded, &new, 9), Err(LookupError::Unknown));
}

#[test]
fn a_role_is_that_of_the_user_at_each_request() {
    let mut directory = with_ada();
    let credential = login(&mut directory, &name("ada"), None, None, 2);
    let change = directory.plan_set_role(&name("ada"), Role::Viewer, 3).expect("changed");
    directory.apply(change);
    let principal = session(&directory, &credential, 4).expect("the session continues");
    assert!(matches!(principal, Principal::User { role: Role::Viewer, .. }), "{principal:?}");
}

fn new_token(gateway: &str) -> NewToken {
    let pumps = ["P-1".parse().expect("an id")].into();
    NewToken { name: name(gateway), pumps, register: false, expires_ms: Some(10 * HOUR_MS), added_by: "uid 0".into() }
}

fn add_token(directory: &mut UserDirectory, gateway: &str, now_ms: i64) -> Credential {
    let (change, credential) = directory.plan_add_token(new_token(gateway), now_ms).expect("added");
    directory.apply(change);
    credential
}

#[test]
fn two_tokens_of_a_gateway_are_valid_at_a_time() {
    let mut directory = UserDirectory::default();
    let (first, second) = (add_token(&mut directory, "gw", 0), add_token(&mut directory, "gw", 0));
    assert_eq!(
        directory.plan_add_token(new_token("gw"), 1).map(drop),
        Err(AccessError::TooManyTokensOfName(name("gw")))
    );
    add_token(&mut directory, "other", 1);
    for token in [&first, &second] {
        assert!(matches!(directory.token(token, 1), Ok(Principal::PumpToken { .. })));
    }
    let change = directory.plan_revoke_token(first.id(), 2).expect("revoked");
    directory.apply(change);
    assert_eq!(directory.token(&first, 3), Err(LookupError::Revoked));
    assert_eq!(directory.plan_revoke_token(first.id(), 3), Ok(Change::restrict(Vec::new())), "again");
    directory.token(&second, 3).expect("the other one");
    assert_eq!(directory.token(&second, 10 * HOUR_MS), Err(LookupError::Expired));
    add_token(&mut directory, "gw", 3);
    let reloaded = UserDirectory::new(directory.records());
    assert_eq!(reloaded.token(&first, 3), Err(LookupError::Revoked));
    assert!(!directory.is_secured(), "tokens alone do not close a node on loopback");
}

#[test]
fn a_token_shows_its_last_use() {
    let mut directory = UserDirectory::default();
    let token = add_token(&mut directory, "gw", 0);
    let last = |directory: &UserDirectory| directory.tokens().next().expect("a token").1;
    assert_eq!(last(&directory), None);
    directory.token(&token, HOUR_MS).expect("valid");
    assert_eq!(last(&directory), Some(HOUR_MS));
    let saved = directory.unsaved_uses();
    directory.apply(Change::grant(saved));
    assert_eq!((last(&directory), directory.unsaved_uses()), (Some(HOUR_MS), vec![]));
    directory.token(&token, HOUR_MS + 1).expect("valid");
    assert_eq!(directory.unsaved_uses(), [], "within five minutes");
}

#[test]
fn a_token_needs_pumps() {
    let none = NewToken { pumps: BTreeSet::new(), ..new_token("gw") };
    let refused = UserDirectory::default().plan_add_token(none, 0).map(drop);
    assert_eq!(refused, Err(AccessError::WrongPumpCount(MAX_PUMPS_PER_TOKEN)));
}

#[test]
fn a_credential_of_another_kind_or_with_another_secret_is_unknown() {
    let mut directory = with_ada();
    let (session_credential, token) =
        (login(&mut directory, &name("ada"), None, None, 2), add_token(&mut directory, "gw", 2));
    assert_eq!(session(&directory, &token, 3), Err(LookupError::Unknown));
    assert_eq!(directory.token(&session_credential, 3), Err(LookupError::Unknown));
    let random = Credential::random(CredentialKind::PumpToken).expect("random").reveal();
    let forged = format!("vpt_{}_{}", token.id(), &random[21..]);
    let forged = Credential::parse(&forged).expect("a credential");
    assert_eq!(directory.token(&forged, 3), Err(LookupError::Unknown));
}

#[test]
fn a_login_with_a_second_factor_needs_a_code_once() {
    let (ada, mut directory) = (name("ada"), with_ada());
    let attempt = |directory: &UserDirectory, code: Option<&str>, now_ms: i64| {
        let code = code.map(str::to_owned);
        let session = NewSession { user: &ada, address: String::new(), previous: None, code, password: None };
        directory.plan_login(session, LIMITS, now_ms).map(|(change, _)| change)
    };
    let (change, factor) = directory.plan_second_factor(&ada, 1).expect("begun");
    directory.apply(change);
    assert!(attempt(&directory, None, 2).is_ok(), "it is not confirmed");
    let secret = totp_rs::Secret::try_from_base32(factor.reveal()).expect("base 32");
    let totp = totp_rs::Builder::new().with_secret(secret).build().expect("a second factor");
    let code = |second: u64| totp.generate(second).to_string();
    assert_eq!(directory.plan_confirm_factor(&ada, "000000000", 0), Err(AccessError::WrongCode));
    let change = directory.plan_confirm_factor(&ada, &code(30), 30_000).expect("confirmed");
    directory.apply(change);
    assert_eq!(attempt(&directory, None, 60_000), Err(AccessError::CodeNeeded));
    assert_eq!(attempt(&directory, Some(&code(30)), 60_000), Err(AccessError::WrongCode), "it was used to confirm");
    let change = attempt(&directory, Some(&code(90)), 90_000).expect("logged in");
    directory.apply(change);
    assert_eq!(attempt(&directory, Some(&code(90)), 91_000), Err(AccessError::WrongCode), "it was used");
    assert_eq!(directory.plan_second_factor(&ada, 2).map(drop), Err(AccessError::HasSecondFactor));
    let (change, _) = directory.plan_reset_user(&ada, 100_000).expect("reset");
    directory.apply(change);
    assert!(attempt(&directory, None, 100_001).is_ok(), "a reset removes it");
}

#[test]
fn the_last_enabled_admin_stays_one() {
    let mut directory = with_ada();
    let change = directory.plan_set_role(&name("ada"), Role::Admin, 2).expect("changed");
    directory.apply(change);
    let (change, _) = directory.plan_add_user(&name("bob"), Role::Admin, 3).expect("added");
    directory.apply(change);
    let change = directory.plan_disable_user(&name("bob"), 4).expect("ada is left");
    directory.apply(change);
    let refused = AccessError::LastAdmin(name("ada"));
    assert_eq!(directory.plan_disable_user(&name("ada"), 5), Err(refused.clone()));
    assert_eq!(directory.plan_set_role(&name("ada"), Role::Manager, 5), Err(refused));
    directory.plan_set_role(&name("ada"), Role::Admin, 5).map(drop).expect("no change");
    directory.plan_disable_user(&name("bob"), 5).map(drop).expect("bob is not the last one");
}

#[test]
fn a_verified_password_counts_until_it_changes() {
    let mut directory = with_ada();
    let ada = name("ada");
    assert_eq!(directory.check_password_unchanged(&ada, &hash()), Ok(()));
    let other: PasswordHash = serde_json::from_value("$argon2id$other".into()).expect("a hash");
    assert_eq!(directory.check_password_unchanged(&ada, &other), Err(AccessError::PasswordChanged));
    let (change, _) = directory.plan_reset_user(&ada, 2).expect("reset");
    directory.apply(change);
    assert_eq!(directory.check_password_unchanged(&ada, &hash()), Err(AccessError::PasswordChanged));
}
