//! Backups of folders that stand for a data directory: what is shared, what is refused, what is put back.

use std::{collections::BTreeMap, fs::File, os::unix::fs::MetadataExt};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

static GOING: AtomicBool = AtomicBool::new(false);

/// A data directory, a staged copy of it and a repository beside them.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { root: tempfile::tempdir().expect("a folder") };
        fs::create_dir(place.data_dir()).expect("made");
        place.stage(&[
            ("database/sst/1.sst", b"one"),
            ("database/manifest", b"m1"),
            ("journal/1", b"j"),
            ("pumps", b""),
        ]);
        place
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
        let staged = Staged { durable_seq: 9, low_water: 4, schema: 3 };
        let about = About { data_dir: &self.data_dir(), staged, created_at, product: "1.2.3", stopping };
        take(&self.staging(), repository, &about)
    }

    fn take(&self) -> BackupReport {
        self.take_with(&self.repository(), &GOING).expect("taken")
    }
}

/// Every file under a folder with what is in it, and every folder.
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
    let place = Place::new();
    let report = place.take();
    assert_eq!((report.name.as_str(), report.files, report.copied, report.linked), ("2026-11-25T06-20-00Z", 4, 4, 0));
    assert_eq!((report.bytes, report.copied_bytes, report.durable_seq), (6, 6, 9));
    let manifest = verify(&report.dir).expect("whole");
    assert_eq!((manifest.product.as_str(), manifest.schema, manifest.low_water), ("1.2.3", 3, 4));
    let restored = restore(&place.repository(), None, &place.target()).expect("restored");
    assert_eq!((restored.files, restored.bytes), (4, 6));
    assert_eq!(tree(&place.target()), tree(&place.staging()), "empty folders too");
    let again = restore(&place.repository(), None, &place.target()).expect_err("occupied");
    assert!(matches!(again, BackupError::Occupied { .. }), "{again}");
    let empty = place.root.path().join("empty");
    fs::create_dir(&empty).expect("made");
    restore(&report.dir, None, &empty).expect("a backup by itself, into an empty folder");
    assert_eq!(tree(&empty), tree(&place.staging()));
}

#[test]
fn what_has_not_changed_is_linked_and_nothing_is_shared_with_the_source() {
    let place = Place::new();
    let first = place.take();
    place.stage(&[("database/sst/1.sst", b"one"), ("database/sst/2.sst", b"two"), ("database/manifest", b"m2")]);
    let second = place.take();
    assert_eq!(second.name, "2026-11-25T06-20-01Z", "the next free second");
    assert_eq!((second.linked, second.copied, second.copied_bytes), (1, 2, 5));
    let inode_in = |dir: &Path, path: &str| inode(&dir.join(path));
    assert_eq!(inode_in(&first.dir, "database/sst/1.sst"), inode_in(&second.dir, "database/sst/1.sst"));
    assert_ne!(
        inode_in(&first.dir, "database/manifest"),
        inode_in(&second.dir, "database/manifest"),
        "same length only"
    );
    assert_ne!(inode_in(&second.dir, "database/sst/1.sst"), inode_in(&place.staging(), "database/sst/1.sst"));
    assert_ne!(inode_in(&second.dir, "database/sst/2.sst"), inode_in(&place.staging(), "database/sst/2.sst"));
    fs::remove_dir_all(&first.dir).expect("an old backup may go");
    verify(&second.dir).expect("the other stands alone");
}

#[test]
fn damage_is_told_refused_and_not_linked_on() {
    let place = Place::new();
    let first = place.take();
    fs::write(first.dir.join("database/sst/1.sst"), b"onE").expect("damaged");
    fs::write(first.dir.join("journal/1"), b"longer").expect("damaged");
    fs::remove_file(first.dir.join("pumps")).expect("gone");
    let error = restore(&place.repository(), None, &place.target()).expect_err("damaged");
    let BackupError::Damaged { damage, .. } = &error else { panic!("{error}") };
    assert_eq!(damage.len(), 3, "all of it is told: {error}");
    let text = error.to_string();
    for told in ["1.sst is not what was written", "journal/1 has 6 bytes instead of 1", "pumps cannot be read"] {
        assert!(text.contains(told), "{text:?} says {told:?}");
    }
    assert!(!place.target().exists() && !place.root.path().join("restored.partial").exists());
    let second = place.take();
    assert_eq!((second.linked, second.copied), (1, 3));
    verify(&second.dir).expect("whole again");
}

#[test]
fn one_is_chosen_by_name() {
    let place = Place::new();
    let nothing = restore(&place.root.path().join("data"), None, &place.target()).expect_err("empty");
    assert!(matches!(nothing, BackupError::Empty { .. }), "{nothing}");
    let first = place.take();
    place.stage(&[("pumps", b"later")]);
    let second = place.take();
    let names: Vec<String> = list(&place.repository()).expect("listed").into_iter().map(|b| b.name).collect();
    assert_eq!(names, [first.name.clone(), second.name.clone()]);
    let missing = restore(&place.repository(), Some("2020-01-01T00-00-00Z"), &place.target()).expect_err("not there");
    assert!(matches!(missing, BackupError::NoSuch { .. }), "{missing}");
    assert_eq!(restore(&place.repository(), Some(&first.name), &place.target()).expect("restored").dir, first.dir);
    assert_eq!(tree(&place.target()).len(), 4 + 4);
}

#[test]
fn folders_must_be_apart() {
    let place = Place::new();
    let data_dir = place.data_dir();
    for repository in
        [data_dir.join("backups"), data_dir.join("../data/new"), data_dir.clone(), place.root.path().into()]
    {
        let error = place.take_with(&repository, &GOING).expect_err("refused");
        assert!(matches!(error, BackupError::Inside { .. }), "{}: {error}", repository.display());
    }
    assert_eq!(tree(&data_dir).len(), 0, "nothing was made");
    place.take();
    let inside = restore(&place.repository(), None, &place.repository().join("data")).expect_err("refused");
    assert!(matches!(inside, BackupError::Inside { .. }), "{inside}");
}

#[test]
fn what_was_cut_short_counts_for_nothing_and_is_removed() {
    let place = Place::new();
    let stopped = place.take_with(&place.repository(), &AtomicBool::new(true)).expect_err("stopped");
    assert!(matches!(stopped, BackupError::Stopped), "{stopped}");
    let partial = place.repository().join("2026-11-25T06-20-00Z.partial");
    assert!(partial.exists());
    assert!(list(&place.repository()).expect("listed").is_empty());
    let own = place.repository().join("mine.partial");
    fs::create_dir(&own).expect("made");
    place.take();
    assert!(!partial.exists() && own.exists(), "only what is a backup's");
    fs::create_dir(place.root.path().join("restored.partial")).expect("left over");
    restore(&place.repository(), None, &place.target()).expect("restored");
    assert!(!place.root.path().join("restored.partial").exists());
}

/// The first is halfway: the second neither takes its files away nor shows them as a whole.
#[test]
fn one_restore_to_a_place_at_a_time() {
    let place = Place::new();
    place.take();
    let partial = place.root.path().join("restored.partial");
    fs::create_dir(&partial).expect("made");
    fs::write(partial.join("pumps"), "half").expect("written");
    let first = File::open(&partial).expect("open");
    first.lock().expect("locked");
    let error = restore(&place.repository(), None, &place.target()).expect_err("busy");
    assert!(matches!(error, BackupError::Restoring { .. }), "{error}");
    assert_eq!(fs::read(partial.join("pumps")).expect("still there"), b"half");
    assert!(!place.target().exists());
    drop(first);
    restore(&place.repository(), None, &place.target()).expect("what the first left is taken over");
    assert_eq!(tree(&place.target()), tree(&place.staging()));
}

#[test]
fn many_restores_to_one_place_leave_it_whole() {
    let place = Place::new();
    let files: Vec<(String, Vec<u8>)> = (0..40).map(|n| (format!("database/{n}"), vec![n; 5_000])).collect();
    place.stage(&files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect::<Vec<_>>());
    place.take();
    for _ in 0..20 {
        let restored: Vec<bool> = std::thread::scope(|scope| {
            let restores: Vec<_> =
                (0..4).map(|_| scope.spawn(|| restore(&place.repository(), None, &place.target()).is_ok())).collect();
            restores.into_iter().map(|one| one.join().expect("no panic")).collect()
        });
        assert_eq!(restored.iter().filter(|&&done| done).count(), 1, "one, and the others are refused");
        assert_eq!(tree(&place.target()), tree(&place.staging()));
        assert!(!place.root.path().join("restored.partial").exists());
        fs::remove_dir_all(place.target()).expect("removed");
    }
}

#[test]
fn one_backup_at_a_time() {
    let place = Place::new();
    place.take();
    let _lock = files::lock(&place.repository()).expect("locked");
    let error = place.take_with(&place.repository(), &GOING).expect_err("busy");
    assert!(matches!(error, BackupError::Busy { .. }), "{error}");
}

#[test]
fn a_manifest_is_checked_as_it_is_read() {
    let place = Place::new();
    let dir = place.take().dir;
    let text = fs::read_to_string(dir.join(MANIFEST)).expect("read");
    for (from, to, told) in [
        ("\"format\": 1", "\"format\": 2", "form 2"),
        ("\"pumps\"", "\"../pumps\"", "leads out of it"),
        ("\"pumps\"", "\"/etc/pumps\"", "leads out of it"),
        ("\"pumps\"", "\"a\"", "not sorted"),
        ("\"schema\": 3", "\"schema\": -3", "invalid value"),
    ] {
        fs::write(dir.join(MANIFEST), text.replace(from, to)).expect("written");
        let error = verify(&dir).expect_err(to).to_string();
        assert!(error.contains(told), "{error:?} says {told:?}");
    }
}

proptest! {
    #[test]
    fn only_stamps_are_names_of_backups(text in "[0-9TZ:.-]{0,24}", ms in 946_684_800_000_i64..7_258_118_400_000) {
        let name = stamp(Timestamp::from_millis(ms).expect("a time"));
        prop_assert!(is_name(&name), "{name}");
        prop_assert_eq!(is_name(&text), text.len() == 20 && text.replace(|c: char| c.is_ascii_digit(), "0") == "0000-00-00T00-00-00Z");
    }

    /// No byte of a backup can change unnoticed.
    #[test]
    fn any_changed_byte_is_found(bytes in prop::collection::vec(any::<u8>(), 1..300), place in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let here = Place::new();
        here.stage(&[("journal/1", &bytes)]);
        let file = here.take().dir.join("journal/1");
        let mut damaged = bytes.clone();
        let place = place.index(bytes.len());
        damaged[place] ^= flip;
        fs::write(&file, damaged).expect("written");
        let error = restore(&here.repository(), None, &here.target()).expect_err("damaged");
        let found = matches!(&error, BackupError::Damaged { damage, .. } if damage[0].path == file);
        prop_assert!(found, "{}", error);
    }
}
