//! Users from their set-up link to their last session, over a store in memory, with moved time.

use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::access::testing::{MemoryRecords, records, settings};

const PASSWORD: &str = "pumps never sleep";

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn login<'a>(name: &'a Name, password: &str) -> Login<'a> {
    let (password, address) = (password.to_owned(), Some(IpAddr::from([10, 0, 0, 7])));
    Login { name, password, address, code: None, previous: None }
}

/// Returns the access of a node with the admin ada, and her session.
async fn with_ada(records: &'static MemoryRecords) -> (Access, Credential) {
    let access = Access::open(Box::new(records), settings()).await;
    let link = access.add_user(&name("ada"), Role::Admin, 0).await.expect("added");
    let (user, session) = access.set_up(link, PASSWORD.into(), None, 1).await.expect("set up");
    assert_eq!(user, name("ada"));
    (access, session)
}

#[tokio::test]
async fn a_user_sets_a_password_and_logs_in() {
    let (access, first) = with_ada(records()).await;
    assert!(access.is_secured());
    access.session(&first, 2).expect("the set-up logs in");
    let second = access.login(login(&name("ada"), PASSWORD), 3).await.expect("logged in");
    for (user, password) in [("ada", "pumps never sleeq"), ("eve", PASSWORD), ("ada", "")] {
        let failed = access.login(login(&name(user), password), 4).await;
        assert!(matches!(failed, Err(ChangeError::WrongPassword)), "{user}");
    }
    let third = access.change_password(login(&name("ada"), PASSWORD), "pumps rarely sleep".into(), 5).await;
    let third = third.expect("changed");
    assert!(access.session(&first, 6).is_err() && access.session(&second, 6).is_err());
    access.session(&third, 6).expect("the new session");
    let old = access.login(login(&name("ada"), PASSWORD), 6).await;
    assert!(matches!(old, Err(ChangeError::WrongPassword)));
    let weak = access.change_password(login(&name("ada"), "pumps rarely sleep"), "short".into(), 7).await;
    assert!(matches!(weak, Err(ChangeError::Password(PasswordError::TooShort))));
}

#[tokio::test]
async fn failures_lock_out_before_the_hash_and_for_a_time() {
    let (access, _) = with_ada(records()).await;
    let ada = name("ada");
    for _ in 0..6 {
        let failed = access.login(login(&ada, "wrong"), 0).await;
        assert!(matches!(failed, Err(ChangeError::WrongPassword)));
    }
    let locked = access.login(login(&ada, PASSWORD), 29_999).await;
    assert!(matches!(locked, Err(ChangeError::LockedOut(LockedOut { retry_after_s: 1 }))), "{locked:?}");
    access.login(login(&ada, PASSWORD), 30_000).await.expect("after the wait");
}

#[tokio::test]
async fn what_is_stored_is_there_after_a_restart() {
    let records = records();
    let (access, session) = with_ada(records).await;
    let other = access.login(login(&name("ada"), PASSWORD), 2).await.expect("logged in");
    access.logout(other.id(), 3).await.expect("logged out");
    let restarted = Access::open(Box::new(records), settings()).await;
    restarted.session(&session, 4).expect("it continues");
    assert!(restarted.session(&other, 4).is_err(), "it has ended");
    restarted.add_user(&name("bob"), Role::Admin, 5).await.expect("another admin");
    restarted.disable_user(&name("ada"), 5).await.expect("disabled");
    let restarted = Access::open(Box::new(records), settings()).await;
    assert!(restarted.session(&session, 6).is_err());
    let disabled = restarted.login(login(&name("ada"), PASSWORD), 6).await;
    assert!(matches!(disabled, Err(ChangeError::WrongPassword)), "it says nothing about the user");
}

#[tokio::test]
async fn a_change_that_is_not_stored_gives_nothing_and_takes_away_all_the_same() {
    let records = records();
    let (access, session) = with_ada(records).await;
    records.fails.store(true, Relaxed);
    assert!(matches!(access.add_user(&name("eve"), Role::Viewer, 2).await, Err(ChangeError::Store(_))));
    assert!(access.directory().expect("read").user(&name("eve")).is_none());
    assert!(matches!(access.login(login(&name("ada"), PASSWORD), 2).await, Err(ChangeError::Store(_))));
    assert!(matches!(access.logout(session.id(), 3).await, Err(ChangeError::Store(_))));
    assert!(access.session(&session, 4).is_err(), "the session has ended");
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_with_the_first_user() {
    let records = records();
    let access = Access::open(Box::new(records), settings()).await;
    let anonymous = Principal::Anonymous { peer: None, rights: access.local_rights(true) };
    assert!(access.may_still_view(&anonymous, 0));
    let (access, session) = with_ada(records).await;
    assert!(!access.may_still_view(&anonymous, 2));
    let ada = access.session(&session, 2).expect("valid");
    assert!(access.may_still_view(&ada, 3));
    access.logout(session.id(), 4).await.expect("logged out");
    assert!(!access.may_still_view(&ada, 5));
}

#[tokio::test]
async fn a_second_factor_is_confirmed_needed_and_removed() {
    let (access, session) = with_ada(records()).await;
    let ada = name("ada");
    let wrong = access.begin_second_factor(login(&ada, "wrong"), 1).await;
    assert!(matches!(wrong, Err(ChangeError::WrongPassword)));
    access.begin_second_factor(login(&ada, PASSWORD), 2).await.expect("begun");
    access.login(login(&ada, PASSWORD), 3).await.expect("it is not confirmed yet");
    let wrong = access.confirm_second_factor(&ada, "000000000", None, 4).await;
    assert!(matches!(wrong, Err(ChangeError::Access(AccessError::WrongCode))));
    for _ in 0..5 {
        let _ = access.confirm_second_factor(&ada, "000000000", None, 4).await;
    }
    let guessed = access.confirm_second_factor(&ada, "000000000", None, 4).await;
    assert!(matches!(guessed, Err(ChangeError::LockedOut(_))), "codes cannot be tried: {guessed:?}");
    access.remove_second_factor(login(&ada, PASSWORD), 5).await.expect("removed");
    access.session(&session, 6).expect("the session continues");
}

#[tokio::test]
async fn of_two_password_changes_at_once_one_is_refused() {
    let (access, _) = with_ada(records()).await;
    let ada = name("ada");
    let change = |new: &str| access.change_password(login(&ada, PASSWORD), new.to_owned(), 2);
    let outcomes = tokio::join!(change("first of two words"), change("second of two words"));
    let refused = |outcome: &Result<Credential, ChangeError>| {
        matches!(outcome, Err(ChangeError::Access(AccessError::PasswordChanged) | ChangeError::WrongPassword))
    };
    assert!(
        matches!((&outcomes.0, &outcomes.1), (Ok(session), other) | (other, Ok(session))
            if refused(other) && access.session(session, 3).is_ok()),
        "{outcomes:?}"
    );
}
