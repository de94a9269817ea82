//! Atomic and durable files: a file exists completely or not at all, and survives a power failure.
//!
//! A file is written under a temporary name in its folder, synced, and then renamed in one step:
//!
//! ```text
//! .report.csv.a8Xk2q.partial  ──write, sync──▶  rename  ──▶  report.csv  ──▶  sync the folder
//! ```
//!
//! The temporary name is new and random (`O_EXCL`), so two concurrent writers of the same file never share one, and a
//! symlink is never followed. A file that is dropped before it is published is removed. After a crash or a `kill -9`
//! the temporary file stays.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

use crate::failpoints::fail_point;

/// A file that is being written under a temporary name.
#[derive(Debug)]
pub struct NewFile {
    file: NamedTempFile,
    target: PathBuf,
}

impl NewFile {
    /// Creates the temporary file for `target`. The folder must exist.
    pub fn create(target: &Path) -> io::Result<Self> {
        // The same mode as with `File::create`, so the umask decides who may read the file.
        Self::create_with_mode(target, 0o666)
    }

    fn create_with_mode(target: &Path, mode: u32) -> io::Result<Self> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        prefix.push(".");
        let file = Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder_of(target))?;
        Ok(Self { file, target: target.to_owned() })
    }

    /// Returns a second handle to the file, for a writer that needs to own one.
    pub fn handle(&self) -> io::Result<File> {
        self.file.as_file().try_clone()
    }

    /// Syncs the file and renames it to its target. Fails if anything with that name exists, even a symlink; nothing is
    /// overwritten. Returns the file's length in bytes.
    pub fn publish(self) -> io::Result<u64> {
        self.sync_and_rename(|file, target| file.persist_noclobber(target).map_err(|error| error.error))
    }

    /// Syncs the file and renames it to its target, replacing an existing file. Returns the file's length in bytes.
    /// Fails if a symlink, a device or a folder has that name, because this program did not create it.
    pub fn replace(self) -> io::Result<u64> {
        match fs::symlink_metadata(&self.target) {
            Ok(existing) if !existing.is_file() => {
                Err(io::Error::new(io::ErrorKind::AlreadyExists, "it exists and is not a regular file"))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.sync_and_rename(|file, target| file.persist(target).map_err(|error| error.error)),
        }
    }

    fn sync_and_rename(self, rename: impl FnOnce(NamedTempFile, &Path) -> io::Result<File>) -> io::Result<u64> {
        let Self { file, target } = self;
        file.as_file().sync_all()?;
        fail_point("file-rename")?;
        let bytes = rename(file, &target)?.metadata()?.len();
        sync_folder(&folder_of(&target))?;
        Ok(bytes)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a file atomically and durably, replacing an existing one; see [`NewFile::replace`].
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes)?;
    file.replace().map(drop)
}

/// Like [`write_file`], for a secret: only the owner can open the file.
pub fn write_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create_with_mode(path, 0o600)?;
    file.write_all(bytes)?;
    file.replace().map(drop)
}

/// Creates a folder and its missing parents, and makes them durable.
pub fn create_folder(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(dir)?;
    for path in missing {
        sync_folder(&folder_of(path))?;
    }
    Ok(())
}

/// Syncs a folder, so that the creation, renaming and removal of files in it are durable.
pub fn sync_folder(dir: &Path) -> io::Result<()> {
    #[cfg(feature = "failpoints")]
    SYNCED.lock().push(dir.to_owned());
    File::open(dir)?.sync_all()
}

/// The folders that were synced. Tests check them, because a missing sync has no other visible effect.
#[cfg(feature = "failpoints")]
pub static SYNCED: parking_lot::Mutex<Vec<PathBuf>> = parking_lot::Mutex::new(Vec::new());

/// Returns the folder that contains a path.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => ".".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let mut names: Vec<String> = dir.read_dir().expect("read").map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn of_two_files_with_one_name_the_first_is_published_completely() {
        let dir = tempfile::tempdir().expect("a folder");
        let target = dir.path().join("a.csv");
        let (mut first, mut second) =
            (NewFile::create(&target).expect("begun"), NewFile::create(&target).expect("begun"));
        first.write_all(b"first ").expect("written");
        second.write_all(b"second").expect("written");
        first.write_all(b"again").expect("written");
        assert_eq!(first.publish().expect("published"), 11);
        let error = second.publish().expect_err("the name is taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
        assert_eq!(fs::read(&target).expect("read"), b"first again");
        assert_eq!(names(dir.path()), ["a.csv"], "nothing is left");
    }

    #[test]
    fn a_symlink_is_neither_followed_nor_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let (other, link, dangling) = (dir.path().join("other"), dir.path().join("link"), dir.path().join("dangling"));
        fs::write(&other, "precious").expect("written");
        symlink(&other, &link).expect("linked");
        symlink(dir.path().join("nothing"), &dangling).expect("linked");
        for target in [&link, &dangling] {
            for put in [NewFile::publish, NewFile::replace] {
                let mut file = NewFile::create(target).expect("begun");
                file.write_all(b"new").expect("written");
                let error = put(file).expect_err("refused");
                assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
            }
        }
        assert_eq!(fs::read(&other).expect("read"), b"precious");
        assert_eq!(names(dir.path()), ["dangling", "link", "other"]);
    }

    #[test]
    fn a_file_is_replaced_atomically_and_has_the_permissions_of_a_new_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let (target, usual) = (dir.path().join("a"), dir.path().join("usual"));
        fs::write(&usual, "").expect("written");
        write_file(&target, b"a long text").expect("written");
        let before = File::open(&target).expect("open");
        write_file(&target, b"short").expect("written");
        assert_eq!(fs::read(&target).expect("read"), b"short");
        assert_eq!(
            before.metadata().expect("open still").len(),
            11,
            "an open handle still reads the old file to its end"
        );
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode(&target), mode(&usual));
        write_file(dir.path(), b"x").expect_err("a folder is no file");
        write_private_file(&target, b"secret").expect("written");
        assert_eq!(mode(&target) & 0o777, 0o600);
    }
}
