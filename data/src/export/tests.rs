//! Tests of exports, which are read back bit for bit, and of imports.

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

static NOT_STOPPING: AtomicBool = AtomicBool::new(false);
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

fn request(format: ExportFormat, file: PathBuf) -> ExportRequest {
    ExportRequest { pump: pump().id, from: None, to: None, format, file }
}

/// Runs a test with a new store in a temporary folder, which it may use for other files.
fn with_store<T>(test: impl AsyncFnOnce(&Store, &Path) -> T) -> T {
    let dir = TempDir::new().expect("a folder");
    Runtime::new().expect("a runtime").block_on(async {
        let store = Store::open(&dir.path().join("store"), &StoreSettings::default(), at(0)).await.expect("opened");
        let result = test(&store, dir.path()).await;
        store.close().await.expect("closed");
        result
    })
}

async fn commit(store: &Store, readings: Vec<Reading>) {
    store.commit(&Batch { pumps: vec![pump()], readings, ..Batch::default() }).await.expect("stored");
}

#[test]
fn an_export_joins_pages_and_honours_the_time_range() {
    with_store(async |store, dir| {
        let rows: Vec<Reading> =
            (0..25_000).map(|n| reading(n * 100, [Sample::Good((n % 200) as f64), Sample::Missing])).collect();
        commit(store, rows[..12_000].to_vec()).await;
        store.flush_all().await.expect("flushed");
        commit(store, rows[12_000..].to_vec()).await;
        let all = request(ExportFormat::Csv, dir.join("all.csv"));
        let exported = export(store, &all, &NOT_STOPPING).await.expect("exported");
        assert_eq!(exported.readings, 25_000);
        assert_eq!(exported.bytes, fs::metadata(&all.file).expect("there").len());
        let read = read_recording(&all.file, &profile(), &Dialect::default()).expect("a recording").rows;
        assert!(read.iter().zip(&rows).all(|(read, row)| read.at == row.at && read.samples == row.samples));
        assert_eq!(read.len(), 25_000);
        let part = ExportRequest {
            from: Some(at(100)),
            to: Some(at(400)),
            ..request(ExportFormat::Csv, dir.join("part.csv"))
        };
        assert_eq!(export(store, &part, &NOT_STOPPING).await.expect("exported").readings, 3);
        assert!(
            dir.read_dir()
                .expect("read")
                .all(|entry| entry.expect("an entry").path().extension() != Some("partial".as_ref()))
        );
    });
}

#[test]
fn no_file_is_overwritten_and_no_temporary_file_remains() {
    with_store(async |store, dir| {
        let unknown =
            export(store, &request(ExportFormat::Csv, dir.join("a.csv")), &NOT_STOPPING).await.expect_err("nobody");
        assert!(matches!(unknown, ExportError::UnknownPump { .. }), "{unknown}");
        commit(store, vec![reading(0, [Sample::Good(1.0); 2])]).await;
        fs::write(dir.join("a.csv"), "mine").expect("written");
        let exists =
            export(store, &request(ExportFormat::Csv, dir.join("a.csv")), &NOT_STOPPING).await.expect_err("there");
        assert!(matches!(exists, ExportError::Exists { .. }), "{exists}");
        assert_eq!(fs::read_to_string(dir.join("a.csv")).expect("read"), "mine");
        let stopping = AtomicBool::new(true);
        let stopped =
            export(store, &request(ExportFormat::Parquet, dir.join("b")), &stopping).await.expect_err("stopped");
        assert!(matches!(stopped, ExportError::Stopped), "{stopped}");
        let nowhere = request(ExportFormat::Parquet, dir.join("nowhere/b"));
        assert!(matches!(export(store, &nowhere, &NOT_STOPPING).await, Err(ExportError::File { .. })));
        let mut remaining: Vec<_> =
            dir.read_dir().expect("read").map(|entry| entry.expect("an entry").file_name()).collect();
        remaining.sort();
        assert_eq!(remaining, ["a.csv", "store"]);
    });
}

#[test]
fn no_file_is_written_if_no_reading_is_in_the_range() {
    with_store(async |store, dir| {
        commit(store, vec![reading(0, [Sample::Good(1.0); 2])]).await;
        for format in [ExportFormat::Csv, ExportFormat::Parquet] {
            let later = ExportRequest { from: Some(at(1)), ..request(format, dir.join("later")) };
            let error = export(store, &later, &NOT_STOPPING).await.expect_err("no reading");
            assert!(matches!(error, ExportError::NoReadings { .. }), "{error}");
            let expected = format!("P-1 has no reading from {} on; no file is written", at(1));
            assert_eq!(error.to_string(), expected);
            assert_eq!(dir.read_dir().expect("read").count(), 1, "only the store");
        }
    });
}

/// Both exports write at the same time, one few rows and the other many: the file is complete and of one of the two.
#[test]
fn of_two_exports_to_one_file_one_is_refused_and_the_other_complete() {
    with_store(async |store, dir| {
        let rows: Vec<Reading> =
            (0..25_000).map(|n| reading(n * 100, [Sample::Good(n as f64), Sample::Missing])).collect();
        commit(store, rows).await;
        for format in [ExportFormat::Csv, ExportFormat::Parquet] {
            let file = dir.join(format.to_string());
            let few = ExportRequest { to: Some(at(150)), ..request(format, file.clone()) };
            let all = request(format, file.clone());
            let (few, all) = tokio::join!(export(store, &few, &NOT_STOPPING), export(store, &all, &NOT_STOPPING));
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
        // A link at the path of the file, one at the temporary path of an earlier version, and a dangling one.
        for (link, to) in [("a.csv", &precious), ("b.csv.partial", &precious), ("c.csv", &dir.join("nothing"))] {
            std::os::unix::fs::symlink(to, dir.join(link)).expect("linked");
        }
        for (name, refused) in [("a.csv", true), ("b.csv", false), ("c.csv", true)] {
            let exported = export(store, &request(ExportFormat::Csv, dir.join(name)), &NOT_STOPPING).await;
            assert_eq!(matches!(exported, Err(ExportError::Exists { .. })), refused, "{name}: {exported:?}");
            assert!(refused || exported.is_ok(), "{name}: {exported:?}");
        }
        assert_eq!(fs::read(&precious).expect("read"), b"precious");
        assert!(!dir.join("nothing").exists());
    });
}

#[test]
fn an_export_into_the_data_directory_is_refused() {
    with_store(async |store, dir| {
        commit(store, vec![reading(0, [Sample::Good(1.0); 2])]).await;
        let data = dir.join("store");
        std::os::unix::fs::symlink(&data, dir.join("link")).expect("linked");
        for file in [data.join("x.csv"), data.join("journal/00000000000000009999.log"), dir.join("link/x.csv")] {
            let exported = export(store, &request(ExportFormat::Csv, file.clone()), &NOT_STOPPING).await;
            assert!(matches!(exported, Err(ExportError::InDataDirectory { .. })), "{}: {exported:?}", file.display());
            assert!(!file.exists(), "{}", file.display());
        }
    });
}

#[test]
fn parquet_holds_all_fields_of_a_reading() {
    with_store(async |store, dir| {
        let rows = vec![
            reading(0, [Sample::Good(0.1 + 0.2), Sample::Good(-0.0)]),
            reading(1001, [Sample::Bad(900.0), Sample::Filled]),
            reading(2000, [Sample::Missing, Sample::Good(5e-324)]),
        ];
        commit(store, rows.clone()).await;
        let request = request(ExportFormat::Parquet, dir.join("all.parquet"));
        export(store, &request, &NOT_STOPPING).await.expect("exported");
        let file = SerializedFileReader::new(fs::File::open(&request.file).expect("there")).expect("Parquet");
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
    assert!(matches!(error, ExportError::ReservedColumn { .. }), "{error}");
}

/// Returns a request to import a file for the pump of these tests.
fn import_request<'a>(
    file: &'a Path,
    pump: &'a PumpId,
    profile: &'a Profile,
    dialect: &'a Dialect,
) -> ImportRequest<'a> {
    ImportRequest { file, dialect, pump, profile, now: at(9000), keep_first: false }
}

async fn samples(store: &Store) -> Vec<[Sample; 2]> {
    let stored = store
        .readings(&pump().id, &PageRange::default())
        .await
        .and_then(crate::QueryResult::into_complete)
        .expect("read");
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
        let request = import_request(&file, &id, &profile, &dialect);
        let dry_run = dry_run_import(Some(store), &request).await.expect("tried");
        assert_eq!(samples(store).await.len(), 1, "a dry run stores nothing");
        let imported = import(store, &request).await.expect("imported");
        assert_eq!(imported, dry_run, "and returns the same report");
        assert_eq!((imported.stored, imported.already_stored, imported.empty, imported.labelled), (2, 1, 1, 3));
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
        assert_eq!(store.status().unflushed_readings, 0, "the database has all of it");
        let again = import(store, &request).await.expect("imported");
        assert_eq!((again.stored, again.already_stored), (0, 3), "a second import stores nothing");
        let early = ImportRequest { now: at(2000), ..request };
        let error = import(store, &early).await.expect_err("the future").to_string();
        assert!(error.contains("line 5: ") && error.contains("is after now"), "{error}");
    });
}

#[test]
fn conflicting_values_store_nothing_without_keep_first() {
    with_store(async |store, dir| {
        commit(store, vec![reading(1000, [Sample::Good(41.0), Sample::Missing])]).await;
        let file = dir.join("run.csv");
        let (id, profile, dialect) = (pump().id, profile(), Dialect::default());
        let line = |second: i64, rest: &str| format!("{};{rest}\n", at(second * 1000));
        for (lines, expected) in [
            // The file contradicts itself: in adjacent rows, and after a step back in time.
            (line(2, "1;1") + &line(2, "2;1"), "line 3: at \""),
            (line(3, "1;1") + &line(4, "2;1") + &line(3, "3;1"), "line 4: at \""),
            // It contradicts the store.
            (line(1, "42;") + &line(5, "1;1"), "line 2: at \""),
        ] {
            fs::write(&file, format!("datetime;Tb;Volume Flow RateRMS\n{lines}")).expect("written");
            let before = samples(store).await;
            let request = import_request(&file, &id, &profile, &dialect);
            let error = import(store, &request).await.expect_err(expected).to_string();
            assert!(error.contains(expected) && error.contains("--keep-first"), "{error}");
            assert_eq!(samples(store).await, before, "{expected}: nothing is stored");
            let imported = import(store, &ImportRequest { keep_first: true, ..request }).await.expect("imported");
            assert!(imported.stored > 0, "{expected}");
            let conflicts = imported.notes.order.conflicts.into_iter().chain(imported.conflicting).count();
            assert_eq!(conflicts, 1, "{expected}");
        }
        let first: Vec<Option<f64>> = samples(store).await.iter().map(|pair| pair[0].value()).collect();
        assert_eq!(first, [Some(41.0), Some(1.0), Some(1.0), Some(2.0), Some(1.0)], "the first of each");
    });
}

#[test]
fn further_channels_of_a_stored_time_are_merged() {
    let (good, gap) = (Sample::Good, Sample::Missing);
    for (stored, row, combined, counts) in [
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
            let imported = import(store, &import_request(&file, &id, &profile, &dialect)).await.expect("imported");
            assert_eq!((imported.stored, imported.merged, imported.already_stored), counts, "{stored:?} {row}");
            assert_eq!(samples(store).await, [combined], "{stored:?} {row}");
            let again = import(store, &import_request(&file, &id, &profile, &dialect)).await.expect("imported");
            assert_eq!((again.stored, again.already_stored, again.found_nothing()), (0, 1, false), "{stored:?} {row}");
        });
    }
}

#[test]
fn an_import_into_a_pump_with_other_channels_is_refused() {
    with_store(async |store, dir| {
        let other = PumpRecord { channels: vec!["X".into()], ..pump() };
        store.commit(&Batch { pumps: vec![other], ..Batch::default() }).await.expect("stored");
        let file = dir.join("run.csv");
        fs::write(&file, "timestamp,Tb,Volume Flow RateRMS\n2020-03-01T15:44:06Z,1,2\n").expect("written");
        let (id, profile, dialect) = (pump().id, profile(), Dialect::default());
        let error = import(store, &import_request(&file, &id, &profile, &dialect)).await.expect_err("refused");
        assert!(matches!(error, ImportError::Store(StoreError::OtherChannels { .. })), "{error}");
    });
}

proptest! {
    /// Values in the CSV file are read back with the same bits.
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
