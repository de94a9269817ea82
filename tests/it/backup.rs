//! Backups, exports and imports: of a node under load, with a damaged copy, and with bit-exact values.

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
    AuditEntry, AuditFilter, Batch, CommissioningRecord, Document, EventFilter, NewBaseline, PageRange, PumpCheckpoint,
    PumpRecord, QueryResult, Store, StoreSettings, SystemMetrics, list_backups, verify_backup,
};
use volute_plant::{
    Clock, Currency, Detection, MaintenanceEvent, Money, Profile, PumpId, Reading, Sample, Severity, SystemClock,
    Timestamp,
};

use crate::support::{NodeConfig, StopOnDrop, output, run, ten_values, try_post, volute, wait_until};

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

/// A folder with a data directory, a backup repository and files.
struct Workspace(TempDir);

impl Workspace {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn start(&self) -> NodeConfig {
        NodeConfig::new(&self.0, "centrifugal")
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

    /// The folder of the newest backup.
    fn newest(&self) -> PathBuf {
        list_backups(&self.repository()).expect("listed").pop().expect("a backup").dir
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Runs a command that must fail, and returns its error output.
fn run_failing(args: &[&str]) -> String {
    let output = output(volute().args(args));
    assert_eq!(output.status.code(), Some(1), "volute {args:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn with_store<T>(dir: &Path, look: impl AsyncFnOnce(&Store) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(dir, &StoreSettings::default(), SystemClock.now()).await.expect("opened");
        let response = look(&store).await;
        store.close().await.expect("closed");
        response
    })
}

/// The seeded pump has this many readings in the database, and as many in the journal.
const SEEDED: i64 = 200;

/// Writes at least one row to each table, of all kinds that a node does not write by itself within a test.
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
        work: Default::default(),
        recommendation: None,
        evidence: Vec::new(),
    };
    let figures = [("resident_bytes".to_owned(), 1.5)].into();
    // Recent, as the node would delete an old one at once.
    let metrics = vec![SystemMetrics { at: SystemClock.now().plus_ms(-60_000), figures }];
    let action = AuditEntry::new(at(0), "127.0.0.1:4711", "commission", id.as_str());
    let batch = Batch {
        pumps: vec![record],
        readings: (0..SEEDED).map(reading).collect(),
        detections: (0..SEEDED).map(detection).collect(),
        documents: vec![Document::of(&event), Document::of(&action)],
        metrics,
        checkpoints: vec![PumpCheckpoint { pump: id.clone(), at: at(SEEDED), document: "{}".into() }],
        removals: Vec::new(),
    };
    // Not flushed, so it stays in the journal.
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
        baseline_id: "b".into(),
        from: at(0),
        to: at(1),
        reason: "a test".into(),
        document: "{}".into(),
    };
    let commissioning =
        CommissioningRecord { reason: "a test".into(), requested: true, from: Some(at(2)), to: None, running_ms: 7 };
    with_store(dir, async |store| {
        store.commit(&batch).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.add_baseline(&id, &baseline).await.expect("stored");
        store.save_commissioning(&id, &commissioning).await.expect("stored");
        store.commit(&later).await.expect("stored");
    });
}

/// The content of a store as text, by kind.
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
    fn rows<T: std::fmt::Debug>(response: QueryResult<T>) -> BTreeSet<String> {
        response.into_complete().expect("all").iter().map(|row| format!("{row:?}")).collect()
    }
    with_store(dir, async |store| {
        let all = PageRange::default();
        let pumps = store.pumps();
        let (mut readings, mut baselines, mut standings) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut states = BTreeSet::new();
        for PumpRecord { id, .. } in &pumps {
            readings.extend(rows(store.readings(id, &all).await.expect("read")));
            let versions = store.baselines(id).await.expect("read");
            baselines.extend(versions.iter().map(|version| format!("{id} {version:?}")));
            states.extend(store.pump_checkpoint(id).await.expect("read").map(|state| format!("{state:?}")));
            standings.insert(format!("{id} {:?}", store.baseline_status(id).await.expect("read")));
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

/// The acknowledged readings, by pump and second.
type Ledger = Arc<Mutex<BTreeSet<(String, i64)>>>;

/// Posts batches of readings of one pump until `stop` is set, and records the acknowledged readings.
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
        let Some(response) = try_post(url, "application/json", &body) else { continue };
        if response.status == 200 && response.body["durable"] == true {
            let mut ledger = ledger.lock().expect("no client panicked");
            ledger.extend((first..first + 10).map(|second| (pump.to_owned(), second)));
        }
    }
}

fn acknowledged(ledger: &Ledger) -> usize {
    ledger.lock().expect("no client panicked").len()
}

fn until_acknowledged(ledger: &Ledger, n: usize) {
    wait_until("readings are acknowledged", || {
        let so_far = acknowledged(ledger);
        if so_far >= n { Ok(()) } else { Err(so_far) }
    });
}

#[test]
fn backup_under_load_has_all_readings_acknowledged_before_it() {
    let workspace = Workspace::new();
    seed(&workspace.data());
    let node = workspace.start().node();
    let (ledger, stop) = (Ledger::default(), Arc::new(AtomicBool::new(false)));
    let (before, during) = thread::scope(|scope| {
        let _clients_end = StopOnDrop(&stop);
        for name in ["pump-a", "pump-b"] {
            let (url, ledger, stop) = (node.url.clone(), &ledger, &stop);
            scope.spawn(move || client(&url, name, ledger, stop));
        }
        until_acknowledged(&ledger, 200);
        workspace.back_up();
        until_acknowledged(&ledger, 1000);
        let before = ledger.lock().expect("no client panicked").clone();
        let printed = workspace.back_up();
        let during = acknowledged(&ledger) - before.len();
        // The node continues.
        until_acknowledged(&ledger, before.len() + during + 200);
        eprintln!("{printed}{during} readings were acknowledged meanwhile");
        (before, during)
    });
    assert!(during > 0, "readings were accepted during the backup");
    assert!(!workspace.data().join("staging").exists());
    assert!(node.terminate().success());

    let restored = workspace.restored();
    run(&["restore", text(&workspace.repository()), "--data-dir", text(&restored)]);
    let (original, copy) = (everything(&workspace.data()), everything(&restored));
    let expected: BTreeSet<(String, Timestamp)> = before.into_iter().map(|(pump, s)| (pump, at(s))).collect();
    let stored = with_store(&restored, async |store| {
        let mut stored = BTreeSet::new();
        for name in ["pump-a", "pump-b"] {
            let readings = store
                .readings(&pump(name), &PageRange::default())
                .await
                .and_then(QueryResult::into_complete)
                .expect("read");
            stored.extend(readings.into_iter().map(|reading| (name.to_owned(), reading.at)));
        }
        stored
    });
    assert_eq!(expected.difference(&stored).count(), 0, "acknowledged before the backup and not in it");
    assert!(copy.readings.is_subset(&original.readings), "and no reading has changed");
    assert!(copy.metrics.is_subset(&original.metrics) && !copy.metrics.is_empty());
    assert_eq!((copy.detections.len() as i64, copy.events.len()), (2 * SEEDED, 2));
    // The audit entry of the first backup is in the second one. The entry of the second one is in the node's store
    // only.
    let backups = |audit: &BTreeSet<String>| audit.iter().filter(|entry| entry.contains("\"backup\"")).count();
    assert_eq!((copy.audit.len(), backups(&copy.audit)), (3, 1), "{:?}", copy.audit);
    assert_eq!((original.audit.len(), backups(&original.audit)), (4, 2), "{:?}", original.audit);
    assert!(copy.audit.is_subset(&original.audit));
    assert_eq!(
        (copy.pumps, copy.detections, copy.events, copy.baselines),
        (original.pumps, original.detections, original.events, original.baselines)
    );
    assert_eq!(copy.standings, original.standings);
    // The restored copy is a normal data directory.
    let again = NodeConfig { data: restored, ..workspace.start() }.node();
    assert_eq!(again.get("/readyz").status, 200);
    assert_eq!(again.post(&ten_values()).status, 200);
}

/// Sets the action of a failpoint in the running node.
#[cfg(feature = "failpoints")]
fn inject(workspace: &Workspace, point: &str, action: &str) {
    use volute::control::{Request, send_request};
    let request = Request::Failpoint { point: point.into(), action: action.into() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(send_request::<()>(&workspace.data(), &request)).expect("set");
}

/// A node that is stopped during a backup exits cleanly. An incomplete backup is never taken for a backup.
#[cfg(feature = "failpoints")]
#[test]
fn node_stops_cleanly_during_a_backup() {
    let workspace = Workspace::new();
    seed(&workspace.data());
    let node = workspace.start().node();
    inject(&workspace, "database-open", "1*sleep(2000)");
    let (data, repository) = (workspace.data(), workspace.repository());
    let backup = thread::spawn(move || {
        let args = ["backup", text(&repository), "--data-dir", text(&data)];
        volute().args(args).output().expect("it runs").status.success()
    });
    wait_until("the copy has started", || {
        if workspace.data().join("staging").exists() { Ok(()) } else { Err("no staging") }
    });
    assert!(node.terminate().success(), "a clean exit");
    assert!(!backup.join().expect("it ran"), "the command reports that there is no backup");
    assert!(!workspace.repository().exists() || list_backups(&workspace.repository()).expect("listed").is_empty());
    assert!(!workspace.data().join("staging").exists());
    let before = everything(&workspace.data());
    workspace.back_up();
    let partials = fs::read_dir(workspace.repository())
        .expect("read")
        .filter(|entry| entry.as_ref().expect("an entry").path().extension().is_some_and(|ending| ending == "partial"));
    assert_eq!(partials.count(), 0, "leftovers are removed");
    run(&["restore", text(&workspace.repository()), "--data-dir", text(&workspace.restored())]);
    assert_eq!(everything(&workspace.restored()), before);
}

/// The database is reopened after it was copied. If that fails, the backup is complete nevertheless, and the node
/// accepts readings and retries until the database opens.
#[cfg(feature = "failpoints")]
#[test]
fn database_that_does_not_open_after_the_copy_is_retried() {
    let workspace = Workspace::new();
    seed(&workspace.data());
    let node = workspace.start().node();
    inject(&workspace, "database-open", "1*return(no luck)");
    workspace.back_up();
    assert_eq!(node.post(&ten_values()).status, 200);
    let history = "/api/sensor-history?pump_id=seeded&limit=10000&from=2026-01-01T00:00:00Z";
    node.wait_until(history, |page| page["items"].as_array().is_some_and(|items| items.len() as i64 == 2 * SEEDED));
    workspace.back_up();
    assert!(node.terminate().success());
    for backup in list_backups(&workspace.repository()).expect("listed") {
        verify_backup(&backup.dir).expect("whole");
    }
}

#[test]
fn stopped_node_is_backed_up_with_unchanged_files_linked() {
    let workspace = Workspace::new();
    let nothing = run_failing(&["backup", text(&workspace.repository()), "--data-dir", text(&workspace.data())]);
    assert!(nothing.contains("has never been used by a node"), "{nothing}");
    seed(&workspace.data());
    fs::create_dir(workspace.data().join("staging")).expect("left over");
    workspace.back_up();
    let first = workspace.newest();
    let printed = workspace.back_up();
    let second = workspace.newest();
    assert_ne!(first, second);
    assert!(!printed.contains(" 0 linked"), "{printed}");
    let manifest = verify_backup(&second).expect("whole");
    let tables: Vec<&str> =
        manifest.files.iter().map(|file| file.path.as_str()).filter(|path| path.ends_with(".sst")).collect();
    let inode = |dir: &Path, path: &str| fs::metadata(dir.join(path)).ok().map(|meta| meta.ino());
    let shared: Vec<&&str> = tables.iter().filter(|path| inode(&first, path) == inode(&second, path)).collect();
    assert!(!shared.is_empty(), "of {tables:?}");
    assert!(
        tables.iter().all(|path| inode(&second, path) != inode(&workspace.data(), path)),
        "nothing is shared with it"
    );
    let listed = run(&["restore", text(&workspace.repository()), "--list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let name = first.file_name().and_then(|name| name.to_str()).expect("a name");
    let restored = workspace.restored();
    run(&["restore", text(&workspace.repository()), "--which", name, "--data-dir", text(&restored)]);
    assert_eq!(everything(&restored), everything(&workspace.data()));
    let occupied = run_failing(&["restore", text(&workspace.repository()), "--data-dir", text(&restored)]);
    assert!(occupied.contains("not empty"), "{occupied}");
    let inside = run_failing(&["backup", text(&restored.join("backups")), "--data-dir", text(&restored)]);
    assert!(inside.contains("is inside"), "{inside}");
}

#[test]
fn damaged_byte_is_reported_and_nothing_is_restored() {
    let workspace = Workspace::new();
    seed(&workspace.data());
    workspace.back_up();
    let backup = workspace.newest();
    let manifest = verify_backup(&backup).expect("whole");
    let longest = manifest.files.iter().max_by_key(|file| file.bytes).expect("a file");
    let path = backup.join(&longest.path);
    let mut bytes = fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
    let printed = run_failing(&["restore", text(&workspace.repository()), "--data-dir", text(&workspace.restored())]);
    assert!(printed.contains("damaged") && printed.contains(text(&path)), "{printed}");
    assert!(!workspace.restored().exists());
}

/// Posts readings with values that are hard to print exactly, missing ones, and ones out of range.
fn post_hard_values(node: &crate::support::Node) {
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
        store.readings(&pump("P-1"), &PageRange::default()).await.and_then(QueryResult::into_complete).expect("read")
    })
}

fn bits(reading: &Reading) -> (Timestamp, Vec<Option<u64>>) {
    (reading.at, reading.samples.iter().map(|sample| sample.value().map(f64::to_bits)).collect())
}

#[test]
fn export_and_import_are_bit_exact() {
    let workspace = Workspace::new();
    let node = workspace.start().node();
    post_hard_values(&node);
    let (csv, columns) = (workspace.file("p.csv"), workspace.file("p.parquet"));
    let export = |pump: &str, file: &Path, more: &[&str]| -> Vec<String> {
        let data = workspace.data();
        let flags = ["export", "--pump", pump, "--out", text(file), "--data-dir", text(&data)];
        flags.iter().chain(more).map(|&flag| flag.to_owned()).collect()
    };
    let ok = |flags: Vec<String>| run(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let not_ok = |flags: Vec<String>| run_failing(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(ok(export("P-1", &csv, &[])).contains("500 readings"));
    assert!(ok(export("P-1", &columns, &["--format", "parquet"])).contains("500 readings"));
    let from_to = ["--from", "2026-03-09T10:01:00Z", "--to", "2026-03-09T10:02:00Z"];
    assert!(ok(export("P-1", &workspace.file("minute.csv"), &from_to)).contains("60 readings"));
    assert!(not_ok(export("P-1", &csv, &[])).contains("already"));
    let nobody = not_ok(export("P-9", &workspace.file("nobody.csv"), &[]));
    assert!(nobody.contains("no pump P-9") && nobody.contains("P-1"), "{nobody}");
    assert!(!workspace.file("nobody.csv").exists() && !workspace.file("nobody.csv.partial").exists());
    let running = run_failing(&["import", text(&csv), "--pump", "P-1", "--data-dir", text(&workspace.data())]);
    assert!(running.contains("stop it first"), "{running}");
    assert!(node.terminate().success());

    let stored = readings(&workspace.data());
    assert_eq!(stored.len(), 500);
    let stopped = workspace.file("stopped.csv");
    ok(export("P-1", &stopped, &[]));
    assert_eq!(fs::read(&stopped).expect("read"), fs::read(&csv).expect("read"), "with and without the node");
    let other = workspace.file("other");
    let import = ["import", text(&csv), "--pump", "P-1", "--data-dir", text(&other)];
    let printed = run(&import);
    assert!(printed.contains("500 readings of P-1 stored"), "{printed}");
    let imported = readings(&other);
    assert_eq!(imported.iter().map(bits).collect::<Vec<_>>(), stored.iter().map(bits).collect::<Vec<_>>());
    let again = run(&import);
    assert!(again.contains("0 readings") && again.contains("500 rows left out"), "{again}");
    assert_same_in_parquet(&columns, &stored);
    let node = NodeConfig { data: other, ..workspace.start() }.node();
    let shown = node.all_items("/api/sensor-history?pump_id=P-1&limit=10000&from=2026-01-01T00:00:00Z");
    assert_eq!(shown.len(), 500, "a node shows what was imported");
    assert_eq!(node.get_ok("/api/maintenance-events?limit=10")["items"], json!([]), "and raises no alarm");
}

fn assert_same_in_parquet(path: &Path, stored: &[Reading]) {
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
fn restored_demo_stays_a_demo() {
    let workspace = Workspace::new();
    seed(&workspace.data());
    fs::write(workspace.data().join("SIMULATED"), "").expect("marked");
    workspace.back_up();
    run(&["restore", text(&workspace.repository()), "--data-dir", text(&workspace.restored())]);
    assert!(workspace.restored().join("SIMULATED").exists(), "simulated and real readings are not mixed");
    fs::write(workspace.file("a.csv"), "").expect("written");
    let mixed = run_failing(&[
        "import",
        text(&workspace.file("a.csv")),
        "--pump",
        "P",
        "--data-dir",
        text(&workspace.restored()),
    ]);
    assert!(mixed.contains("simulated"), "{mixed}");
}
