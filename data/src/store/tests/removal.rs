//! Removing a pump: nothing of it reappears, whenever the process is killed, and nothing of a new pump of the same id
//! is lost.

use super::*;

/// Rows of every kind that a pump can have, in three minutes.
fn all_of(name: &str) -> Batch {
    Batch {
        pumps: vec![record(name)],
        readings: (0..3).map(|minute| reading(name, minute * 60_000)).collect(),
        detections: (0..3).map(|minute| detection(name, minute * 60_000)).collect(),
        documents: documents(&[event(name, "bearing-hot", 0, false)]),
        checkpoints: vec![checkpoint(name, 0, "one")],
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
        baseline_id: "b".into(),
        from: at(0),
        to: at(1),
        reason: "a test".into(),
        document: "{}".into(),
    }
}

/// Returns the number of a pump's rows in the database, by table.
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

/// Checks that nothing of the pump can be read, and that the other pump and the audit log are complete.
async fn assert_gone(store: &Store, name: &str, other: &str) {
    assert_eq!(store.pumps(), [record(other)], "{name} is not registered");
    assert_eq!(readings(store, name).await, []);
    assert_eq!(store.detections(None, &PageRange::default()).await.expect("read").rows, all_of(other).detections);
    assert_eq!(
        store.events(&EventFilter::default()).await.expect("read").rows,
        [event(other, "bearing-hot", 0, false)]
    );
    assert_eq!(store.head().pump_rows(name), 0, "nothing waits");
    assert_eq!(readings(store, other).await, all_of(other).readings);
    assert_eq!(audit::all(store).await.rows, [entry("remove-pump", 0)]);
}

impl Store {
    fn head(&self) -> parking_lot::MutexGuard<'_, head::Head> {
        self.0.head()
    }
}

impl head::Head {
    fn pump_rows(&self, name: &str) -> usize {
        let rows = self.readings(&pump(name), 0, i64::MAX).expect("read").len();
        rows + usize::from(self.other_rows().checkpoints.contains_key(&pump(name)))
    }
}

#[test]
fn a_removed_pump_is_gone_from_every_table_and_its_id_can_be_used_again() {
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
        assert!(store.is_being_removed(&pump("P-1")));
        let again = store.commit(&all_of("P-1")).await;
        assert!(matches!(again, Err(StoreError::BeingRemoved { .. })), "{again:?}");
        store
            .commit(&Batch { readings: vec![reading("P-1", 5)], ..Batch::default() })
            .await
            .expect_err("not registered");

        store.finish_removals().await.expect("deleted");
        assert_eq!(rows_of(&store, "P-1").await, []);
        assert_gone(&store, "P-1", "P-2").await;
        assert_eq!((store.pumps_being_removed(), rows_of(&store, "P-2").await.len()), (vec![], 10));

        store.commit(&all_of("P-1")).await.expect("a new pump");
        store.flush_all().await.expect("flushed");
        assert_eq!(readings(&store, "P-1").await, all_of("P-1").readings);
        assert_eq!(store.baseline_status(&pump("P-1")).await.expect("read"), BaselineStatus::New, "without a baseline");
        let hour = store.buckets(&pump("P-1"), (at(-3_600_000), at(3_600_000)), 3).await.expect("read").rows;
        assert_eq!(
            hour.iter().map(|bucket| bucket.readings).sum::<u64>(),
            3,
            "nothing of the old rollups is in the new"
        );
    });
}

/// Simulates kills: the store is dropped at every stage and opened again. A reading of another pump keeps the low-water
/// mark below all of the records, so that every start replays them.
#[test]
fn a_removal_is_completed_after_a_crash_at_any_stage() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        store.commit(&all_of("P-2")).await.expect("stored");
        store.commit(&all_of("P-1")).await.expect("stored");
        store.flush(at(125_000)).await.expect("some minutes");
        store.commit(&removal("P-1")).await.expect("removed");
        drop(store);

        // The removal is durable, and only in the journal.
        let store = open(&dir).await;
        assert_gone(&store, "P-1", "P-2").await;
        // The removal is also in the database; the rows are still there.
        store.flush(at(125_000)).await.expect("flushed");
        assert!(rows_of(&store, "P-1").await.iter().any(|(table, _)| *table == "sensor_readings"));
        drop(store);

        let store = open(&dir).await;
        assert_gone(&store, "P-1", "P-2").await;
        assert!(store.is_being_removed(&pump("P-1")));
        // Some of the rows are deleted.
        assert!(store.purge(1).await.expect("deleted").more);
        drop(store);

        let store = open(&dir).await;
        assert_gone(&store, "P-1", "P-2").await;
        assert!(!store.purge(100).await.expect("deleted").more);
        assert_eq!((rows_of(&store, "P-1").await, store.pumps_being_removed()), (vec![], vec![]));
        // A new pump of the same id, partly flushed. The removal is replayed once more.
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

/// A start without the database knows removals from the journal and from the copy of the list of pumps.
#[test]
fn a_removal_survives_a_start_without_the_database_and_a_lost_database() {
    let dir = tempfile::tempdir().expect("a directory");
    let database = dir.path().join("database");
    runtime().block_on(async {
        let store = open(&dir).await;
        for batch in [all_of("P-1"), all_of("P-2"), removal("P-1")] {
            store.commit(&batch).await.expect("stored");
        }
        store.flush_all().await.expect("flushed");
        let (pump_registry, removing) =
            super::super::pump_registry::PumpRegistry::load(&dir.path().join("pumps")).expect("the copy");
        assert_eq!((pump_registry.pumps(), removing), (vec![pump("P-2")], vec![pump("P-1")]));
        store.finish_removals().await.expect("deleted");
        store.commit(&all_of("P-1")).await.expect("a new pump");
        store.close().await.expect("closed");

        // Everything is restored from the journal: the new pump is there, and the old one is not.
        std::fs::remove_dir_all(&database).expect("lost");
        let store = open(&dir).await;
        assert_eq!(store.pumps(), [record("P-1"), record("P-2")]);
        assert_eq!(readings(&store, "P-1").await, all_of("P-1").readings);
        store.flush_all().await.expect("the new pump's rows wait for the removal's end");
        assert_eq!(rows_of(&store, "P-1").await, []);
        store.finish_removals().await.expect("deleted");
        store.flush_all().await.expect("flushed");
        assert!(
            store.head().other_rows().is_empty() && store.head().minutes_with_readings().is_empty(),
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
        // 10 slices of readings, 10 of minute rollups, 1 of hour rollups and 1 of the directory of hours.
        assert_eq!((calls, rows_of(&store, "P-1").await), (7, vec![]));
    });
}
