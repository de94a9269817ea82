//! Users, sessions and tokens: stored, read back from the journal, the database, and the copy.

use volute_access::{
    Change, ExternalIdentity, ExternalLogin, NewSession, NewToken, PasswordHash, Record, Role, SessionLimits,
    UserDirectory,
};

use super::*;
use crate::export_documents;

const LIMITS: SessionLimits = SessionLimits { idle_ms: 1_000, absolute_ms: 10_000 };

/// Returns a user with a password and an ended session, a user with a set-up link, a user of an identity provider, and a
/// revoked token.
fn some_records() -> Vec<Record> {
    let (mut directory, now) = (UserDirectory::default(), at(0).millis());
    let (ada, eve) = ("ada".parse().expect("a name"), "eve".parse().expect("a name"));
    for (name, role) in [(&ada, Role::Admin), (&eve, Role::PlantHead)] {
        let (change, _) = directory.plan_add_user(name, role, now).expect("added");
        directory.apply(change);
    }
    let password: PasswordHash = serde_json::from_value("$argon2id$hash".into()).expect("a hash");
    let session =
        NewSession { user: &ada, address: "::1".into(), previous: None, code: None, password: Some(password) };
    let (change, session) = directory.plan_login(session, LIMITS, now).expect("logged in");
    directory.apply(change);
    let Change { records: ended, .. } = directory.plan_end_session(session.id(), now + 1);
    let (change, _) = directory.plan_second_factor(&ada, now).expect("begun");
    directory.apply(change);
    let identity = ExternalIdentity { issuer: "https://id.example".into(), subject: "7f3a".into() };
    let (name, role) = ("bob".parse().expect("a name"), Role::Viewer);
    let bob = ExternalLogin { identity, name, role, address: "::1".into(), previous: None };
    let (change, _) = directory.plan_external_login(bob, LIMITS, now).expect("logged in");
    directory.apply(change);
    let token = NewToken {
        name: "gateway-1".parse().expect("a name"),
        pumps: [pump("P/1"), pump("Fö 2")].into(),
        register: true,
        expires_ms: None,
        added_by: "uid 0".into(),
    };
    let (change, token) = directory.plan_add_token(token, now).expect("added");
    directory.apply(change);
    let change = directory.plan_revoke_token(token.id(), now + 2).expect("revoked");
    directory.apply(change);
    let all = directory.records().into_iter();
    all.filter(|record| !matches!(record, Record::Session(_))).chain(ended).collect()
}

fn batch(records: &[Record]) -> Batch {
    Batch { documents: records.iter().map(Document::of_access).collect(), ..Batch::default() }
}

/// Sorts records by their text.
fn sorted(records: Vec<Record>) -> Vec<String> {
    let mut texts: Vec<String> = records.iter().map(|record| serde_json::to_string(record).expect("JSON")).collect();
    texts.sort();
    texts
}

#[test]
fn records_are_read_from_the_journal_and_from_the_database() {
    with_store(async |store| {
        let records = some_records();
        store.commit(&batch(&records)).await.expect("stored");
        assert_eq!(sorted(store.access_records().await.expect("read")), sorted(records.clone()));
        store.flush_all().await.expect("flushed");
        assert_eq!(sorted(store.access_records().await.expect("read")), sorted(records.clone()));
        let exports = tempfile::tempdir().expect("a directory");
        let file = exports.path().join("documents");
        assert_eq!(export_documents(&store, &file).await.expect("exported"), 0, "no hash leaves the store");
    });
}

#[test]
fn without_the_database_the_copy_and_the_journal_are_read() {
    with_store(async |store| {
        let records = some_records();
        store.commit(&batch(&records)).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.mark_unavailable("a test").await;
        let refused = store.access_records().await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "without a copy nobody is known: {refused:?}");
        store.write_access_copy(&records).expect("written");
        assert_eq!(sorted(store.access_records().await.expect("read")), sorted(records.clone()));
        let changed: Vec<Record> = records.into_iter().map(disabled).collect();
        store.commit(&batch(&changed[..1])).await.expect("stored");
        let read = sorted(store.access_records().await.expect("read"));
        assert_eq!(read, sorted(changed), "the journal is newer than the copy");
    });
}

/// Returns the record; ada is disabled.
fn disabled(record: Record) -> Record {
    match record {
        Record::User(user) if user.name.as_str() == "ada" => {
            Record::User(volute_access::User { disabled: true, ..user })
        }
        other => other,
    }
}
