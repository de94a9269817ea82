//! The audit log: each entry is stored once, after kills, replays and outages of the database.

use super::*;

fn audit(entries: &[AuditEntry]) -> Batch {
    Batch { documents: documents(entries), ..Batch::default() }
}

/// Returns all entries, without their links.
pub(super) async fn all(store: &Store) -> QueryResult<AuditEntry> {
    unlinked(store.audit(&AuditFilter::default()).await.expect("read"))
}

/// Returns the entries without their links.
pub(super) fn unlinked(mut found: QueryResult<AuditEntry>) -> QueryResult<AuditEntry> {
    found.rows.iter_mut().for_each(|entry| entry.link = None);
    found
}

/// Returns the number of rows in the database.
async fn rows(store: &Store) -> usize {
    let rows: Vec<Value> = store.engine().await.expect("open").rows("SELECT * FROM audit_log", []).await.expect("read");
    rows.len()
}

#[test]
fn an_entry_is_read_from_the_journal_alone_and_from_the_database_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let entries = [entry("restart", 5), entry("commission", 6)];
    runtime().block_on(async {
        let store = open(&dir).await;
        store.commit(&audit(&entries)).await.expect("stored");
        assert_eq!(all(&store).await.rows, entries);
        store.close().await.expect("closed");

        let store = open(&dir).await;
        let waiting = store.0.head().other_rows().all_documents().count();
        assert_eq!((waiting, rows(&store).await), (3, 0), "they wait with the chain's head, read from the journal");
        assert_eq!(all(&store).await.rows, entries);
        store.flush_all().await.expect("flushed");
        assert!(store.0.head().other_rows().is_empty(), "nothing waits");
        assert_eq!((rows(&store).await, all(&store).await.rows), (2, entries.to_vec()));
        store.close().await.expect("closed");

        let store = open(&dir).await;
        assert!(store.0.head().other_rows().is_empty(), "the journal's mark is beyond them");
        assert_eq!(all(&store).await.rows, entries);
    });
}

/// A reading in the head keeps the low-water mark below the record of the entry.
#[test]
fn a_replayed_entry_is_stored_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let entries = [entry("restart", 5), entry("commission", 5)];
    runtime().block_on(async {
        let store = open(&dir).await;
        let with_reading =
            Batch { pumps: vec![record("P-1")], readings: vec![reading("P-1", 0)], ..audit(&entries[..1]) };
        store.commit(&with_reading).await.expect("stored");
        store.commit(&audit(&entries[1..])).await.expect("stored");
        store.flush(at(7)).await.expect("flushed");
        assert_eq!(rows(&store).await, 2, "they do not wait for the reading's minute");
        assert!(store.0.head().other_rows().is_empty());
        store.close().await.expect("closed");

        let store = open(&dir).await;
        let newest_first = AuditFilter { range: PageRange::newest(10), ..AuditFilter::default() };
        for flushed in [false, true] {
            assert_eq!(store.0.head().other_rows().all_documents().count(), if flushed { 0 } else { 3 });
            assert_eq!(all(&store).await.rows, entries, "flushed: {flushed}");
            assert_eq!(
                unlinked(store.audit(&newest_first).await.expect("read")).rows,
                [entries[1].clone(), entries[0].clone()],
                "of one moment, flushed: {flushed}"
            );
            store.flush_all().await.expect("flushed");
        }
        assert_eq!(rows(&store).await, 2);
        // An entry that is committed twice, in one batch or in two, is recorded twice: entries are never merged.
        let twice = [entry("restart", 9), entry("restart", 9)];
        for _ in 0..2 {
            store.commit(&audit(&twice)).await.expect("stored");
            store.flush_all().await.expect("flushed");
        }
        assert_eq!((rows(&store).await, all(&store).await.rows.len()), (6, 6));
    });
}

#[test]
fn entries_that_differ_in_one_field_are_distinct() {
    let one = entry("restart", 5);
    let more = |text: &mut String| text.push('x');
    let mut others = vec![one.clone(); 6];
    more(&mut others[0].who);
    more(&mut others[1].action);
    more(&mut others[2].object);
    more(&mut others[3].outcome);
    more(&mut others[4].detail);
    others[5].at = at(6);
    let shifted = AuditEntry { action: "restar".into(), object: "tP-1".into(), ..one.clone() };
    let mut all_of_them = [vec![one, shifted], others].concat();
    with_store(async |store| {
        store.commit(&audit(&all_of_them)).await.expect("stored");
        store.flush_all().await.expect("flushed");
        all_of_them.sort();
        let mut found = all(&store).await.rows;
        found.sort();
        assert_eq!((rows(&store).await, found), (8, all_of_them));
    });
}

#[test]
fn entries_of_one_action_are_read_page_by_page() {
    let actions = ["restart", "commission", "restart"];
    let entries: Vec<AuditEntry> =
        (0..30).map(|n| AuditEntry { object: format!("P-{n}"), ..entry(actions[n % 3], n as i64 / 2) }).collect();
    with_store(async |store| {
        // Some are in the database, some in the head.
        store.commit(&audit(&entries[..20])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&audit(&entries[20..])).await.expect("stored");
        let mut filter = AuditFilter { action: Some("restart".into()), range: PageRange::newest(4) };
        let mut found: Vec<AuditEntry> = Vec::new();
        loop {
            let page = unlinked(store.audit(&filter).await.expect("read")).rows;
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 5, "a moment's two stay together, and no more");
            assert!(found.len() <= entries.len(), "the pages lead in a circle");
            filter.range.after = Some(last.at);
            found.extend(page);
        }
        let expected: Vec<AuditEntry> = entries.into_iter().rev().filter(|entry| entry.action == "restart").collect();
        assert_eq!(found, expected);
        let nothing = AuditFilter { action: Some("dance".into()), ..AuditFilter::default() };
        assert_eq!(store.audit(&nothing).await.expect("read").rows, []);
    });
}

#[test]
fn without_the_database_the_result_is_partial() {
    let (stored, waiting) = (entry("restart", 5), entry("commission", 6));
    with_store(async |store| {
        store.commit(&audit(std::slice::from_ref(&stored))).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&audit(std::slice::from_ref(&waiting))).await.expect("stored");
        store.mark_unavailable("for a test").await;
        let during = all(&store).await;
        assert_eq!(during.rows, std::slice::from_ref(&waiting));
        let Completeness::Partial { from: None, reason } = during.completeness else {
            panic!("{:?}", during.completeness)
        };
        assert!(reason.contains("for a test"), "{reason}");
        store.reopen().await.expect("open again");
        assert_eq!(all(&store).await, QueryResult::complete(vec![stored, waiting]));
    });
}

/// An entry that arrives while others are being written waits for the next flush.
#[test]
fn a_flush_keeps_an_entry_that_arrived_after_it_began() {
    let mut head = head::Head::default();
    head.apply(Seq::new(1), audit(&[entry("restart", 5)]));
    let flush_batch = head.next_flush_batch(head::DuePolicy::All, 10);
    assert_eq!((flush_batch.other_rows.all_documents().count(), flush_batch.low_water), (1, Seq::new(2)));
    head.apply(Seq::new(2), audit(&[entry("restart", 6)]));
    head.remove_flushed(&flush_batch);
    assert_eq!(head.other_rows().all_documents().collect::<Vec<_>>(), [&Document::of(&entry("restart", 6))]);
}

#[test]
fn no_statement_changes_an_entry() {
    with_store(async |store| {
        store.commit(&audit(&[entry("restart", 5)])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        let engine = store.engine().await.expect("open");
        engine.execute("UPDATE audit_log SET outcome = 'other'", []).await.expect_err("refused");
        assert_eq!(all(&store).await.rows, [entry("restart", 5)]);
    });
}

#[test]
fn a_database_from_before_the_audit_log_is_migrated() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let engine = DatabaseEngine::start(dir.path(), &StoreSettings::default()).await.expect("started");
        migrations::apply(&engine, &migrations::ALL[..5]).await.expect("migrated");
        let row = "CREATE pump:`P-1` CONTENT { profile: 'small', channels: ['Tb', 'Q'], registered_ms: 1773051273000 }";
        engine.execute(row, []).await.expect("stored");
        drop(engine);
        let store = open(&dir).await;
        assert_eq!(store.pumps(), [record("P-1")]);
        store.commit(&audit(&[entry("restart", 5)])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        assert_eq!(rows(&store).await, 1);
    });
}
