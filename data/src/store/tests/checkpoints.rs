//! Checkpoints of pumps: through the journal into the database, the newest of each pump.

use super::*;

fn batch_of(checkpoints: &[PumpCheckpoint]) -> Batch {
    let pumps = checkpoints.iter().map(|checkpoint| record(checkpoint.pump.as_str())).collect();
    Batch { pumps, checkpoints: checkpoints.to_vec(), ..Batch::default() }
}

async fn stored_checkpoint(store: &Store, name: &str) -> Option<PumpCheckpoint> {
    store.pump_checkpoint(&pump(name)).await.expect("read")
}

#[test]
fn a_pump_without_a_checkpoint_has_none() {
    with_store(async |store| {
        store.commit(&batch_of(&[checkpoint("P-1", 0, "one")])).await.expect("stored");
        for name in ["P-2", "P-9"] {
            assert_eq!(stored_checkpoint(&store, name).await, None);
        }
        let unknown = Batch { checkpoints: vec![checkpoint("P-9", 0, "nine")], ..Batch::default() };
        let error = store.commit(&unknown).await.expect_err("refused").to_string();
        assert!(error.contains("the checkpoint of P-9") && error.contains("not registered"), "{error}");
    });
}

#[test]
fn a_checkpoint_is_read_from_the_journal_alone_and_from_the_database_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let one = checkpoint("P-1", 5, "one");
    runtime().block_on(async {
        let store = open(&dir).await;
        store.commit(&batch_of(std::slice::from_ref(&one))).await.expect("stored");
        store.close().await.expect("closed");

        let store = open(&dir).await;
        assert_eq!(store.0.head().other_rows().checkpoints.len(), 1, "it waits in the head, read from the journal");
        assert_eq!(stored_checkpoint(&store, "P-1").await, Some(one.clone()));
        store.flush_all().await.expect("flushed");
        assert!(store.0.head().other_rows().is_empty(), "nothing waits");
        assert_eq!(stored_checkpoint(&store, "P-1").await, Some(one.clone()));
        store.close().await.expect("closed");

        let store = open(&dir).await;
        assert!(store.0.head().other_rows().is_empty(), "the journal's mark is beyond it");
        assert_eq!(stored_checkpoint(&store, "P-1").await, Some(one));
    });
}

/// Wherever each of them is, in the head or in the database.
#[test]
fn an_older_checkpoint_never_replaces_a_newer_one() {
    let (old, new) = (checkpoint("P-1", 5, "old"), checkpoint("P-1", 6, "new"));
    for (first, second) in [(&old, &new), (&new, &old)] {
        for (flush_first, flush_second) in [(false, false), (false, true), (true, false), (true, true)] {
            with_store(async |store| {
                for (checkpoint, flush) in [(first, flush_first), (second, flush_second)] {
                    store.commit(&batch_of(std::slice::from_ref(checkpoint))).await.expect("stored");
                    if flush {
                        store.flush_all().await.expect("flushed");
                    }
                }
                let found = stored_checkpoint(&store, "P-1").await;
                assert_eq!(found.as_ref(), Some(&new), "{first:?} {flush_first} {second:?} {flush_second}");
            });
        }
    }
}

#[test]
fn of_checkpoints_of_the_same_time_the_last_one_counts() {
    with_store(async |store| {
        let both = [checkpoint("P-1", 5, "first"), checkpoint("P-2", 9, "other"), checkpoint("P-1", 5, "last")];
        store.commit(&batch_of(&both)).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&batch_of(&[checkpoint("P-2", 9, "again")])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        assert_eq!(stored_checkpoint(&store, "P-1").await, Some(both[2].clone()));
        assert_eq!(stored_checkpoint(&store, "P-2").await, Some(checkpoint("P-2", 9, "again")));
    });
}

/// A checkpoint that arrives while its pump's previous one is being written waits for the next flush.
#[test]
fn a_flush_keeps_a_checkpoint_that_arrived_after_it_began() {
    let mut head = head::Head::default();
    head.apply(Seq::new(1), batch_of(&[checkpoint("P-1", 5, "one"), checkpoint("P-2", 5, "two")]));
    let flush_batch = head.next_flush_batch(head::DuePolicy::All, 10);
    head.apply(Seq::new(2), batch_of(&[checkpoint("P-1", 6, "newer")]));
    head.remove_flushed(&flush_batch);
    let waiting: Vec<&str> =
        head.other_rows().checkpoints.values().map(|(_, checkpoint)| checkpoint.document.as_str()).collect();
    assert_eq!(waiting, ["newer"]);
}

#[test]
fn a_database_from_before_checkpoints_is_migrated() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let engine = DatabaseEngine::start(dir.path(), &StoreSettings::default()).await.expect("started");
        migrations::apply(&engine, &migrations::ALL[..4]).await.expect("migrated");
        let row = "CREATE pump:`P-1` CONTENT { profile: 'small', channels: ['Tb', 'Q'], registered_ms: 1773051273000 }";
        engine.execute(row, []).await.expect("stored");
        engine.rows::<Value, 0>("SELECT * FROM pump_state", []).await.expect_err("there is no such table");
        assert_eq!(migrations::version(&engine).await.expect("read"), 4);
        drop(engine);
        let store = open(&dir).await;
        let newest = migrations::ALL.len() as u32;
        assert_eq!(migrations::version(&store.engine().await.expect("open")).await.expect("read"), newest);
        assert_eq!(store.pumps(), [record("P-1")]);
        assert_eq!(stored_checkpoint(&store, "P-1").await, None);
        let one = checkpoint("P-1", 5, "one");
        store.commit(&batch_of(std::slice::from_ref(&one))).await.expect("stored");
        store.flush_all().await.expect("flushed");
        assert_eq!(stored_checkpoint(&store, "P-1").await, Some(one));
    });
}

#[test]
fn without_the_database_the_checkpoint_in_the_head_counts() {
    with_store(async |store| {
        store.commit(&batch_of(&[checkpoint("P-1", 5, "one"), checkpoint("P-2", 5, "two")])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&batch_of(&[checkpoint("P-1", 6, "newer")])).await.expect("stored");
        store.mark_unavailable("for a test").await;
        assert_eq!(stored_checkpoint(&store, "P-1").await, Some(checkpoint("P-1", 6, "newer")));
        let unknown = store.pump_checkpoint(&pump("P-2")).await;
        assert!(matches!(unknown, Err(StoreError::Unavailable { .. })), "{unknown:?}");
        store.reopen().await.expect("open again");
        assert_eq!(stored_checkpoint(&store, "P-2").await, Some(checkpoint("P-2", 5, "two")));
    });
}
