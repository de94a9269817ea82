//! The chain of the audit log in the store: over kills, failures and retention, and what somebody does to its rows.

use std::{fs, time::Duration};

use super::*;

fn batch(entries: &[AuditEntry]) -> Batch {
    Batch { documents: documents(entries), ..Batch::default() }
}

async fn record_entries(store: &Store, numbers: std::ops::Range<i64>) {
    for ms in numbers {
        store.commit(&batch(&[entry("restart", ms)])).await.expect("stored");
    }
}

async fn verify(store: &Store) -> AuditVerification {
    store.verify_audit(None).await.expect("read")
}

async fn numbers(store: &Store) -> Vec<u64> {
    let found = store.audit(&AuditFilter::default()).await.expect("read");
    found.rows.iter().map(|entry| entry.link.expect("a link").number).collect()
}

#[test]
fn the_chain_continues_after_a_kill_and_without_the_database() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        record_entries(&store, 0..3).await;
        store.flush_all().await.expect("flushed");
        record_entries(&store, 3..5).await;
        // As after a kill, nothing is flushed at the end.
        store.close().await.expect("closed");
        let store = open(&dir).await;
        record_entries(&store, 5..6).await;
        let found = verify(&store).await;
        assert_eq!((found.entries, found.head.number, found.fault), (6, 6, None));
        assert_eq!(found.span_ms, Some((at(0).millis(), at(5).millis())));
        store.flush_all().await.expect("flushed");
        store.close().await.expect("closed");

        // Everything is in the database, which cannot be opened: the head is in the file.
        let hidden = dir.path().join("hidden");
        fs::rename(dir.path().join("database"), &hidden).expect("renamed");
        fs::write(dir.path().join("database"), "no folder").expect("written");
        let store = open(&dir).await;
        assert!(matches!(store.status().database, DatabaseStatus::Unavailable(_)));
        record_entries(&store, 6..8).await;
        store.close().await.expect("closed");
        fs::remove_file(dir.path().join("database")).expect("removed");
        fs::rename(hidden, dir.path().join("database")).expect("renamed");
        let store = open(&dir).await;
        assert_eq!(numbers(&store).await, (1..=8).collect::<Vec<u64>>());
        assert_eq!(verify(&store).await.fault, None);
    });
}

#[test]
fn commits_at_the_same_time_form_one_chain() {
    with_store(async |store| {
        let entries: Vec<Batch> = (0..40).map(|n| batch(&[entry("restart", n), entry("commission", n)])).collect();
        let mut outcomes = Vec::new();
        for batch in entries {
            let (done, outcome) = tokio::sync::oneshot::channel();
            store.commit_then(batch, move |outcome| done.send(outcome.is_ok()).expect("it waits"));
            outcomes.push(outcome);
        }
        for outcome in outcomes {
            assert!(outcome.await.expect("an outcome"));
        }
        let found = verify(&store).await;
        assert_eq!((found.entries, found.head.number, found.fault), (80, 80, None));
    });
}

#[test]
fn a_record_that_failed_takes_no_number() {
    with_store(async |store| {
        record_entries(&store, 0..1).await;
        let two = batch(&[entry("restart", 1), entry("restart", 2)]);
        let unknown = Batch { readings: vec![reading("P-9", 0)], ..two.clone() };
        let (done, outcome) = tokio::sync::oneshot::channel();
        store.commit_then(unknown.clone(), move |outcome| drop(done.send(outcome)));
        let failed = outcome.await.expect("an outcome").expect_err("there is no such pump");
        assert_eq!(failed.batch, unknown, "the batch is as it was given");
        store.commit(&two).await.expect("stored");
        record_entries(&store, 3..4).await;
        let found = verify(&store).await;
        assert_eq!((found.entries, found.head.number, found.fault), (4, 4, None));
        assert_eq!(numbers(&store).await, [1, 2, 3, 4]);
    });
}

#[test]
fn changed_removed_and_inserted_rows_are_found() {
    let rows = [
        ("DELETE audit_log WHERE number = 2", Some(ChainFault::Removed { first: 2, last: 2 })),
        ("DELETE audit_log WHERE number = 1", Some(ChainFault::Removed { first: 1, last: 1 })),
        ("DELETE audit_log WHERE number >= 3", Some(ChainFault::Removed { first: 3, last: 4 })),
        ("DELETE audit_log", Some(ChainFault::Removed { first: 1, last: 4 })),
        (
            "UPDATE audit_log SET request_id = 'other' WHERE number = 3",
            Some(ChainFault::Changed { number: 3, at_ms: at(2).millis() }),
        ),
        (
            "LET $row = SELECT * FROM ONLY audit_log WHERE number = 4 LIMIT 1;
             DELETE $row.id;
             CREATE audit_log CONTENT object::extend(object::remove($row, 'id'), { id: $row.id, who: 'user eve' })",
            Some(ChainFault::Changed { number: 4, at_ms: at(3).millis() }),
        ),
        (
            "LET $row = SELECT * FROM ONLY audit_log WHERE number = 2 LIMIT 1;
             CREATE audit_log CONTENT object::extend(object::remove($row, 'id'), { id: audit_log:[-1, -2] })",
            Some(ChainFault::Inserted { number: 2, at_ms: at(1).millis() }),
        ),
        (
            "CREATE audit_log CONTENT { id: audit_log:[1773051274000, 'x'], at_ms: 1773051274000, who: 'user eve',
             action: 'restart', object: 'gate', outcome: 'done', detail: '' }",
            Some(ChainFault::OutsideChain { at_ms: 1_773_051_274_000 }),
        ),
        ("DELETE audit_chain", None),
    ];
    for (statement, fault) in rows {
        with_store(async |store| {
            record_entries(&store, 0..4).await;
            store.flush_all().await.expect("flushed");
            store.engine().await.expect("open").execute(statement, []).await.expect("executed");
            assert_eq!(verify(&store).await.fault, fault, "{statement}");
        });
    }
}

/// The database's head is removed with the last entries. The file still has it.
#[test]
fn the_file_shows_that_the_last_entries_were_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = StoreSettings { journal_keep: Duration::ZERO, ..StoreSettings::default() };
    runtime().block_on(async {
        let store = Store::open(dir.path(), &settings, at(0)).await.expect("opened");
        record_entries(&store, 0..4).await;
        store.flush_all().await.expect("flushed");
        let statement = "DELETE audit_log WHERE number > 2; DELETE audit_chain";
        store.engine().await.expect("open").execute(statement, []).await.expect("executed");
        store.close().await.expect("closed");
        let store = Store::open(dir.path(), &settings, at(0)).await.expect("opened");
        assert_eq!(verify(&store).await.fault, Some(ChainFault::Removed { first: 3, last: 4 }));
    });
}

#[test]
fn a_noted_head_is_compared() {
    with_store(async |store| {
        record_entries(&store, 0..4).await;
        let ChainHead { number, hash, .. } = verify(&store).await.head;
        record_entries(&store, 4..6).await;
        assert_eq!(store.verify_audit(Some((number, hash))).await.expect("read").fault, None);
        let other = store.verify_audit(Some((number - 1, hash))).await.expect("read").fault;
        assert_eq!(other, Some(ChainFault::Unexpected { number: 3 }));
    });
}

#[test]
fn entries_of_versions_without_the_chain_are_counted_and_come_last() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        let old: Vec<AuditEntry> = (0..3).map(|ms| entry("restart", ms)).collect();
        // As an earlier version wrote them.
        store.0.head().apply(Seq::new(1), batch(&old));
        store.flush_all().await.expect("flushed");
        record_entries(&store, 10..13).await;
        let found = verify(&store).await;
        assert_eq!((found.before_chain, found.entries, found.fault), (3, 3, None));
        let mut filter = AuditFilter { action: None, range: PageRange::newest(2) };
        let mut times = Vec::new();
        while let page = store.audit(&filter).await.expect("read").rows
            && let Some(last) = page.last()
        {
            filter.range.after = Some(last.at);
            times.extend(page.iter().map(|entry| entry.at));
        }
        assert_eq!(times, [12, 11, 10, 2, 1, 0].map(at));
    });
}

/// A row that cannot be decoded, behind more rows than one read returns, is not read by a page of newer ones.
#[test]
fn a_page_does_not_read_older_entries() {
    with_store(async |store| {
        for from in [0, 600] {
            let entries: Vec<AuditEntry> = (from..from + 600).map(|ms| entry("restart", ms)).collect();
            store.commit(&batch(&entries)).await.expect("stored");
        }
        store.flush_all().await.expect("flushed");
        let unreadable = "UPDATE audit_log SET number = 'x' WHERE number = 1";
        store.engine().await.expect("open").execute(unreadable, []).await.expect("executed");
        let page = async |limit| {
            store
                .audit(&AuditFilter { action: None, range: PageRange::newest(limit) })
                .await
                .map(|page| page.rows.len())
        };
        assert_eq!(page(50).await.expect("read"), 50);
        assert_eq!(page(1_100).await.expect("read"), 1_100);
        let all = page(2_000).await;
        assert!(matches!(all, Err(StoreError::Unreadable { .. })), "{all:?}");
    });
}

#[test]
fn the_oldest_entries_are_deleted_in_order_and_the_rest_is_verified() {
    let day = 86_400_000;
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let [readings, aggregates, detections, metrics] = [days(1); 4];
    let retention = Retention { readings, aggregates, detections, metrics, audit: days(10) };
    with_store(async |store| {
        store.0.head().apply(Seq::new(1), batch(&[entry("commission", 0)]));
        // The clock was set back at number 4: its entry is younger than those after it.
        for (number, ms) in [1, 2, 3, 30 * day, 5, 6].into_iter().enumerate() {
            store
                .commit(&batch(&[AuditEntry { object: number.to_string(), ..entry("restart", ms) }]))
                .await
                .expect("stored");
        }
        let more: Vec<AuditEntry> = (0..30).map(|n| entry("restart", 30 * day + n)).collect();
        store.commit(&batch(&more)).await.expect("stored");
        store.flush_all().await.expect("flushed");
        let sweep = async |now| while store.sweep(&retention, now).await.expect("swept").more {};
        sweep(at(10 * day)).await;
        assert_eq!(verify(&store).await.entries, 36, "nothing is too old");
        sweep(at(20 * day)).await;
        let found = verify(&store).await;
        assert_eq!((found.entries, found.before_chain, found.fault), (33, 0, None));
        assert_eq!(found.anchor.map(|anchor| anchor.number), Some(3));
        assert_eq!(numbers(&store).await.into_iter().min(), Some(4));
        sweep(at(60 * day)).await;
        let found = verify(&store).await;
        assert_eq!((found.entries, found.anchor.map(|anchor| anchor.number), found.fault), (0, Some(36), None));
        record_entries(&store, 60 * day..60 * day + 2).await;
        let found = verify(&store).await;
        assert_eq!((found.entries, found.head.number, found.fault), (2, 38, None));
    });
}
