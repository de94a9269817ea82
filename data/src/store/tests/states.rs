//! What is remembered of pumps: through the journal, into the database, the newest of each.

use super::*;

fn states(states: &[PumpState]) -> Batch {
    let pumps = states.iter().map(|state| record(state.pump.as_str())).collect();
    Batch { pumps, states: states.to_vec(), ..Batch::default() }
}

async fn remembered(store: &Store, name: &str) -> Option<PumpState> {
    store.pump_state(&pump(name)).await.expect("read")
}

#[test]
fn nothing_is_remembered_of_a_pump_that_has_no_state() {
    with_store(async |store| {
        store.commit(&states(&[state("P-1", 0, "one")])).await.expect("stored");
        for name in ["P-2", "P-9"] {
            assert_eq!(remembered(&store, name).await, None);
        }
        let unknown = Batch { states: vec![state("P-9", 0, "nine")], ..Batch::default() };
        let error = store.commit(&unknown).await.expect_err("refused").to_string();
        assert!(error.contains("the state of P-9") && error.contains("not registered"), "{error}");
    });
}

#[test]
fn a_state_comes_back_from_the_journal_alone_and_from_the_database_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let one = state("P-1", 5, "one");
    runtime().block_on(async {
        let store = open(&dir).await;
        store.commit(&states(std::slice::from_ref(&one))).await.expect("stored");
        store.close().await.expect("closed");

        let store = open(&dir).await;
        assert_eq!(store.0.head().news().states.len(), 1, "it waits in the head, read from the journal");
        assert_eq!(remembered(&store, "P-1").await, Some(one.clone()));
        store.flush_all().await.expect("flushed");
        assert!(store.0.head().news().is_empty(), "nothing waits");
        assert_eq!(remembered(&store, "P-1").await, Some(one.clone()));
        store.close().await.expect("closed");

        let store = open(&dir).await;
        assert!(store.0.head().news().is_empty(), "the journal's mark is beyond it");
        assert_eq!(remembered(&store, "P-1").await, Some(one));
    });
}

/// Whatever is in the head and whatever in the database.
#[test]
fn an_older_state_never_takes_a_newer_ones_place() {
    let (old, new) = (state("P-1", 5, "old"), state("P-1", 6, "new"));
    for (first, second) in [(&old, &new), (&new, &old)] {
        for (flush_first, flush_second) in [(false, false), (false, true), (true, false), (true, true)] {
            with_store(async |store| {
                for (state, flush) in [(first, flush_first), (second, flush_second)] {
                    store.commit(&states(std::slice::from_ref(state))).await.expect("stored");
                    if flush {
                        store.flush_all().await.expect("flushed");
                    }
                }
                let found = remembered(&store, "P-1").await;
                assert_eq!(found.as_ref(), Some(&new), "{first:?} {flush_first} {second:?} {flush_second}");
            });
        }
    }
}

#[test]
fn of_the_same_time_the_last_one_counts_and_each_pump_has_its_own() {
    with_store(async |store| {
        let both = [state("P-1", 5, "first"), state("P-2", 9, "other"), state("P-1", 5, "last")];
        store.commit(&states(&both)).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&states(&[state("P-2", 9, "again")])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        assert_eq!(remembered(&store, "P-1").await, Some(both[2].clone()));
        assert_eq!(remembered(&store, "P-2").await, Some(state("P-2", 9, "again")));
    });
}

/// A state that comes while its pump's one before is being written waits for the next flush.
#[test]
fn a_flush_gives_up_no_state_that_came_after_it_began() {
    let mut head = head::Head::default();
    head.take_in(Seq::new(1), states(&[state("P-1", 5, "one"), state("P-2", 5, "two")]));
    let share = head.share(head::Until::Now, 10);
    head.take_in(Seq::new(2), states(&[state("P-1", 6, "newer")]));
    head.give_up(&share);
    let waiting: Vec<&str> = head.news().states.values().map(|(_, state)| state.document.as_str()).collect();
    assert_eq!(waiting, ["newer"]);
}

#[test]
fn a_database_of_before_states_gets_their_table_and_keeps_its_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let engine = Engine::start(dir.path(), &StoreSettings::default()).await.expect("started");
        migrations::apply(&engine, &migrations::ALL[..4]).await.expect("migrated");
        let row = "CREATE pump:`P-1` CONTENT { profile: 'small', channels: ['Tb', 'Q'], registered_ms: 1773051273000 }";
        engine.execute(row, []).await.expect("stored");
        engine.rows::<Value, 0>("SELECT * FROM pump_state", []).await.expect_err("there is no such table");
        assert_eq!(migrations::version(&engine).await.expect("read"), 4);
        drop(engine);
        let store = open(&dir).await;
        assert_eq!(migrations::version(&store.engine().await.expect("open")).await.expect("read"), 12);
        assert_eq!(store.pumps(), [record("P-1")]);
        assert_eq!(remembered(&store, "P-1").await, None);
        let one = state("P-1", 5, "one");
        store.commit(&states(std::slice::from_ref(&one))).await.expect("stored");
        store.flush_all().await.expect("flushed");
        assert_eq!(remembered(&store, "P-1").await, Some(one));
    });
}

#[test]
fn without_the_database_what_waits_counts() {
    with_store(async |store| {
        store.commit(&states(&[state("P-1", 5, "one"), state("P-2", 5, "two")])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&states(&[state("P-1", 6, "newer")])).await.expect("stored");
        store.shut("for a test").await;
        assert_eq!(remembered(&store, "P-1").await, Some(state("P-1", 6, "newer")));
        let unknown = store.pump_state(&pump("P-2")).await;
        assert!(matches!(unknown, Err(StoreError::Unavailable { .. })), "{unknown:?}");
        store.reopen().await.expect("open again");
        assert_eq!(remembered(&store, "P-2").await, Some(state("P-2", 5, "two")));
    });
}
