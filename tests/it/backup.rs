//! Backups, exports and imports: the node under load, the damaged copy, the numbers to their last bit.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use parquet::{
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::RowAccessor,
};
use serde_json::json;
use tempfile::TempDir;
use volute_data::{
    Answer, AuditEntry, AuditFilter, Batch, CommissioningRecord, Document, EventFilter, NewBaseline, PumpRecord,
    PumpState, Range, Store, StoreSettings, SystemMetrics, list_backups, verify_backup,
};
use volute_plant::{
    Clock, Currency, Detection, MaintenanceEvent, Money, Profile, PumpId, Reading, Sample, Severity, SystemClock,
    Timestamp,
};

use crate::support::{Start, StopOnDrop, output, run, ten_values, try_post, until, volute};

/// 2026-03-09T10:00:00Z.
const EPOCH_MS: i64 = 1_773_050_400_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(EPOCH_MS + second * 1000).expect("a time")
}

fn pump(name: &str) -> PumpId {
    name.parse().expect("a name")
}

fn profile() -> Profile {
    volute::profiles::load("centrifugal").expect("built in")
}

/// A folder with a data directory, a repository and files in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn start(&self) -> Start {
        Start::new(&self.0, "centrifugal")
    }

    fn data(&self) -> PathBuf {
        self.start().data
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn repository(&self) -> PathBuf {
        self.file("backups")
    }

    fn restored(&self) -> PathBuf {
        self.file("restored")
    }

    fn back_up(&self) -> String {
        run(&["backup", text(&self.repository()), "--data-dir", text(&self.data())])
    }

    /// The folder of the last backup.
    fn newest(&self) -> PathBuf {
        list_backups(&self.repository()).expect("listed").pop().expect("a backup").dir
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Runs a command that must fail; answers what it said.
fn refused(args: &[&str]) -> String {
    let output = output(volute().args(args));
    assert_eq!(output.status.code(), Some(1), "volute {args:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn with_store<T>(dir: &Path, look: impl AsyncFnOnce(&Store) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(dir, &StoreSettings::default(), SystemClock.now()).await.expect("opened");
        let answer = look(&store).await;
        store.close().await.expect("closed");
        answer
    })
}

/// Readings of the seeded pump in the database, and as many in the journal.
const SEEDED: i64 = 200;

/// What a node does not write by itself within a test: a row at least in every table.
fn seed(dir: &Path) {
    let channels: Vec<String> = profile().channel_names().map(str::to_owned).collect();
    let width = channels.len();
    let id = pump("seeded");
    let record = PumpRecord { id: id.clone(), profile: "centrifugal".into(), channels, registered_at: at(0) };
    let detection = |second: i64| Detection {
        pump: id.clone(),
        at: at(second),
        loss: 0.1 + second as f64,
        threshold: 0.5,
        is_anomaly: second % 2 == 0,
        contributions: vec![0.1; width].into(),
        model: "m-1".into(),
    };
    let reading = |second: i64| Reading {
        pump: id.clone(),
        at: at(second),
        received: at(second + 1),
        samples: vec![Sample::Good(second as f64 / 3.0); width].into(),
        late: second % 5 == 0,
    };
    let event = MaintenanceEvent {
        pump: id.clone(),
        rule: "bearing".into(),
        title: "Bearing too hot".into(),
        advice: "Check the lubrication.".into(),
        severity: Severity::High,
        cost: Money { amount: 15_000.5, currency: Currency::try_from("INR".to_owned()).expect("a currency") },
        channel: "Bearing_Temperature_C".into(),
        limit: Some(85.0),
        peak: Some(91.0),
        peak_loss: Some(0.75),
        model: Some("m-1".into()),
        opened_at: at(0),
        last_seen_at: at(10),
        resolved_at: Some(at(20)),
        source: None,
    };
    let figures = [("resident_bytes".to_owned(), 1.5)].into();
    // Recent, or the node would delete it at once.
    let metrics = vec![SystemMetrics { at: SystemClock.now().plus_ms(-60_000), figures }];
    let action = AuditEntry {
        at: at(0),
        who: "127.0.0.1:4711".into(),
        action: "commission".into(),
        object: id.to_string(),
        outcome: "done".into(),
        detail: String::new(),
    };
    let batch = Batch {
        pumps: vec![record],
        readings: (0..SEEDED).map(reading).collect(),
        detections: (0..SEEDED).map(detection).collect(),
        documents: vec![Document::of(&event), Document::of(&action)],
        metrics,
        states: vec![PumpState { pump: id.clone(), at: at(SEEDED), document: "{}".into() }],
        removals: Vec::new(),
    };
    // Stays in the journal.
    let later = Batch {
        readings: (SEEDED..2 * SEEDED).map(reading).collect(),
        detections: (SEEDED..2 * SEEDED).map(detection).collect(),
        documents: vec![
            Document::of(&MaintenanceEvent { rule: "other".into(), ..event }),
            Document::of(&AuditEntry { outcome: "there is no such version".into(), ..action }),
        ],
        ..Batch::default()
    };
    let baseline = NewBaseline {
        created_at: at(1),
        network: "n".into(),
        baseline: "b".into(),
        from: at(0),
        to: at(1),
        why: "a test".into(),
        document: "{}".into(),
    };
    let commissioning =
        CommissioningRecord { why: "a test".into(), asked: true, from: Some(at(2)), to: None, running_ms: 7 };
    with_store(dir, async |store| {
        store.commit(&batch).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.add_baseline(&id, &baseline).await.expect("stored");
        store.note_commissioning(&id, &commissioning).await.expect("stored");
        store.commit(&later).await.expect("stored");
    });
}

/// All that a store holds, as text, by kind.
#[derive(Debug, PartialEq)]
struct Everything {
    pumps: BTreeSet<String>,
    readings: BTreeSet<String>,
    detections: BTreeSet<String>,
    events: BTreeSet<String>,
    metrics: BTreeSet<String>,
    audit: BTreeSet<String>,
    baselines: BTreeSet<String>,
    states: BTreeSet<String>,
    standings: BTreeSet<String>,
}

fn everything(dir: &Path) -> Everything {
    fn rows<T: std::fmt::Debug>(answer: Answer<T>) -> BTreeSet<String> {
        answer.all().expect("all").iter().map(|row| format!("{row:?}")).collect()
    }
    with_store(dir, async |store| {
        let all = Range::default();
        let pumps = store.pumps();
        let (mut readings, mut baselines, mut standings) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut states = BTreeSet::new();
        for PumpRecord { id, .. } in &pumps {
            readings.extend(rows(store.readings(id, &all).await.expect("read")));
            let versions = store.baselines(id).await.expect("read");
            baselines.extend(versions.iter().map(|version| format!("{id} {version:?}")));
            states.extend(store.pump_state(id).await.expect("read").map(|state| format!("{state:?}")));
            standings.insert(format!("{id} {:?}", store.standing(id).await.expect("read")));
        }
        Everything {
            pumps: pumps.iter().map(|pump| format!("{pump:?}")).collect(),
            readings,
            detections: rows(store.detections(None, &all).await.expect("read")),
            events: rows(store.events(&EventFilter::default()).await.expect("read")),
            metrics: rows(store.metrics(&all).await.expect("read")),
            audit: rows(store.audit(&AuditFilter::default()).await.expect("read")),
            baselines,
            states,
            standings,
        }
    })
}

/// What was acknowledged, by pump and second.
type Ledger = Arc<Mutex<BTreeSet<(String, i64)>>>;

/// Posts batch after batch in a pump's name until it is told to stop, and notes what was acknowledged.
fn client(url: &str, pump: &str, ledger: &Ledger, stop: &AtomicBool) {
    for first in (0..).step_by(10) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let item = |second: i64| {
            let mut item = ten_values();
            item["timestamp"] = json!(at(second));
            item["pump_id"] = json!(pump);
            item["Motor_RPM"] = json!(1480.0 + second as f64 / 3.0);
            item
        };
        let body = json!((first..first + 10).map(item).collect::<Vec<_>>()).to_string();
        let Some(answer) = try_post(url, "application/json", &body) else { continue };
        if answer.status == 200 && answer.body["durable"] == true {
            let mut ledger = ledger.lock().expect("no client panicked");
            ledger.extend((first..first + 10).map(|second| (pump.to_owned(), second)));
        }
    }
}

fn acknowledged(ledger: &Ledger) -> usize {
    ledger.lock().expect("no client panicked").len()
}

fn until_acknowledged(ledger: &Ledger, n: usize) {
    until("readings are acknowledged", || {
        let so_far = acknowledged(ledger);
        if so_far >= n { Ok(()) } else { Err(so_far) }
    });
}

#[test]
fn a_backup_under_load_holds_all_that_was_acknowledged_before_it() {
    let place = Place::new();
    seed(&place.data());
    let node = place.start().node();
    let (ledger, stop) = (Ledger::default(), Arc::new(AtomicBool::new(false)));
    let (before, during) = thread::scope(|scope| {
        let _clients_end = StopOnDrop(&stop);
        for name in ["pump-a", "pump-b"] {
            let (url, ledger, stop) = (node.url.clone(), &ledger, &stop);
            scope.spawn(move || client(&url, name, ledger, stop));
        }
        until_acknowledged(&ledger, 200);
        place.back_up();
        until_acknowledged(&ledger, 1000);
        let before = ledger.lock().expect("no client panicked").clone();
        let told = place.back_up();
        let during = acknowledged(&ledger) - before.len();
        // The node goes on.
        until_acknowledged(&ledger, before.len() + during + 200);
        eprintln!("{told}{during} readings were acknowledged meanwhile");
        (before, during)
    });
    assert!(during > 0, "readings were taken in while the backup was made");
    assert!(!place.data().join("staging").exists());
    assert!(node.terminate().success());

    let restored = place.restored();
    run(&["restore", text(&place.repository()), "--data-dir", text(&restored)]);
    let (original, copy) = (everything(&place.data()), everything(&restored));
    let expected: BTreeSet<(String, Timestamp)> = before.into_iter().map(|(pump, s)| (pump, at(s))).collect();
    let stored = with_store(&restored, async |store| {
        let mut stored = BTreeSet::new();
        for name in ["pump-a", "pump-b"] {
            let readings = store.readings(&pump(name), &Range::default()).await.and_then(Answer::all).expect("read");
            stored.extend(readings.into_iter().map(|reading| (name.to_owned(), reading.at)));
        }
        stored
    });
    assert_eq!(expected.difference(&stored).count(), 0, "acknowledged before the backup and not in it");
    assert!(copy.readings.is_subset(&original.readings), "and no reading is another");
    assert!(copy.metrics.is_subset(&original.metrics) && !copy.metrics.is_empty());
    assert_eq!((copy.detections.len() as i64, copy.events.len()), (2 * SEEDED, 2));
    // The first backup is noted in the second, and the second where it was made.
    let backups = |audit: &BTreeSet<String>| audit.iter().filter(|entry| entry.contains("\"backup\"")).count();
    assert_eq!((copy.audit.len(), backups(&copy.audit)), (3, 1), "{:?}", copy.audit);
    assert_eq!((original.audit.len(), backups(&original.audit)), (4, 2), "{:?}", original.audit);
    assert!(copy.audit.is_subset(&original.audit));
    assert_eq!(
        (copy.pumps, copy.detections, copy.events, copy.baselines),
        (original.pumps, original.detections, original.events, original.baselines)
    );
    assert_eq!(copy.standings, original.standings);
    // And the copy is a node's data directory like any other.
    let again = Start { data: restored, ..place.start() }.node();
    assert_eq!(again.get("/readyz").status, 200);
    assert_eq!(again.post(&ten_values()).status, 200);
}

/// Sets what happens at a point of the running node.
#[cfg(feature = "failpoints")]
fn inject(place: &Place, point: &str, action: &str) {
    use volute::control::{Request, tell};
    let request = Request::Failpoint { point: point.into(), action: action.into() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(tell::<()>(&place.data(), &request)).expect("set");
}

/// A node that is told to stop while it makes a backup ends in order; what is half made is never taken for a backup.
#[cfg(feature = "failpoints")]
#[test]
fn a_node_stops_in_order_while_it_makes_a_backup() {
    let place = Place::new();
    seed(&place.data());
    let node = place.start().node();
    inject(&place, "database-open", "1*sleep(2000)");
    let (data, repository) = (place.data(), place.repository());
    let backup = thread::spawn(move || {
        let args = ["backup", text(&repository), "--data-dir", text(&data)];
        volute().args(args).output().expect("it runs").status.success()
    });
    until("the copy is begun", || if place.data().join("staging").exists() { Ok(()) } else { Err("no staging") });
    assert!(node.terminate().success(), "an orderly end");
    assert!(!backup.join().expect("it ran"), "the command says that there is no backup");
    assert!(!place.repository().exists() || list_backups(&place.repository()).expect("listed").is_empty());
    assert!(!place.data().join("staging").exists());
    let before = everything(&place.data());
    place.back_up();
    let partials = fs::read_dir(place.repository())
        .expect("read")
        .filter(|entry| entry.as_ref().expect("an entry").path().extension().is_some_and(|ending| ending == "partial"));
    assert_eq!(partials.count(), 0, "what was left over is cleared away");
    run(&["restore", text(&place.repository()), "--data-dir", text(&place.restored())]);
    assert_eq!(everything(&place.restored()), before);
}

/// The database is opened again after it was copied. Where that fails, the backup is made all the same, and the node
/// takes readings and gets its database back.
#[cfg(feature = "failpoints")]
#[test]
fn a_database_that_does_not_open_after_the_copy_comes_back() {
    let place = Place::new();
    seed(&place.data());
    let node = place.start().node();
    inject(&place, "database-open", "1*return(no luck)");
    place.back_up();
    assert_eq!(node.post(&ten_values()).status, 200);
    let history = "/api/sensor-history?pump_id=seeded&limit=10000&from=2026-01-01T00:00:00Z";
    node.until(history, |page| page["items"].as_array().is_some_and(|items| items.len() as i64 == 2 * SEEDED));
    place.back_up();
    assert!(node.terminate().success());
    for backup in list_backups(&place.repository()).expect("listed") {
        verify_backup(&backup.dir).expect("whole");
    }
}

#[test]
fn a_stopped_node_is_backed_up_and_what_has_not_changed_is_linked() {
    let place = Place::new();
    let nothing = refused(&["backup", text(&place.repository()), "--data-dir", text(&place.data())]);
    assert!(nothing.contains("no node has ever stored anything"), "{nothing}");
    seed(&place.data());
    fs::create_dir(place.data().join("staging")).expect("left over");
    place.back_up();
    let first = place.newest();
    let said = place.back_up();
    let second = place.newest();
    assert_ne!(first, second);
    assert!(!said.contains(" 0 linked"), "{said}");
    let manifest = verify_backup(&second).expect("whole");
    let tables: Vec<&str> =
        manifest.files.iter().map(|file| file.path.as_str()).filter(|path| path.ends_with(".sst")).collect();
    let inode = |dir: &Path, path: &str| fs::metadata(dir.join(path)).ok().map(|meta| meta.ino());
    let shared: Vec<&&str> = tables.iter().filter(|path| inode(&first, path) == inode(&second, path)).collect();
    assert!(!shared.is_empty(), "of {tables:?}");
    assert!(tables.iter().all(|path| inode(&second, path) != inode(&place.data(), path)), "nothing is shared with it");
    let listed = run(&["restore", text(&place.repository()), "--list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let name = first.file_name().and_then(|name| name.to_str()).expect("a name");
    let restored = place.restored();
    run(&["restore", text(&place.repository()), "--which", name, "--data-dir", text(&restored)]);
    assert_eq!(everything(&restored), everything(&place.data()));
    let occupied = refused(&["restore", text(&place.repository()), "--data-dir", text(&restored)]);
    assert!(occupied.contains("not empty"), "{occupied}");
    let inside = refused(&["backup", text(&restored.join("backups")), "--data-dir", text(&restored)]);
    assert!(inside.contains("is inside"), "{inside}");
}

#[test]
fn a_damaged_byte_is_told_and_nothing_is_restored() {
    let place = Place::new();
    seed(&place.data());
    place.back_up();
    let backup = place.newest();
    let manifest = verify_backup(&backup).expect("whole");
    let longest = manifest.files.iter().max_by_key(|file| file.bytes).expect("a file");
    let path = backup.join(&longest.path);
    let mut bytes = fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
    let told = refused(&["restore", text(&place.repository()), "--data-dir", text(&place.restored())]);
    assert!(told.contains("damaged") && told.contains(text(&path)), "{told}");
    assert!(!place.restored().exists());
}

/// Readings with values that are hard to write down, missing and out of range.
fn hard_values(node: &crate::support::Node) {
    let items: Vec<_> = (0..500)
        .map(|second| {
            let mut item = ten_values();
            item["timestamp"] = json!(at(second));
            item["pump_id"] = json!("P-1");
            item["Motor_RPM"] = json!(1480.0 + f64::from(u8::try_from(second % 200).expect("small")) / 3.0);
            item["Vibration_mm_s"] = json!([0.1 + 0.2, 5e-324, 2.0_f64.sqrt(), -12.5, 1e300][second as usize % 5]);
            if second % 7 == 0 {
                item.as_object_mut().expect("an object").remove("Oil_Pressure_bar");
            }
            item
        })
        .collect();
    for items in items.chunks(100) {
        assert_eq!(node.post(&json!(items)).status, 200);
    }
}

fn readings(dir: &Path) -> Vec<Reading> {
    with_store(dir, async |store| {
        store.readings(&pump("P-1"), &Range::default()).await.and_then(Answer::all).expect("read")
    })
}

fn bits(reading: &Reading) -> (Timestamp, Vec<Option<u64>>) {
    (reading.at, reading.samples.iter().map(|sample| sample.value().map(f64::to_bits)).collect())
}

#[test]
fn what_is_exported_and_imported_is_the_same_to_the_last_bit() {
    let place = Place::new();
    let node = place.start().node();
    hard_values(&node);
    let (csv, columns) = (place.file("p.csv"), place.file("p.parquet"));
    let export = |pump: &str, file: &Path, more: &[&str]| -> Vec<String> {
        let data = place.data();
        let flags = ["export", "--pump", pump, "--out", text(file), "--data-dir", text(&data)];
        flags.iter().chain(more).map(|&flag| flag.to_owned()).collect()
    };
    let ok = |flags: Vec<String>| run(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let not_ok = |flags: Vec<String>| refused(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(ok(export("P-1", &csv, &[])).contains("500 readings"));
    assert!(ok(export("P-1", &columns, &["--format", "parquet"])).contains("500 readings"));
    let from_to = ["--from", "2026-03-09T10:01:00Z", "--to", "2026-03-09T10:02:00Z"];
    assert!(ok(export("P-1", &place.file("minute.csv"), &from_to)).contains("60 readings"));
    assert!(not_ok(export("P-1", &csv, &[])).contains("already"));
    let nobody = not_ok(export("P-9", &place.file("nobody.csv"), &[]));
    assert!(nobody.contains("no pump P-9") && nobody.contains("P-1"), "{nobody}");
    assert!(!place.file("nobody.csv").exists() && !place.file("nobody.csv.partial").exists());
    let running = refused(&["import", text(&csv), "--pump", "P-1", "--data-dir", text(&place.data())]);
    assert!(running.contains("stop it first"), "{running}");
    assert!(node.terminate().success());

    let stored = readings(&place.data());
    assert_eq!(stored.len(), 500);
    let stopped = place.file("stopped.csv");
    ok(export("P-1", &stopped, &[]));
    assert_eq!(fs::read(&stopped).expect("read"), fs::read(&csv).expect("read"), "with and without the node");
    let other = place.file("other");
    let import = ["import", text(&csv), "--pump", "P-1", "--data-dir", text(&other)];
    let said = run(&import);
    assert!(said.contains("500 readings of P-1 stored"), "{said}");
    let imported = readings(&other);
    assert_eq!(imported.iter().map(bits).collect::<Vec<_>>(), stored.iter().map(bits).collect::<Vec<_>>());
    let again = run(&import);
    assert!(again.contains("0 readings") && again.contains("500 rows left out"), "{again}");
    same_in_parquet(&columns, &stored);
    let node = Start { data: other, ..place.start() }.node();
    let shown = node.all("/api/sensor-history?pump_id=P-1&limit=10000&from=2026-01-01T00:00:00Z");
    assert_eq!(shown.len(), 500, "a node shows what was imported");
    assert_eq!(node.ok("/api/maintenance-events?limit=10")["items"], json!([]), "and raises no alarm");
}

fn same_in_parquet(path: &Path, stored: &[Reading]) {
    let file = SerializedFileReader::new(File::open(path).expect("there")).expect("Parquet");
    let rows: Vec<_> = file.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), stored.len());
    for (row, reading) in rows.iter().zip(stored) {
        assert_eq!(row.get_string(0).expect("a name"), "P-1");
        assert_eq!(row.get_timestamp_millis(1).expect("a time"), reading.at.millis());
        assert_eq!(row.get_timestamp_millis(2).expect("a time"), reading.received.millis());
        let letters: String =
            reading.samples.iter().map(|s| s.flag().map_or('g', |flag| flag.as_bytes()[0].into())).collect();
        let quality = letters.contains(|letter| letter != 'g').then_some(letters.as_str());
        assert_eq!(row.get_string(4).ok().map(String::as_str), quality);
        for (channel, sample) in reading.samples.iter().enumerate() {
            let value = row.get_double(5 + channel).ok().map(f64::to_bits);
            assert_eq!(value, sample.value().map(f64::to_bits));
        }
    }
}

#[test]
fn a_demo_stays_a_demo() {
    let place = Place::new();
    seed(&place.data());
    fs::write(place.data().join("SIMULATED"), "").expect("marked");
    place.back_up();
    run(&["restore", text(&place.repository()), "--data-dir", text(&place.restored())]);
    assert!(place.restored().join("SIMULATED").exists(), "simulated and real readings never meet");
    fs::write(place.file("a.csv"), "").expect("written");
    let mixed = refused(&["import", text(&place.file("a.csv")), "--pump", "P", "--data-dir", text(&place.restored())]);
    assert!(mixed.contains("simulated"), "{mixed}");
}
