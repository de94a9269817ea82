//! Files and folders that are there as a whole, or not at all, and stay there after a power cut.
//!
//! A file is written under a name of its own in the folder where it shall be, brought down to the disk, and then moved
//! to its name in one step:
//!
//! ```text
//! .report.csv.a8Xk2q.partial  ──write, sync──▶  rename  ──▶  report.csv  ──▶  sync the folder
//! ```
//!
//! The other name is new and random (`O_EXCL`), so two that write the same file at the same time never share one, and a
//! symlink is never followed. A file that is given up, or not published, is removed again. One that a `kill -9` left is not.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

use crate::points::reach;

/// A file on its way to its name.
#[derive(Debug)]
pub struct NewFile {
    file: NamedTempFile,
    target: PathBuf,
}

impl NewFile {
    /// Begins a file that shall be `target`. The folder must be there.
    pub fn create(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        prefix.push(".");
        // As `File::create` makes one: the umask says who may read it.
        let file = Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder_of(target))?;
        Ok(Self { file, target: target.to_owned() })
    }

    /// Another handle on the file, for a writer that wants to own one.
    pub fn handle(&self) -> io::Result<File> {
        self.file.as_file().try_clone()
    }

    /// Brings the file down to the disk and gives it its name, which must be free: nothing is written over, and a
    /// symlink is something too. Returns the file's length.
    pub fn publish(self) -> io::Result<u64> {
        self.named(|file, target| file.persist_noclobber(target).map_err(|error| error.error))
    }

    /// Brings the file down to the disk and gives it its name, in the place of a file that has it. Returns the file's
    /// length. A symlink, a device or a folder is refused and stays: it was meant for something else.
    pub fn replace(self) -> io::Result<u64> {
        match fs::symlink_metadata(&self.target) {
            Ok(there) if !there.is_file() => {
                Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there, and is not a regular file"))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.named(|file, target| file.persist(target).map_err(|error| error.error)),
        }
    }

    fn named(self, rename: impl FnOnce(NamedTempFile, &Path) -> io::Result<File>) -> io::Result<u64> {
        let Self { file, target } = self;
        file.as_file().sync_all()?;
        reach("file-rename")?;
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

/// Writes a file of these bytes in the place of the one with this name, whole and durable; see [`NewFile::replace`].
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes)?;
    file.replace().map(drop)
}

/// Makes a folder and those above it, where they are missing, and brings the names of the new ones down to the disk.
pub fn create_folder(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(dir)?;
    for path in missing {
        sync_folder(&folder_of(path))?;
    }
    Ok(())
}

/// Brings the names in a folder down to the disk.
pub fn sync_folder(dir: &Path) -> io::Result<()> {
    #[cfg(feature = "failpoints")]
    SYNCED.lock().push(dir.to_owned());
    File::open(dir)?.sync_all()
}

/// The folders that were synced, for tests: what a power cut would have left cannot be seen otherwise.
#[cfg(feature = "failpoints")]
pub static SYNCED: parking_lot::Mutex<Vec<PathBuf>> = parking_lot::Mutex::new(Vec::new());

/// The folder that a path is in.
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
    fn of_two_that_publish_one_name_the_first_has_it_and_both_stay_whole() {
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
    fn a_file_is_replaced_as_a_whole_and_has_the_rights_of_any_new_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let (target, usual) = (dir.path().join("a"), dir.path().join("usual"));
        fs::write(&usual, "").expect("written");
        write_file(&target, b"a long text").expect("written");
        let before = File::open(&target).expect("open");
        write_file(&target, b"short").expect("written");
        assert_eq!(fs::read(&target).expect("read"), b"short");
        assert_eq!(before.metadata().expect("open still").len(), 11, "who reads the old one reads it to its end");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode(&target), mode(&usual));
        write_file(dir.path(), b"x").expect_err("a folder is no file");
    }
}
