//! What the journal's writer asks of a file system: a seam at which tests make it fail.
//!
//! Deliberately absent: reading, which happens once, before there is a writer.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use rustix::io::Errno;

use crate::{durable::create_folder, points::reach};

/// The folder of a journal.
pub(super) trait Disk: Send {
    /// Makes a file that is not there yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Opens a file for writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes what was created and removed durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// One segment, open for writing.
pub(super) trait LogFile: Send {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn sync_data(&self) -> io::Result<()>;
    fn truncate(&self, bytes: u64) -> io::Result<()>;
}

/// A folder of the machine, locked for as long as this lives.
pub(super) struct RealDisk {
    dir: File,
}

impl RealDisk {
    /// Makes the folder where needed and locks it. None where another holds the lock.
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
        reach("journal-create")?;
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        reach("journal-created")?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        reach("journal-remove")?;
        fs::remove_file(path)?;
        reach("journal-removed")
    }

    fn sync_dir(&self) -> io::Result<()> {
        reach("journal-sync-dir")?;
        self.dir.sync_all()
    }
}

impl LogFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        reach("journal-write")?;
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        reach("journal-sync")?;
        File::sync_data(self)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

/// Whether an error says that there is no room, now.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull, WriteZero};
    matches!(error.kind(), StorageFull | QuotaExceeded | WriteZero)
}

/// Whether an error says that the process or the machine is short of something that comes back by itself: file descriptors
/// (EMFILE, ENFILE) or memory. What was tried has had no effect, and may be tried again.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    const PASSING: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN, Errno::NOBUFS];
    Errno::from_io_error(error).is_some_and(|errno| PASSING.contains(&errno))
}
