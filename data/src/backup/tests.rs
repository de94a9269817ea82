//! Tests of backups with small folders in place of a data directory: hard links, refusals, damage and restores.

use std::{collections::BTreeMap, fs::File, os::unix::fs::MetadataExt};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

static NOT_STOPPING: AtomicBool = AtomicBool::new(false);

/// A data directory, a staged copy of it and a repository in one temporary folder.
struct Fixture {
    root: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { root: tempfile::tempdir().expect("a folder") };
        fs::create_dir(fixture.data_dir()).expect("made");
        fixture.stage(&[
            ("database/sst/1.sst", b"one"),
            ("database/manifest", b"m1"),
            ("journal/1", b"j"),
            ("pumps", b""),
        ]);
        fixture
    }

    fn data_dir(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn staging(&self) -> PathBuf {
        self.root.path().join("staging")
    }

    fn repository(&self) -> PathBuf {
        self.root.path().join("backups")
    }

    fn target(&self) -> PathBuf {
        self.root.path().join("restored")
    }

    fn stage(&self, files: &[(&str, &[u8])]) {
        let staging = self.staging();
        if staging.exists() {
            fs::remove_dir_all(&staging).expect("removed");
        }
        fs::create_dir_all(staging.join("database/vlog")).expect("made");
        for (path, bytes) in files {
            let path = staging.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, bytes).expect("written");
        }
    }

    fn take_with(&self, repository: &Path, stopping: &AtomicBool) -> Result<BackupReport, BackupError> {
        let created_at = "2026-11-25T06:20:00.250Z".parse().expect("a time");
        let staged = StagedCopy { durable_seq: 9, low_water: 4, schema: 3 };
        let request = BackupRequest { data_dir: &self.data_dir(), staged, created_at, product: "1.2.3", stopping };
        take(&self.staging(), repository, &request)
    }

    fn take(&self) -> BackupReport {
        self.take_with(&self.repository(), &NOT_STOPPING).expect("taken")
    }
}

/// Returns every file under a folder with its content, and every folder.
fn tree(dir: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let contents = Contents::of(dir).expect("read");
    let files = contents.files.into_iter().map(|(path, _)| {
        let bytes = fs::read(dir.join(&path)).expect("read");
        (path, Some(bytes))
    });
    files.chain(contents.folders.into_iter().map(|path| (path, None))).collect()
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).expect("there").ino()
}

#[test]
fn a_backup_is_restored_as_it_was() {
    let fixture = Fixture::new();
    let report = fixture.take();
    assert_eq!((report.name.as_str(), report.files, report.copied, report.linked), ("2026-11-25T06-20-00Z", 4, 4, 0));
    assert_eq!((report.bytes, report.copied_bytes, report.durable_seq), (6, 6, 9));
    let manifest = verify(&report.dir).expect("whole");
    assert_eq!((manifest.product.as_str(), manifest.schema, manifest.low_water), ("1.2.3", 3, 4));
    let restored = restore(&fixture.repository(), None, &fixture.target()).expect("restored");
    assert_eq!((restored.files, restored.bytes), (4, 6));
    assert_eq!(tree(&fixture.target()), tree(&fixture.staging()), "empty folders too");
    let again = restore(&fixture.repository(), None, &fixture.target()).expect_err("occupied");
    assert!(matches!(again, BackupError::Occupied { .. }), "{again}");
    let empty = fixture.root.path().join("empty");
    fs::create_dir(&empty).expect("made");
    restore(&report.dir, None, &empty).expect("a backup by itself, into an empty folder");
    assert_eq!(tree(&empty), tree(&fixture.staging()));
}

#[test]
fn unchanged_files_are_linked_and_nothing_is_shared_with_the_source() {
    let fixture = Fixture::new();
    let first = fixture.take();
    fixture.stage(&[("database/sst/1.sst", b"one"), ("database/sst/2.sst", b"two"), ("database/manifest", b"m2")]);
    let second = fixture.take();
    assert_eq!(second.name, "2026-11-25T06-20-01Z", "the next free second");
    assert_eq!((second.linked, second.copied, second.copied_bytes), (1, 2, 5));
    let inode_in = |dir: &Path, path: &str| inode(&dir.join(path));
    assert_eq!(inode_in(&first.dir, "database/sst/1.sst"), inode_in(&second.dir, "database/sst/1.sst"));
    assert_ne!(
        inode_in(&first.dir, "database/manifest"),
        inode_in(&second.dir, "database/manifest"),
        "same length only"
    );
    assert_ne!(inode_in(&second.dir, "database/sst/1.sst"), inode_in(&fixture.staging(), "database/sst/1.sst"));
    assert_ne!(inode_in(&second.dir, "database/sst/2.sst"), inode_in(&fixture.staging(), "database/sst/2.sst"));
    fs::remove_dir_all(&first.dir).expect("an old backup can be deleted");
    verify(&second.dir).expect("the other is complete");
}

#[test]
fn damage_is_reported_refused_and_not_linked() {
    let fixture = Fixture::new();
    let first = fixture.take();
    fs::write(first.dir.join("database/sst/1.sst"), b"onE").expect("damaged");
    fs::write(first.dir.join("journal/1"), b"longer").expect("damaged");
    fs::remove_file(first.dir.join("pumps")).expect("gone");
    let error = restore(&fixture.repository(), None, &fixture.target()).expect_err("damaged");
    let BackupError::Damaged { damage, .. } = &error else { panic!("{error}") };
    assert_eq!(damage.len(), 3, "all damaged files are listed: {error}");
    let text = error.to_string();
    for part in ["1.sst has changed", "journal/1 has 6 bytes instead of 1", "pumps cannot be read"] {
        assert!(text.contains(part), "{text:?} contains {part:?}");
    }
    assert!(!fixture.target().exists() && !fixture.root.path().join("restored.partial").exists());
    let second = fixture.take();
    assert_eq!((second.linked, second.copied), (1, 3));
    verify(&second.dir).expect("whole again");
}

#[test]
fn a_backup_is_selected_by_name() {
    let fixture = Fixture::new();
    let nothing = restore(&fixture.root.path().join("data"), None, &fixture.target()).expect_err("empty");
    assert!(matches!(nothing, BackupError::Empty { .. }), "{nothing}");
    let first = fixture.take();
    fixture.stage(&[("pumps", b"later")]);
    let second = fixture.take();
    let names: Vec<String> = list(&fixture.repository()).expect("listed").into_iter().map(|b| b.name).collect();
    assert_eq!(names, [first.name.clone(), second.name.clone()]);
    let missing =
        restore(&fixture.repository(), Some("2020-01-01T00-00-00Z"), &fixture.target()).expect_err("not there");
    assert!(matches!(missing, BackupError::UnknownBackup { .. }), "{missing}");
    assert_eq!(restore(&fixture.repository(), Some(&first.name), &fixture.target()).expect("restored").dir, first.dir);
    assert_eq!(tree(&fixture.target()).len(), 4 + 4);
}

#[test]
fn data_directory_and_repository_must_not_overlap() {
    let fixture = Fixture::new();
    let data_dir = fixture.data_dir();
    for repository in
        [data_dir.join("backups"), data_dir.join("../data/new"), data_dir.clone(), fixture.root.path().into()]
    {
        let error = fixture.take_with(&repository, &NOT_STOPPING).expect_err("refused");
        assert!(matches!(error, BackupError::NestedFolders { .. }), "{}: {error}", repository.display());
    }
    assert_eq!(tree(&data_dir).len(), 0, "nothing was made");
    fixture.take();
    let inside = restore(&fixture.repository(), None, &fixture.repository().join("data")).expect_err("refused");
    assert!(matches!(inside, BackupError::NestedFolders { .. }), "{inside}");
}

#[test]
fn an_incomplete_backup_is_not_listed_and_is_removed() {
    let fixture = Fixture::new();
    let stopped = fixture.take_with(&fixture.repository(), &AtomicBool::new(true)).expect_err("stopped");
    assert!(matches!(stopped, BackupError::Stopped), "{stopped}");
    let partial = fixture.repository().join("2026-11-25T06-20-00Z.partial");
    assert!(partial.exists());
    assert!(list(&fixture.repository()).expect("listed").is_empty());
    let own = fixture.repository().join("mine.partial");
    fs::create_dir(&own).expect("made");
    fixture.take();
    assert!(!partial.exists() && own.exists(), "only incomplete backups are removed");
    fs::create_dir(fixture.root.path().join("restored.partial")).expect("left over");
    restore(&fixture.repository(), None, &fixture.target()).expect("restored");
    assert!(!fixture.root.path().join("restored.partial").exists());
}

/// While a restore is incomplete, a second one neither removes its files nor publishes them.
#[test]
fn only_one_restore_to_a_folder_at_a_time() {
    let fixture = Fixture::new();
    fixture.take();
    let partial = fixture.root.path().join("restored.partial");
    fs::create_dir(&partial).expect("made");
    fs::write(partial.join("pumps"), "half").expect("written");
    let first = File::open(&partial).expect("open");
    first.lock().expect("locked");
    let error = restore(&fixture.repository(), None, &fixture.target()).expect_err("busy");
    assert!(matches!(error, BackupError::Restoring { .. }), "{error}");
    assert_eq!(fs::read(partial.join("pumps")).expect("still there"), b"half");
    assert!(!fixture.target().exists());
    drop(first);
    restore(&fixture.repository(), None, &fixture.target()).expect("the leftover folder is emptied");
    assert_eq!(tree(&fixture.target()), tree(&fixture.staging()));
}

#[test]
fn of_many_restores_to_a_folder_one_succeeds() {
    let fixture = Fixture::new();
    let files: Vec<(String, Vec<u8>)> = (0..40).map(|n| (format!("database/{n}"), vec![n; 5_000])).collect();
    fixture.stage(&files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect::<Vec<_>>());
    fixture.take();
    for _ in 0..20 {
        let restored: Vec<bool> = std::thread::scope(|scope| {
            let restores: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| restore(&fixture.repository(), None, &fixture.target()).is_ok()))
                .collect();
            restores.into_iter().map(|one| one.join().expect("no panic")).collect()
        });
        assert_eq!(restored.iter().filter(|&&done| done).count(), 1, "one succeeds, the others are refused");
        assert_eq!(tree(&fixture.target()), tree(&fixture.staging()));
        assert!(!fixture.root.path().join("restored.partial").exists());
        fs::remove_dir_all(fixture.target()).expect("removed");
    }
}

#[test]
fn only_one_backup_at_a_time() {
    let fixture = Fixture::new();
    fixture.take();
    let _lock = files::lock(&fixture.repository()).expect("locked");
    let error = fixture.take_with(&fixture.repository(), &NOT_STOPPING).expect_err("busy");
    assert!(matches!(error, BackupError::Busy { .. }), "{error}");
}

#[test]
fn a_manifest_is_checked_when_it_is_read() {
    let fixture = Fixture::new();
    let dir = fixture.take().dir;
    let text = fs::read_to_string(dir.join(MANIFEST)).expect("read");
    for (from, to, part) in [
        ("\"format\": 1", "\"format\": 2", "its format is 2"),
        ("\"pumps\"", "\"../pumps\"", "leads out of it"),
        ("\"pumps\"", "\"/etc/pumps\"", "leads out of it"),
        ("\"pumps\"", "\"a\"", "not sorted"),
        ("\"schema\": 3", "\"schema\": -3", "invalid value"),
    ] {
        fs::write(dir.join(MANIFEST), text.replace(from, to)).expect("written");
        let error = verify(&dir).expect_err(to).to_string();
        assert!(error.contains(part), "{error:?} contains {part:?}");
    }
}

proptest! {
    #[test]
    fn only_times_are_names_of_backups(text in "[0-9TZ:.-]{0,24}", ms in 946_684_800_000_i64..7_258_118_400_000) {
        let name = name_at(Timestamp::from_millis(ms).expect("a time"));
        prop_assert!(is_name(&name), "{name}");
        prop_assert_eq!(is_name(&text), text.len() == 20 && text.replace(|c: char| c.is_ascii_digit(), "0") == "0000-00-00T00-00-00Z");
    }

    /// A change of any byte of a backup is detected.
    #[test]
    fn any_changed_byte_is_detected(bytes in prop::collection::vec(any::<u8>(), 1..300), position in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let fixture = Fixture::new();
        fixture.stage(&[("journal/1", &bytes)]);
        let file = fixture.take().dir.join("journal/1");
        let mut damaged = bytes.clone();
        let position = position.index(bytes.len());
        damaged[position] ^= flip;
        fs::write(&file, damaged).expect("written");
        let error = restore(&fixture.repository(), None, &fixture.target()).expect_err("damaged");
        let found = matches!(&error, BackupError::Damaged { damage, .. } if damage[0].path == file);
        prop_assert!(found, "{}", error);
    }
}
