//! Opening, closing, crashes, migrations and conversions of a store.

use surrealdb::types::SurrealValue;

use super::{
    super::migrations::{Migration, migration},
    *,
};

#[test]
fn a_pump_keeps_its_channels() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        store.commit(&Batch { pumps: vec![record("P-1")], ..Batch::default() }).await.expect("stored");
        store.close().await.expect("closed");
        let store = open(&dir).await;
        let swapped = PumpRecord { channels: vec!["Q".into(), "Tb".into()], ..record("P-1") };
        let error = store.commit(&Batch { pumps: vec![swapped], ..Batch::default() }).await.expect_err("refused");
        assert!(matches!(error, StoreError::OtherChannels { .. }), "{error}");
    });
}

#[test]
fn committed_rows_survive_close_and_drop() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        let batch = |ms| Batch { pumps: vec![record("P-1")], readings: vec![reading("P-1", ms)], ..Batch::default() };
        store.commit(&batch(0)).await.expect("stored");
        let other = store.clone();
        store.close().await.expect("closed");
        assert!(matches!(other.latest_readings(&pump("P-1"), 1).await, Err(StoreError::Closed)));
        other.close().await.expect("closed already");

        let store = open(&dir).await;
        store.commit(&batch(1)).await.expect("stored");
        drop(store);

        let store = open(&dir).await;
        assert_eq!(readings(&store, "P-1").await, [reading("P-1", 0), reading("P-1", 1)]);
    });
}

/// A power failure loses what was not synced, also the entry of the data directory in its parent.
#[cfg(feature = "failpoints")]
#[test]
fn the_entries_of_new_folders_are_synced() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("plant/line-3");
    let synced = |folder: &Path| volute_journal::durable::SYNCED.lock().iter().any(|path| path == folder);
    runtime().block_on(async {
        let store = Store::open(&data, &StoreSettings::default(), at(0)).await.expect("opened");
        assert!(synced(dir.path()), "the entry of plant");
        assert!(synced(&dir.path().join("plant")), "the entry of line-3");
        assert!(synced(&data), "the entries of database and journal");
        store.close().await.expect("closed");
        // A new database beside an existing journal, as when a damaged database was moved away.
        std::fs::remove_dir_all(data.join("database")).expect("removed");
        volute_journal::durable::SYNCED.lock().retain(|path| path != &data);
        Store::open(&data, &StoreSettings::default(), at(0)).await.expect("opened");
        assert!(synced(&data), "the entry of database");
    });
}

/// A killed process leaves the files as they are at that moment. The test copies them.
#[test]
fn committed_rows_survive_a_crash() {
    let (dir, copy) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let stored: Vec<_> = (0..100).map(|second| reading("P-1", second * 1000)).collect();
    runtime().block_on(async {
        let store = open(&dir).await;
        for readings in stored.chunks(40) {
            let batch = Batch { pumps: vec![record("P-1")], readings: readings.to_vec(), ..Batch::default() };
            store.commit(&batch).await.expect("stored");
        }
        copy_tree(dir.path(), copy.path());
        let crashed = open(&copy).await;
        assert_eq!(readings(&crashed, "P-1").await, stored);
    });
}

pub(super) fn copy_tree(from: &Path, to: &Path) {
    for entry in from.read_dir().expect("a directory") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&to).expect("made");
            copy_tree(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).expect("copied");
        }
    }
}

#[test]
fn a_second_opener_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let _first = open(&dir).await;
        let second = Store::open(dir.path(), &StoreSettings::default(), at(0)).await;
        assert!(matches!(second, Err(StoreError::Locked { .. })), "{:?}", second.err());
    });
}

#[test]
fn an_unusable_directory_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    runtime().block_on(async {
        for bad in [file.join("store"), dir.path().join("what?")] {
            let opened = Store::open(&bad, &StoreSettings::default(), at(0)).await;
            assert!(matches!(opened, Err(StoreError::Directory { .. })), "{:?}", opened.err());
        }
    });
}

#[test]
fn the_store_works_from_any_runtime() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Builder::new_current_thread().build().expect("a runtime");
    let store = first.block_on(open(&dir));
    drop(first);
    let second = Builder::new_current_thread().build().expect("a runtime");
    second.block_on(async {
        store.commit(&Batch { pumps: vec![record("P-1")], ..Batch::default() }).await.expect("stored");
        assert_eq!(store.pumps(), [record("P-1")]);
        store.close().await.expect("closed");
    });
    second.block_on(open(&dir));
}

/// Returns the migrations of a newer binary, which has one more.
fn later() -> Vec<Migration> {
    let number = migrations::ALL.len() as u32 + 1;
    let later = migration!(0, "later", "DEFINE TABLE later SCHEMAFULL PERMISSIONS NONE;\nCREATE later RETURN NONE;");
    [migrations::ALL, &[Migration { version: number, ..later }]].concat()
}

#[test]
fn a_migration_runs_once_and_an_older_binary_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        for _ in 0..2 {
            migrations::apply(&store.engine().await.expect("open"), &later()).await.expect("migrated");
            let rows: Vec<Value> =
                store.engine().await.expect("open").rows("SELECT * FROM later", []).await.expect("read");
            assert_eq!(rows.len(), 1, "it ran once");
        }
        store.close().await.expect("closed");
        let older = Store::open(dir.path(), &StoreSettings::default(), at(0)).await;
        let Err(StoreError::Newer { found, known }) = older else { panic!("{:?}", older.err()) };
        assert_eq!((found as usize, known as usize), (migrations::ALL.len() + 1, migrations::ALL.len()));
        let again =
            DatabaseEngine::start(dir.path(), &StoreSettings::default()).await.expect("the refusal let go of the lock");
        migrations::apply(&again, &later()).await.expect("the newer binary still opens it");
    });
}

#[test]
fn events_of_the_first_schema_are_read_by_the_next() {
    const OLD: &str = "CREATE maintenance_events:['P-1', 'bearing-hot', 1773051273000] CONTENT {
        pump: 'P-1', rule: 'bearing-hot', state: 'active', title: 'Bearing too hot', advice: 'Check the lubrication.',
        severity: 'high', cost_amount: 15000.5, cost_currency: 'INR', channel: 'Tb', limit: 85.0, peak: 91.0,
        peak_loss: 0.75, model: 'm-1', opened_ms: 1773051273000, last_seen_ms: 1773051273010 }";
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let engine = DatabaseEngine::start(dir.path(), &StoreSettings::default()).await.expect("started");
        migrations::apply(&engine, &migrations::ALL[..1]).await.expect("migrated");
        engine.execute(OLD, []).await.expect("stored");
        drop(engine);
        let store = open(&dir).await;
        let new = MaintenanceEvent { peak_loss: None, model: None, ..event("P-1", "limit", 1, false) };
        let batch = Batch { pumps: vec![record("P-1")], documents: vec![Document::of(&new)], ..Batch::default() };
        store.commit(&batch).await.expect("stored");
        assert_eq!(
            store.events(&EventFilter::default()).await.expect("read").rows,
            [event("P-1", "bearing-hot", 0, false), new]
        );
    });
}

#[test]
fn a_migration_is_all_or_nothing_and_keeps_its_text() {
    let broken = Migration {
        version: migrations::ALL.len() as u32 + 1,
        ..migration!(0, "broken", "DEFINE TABLE half SCHEMAFULL;\nTHROW 'no';")
    };
    let broken = [migrations::ALL, &[broken]].concat();
    let mut other = migrations::ALL.to_vec();
    other[0] = migration!(1, "initial", "DEFINE TABLE other SCHEMAFULL;");
    with_store(async |store| {
        let engine = &store.engine().await.expect("open");
        let error = migrations::apply(engine, &broken).await.expect_err("broken").to_string();
        assert!(error.contains("no"), "{error}");
        engine.rows::<Value, 0>("SELECT * FROM half", []).await.expect_err("the table was not made");
        migrations::apply(engine, migrations::ALL).await.expect("nothing was recorded");
        let error = migrations::apply(engine, &other).await.expect_err("other");
        assert!(matches!(error, StoreError::OtherMigration { version: 1, .. }), "{error}");
    });
}

/// Before migration 4 every reading and detection was a row. They are converted to blocks, also after an interruption.
#[test]
fn rows_from_before_blocks_are_converted_and_none_is_lost() {
    const OLD: &str = "
        CREATE pump:`P-1` CONTENT { profile: 'small', channels: ['Tb', 'Q'], registered_ms: 1773051273000 };
        FOR $n IN 0..700 {
            LET $ms = 1773051273000 + $n * 1000;
            CREATE type::record('sensor_readings', ['P-1', $ms]) CONTENT {
                values: [<float>($n * 1000), 1f], received_ms: $ms + 7, late: false };
            CREATE type::record('anomaly_detections', ['P-1', $ms]) CONTENT {
                loss: 0.25, threshold: 0.5, is_anomaly: $n % 2 = 0, contributions: [0.9, 0.1], model: 'm-1' };
        };
        CREATE system_metrics:['*', 1773051273000] CONTENT { figures: { x: 1.5 } };";
    let dir = tempfile::tempdir().expect("a directory");
    let (readings_before, detections_before): (Vec<_>, Vec<_>) = (0..700)
        .map(|n| (reading("P-1", n * 1000), Detection { is_anomaly: n % 2 == 0, ..detection("P-1", n * 1000) }))
        .unzip();
    runtime().block_on(async {
        let engine = DatabaseEngine::start(dir.path(), &StoreSettings::default()).await.expect("started");
        migrations::apply(&engine, &migrations::ALL[..3]).await.expect("migrated");
        engine.execute(OLD, []).await.expect("stored");
        engine.stop().await.expect("stopped");
        // The files of a start that was killed after the rows were in the journal and before their tables were removed.
        let killed = tempfile::tempdir().expect("a directory");
        let store = open(&dir).await;
        copy_tree(&dir.path().join("journal"), &{
            let to = killed.path().join("journal");
            std::fs::create_dir_all(&to).expect("made");
            to
        });
        for flushed in [false, true] {
            assert_eq!(readings(&store, "P-1").await, readings_before, "flushed: {flushed}");
            let found = store.detections(Some(&pump("P-1")), &PageRange::default()).await.expect("read").rows;
            assert_eq!(found, detections_before, "flushed: {flushed}");
            assert_eq!(store.metrics(&PageRange::default()).await.expect("read").rows.len(), 1);
            store.flush_all().await.expect("flushed");
        }
        store.close().await.expect("closed");
        let again = open(&dir).await;
        assert_eq!(readings(&again, "P-1").await, readings_before);

        let engine = DatabaseEngine::start(killed.path(), &StoreSettings::default()).await.expect("started");
        migrations::apply(&engine, &migrations::ALL[..3]).await.expect("migrated");
        engine.execute(OLD, []).await.expect("stored");
        engine.stop().await.expect("stopped");
        let store = open(&killed).await;
        assert_eq!(readings(&store, "P-1").await, readings_before, "each once, though the journal had them already");
    });
}

/// All rows stay in memory until the old tables are removed. They are packed; otherwise half a year of one pump would
/// not fit.
#[test]
fn more_rows_than_fit_unpacked_are_converted() {
    const PUMP: &str =
        "CREATE pump:`P-1` CONTENT { profile: 'small', channels: ['Tb', 'Q'], registered_ms: 1773051273000 }";
    const OLD: &str = "
        FOR $n IN $from..$to {
            LET $ms = 1773051273000 + $n * 1000;
            CREATE type::record('sensor_readings', ['P-1', $ms]) CONTENT {
                values: [<float>($n * 1000), 1f], received_ms: $ms + 7, late: false } RETURN NONE;
        };";
    const ROWS: i64 = 16_000;
    let dir = tempfile::tempdir().expect("a directory");
    let settings = StoreSettings { backlog_mib: std::num::NonZeroU32::MIN, ..StoreSettings::default() };
    runtime().block_on(async {
        let engine = DatabaseEngine::start(dir.path(), &settings).await.expect("started");
        migrations::apply(&engine, &migrations::ALL[..3]).await.expect("migrated");
        engine.execute(PUMP, []).await.expect("stored");
        for from in (0..ROWS).step_by(1000) {
            let vars = [("from", from.into_value()), ("to", (from + 1000).into_value())];
            engine.execute(OLD, vars).await.expect("stored");
        }
        engine.stop().await.expect("stopped");
        let store = Store::open(dir.path(), &settings, at(0)).await.expect("converted");
        let expected: Vec<_> = (0..ROWS).map(|n| reading("P-1", n * 1000)).collect();
        assert!(readings(&store, "P-1").await == expected);
        store.flush_all().await.expect("flushed");
        assert!(readings(&store, "P-1").await == expected, "in blocks");
    });
}
