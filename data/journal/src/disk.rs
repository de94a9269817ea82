//! The file operations of the journal's writer, as traits, so that tests can inject failures.
//!
//! Has no operation for reading. [`crate::scan`] reads the folder once, before the writer starts.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use rustix::io::Errno;

use crate::{durable::create_folder, failpoints::fail_point};

/// The folder of a journal.
pub(super) trait Disk: Send {
    /// Creates a file. Fails if it exists.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Opens an existing file for writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the creation and removal of files durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// One segment, open for writing.
pub(super) trait LogFile: Send {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn sync_data(&self) -> io::Result<()>;
    fn truncate(&self, bytes: u64) -> io::Result<()>;
}

/// A folder of the real file system. It is locked until this value is dropped.
pub(super) struct RealDisk {
    dir: File,
}

impl RealDisk {
    /// Creates the folder if it is missing, and locks it. Returns none if another process or another journal of this
    /// process holds the lock.
    pub(super) fn lock(dir: &Path) -> io::Result<Option<Self>> {
        create_folder(dir)?;
        let dir = File::open(dir)?;
        match dir.try_lock() {
            Ok(()) => Ok(Some(Self { dir })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        fail_point("journal-create")?;
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        fail_point("journal-created")?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fail_point("journal-remove")?;
        fs::remove_file(path)?;
        fail_point("journal-removed")
    }

    fn sync_dir(&self) -> io::Result<()> {
        fail_point("journal-sync-dir")?;
        self.dir.sync_all()
    }
}

impl LogFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        fail_point("journal-write")?;
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        fail_point("journal-sync")?;
        File::sync_data(self)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

/// Returns whether an error means that the disk is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull, WriteZero};
    matches!(error.kind(), StorageFull | QuotaExceeded | WriteZero)
}

/// Returns whether an error means a temporary lack of file descriptors (EMFILE, ENFILE) or memory. The failed operation
/// had no effect and may be repeated.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    const TEMPORARY: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN, Errno::NOBUFS];
    Errno::from_io_error(error).is_some_and(|errno| TEMPORARY.contains(&errno))
}
