//! A removed pump: nothing of it comes back, whenever the process dies, and nothing of the next one of its name is lost.

use super::*;

/// Everything that can be stored of a pump, in three minutes.
fn all_of(name: &str) -> Batch {
    Batch {
        pumps: vec![record(name)],
        readings: (0..3).map(|minute| reading(name, minute * 60_000)).collect(),
        detections: (0..3).map(|minute| detection(name, minute * 60_000)).collect(),
        documents: documents(&[event(name, "bearing-hot", 0, false)]),
        states: vec![state(name, 0, "one")],
        ..Batch::default()
    }
}

fn removal(name: &str) -> Batch {
    Batch { removals: vec![pump(name)], documents: documents(&[entry("remove-pump", 0)]), ..Batch::default() }
}

fn baseline() -> NewBaseline {
    NewBaseline {
        created_at: at(0),
        network: "n".into(),
        baseline: "b".into(),
        from: at(0),
        to: at(1),
        why: "a test".into(),
        document: "{}".into(),
    }
}

/// What the database has of a pump, by table.
async fn rows_of(store: &Store, name: &str) -> Vec<(&'static str, usize)> {
    let engine = store.engine().await.expect("open");
    let mut found = Vec::new();
    for table in [
        "SELECT VALUE id FROM pump WHERE record::id(id) = $name",
        "SELECT VALUE id FROM pump_state WHERE record::id(id) = $name",
        "SELECT VALUE id FROM active_baseline WHERE record::id(id) = $name",
        "SELECT VALUE id FROM commissioning WHERE record::id(id) = $name",
        "SELECT VALUE id FROM baseline WHERE id[0] = $name",
        "SELECT VALUE id FROM maintenance_events WHERE pump = $name",
        "SELECT VALUE id FROM sensor_readings WHERE id[0] = $name",
        "SELECT VALUE id FROM anomaly_detections WHERE id[0] = $name",
        "SELECT VALUE id FROM rollup_minute WHERE id[0] = $name",
        "SELECT VALUE id FROM rollup_hour WHERE id[0] = $name",
        "SELECT VALUE id FROM recorded_hour WHERE id[0] = $name",
    ] {
        let rows: Vec<Value> = engine.rows(table, [("name", Value::String(name.into()))]).await.expect("read");
        if !rows.is_empty() {
            found.push((table.split(' ').nth(4).expect("a table"), rows.len()));
        }
    }
    found
}

/// Nothing of the pump can be seen, and the other one and the audit log are whole.
async fn assert_gone(store: &Store, name: &str, other: &str) {
    assert_eq!(store.pumps(), [record(other)], "{name} is not registered");
    assert_eq!(readings(store, name).await, []);
    assert_eq!(store.detections(None, &Range::default()).await.expect("read").rows, all_of(other).detections);
    assert_eq!(
        store.events(&EventFilter::default()).await.expect("read").rows,
        [event(other, "bearing-hot", 0, false)]
    );
    assert_eq!(store.head().pump_rows(name), 0, "nothing waits");
    assert_eq!(readings(store, other).await, all_of(other).readings);
    assert_eq!(store.audit(&AuditFilter::default()).await.expect("read").rows, [entry("remove-pump", 0)]);
}

impl Store {
    fn head(&self) -> parking_lot::MutexGuard<'_, head::Head> {
        self.0.head()
    }
}

impl head::Head {
    fn pump_rows(&self, name: &str) -> usize {
        let rows = self.readings(&pump(name), 0, i64::MAX).expect("read").len();
        rows + usize::from(self.news().states.contains_key(&pump(name)))
    }
}

#[test]
fn a_removed_pump_is_gone_from_every_table_and_its_name_is_free_afterwards() {
    with_store(async |store| {
        for name in ["P-1", "P-2"] {
            store.commit(&all_of(name)).await.expect("stored");
            store.add_baseline(&pump(name), &baseline()).await.expect("stored");
        }
        store.flush_all().await.expect("flushed");
        assert_eq!(rows_of(&store, "P-1").await.len(), 10, "all but what only a commissioning has");
        let waiting = Batch { readings: vec![reading("P-1", 200_000)], ..Batch::default() };
        store.commit(&waiting).await.expect("stored");

        store.commit(&removal("P-1")).await.expect("removed");
        assert_gone(&store, "P-1", "P-2").await;
        assert!(store.is_removing(&pump("P-1")));
        let again = store.commit(&all_of("P-1")).await;
        assert!(matches!(again, Err(StoreError::BeingRemoved { .. })), "{again:?}");
        store
            .commit(&Batch { readings: vec![reading("P-1", 5)], ..Batch::default() })
            .await
            .expect_err("not registered");

        store.finish_removals().await.expect("deleted");
        assert_eq!(rows_of(&store, "P-1").await, []);
        assert_gone(&store, "P-1", "P-2").await;
        assert_eq!((store.removing(), rows_of(&store, "P-2").await.len()), (vec![], 10));

        store.commit(&all_of("P-1")).await.expect("a new pump");
        store.flush_all().await.expect("flushed");
        assert_eq!(readings(&store, "P-1").await, all_of("P-1").readings);
        assert_eq!(store.standing(&pump("P-1")).await.expect("read"), Standing::New, "without a baseline");
        let hour = store.buckets(&pump("P-1"), (at(-3_600_000), at(3_600_000)), 3).await.expect("read").rows;
        assert_eq!(
            hour.iter().map(|bucket| bucket.readings).sum::<u64>(),
            3,
            "nothing of the old rollups is in the new"
        );
    });
}

/// What a kill leaves: the store is dropped without a word at every stage, and opened again. A reading of another pump
/// keeps the low-water mark below all of it, so that every start reads all of the records again.
#[test]
fn a_removal_is_brought_to_its_end_whenever_the_process_dies() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        store.commit(&all_of("P-2")).await.expect("stored");
        store.commit(&all_of("P-1")).await.expect("stored");
        store.flush(at(125_000)).await.expect("some minutes");
        store.commit(&removal("P-1")).await.expect("removed");
        drop(store);

        // Durable, and nothing else: the removal is read from the journal.
        let store = open(&dir).await;
        assert_gone(&store, "P-1", "P-2").await;
        // In the database too, with the rows still there.
        store.flush(at(125_000)).await.expect("flushed");
        assert!(rows_of(&store, "P-1").await.iter().any(|(table, _)| *table == "sensor_readings"));
        drop(store);

        let store = open(&dir).await;
        assert_gone(&store, "P-1", "P-2").await;
        assert!(store.is_removing(&pump("P-1")));
        // Some of the rows deleted.
        assert!(store.purge(1).await.expect("deleted").more);
        drop(store);

        let store = open(&dir).await;
        assert_gone(&store, "P-1", "P-2").await;
        assert!(!store.purge(100).await.expect("deleted").more);
        assert_eq!((rows_of(&store, "P-1").await, store.removing()), (vec![], vec![]));
        // A new pump of the same name, some of it flushed; the removal is read from the journal once more.
        store.commit(&all_of("P-1")).await.expect("a new pump");
        store.flush(at(125_000)).await.expect("some minutes");
        drop(store);

        let store = open(&dir).await;
        assert_eq!(store.pumps(), [record("P-1"), record("P-2")]);
        store.finish_removals().await.expect("nothing to delete");
        for name in ["P-1", "P-2"] {
            assert_eq!(readings(&store, name).await, all_of(name).readings, "{name}");
        }
    });
}

/// A start without the database knows of removals by the journal, and by the copy of the list of pumps.
#[test]
fn a_removal_outlives_a_start_without_the_database_and_a_database_that_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let database = dir.path().join("database");
    runtime().block_on(async {
        let store = open(&dir).await;
        for batch in [all_of("P-1"), all_of("P-2"), removal("P-1")] {
            store.commit(&batch).await.expect("stored");
        }
        store.flush_all().await.expect("flushed");
        let (roster, removing) = super::super::roster::Roster::load(&dir.path().join("pumps")).expect("the copy");
        assert_eq!((roster.pumps(), removing), (vec![pump("P-2")], vec![pump("P-1")]));
        store.finish_removals().await.expect("deleted");
        store.commit(&all_of("P-1")).await.expect("a new pump");
        store.close().await.expect("closed");

        // All of it is made again from the journal: the new pump is there, and the old one is not.
        std::fs::remove_dir_all(&database).expect("lost");
        let store = open(&dir).await;
        assert_eq!(store.pumps(), [record("P-1"), record("P-2")]);
        assert_eq!(readings(&store, "P-1").await, all_of("P-1").readings);
        store.flush_all().await.expect("the new pump's rows wait for the removal's end");
        assert_eq!(rows_of(&store, "P-1").await, []);
        store.finish_removals().await.expect("deleted");
        store.flush_all().await.expect("flushed");
        assert!(
            store.head().news().is_empty() && store.head().minutes_of_readings().is_empty(),
            "nothing waits any more"
        );
        for name in ["P-1", "P-2"] {
            assert_eq!(readings(&store, name).await, all_of(name).readings, "{name}");
        }
    });
}

#[test]
fn rows_are_deleted_slice_by_slice() {
    with_store(async |store| {
        let days: Vec<Reading> = (0..10).map(|day| reading("P-1", day * 86_400_000)).collect();
        let batch = Batch { pumps: vec![record("P-1")], readings: days, ..Batch::default() };
        store.commit(&batch).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&removal("P-1")).await.expect("removed");
        store.flush_all().await.expect("flushed");
        let mut calls = 0;
        while store.purge(3).await.expect("deleted").more {
            calls += 1;
            assert!(calls < 100, "it comes to an end");
        }
        // 10 days of readings and of minutes, 1 slice of hours and 1 of their directory.
        assert_eq!((calls, rows_of(&store, "P-1").await), (7, vec![]));
    });
}
