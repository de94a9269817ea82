//! Recovery of a database: a torn or damaged log, a database restored from a backup, and one of an earlier format.

use std::{
    fs,
    path::{Path, PathBuf},
};

use surrealdb::types::SurrealValue;

use super::{super::conversion, lifecycle::copy_tree, *};

/// The newest segment of the database's log.
fn log(dir: &Path) -> PathBuf {
    let entries = dir.join(folder::DATABASE).join("wal").read_dir().expect("a log");
    let mut segments: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    segments.retain(|path| path.extension().is_some_and(|ending| ending == "wal"));
    segments.sort();
    segments.pop().expect("a segment")
}

/// Copies the files as they are now, which is what a killed process leaves.
fn killed(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    copy_tree(dir, copy.path());
    copy
}

async fn create(engine: &DatabaseEngine, numbers: std::ops::Range<i64>) {
    for n in numbers {
        engine.execute("CREATE type::record('torn', $n) RETURN NONE", [("n", n.into_value())]).await.expect("stored");
    }
}

async fn stored(engine: &DatabaseEngine) -> Vec<i64> {
    engine.rows("SELECT VALUE record::id(id) FROM torn ORDER BY id", []).await.expect("read")
}

/// The same at the level of the storage engine, at every byte: `data/surrealkv/tests/torn_log.rs`.
#[test]
fn committed_rows_survive_kills_in_the_middle_of_a_record() {
    let settings = StoreSettings::default();
    runtime().block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = DatabaseEngine::start(dir.path(), &settings).await.expect("started");
        engine.execute("DEFINE TABLE torn SCHEMALESS", []).await.expect("made");
        create(&engine, 0..5).await;
        let whole = fs::metadata(log(dir.path())).expect("a log").len();
        create(&engine, 5..6).await;
        let end = fs::metadata(log(dir.path())).expect("a log").len();
        for at in [whole, whole + 1, whole + 7, (whole + end) / 2, end - 1] {
            let once = killed(dir.path());
            fs::File::options().write(true).open(log(once.path())).and_then(|file| file.set_len(at)).expect("cut");
            let engine = DatabaseEngine::start(once.path(), &settings).await.expect("started");
            assert!(stored(&engine).await.starts_with(&[0, 1, 2, 3, 4]), "cut at {at} of {whole} to {end}");
            let before = stored(&engine).await;
            create(&engine, 10..15).await;
            let twice = killed(once.path());
            let engine = DatabaseEngine::start(twice.path(), &settings).await.expect("started");
            let expected: Vec<i64> = before.into_iter().chain(10..15).collect();
            assert_eq!(stored(&engine).await, expected, "cut at {at} of {whole} to {end}");
        }
    });
}

/// A node with a database log that is damaged in the middle still works and says what to do. When the database is
/// replaced by that of a backup, the journal brings back the readings of the last day.
#[test]
fn a_damaged_log_is_reported_and_a_backup_can_replace_the_database() {
    let batch = |seconds: std::ops::Range<i64>| Batch {
        pumps: vec![record("P-1")],
        readings: seconds.map(|s| reading("P-1", s * 1000)).collect(),
        ..Batch::default()
    };
    runtime().block_on(async {
        let (dir, backup) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let store = open(&dir).await;
        store.commit(&batch(0..100)).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.stage(backup.path()).await.expect("staged");
        for from in [100, 200, 300] {
            store.commit(&batch(from..from + 100)).await.expect("stored");
            store.flush_all().await.expect("flushed");
        }
        let broken = killed(dir.path());
        // A byte in the first record: everything behind it is intact and was acknowledged.
        let log = log(broken.path());
        let mut bytes = fs::read(&log).expect("read");
        bytes[60] ^= 0xff;
        fs::write(&log, bytes).expect("written");

        let store = open(&broken).await;
        let DatabaseStatus::Unavailable(why) = store.status().database else { panic!("it was opened") };
        assert!(why.contains("its log is damaged") && why.contains("newest backup"), "{why}");
        store.commit(&batch(400..410)).await.expect("readings go on");
        let again = store.reopen().await.expect_err("still damaged").to_string();
        assert!(again.contains("its log is damaged"), "{again}");
        store.close().await.expect("closed");

        let database = broken.path().join(folder::DATABASE);
        fs::rename(&database, broken.path().join("damaged")).expect("moved away");
        fs::create_dir(&database).expect("made");
        copy_tree(&backup.path().join(folder::DATABASE), &database);
        let store = open(&broken).await;
        let expected: Vec<_> = (0..410).map(|s| reading("P-1", s * 1000)).collect();
        assert_eq!(readings(&store, "P-1").await, expected, "the journal has what came after the backup");
    });
}

/// The content of the folder `data/tests/surrealkv_0_21`, which SurrealKV 0.21.4 wrote: a table with two thirds of the
/// keys, a log with the others and a torn record behind them (the process was killed), a value log with the long
/// document, and a journal of which the last minute is not in the database.
fn of_the_earlier_format() -> Batch {
    let document = "what the decider has learned, ".repeat(200);
    Batch {
        pumps: vec![record("P-1"), record("P-2")],
        readings: (0..180).map(|s| reading("P-1", s * 1000)).collect(),
        detections: (0..10).map(|s| detection("P-1", s * 1000)).collect(),
        documents: vec![Document::of(&event("P-1", "bearing-hot", 0, false)), Document::of(&entry("restart", 0))],
        metrics: vec![SystemMetrics { at: at(3), figures: [("resident_bytes".to_owned(), 1e9)].into() }],
        checkpoints: vec![checkpoint("P-1", 1001, &document)],
        ..Batch::default()
    }
}

/// Copies the folder, because opening it converts it.
fn earlier_format() -> TempDir {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/surrealkv_0_21");
    killed(&fixture)
}

async fn assert_all_there(store: &Store) {
    let expected = of_the_earlier_format();
    assert_eq!(store.pumps(), expected.pumps);
    assert_eq!(readings(store, "P-1").await, expected.readings);
    assert_eq!(
        store.detections(Some(&pump("P-1")), &PageRange::default()).await.expect("read").rows,
        expected.detections
    );
    assert_eq!(
        store.events(&EventFilter::default()).await.expect("read").rows,
        [event("P-1", "bearing-hot", 0, false)]
    );
    assert_eq!(store.metrics(&PageRange::default()).await.expect("read").rows, expected.metrics);
    assert_eq!(store.audit(&AuditFilter::default()).await.expect("read").rows, [entry("restart", 0)]);
    assert_eq!(store.pump_checkpoint(&pump("P-1")).await.expect("read").as_ref(), expected.checkpoints.first());
}

#[test]
fn a_database_of_the_earlier_format_is_converted_and_its_files_are_removed() {
    runtime().block_on(async {
        let dir = earlier_format();
        for _ in 0..2 {
            let store = open(&dir).await;
            assert_eq!(store.status().database, DatabaseStatus::Open);
            assert_eq!(store.status().damage, [] as [String; 0]);
            assert_all_there(&store).await;
            let replaced = dir.path().join(folder::DATABASE).join(conversion::REPLACED);
            assert!(!replaced.exists(), "the files of before are removed");
            store.flush_all().await.expect("flushed");
            assert_all_there(&store).await;
            store.close().await.expect("closed");
        }
    });
}

/// The conversion is interrupted by a table that cannot be read. After it is repaired, the next opening continues the
/// conversion.
#[test]
fn an_interrupted_conversion_is_reported_and_continues() {
    runtime().block_on(async {
        let dir = earlier_format();
        let table = dir.path().join(folder::DATABASE).join("sstables/00000000000000000001.sst");
        let whole = fs::read(&table).expect("read");
        let mut damaged = whole.clone();
        damaged[200] ^= 0xff;
        fs::write(&table, damaged).expect("written");
        let store = open(&dir).await;
        let DatabaseStatus::Unavailable(why) = store.status().database else { panic!("it was opened") };
        assert!(why.contains("being converted"), "{why}");
        assert_eq!(store.pumps(), of_the_earlier_format().pumps, "known from the copy");
        fs::write(&table, whole).expect("written");
        store.reopen().await.expect("opened");
        assert_all_there(&store).await;
        assert!(!dir.path().join(folder::DATABASE).join(conversion::REPLACED).exists());
    });
}

/// The conversion is interrupted before the replaced files are removed. They are in no backup, count as used, and are
/// removed at the next start.
#[test]
fn replaced_files_are_in_no_backup_and_are_removed_at_the_next_start() {
    runtime().block_on(async {
        let (dir, copy) = (earlier_format(), tempfile::tempdir().expect("a directory"));
        let store = open(&dir).await;
        let used = store.disk_use().expect("measured").database_bytes;
        let replaced = dir.path().join(folder::DATABASE).join(conversion::REPLACED);
        fs::create_dir_all(replaced.join("sstables")).expect("made");
        fs::write(replaced.join("sstables/00000000000000000001.sst"), vec![0; 1 << 20]).expect("written");
        assert!(
            store.disk_use().expect("measured").database_bytes >= used + (1 << 20),
            "the space that it takes is counted"
        );
        store.stage(copy.path()).await.expect("staged");
        assert!(!copy.path().join(folder::DATABASE).join(conversion::REPLACED).exists(), "it is not in a backup");
        assert!(!replaced.exists(), "the database was opened anew after it was copied");
        assert_all_there(&store).await;
        assert_all_there(&open(&copy).await).await;
    });
}

/// If a new table cannot be read, the file that it was converted from is kept.
#[test]
fn replaced_files_stay_if_the_new_tables_cannot_be_read() {
    runtime().block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = DatabaseEngine::start(dir.path(), &StoreSettings::default()).await.expect("started");
        let replaced = dir.path().join(folder::DATABASE).join(conversion::REPLACED);
        fs::create_dir(&replaced).expect("made");
        conversion::clear_replaced(&engine, dir.path()).await;
        assert!(replaced.exists(), "there are no tables at all");
        migrations::apply(&engine, migrations::ALL).await.expect("migrated");
        super::super::documents::define_all(&engine).await.expect("defined");
        conversion::clear_replaced(&engine, dir.path()).await;
        assert!(!replaced.exists());
    });
}
