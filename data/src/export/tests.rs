//! Files that are written and read again, bit for bit, and recordings that are taken in.

use parquet::{
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::{Field, RowAccessor},
};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use volute_plant::{Profile, Sample};

use super::*;
use crate::{Batch, Dialect, StoreSettings, parse_recording, read_recording, recording::tests::TWO_CHANNELS};

static GOING: AtomicBool = AtomicBool::new(false);
const START: i64 = 1_773_051_273_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(START + ms).expect("a time")
}

fn profile() -> Profile {
    Profile::from_toml(TWO_CHANNELS).expect("a profile")
}

fn pump() -> PumpRecord {
    let channels = profile().channel_names().map(str::to_owned).collect();
    PumpRecord { id: "P-1".parse().expect("a name"), profile: "two".into(), channels, registered_at: at(0) }
}

fn reading(ms: i64, samples: [Sample; 2]) -> Reading {
    Reading { pump: pump().id, at: at(ms), received: at(ms + 7), samples: samples.into(), late: ms % 2 == 0 }
}

fn what(format: ExportFormat, file: PathBuf) -> Export {
    Export { pump: pump().id, from: None, to: None, format, file }
}

/// A store of its own, in a folder that files may be beside.
fn with_store<T>(test: impl AsyncFnOnce(&Store, &Path) -> T) -> T {
    let dir = TempDir::new().expect("a folder");
    Runtime::new().expect("a runtime").block_on(async {
        let store = Store::open(&dir.path().join("store"), &StoreSettings::default(), at(0)).await.expect("opened");
        let answer = test(&store, dir.path()).await;
        store.close().await.expect("closed");
        answer
    })
}

async fn commit(store: &Store, readings: Vec<Reading>) {
    store.commit(&Batch { pumps: vec![pump()], readings, ..Batch::default() }).await.expect("stored");
}

#[test]
fn pages_are_put_together_and_a_stretch_is_cut_out() {
    with_store(async |store, dir| {
        let rows: Vec<Reading> =
            (0..25_000).map(|n| reading(n * 100, [Sample::Good((n % 200) as f64), Sample::Missing])).collect();
        commit(store, rows[..12_000].to_vec()).await;
        store.flush_all().await.expect("flushed");
        commit(store, rows[12_000..].to_vec()).await;
        let all = what(ExportFormat::Csv, dir.join("all.csv"));
        let exported = export(store, &all, &GOING).await.expect("exported");
        assert_eq!(exported.readings, 25_000);
        assert_eq!(exported.bytes, fs::metadata(&all.file).expect("there").len());
        let read = read_recording(&all.file, &profile(), &Dialect::default()).expect("a recording").rows;
        assert!(read.iter().zip(&rows).all(|(read, row)| read.at == row.at && read.samples == row.samples));
        assert_eq!(read.len(), 25_000);
        let part = Export { from: Some(at(100)), to: Some(at(400)), ..what(ExportFormat::Csv, dir.join("part.csv")) };
        assert_eq!(export(store, &part, &GOING).await.expect("exported").readings, 3);
        assert!(
            dir.read_dir()
                .expect("read")
                .all(|entry| entry.expect("an entry").path().extension() != Some("partial".as_ref()))
        );
    });
}

#[test]
fn nothing_is_written_over_and_nothing_is_left() {
    with_store(async |store, dir| {
        let nobody = export(store, &what(ExportFormat::Csv, dir.join("a.csv")), &GOING).await.expect_err("nobody");
        assert!(matches!(nobody, ExportError::NoPump { .. }), "{nobody}");
        commit(store, vec![reading(0, [Sample::Good(1.0); 2])]).await;
        fs::write(dir.join("a.csv"), "mine").expect("written");
        let exists = export(store, &what(ExportFormat::Csv, dir.join("a.csv")), &GOING).await.expect_err("there");
        assert!(matches!(exists, ExportError::Exists { .. }), "{exists}");
        assert_eq!(fs::read_to_string(dir.join("a.csv")).expect("read"), "mine");
        let stopping = AtomicBool::new(true);
        let stopped = export(store, &what(ExportFormat::Parquet, dir.join("b")), &stopping).await.expect_err("stopped");
        assert!(matches!(stopped, ExportError::Stopped), "{stopped}");
        let nowhere = what(ExportFormat::Parquet, dir.join("nowhere/b"));
        assert!(matches!(export(store, &nowhere, &GOING).await, Err(ExportError::File { .. })));
        let mut left: Vec<_> =
            dir.read_dir().expect("read").map(|entry| entry.expect("an entry").file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.csv", "store"]);
    });
}

/// Both write all the while, one a few rows and the other many: each file is one of the two, and whole.
#[test]
fn of_two_exports_to_one_file_one_is_refused_and_the_other_whole() {
    with_store(async |store, dir| {
        let rows: Vec<Reading> =
            (0..25_000).map(|n| reading(n * 100, [Sample::Good(n as f64), Sample::Missing])).collect();
        commit(store, rows).await;
        for format in [ExportFormat::Csv, ExportFormat::Parquet] {
            let file = dir.join(format.to_string());
            let few = Export { to: Some(at(150)), ..what(format, file.clone()) };
            let all = what(format, file.clone());
            let (few, all) = tokio::join!(export(store, &few, &GOING), export(store, &all, &GOING));
            let (done, refused) = if let Ok(few) = few { (few, all) } else { (all.expect("one of them"), few) };
            assert!(matches!(refused, Err(ExportError::Exists { .. })), "{refused:?}");
            assert_eq!(fs::metadata(&file).expect("there").len(), done.bytes);
            let rows = match format {
                ExportFormat::Csv => {
                    read_recording(&file, &profile(), &Dialect::default()).expect("a recording").rows.len()
                }
                ExportFormat::Parquet => {
                    let file = SerializedFileReader::new(fs::File::open(&file).expect("there")).expect("Parquet");
                    file.get_row_iter(None).expect("rows").filter(Result::is_ok).count()
                }
            };
            assert_eq!(rows as u64, done.readings);
        }
    });
}

#[test]
fn an_export_follows_no_symlink() {
    with_store(async |store, dir| {
        commit(store, vec![reading(0, [Sample::Good(1.0); 2])]).await;
        let precious = dir.join("precious");
        fs::write(&precious, "precious").expect("written");
        // Where the file shall be, where an earlier version wrote it first, and one that leads nowhere.
        for (link, to) in [("a.csv", &precious), ("b.csv.partial", &precious), ("c.csv", &dir.join("nothing"))] {
            std::os::unix::fs::symlink(to, dir.join(link)).expect("linked");
        }
        for (name, refused) in [("a.csv", true), ("b.csv", false), ("c.csv", true)] {
            let exported = export(store, &what(ExportFormat::Csv, dir.join(name)), &GOING).await;
            assert_eq!(matches!(exported, Err(ExportError::Exists { .. })), refused, "{name}: {exported:?}");
            assert!(refused || exported.is_ok(), "{name}: {exported:?}");
        }
        assert_eq!(fs::read(&precious).expect("read"), b"precious");
        assert!(!dir.join("nothing").exists());
    });
}

#[test]
fn an_export_is_never_among_the_nodes_own_files() {
    with_store(async |store, dir| {
        commit(store, vec![reading(0, [Sample::Good(1.0); 2])]).await;
        let data = dir.join("store");
        std::os::unix::fs::symlink(&data, dir.join("link")).expect("linked");
        for file in [data.join("x.csv"), data.join("journal/00000000000000009999.log"), dir.join("link/x.csv")] {
            let exported = export(store, &what(ExportFormat::Csv, file.clone()), &GOING).await;
            assert!(matches!(exported, Err(ExportError::InDataDirectory { .. })), "{}: {exported:?}", file.display());
            assert!(!file.exists(), "{}", file.display());
        }
    });
}

#[test]
fn parquet_holds_all_of_a_reading() {
    with_store(async |store, dir| {
        let rows = vec![
            reading(0, [Sample::Good(0.1 + 0.2), Sample::Good(-0.0)]),
            reading(1001, [Sample::Bad(900.0), Sample::Filled]),
            reading(2000, [Sample::Missing, Sample::Good(5e-324)]),
        ];
        commit(store, rows.clone()).await;
        let what = what(ExportFormat::Parquet, dir.join("all.parquet"));
        export(store, &what, &GOING).await.expect("exported");
        let file = SerializedFileReader::new(fs::File::open(&what.file).expect("there")).expect("Parquet");
        let metadata = file.metadata().file_metadata();
        let names: Vec<&str> = metadata.schema_descr().columns().iter().map(|column| column.name()).collect();
        assert_eq!(names, ["pump", "timestamp", "received", "late", "quality", "Tb", "Volume Flow RateRMS"]);
        let known = metadata.key_value_metadata().expect("metadata");
        assert!(known.iter().any(|entry| entry.key == "volute.quality"));
        let read: Vec<_> = file.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect();
        assert_eq!(read.len(), rows.len());
        let qualities = [None, Some("bf"), Some("mg")];
        for ((read, row), quality) in read.iter().zip(&rows).zip(qualities) {
            assert_eq!(read.get_string(0).expect("a name"), "P-1");
            assert_eq!(read.get_timestamp_millis(1).expect("a time"), row.at.millis());
            assert_eq!(read.get_timestamp_millis(2).expect("a time"), row.received.millis());
            assert_eq!(read.get_bool(3).expect("a flag"), row.late);
            assert_eq!(read.get_string(4).ok().map(String::as_str), quality);
            for (sample, (_, field)) in row.samples.iter().zip(read.get_column_iter().skip(5)) {
                let value = match field {
                    Field::Double(value) => Some(value.to_bits()),
                    Field::Null => None,
                    other => panic!("{other}"),
                };
                assert_eq!(value, sample.value().map(f64::to_bits));
            }
        }
    });
}

#[test]
fn row_groups_are_bounded() {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("long.parquet");
    let mut file = ParquetFile::create(&path, fs::File::create(&path).expect("made"), &pump(), None).expect("made");
    let rows: Vec<Reading> = (0..10_000).map(|n| reading(n, [Sample::Good(1.5); 2])).collect();
    for _ in 0..21 {
        file.write(&rows).expect("written");
    }
    file.finish().expect("finished");
    let file = SerializedFileReader::new(fs::File::open(&path).expect("there")).expect("Parquet");
    let rows: Vec<i64> = file.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(rows, [100_000, 100_000, 10_000]);
}

#[test]
fn a_channel_must_not_be_named_as_a_column() {
    let pump = PumpRecord { channels: vec!["late".into()], ..pump() };
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("a");
    let error = ExportFile::create(&path, fs::File::create(&path).expect("made"), ExportFormat::Parquet, &pump, None)
        .err()
        .expect("refused");
    assert!(matches!(error, ExportError::Column { .. }), "{error}");
}

/// The recording `run.csv` beside the store, taken for the pump of these tests.
fn recording<'a>(file: &'a Path, pump: &'a PumpId, profile: &'a Profile, dialect: &'a Dialect) -> Import<'a> {
    Import { file, dialect, pump, profile, now: at(9000), keep_first: false }
}

async fn samples(store: &Store) -> Vec<[Sample; 2]> {
    let stored = store.readings(&pump().id, &Range::default()).await.and_then(crate::Answer::all).expect("read");
    stored.iter().map(|reading| [reading.samples[0], reading.samples[1]]).collect()
}

#[test]
fn an_import_stores_what_is_new() {
    with_store(async |store, dir| {
        commit(store, vec![reading(1000, [Sample::Good(41.0), Sample::Good(77.0)])]).await;
        let file = dir.join("run.csv");
        let line = |second: i64, rest: &str| format!("{};{rest}\n", at(second * 1000));
        let lines =
            [line(0, "40.5;76;0"), line(1, "41;77;0"), line(2, ";NaN;1"), line(3, "900;;"), line(0, "40.5;76;0")];
        fs::write(&file, format!("datetime;Tb;Volume Flow RateRMS;anomaly\n{}", lines.concat())).expect("written");
        let (id, profile, dialect) = (pump().id, profile(), Dialect::default());
        let what = recording(&file, &id, &profile, &dialect);
        let tried = try_import(Some(store), &what).await.expect("tried");
        assert_eq!(samples(store).await.len(), 1, "a dry run stores nothing");
        let imported = import(store, &what).await.expect("imported");
        assert_eq!(imported, tried, "and says the same");
        assert_eq!((imported.stored, imported.known, imported.empty, imported.labelled), (2, 1, 1, 3));
        assert_eq!((imported.first, imported.last), (Some(at(0)), Some(at(3000))));
        let repeats = imported.notes.order.repeats.expect("a repeat").to_string();
        assert!(repeats.starts_with("line 6: ") && repeats.ends_with("is a repeat of line 2"), "{repeats}");
        assert_eq!(
            samples(store).await,
            [
                [Sample::Good(40.5), Sample::Good(76.0)],
                [Sample::Good(41.0), Sample::Good(77.0)],
                [Sample::Bad(900.0), Sample::Missing],
            ]
        );
        assert_eq!(store.status().waiting_readings, 0, "the database has all of it");
        let again = import(store, &what).await.expect("imported");
        assert_eq!((again.stored, again.known), (0, 3), "once more is harmless");
        let early = Import { now: at(2000), ..what };
        let error = import(store, &early).await.expect_err("the future").to_string();
        assert!(error.contains("line 5: ") && error.contains("is after now"), "{error}");
    });
}

#[test]
fn other_values_for_one_time_store_nothing_unless_the_first_one_counts() {
    with_store(async |store, dir| {
        commit(store, vec![reading(1000, [Sample::Good(41.0), Sample::Missing])]).await;
        let file = dir.join("run.csv");
        let (id, profile, dialect) = (pump().id, profile(), Dialect::default());
        let line = |second: i64, rest: &str| format!("{};{rest}\n", at(second * 1000));
        for (lines, told) in [
            // The file contradicts itself: right away, and after time went back.
            (line(2, "1;1") + &line(2, "2;1"), "line 3: same time, other values"),
            (line(3, "1;1") + &line(4, "2;1") + &line(3, "3;1"), "line 4: same time, other values"),
            // It contradicts the store.
            (line(1, "42;") + &line(5, "1;1"), "line 2: same time, other values"),
        ] {
            fs::write(&file, format!("datetime;Tb;Volume Flow RateRMS\n{lines}")).expect("written");
            let before = samples(store).await;
            let what = recording(&file, &id, &profile, &dialect);
            let error = import(store, &what).await.expect_err(told).to_string();
            assert!(error.contains(told) && error.contains("--keep-first"), "{error}");
            assert_eq!(samples(store).await, before, "{told}: nothing is stored");
            let imported = import(store, &Import { keep_first: true, ..what }).await.expect("imported");
            assert!(imported.stored > 0, "{told}");
            let said = imported.notes.order.conflicts.into_iter().chain(imported.contradicted).count();
            assert_eq!(said, 1, "{told}");
        }
        let first: Vec<Option<f64>> = samples(store).await.iter().map(|pair| pair[0].value()).collect();
        assert_eq!(first, [Some(41.0), Some(1.0), Some(1.0), Some(2.0), Some(1.0)], "the first of each");
    });
}

#[test]
fn further_channels_of_a_stored_time_are_joined() {
    let (good, gap) = (Sample::Good, Sample::Missing);
    for (stored, row, whole, counts) in [
        ([good(41.0), gap], "41;7", [good(41.0), good(7.0)], (1, 1, 0)),
        ([good(41.0), gap], ";7", [good(41.0), good(7.0)], (1, 1, 0)),
        ([gap, good(7.0)], "41;", [good(41.0), good(7.0)], (1, 1, 0)),
        ([gap, good(7.0)], "900;7", [Sample::Bad(900.0), good(7.0)], (1, 1, 0)),
        ([gap, gap], "41;7", [good(41.0), good(7.0)], (1, 1, 0)),
        ([good(41.0), good(7.0)], "41;", [good(41.0), good(7.0)], (0, 0, 1)),
        ([good(41.0), gap], "41;Bad", [good(41.0), gap], (0, 0, 1)),
    ] {
        with_store(async |store, dir| {
            commit(store, vec![reading(1000, stored)]).await;
            let file = dir.join("run.csv");
            fs::write(&file, format!("datetime;Tb;Volume Flow RateRMS\n{};{row}\n", at(1000))).expect("written");
            let (id, profile, dialect) = (pump().id, profile(), Dialect::default());
            let imported = import(store, &recording(&file, &id, &profile, &dialect)).await.expect("imported");
            assert_eq!((imported.stored, imported.joined, imported.known), counts, "{stored:?} {row}");
            assert_eq!(samples(store).await, [whole], "{stored:?} {row}");
            let again = import(store, &recording(&file, &id, &profile, &dialect)).await.expect("imported");
            assert_eq!((again.stored, again.known, again.found_nothing()), (0, 1, false), "{stored:?} {row}");
        });
    }
}

#[test]
fn a_pump_of_another_kind_is_not_imported_into() {
    with_store(async |store, dir| {
        let other = PumpRecord { channels: vec!["X".into()], ..pump() };
        store.commit(&Batch { pumps: vec![other], ..Batch::default() }).await.expect("stored");
        let file = dir.join("run.csv");
        fs::write(&file, "timestamp,Tb,Volume Flow RateRMS\n2020-03-01T15:44:06Z,1,2\n").expect("written");
        let (id, profile, dialect) = (pump().id, profile(), Dialect::default());
        let error = import(store, &recording(&file, &id, &profile, &dialect)).await.expect_err("refused");
        assert!(matches!(error, ImportError::Store(StoreError::OtherChannels { .. })), "{error}");
    });
}

proptest! {
    /// What is sent comes out of the CSV file with the same bits.
    #[test]
    fn csv_keeps_every_bit(values in prop::collection::vec(prop::option::of(prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO), 2..40)) {
        let dir = TempDir::new().expect("a folder");
        let path = dir.path().join("a.csv");
        let sample = |value: Option<f64>| value.map_or(Sample::Filled, Sample::Bad);
        let rows: Vec<Reading> = values.chunks_exact(2).zip(0..).map(|(pair, n)| reading(n, [sample(pair[0]), sample(pair[1])])).collect();
        let mut file = CsvFile::create(&path, fs::File::create(&path).expect("made"), &pump()).expect("made");
        file.write(&rows).expect("written");
        file.finish().expect("finished");
        let read = parse_recording(&path, &fs::read(&path).expect("read"), &profile(), &Dialect::default()).expect("a recording").rows;
        let bits = |samples: &[Sample]| samples.iter().map(|s| s.value().map(f64::to_bits)).collect::<Vec<_>>();
        prop_assert_eq!(read.len(), rows.len());
        for (read, row) in read.iter().zip(&rows) {
            prop_assert_eq!((read.at, bits(&read.samples)), (row.at, bits(&row.samples)));
        }
    }
}
