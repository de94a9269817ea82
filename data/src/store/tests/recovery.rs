//! A database whose log was torn or damaged, one put back from a backup, and one of an earlier format.

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

/// What a killed process leaves: the files as they are now.
fn killed(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    copy_tree(dir, copy.path());
    copy
}

async fn create(engine: &Engine, numbers: std::ops::Range<i64>) {
    for n in numbers {
        engine.execute("CREATE type::record('torn', $n) RETURN NONE", [("n", n.into_value())]).await.expect("stored");
    }
}

async fn stored(engine: &Engine) -> Vec<i64> {
    engine.rows("SELECT VALUE record::id(id) FROM torn ORDER BY id", []).await.expect("read")
}

/// The same at the level of the storage engine, at every byte: `data/surrealkv/tests/torn_log.rs`.
#[test]
fn what_was_committed_outlives_kills_in_the_middle_of_a_record() {
    let settings = StoreSettings::default();
    runtime().block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = Engine::start(dir.path(), &settings).await.expect("started");
        engine.execute("DEFINE TABLE torn SCHEMALESS", []).await.expect("made");
        create(&engine, 0..5).await;
        let whole = fs::metadata(log(dir.path())).expect("a log").len();
        create(&engine, 5..6).await;
        let end = fs::metadata(log(dir.path())).expect("a log").len();
        for at in [whole, whole + 1, whole + 7, (whole + end) / 2, end - 1] {
            let once = killed(dir.path());
            fs::File::options().write(true).open(log(once.path())).and_then(|file| file.set_len(at)).expect("cut");
            let engine = Engine::start(once.path(), &settings).await.expect("started");
            assert!(stored(&engine).await.starts_with(&[0, 1, 2, 3, 4]), "cut at {at} of {whole} to {end}");
            let before = stored(&engine).await;
            create(&engine, 10..15).await;
            let twice = killed(once.path());
            let engine = Engine::start(twice.path(), &settings).await.expect("started");
            let expected: Vec<i64> = before.into_iter().chain(10..15).collect();
            assert_eq!(stored(&engine).await, expected, "cut at {at} of {whole} to {end}");
        }
    });
}

/// Whose database's log is damaged in the middle, has a node all the same: it says what to do, and the readings of the
/// last day come back when the database of a backup is put in its place.
#[test]
fn a_damaged_log_is_told_and_the_database_of_a_backup_does_in_its_place() {
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
        // A byte in the first record: all that follows is whole, and was acknowledged.
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

/// What is in the folder `data/tests/surrealkv_0_21`, which SurrealKV 0.21.4 wrote: a table with two thirds of the keys, a
/// log with the others and a torn record behind them (it was killed), a value log with the long document, and a journal of
/// which the last minute is not in the database.
fn of_the_earlier_format() -> Batch {
    let document = "what the decider has learned, ".repeat(200);
    Batch {
        pumps: vec![record("P-1"), record("P-2")],
        readings: (0..180).map(|s| reading("P-1", s * 1000)).collect(),
        detections: (0..10).map(|s| detection("P-1", s * 1000)).collect(),
        documents: vec![Document::of(&event("P-1", "bearing-hot", 0, false)), Document::of(&entry("restart", 0))],
        metrics: vec![SystemMetrics { at: at(3), figures: [("resident_bytes".to_owned(), 1e9)].into() }],
        states: vec![state("P-1", 1001, &document)],
        ..Batch::default()
    }
}

/// A copy of it, to be opened: an opening converts it.
fn earlier_format() -> TempDir {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/surrealkv_0_21");
    killed(&fixture)
}

async fn assert_all_there(store: &Store) {
    let expected = of_the_earlier_format();
    assert_eq!(store.pumps(), expected.pumps);
    assert_eq!(readings(store, "P-1").await, expected.readings);
    assert_eq!(store.detections(Some(&pump("P-1")), &Range::default()).await.expect("read").rows, expected.detections);
    assert_eq!(
        store.events(&EventFilter::default()).await.expect("read").rows,
        [event("P-1", "bearing-hot", 0, false)]
    );
    assert_eq!(store.metrics(&Range::default()).await.expect("read").rows, expected.metrics);
    assert_eq!(store.audit(&AuditFilter::default()).await.expect("read").rows, [entry("restart", 0)]);
    assert_eq!(store.pump_state(&pump("P-1")).await.expect("read").as_ref(), expected.states.first());
}

#[test]
fn a_database_of_the_earlier_format_is_converted_and_what_it_leaves_is_removed() {
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

/// Here because a table could not be read: it is put right, and the next opening goes on where the first stopped.
#[test]
fn a_conversion_that_was_cut_short_is_told_and_goes_on() {
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

/// Cut short after its log was converted, and the files of before not removed: they are in no backup, count as used, and
/// go at the next start.
#[test]
fn what_a_conversion_left_is_in_no_backup_and_goes_at_the_next_start() {
    runtime().block_on(async {
        let (dir, copy) = (earlier_format(), tempfile::tempdir().expect("a directory"));
        let store = open(&dir).await;
        let used = store.disk_use().expect("asked").database_bytes;
        let replaced = dir.path().join(folder::DATABASE).join(conversion::REPLACED);
        fs::create_dir_all(replaced.join("sstables")).expect("made");
        fs::write(replaced.join("sstables/00000000000000000001.sst"), vec![0; 1 << 20]).expect("written");
        assert!(
            store.disk_use().expect("asked").database_bytes >= used + (1 << 20),
            "it is told how much room it takes"
        );
        store.stage(copy.path()).await.expect("staged");
        assert!(!copy.path().join(folder::DATABASE).join(conversion::REPLACED).exists(), "it is not in a backup");
        assert!(!replaced.exists(), "the database was opened anew after it was copied");
        assert_all_there(&store).await;
        assert_all_there(&open(&copy).await).await;
    });
}

/// A table that cannot be read is no reason to give up the one that it was made of.
#[test]
fn what_a_conversion_replaced_stays_where_the_new_tables_cannot_be_read() {
    runtime().block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = Engine::start(dir.path(), &StoreSettings::default()).await.expect("started");
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
