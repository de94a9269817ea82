//! The write-ahead journal: an append-only, checksummed, segmented log of opaque records.
//!
//! A record is acknowledged once it is on disk. One thread owns the newest file: it writes all that waits with one call,
//! syncs once, and answers; what arrives meanwhile is the next group, so nobody waits longer than for the group before
//! and his own. A failed sync is final, because what the kernel still holds of it is unknown: everything is refused until
//! the process restarts. A full disk is not: the file is cut back to its durable part, and the next append tries again. Nor
//! is a lack of file descriptors or memory: a segment that should get a successor is written on until one can be made.
//!
//! Deliberately absent: what is in a record, when it is no longer needed ([`Journal::release`] is told), and any clock.

mod disk;
pub mod durable;
mod format;
pub mod points;
mod queue;
mod recovery;
mod scan;
mod window;
mod writer;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

pub use recovery::{Damage, Lost, Recovery};

use disk::{Disk, RealDisk};
use queue::{Answer, Append, Shared};
use scan::{Repair, Scan};
use writer::Writer;

/// So many findings are logged one by one.
const LOGGED_DAMAGE: usize = 32;

/// A record's number: they go up by one, from [`Seq::FIRST`] on, and are never used twice for acknowledged records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(u64);

impl Seq {
    /// Before every record.
    pub const ZERO: Self = Self(0);
    /// Of the first record.
    pub const FIRST: Self = Self(1);
    /// Of the last record that there can be; it fits a signed integer.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// A number; one above [`Seq::MAX`] is taken as that.
    pub fn new(number: u64) -> Self {
        Self(number).min(Self::MAX)
    }

    /// As an integer.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The next one; none comes after [`Seq::MAX`].
    pub fn after(self) -> Self {
        Self::new(self.0.saturating_add(1))
    }

    fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a journal writes, and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalSettings {
    /// A segment that has reached this gets a successor, as soon as one can be made.
    pub segment_bytes: u64,
    /// So much is written and synced at once; a longer record goes alone.
    pub group_bytes: usize,
    /// So many records wait at most; one more is refused as [`JournalError::Busy`].
    pub queue_records: usize,
    /// So many bytes of payload wait at most, unless one record alone is longer.
    pub queue_bytes: usize,
    /// A segment that is no longer needed is kept for so long after its last record.
    pub keep: Duration,
    /// Segments that are no longer needed together hold at most this.
    pub keep_bytes: u64,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            group_bytes: 256 << 10,
            queue_records: 8192,
            queue_bytes: 64 << 20,
            keep: Duration::from_secs(24 * 3600),
            keep_bytes: 1 << 30,
        }
    }
}

/// Why a record was not taken, or a journal not opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is no room on the disk. The next append tries again.
    #[error("the disk of the journal is full")]
    Full,
    /// The process is short of file descriptors or memory. The next append tries again.
    #[error("the journal cannot be written just now: {0}")]
    Shortage(String),
    /// Writing or syncing failed once. Nothing more is taken until the process restarts.
    #[error("the journal has failed: {0}")]
    Failed(String),
    /// Too much waits to be written.
    #[error("too many records wait for the journal")]
    Busy,
    /// A record is longer than can be written.
    #[error("a record of {bytes} bytes is too large for the journal; at most {most}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest that is taken.
        most: usize,
    },
    /// The journal is closed.
    #[error("the journal is closed")]
    Closed,
    /// Another process, or another journal of this one, has the folder open.
    #[error("the journal in {} is in use", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A segment was written by a later version of the program.
    #[error("{} has version {version} of the journal's format, which this program does not know", path.display())]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The folder or a file in it cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Whether a journal takes records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum JournalHealth {
    /// It does.
    #[default]
    Good,
    /// The last group found no room on the disk.
    Full,
    /// The last group could not be written for a lack of file descriptors or memory.
    Shortage(String),
    /// Nothing more is taken until the process restarts, for this reason.
    Failed(String),
}

/// What a journal holds and has done since it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalStatus {
    /// The highest number on disk.
    pub durable_seq: Seq,
    /// Records below it are no longer needed.
    pub low_water: Seq,
    /// Files.
    pub segments: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Records that wait.
    pub waiting_records: u64,
    /// Groups made durable.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
    /// Syncs of data, failed ones included.
    pub syncs: u64,
    /// How long all syncs took, in microseconds.
    pub sync_total_us: u64,
    /// How long the last sync took, in microseconds.
    pub sync_last_us: u64,
    /// How long the disk has had the group that is being written; zero where none is.
    pub writing_for: Duration,
    /// Whether it takes records.
    pub health: JournalHealth,
}

/// A file to copy for a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// The file. It may be deleted once nothing in it is needed.
    pub path: PathBuf,
    /// Bytes from its beginning on that are durable; what comes behind them is not acknowledged.
    pub durable_bytes: u64,
}

/// A journal that is open for writing; clones write to the same.
#[derive(Debug, Clone)]
pub struct Journal {
    open: Arc<Open>,
}

/// Stops the thread when the last handle goes.
#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A record on its way to the disk. It is written whether or not anybody waits for this.
#[derive(Debug)]
pub struct Appending(oneshot::Receiver<Result<Seq, JournalError>>);

impl Journal {
    /// Opens the journal in a folder, which is made where needed, and hands on every record from `low_water` on, in
    /// order; without a low water, from the one that the newest readable segment names.
    ///
    /// A torn end of the newest segment is cut off. New records are numbered above all that was found, and from
    /// `low_water` on. `now_ms` is Unix time. Neither a full disk nor a lack of file descriptors
    /// for a new segment keeps it from opening.
    pub fn open(
        dir: &Path,
        settings: JournalSettings,
        low_water: Option<Seq>,
        now_ms: i64,
        mut on_record: impl FnMut(Seq, &[u8]),
    ) -> Result<(Self, Recovery), JournalError> {
        let disk = RealDisk::lock(dir).map_err(|source| JournalError::Io { path: dir.to_owned(), source })?;
        let Some(disk) = disk else { return Err(JournalError::InUse { path: dir.to_owned() }) };
        Self::open_on(Box::new(disk), dir, settings, low_water, now_ms, &mut on_record)
    }

    fn open_on(
        disk: Box<dyn Disk>,
        dir: &Path,
        settings: JournalSettings,
        low_water: Option<Seq>,
        now_ms: i64,
        on_record: &mut dyn FnMut(Seq, &[u8]),
    ) -> Result<(Self, Recovery), JournalError> {
        let scan = scan::scan(dir, low_water, on_record)?;
        log(dir, &scan.recovery);
        repair(disk.as_ref(), dir, &scan)?;
        let recovery = scan.recovery;
        let shared = Arc::new(Shared::new(dir, settings, scan.segments, recovery.low_water, recovery.next));
        let mut writer = Writer::new(Arc::clone(&shared), disk, recovery.next, now_ms);
        writer.begin(scan.newest_is_empty)?;
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|source| JournalError::Io { path: dir.to_owned(), source })?;
        let open = Open { shared, thread: Mutex::new(Some(thread)) };
        Ok((Self { open: Arc::new(open) }, recovery))
    }

    /// Queues a record, at once; the future is ready when it is on disk, or refused. Records become durable in the order
    /// of these calls.
    pub fn append(&self, payload: Vec<u8>) -> Appending {
        let (answer, waiting) = oneshot::channel();
        // Nobody has to wait.
        self.append_then(payload, move |outcome| drop(answer.send(outcome)));
        Appending(waiting)
    }

    /// The same for one who does not wait: told on the journal's thread, or at once on this one if the record is refused.
    /// Nothing else is written meanwhile, so it should not take long.
    pub fn append_then(&self, payload: Vec<u8>, told: impl FnOnce(Result<Seq, JournalError>) + Send + 'static) {
        self.open.shared.push(Append { payload, answer: Answer::new(told) });
    }

    /// Says that records below `low_water` are no longer needed; a lower one than before says nothing. Segments that are
    /// not needed are deleted by the writer, once they are old or too many. `now_ms` is Unix time.
    pub fn release(&self, low_water: Seq, now_ms: i64) {
        self.open.shared.release(low_water, now_ms);
    }

    /// The highest number on disk; [`Seq::ZERO`] before the first.
    pub fn durable_seq(&self) -> Seq {
        self.open.shared.durable_seq()
    }

    /// What it holds and has done.
    pub fn status(&self) -> JournalStatus {
        self.open.shared.status()
    }

    /// The files that hold the records from `low_water` on, oldest first.
    pub fn segments_from(&self, low_water: Seq) -> Vec<SegmentFile> {
        self.open.shared.segments_from(low_water)
    }

    /// Writes what waits, refuses what comes later from any clone, and returns when the file is closed.
    pub fn close(self) {
        self.open.close();
    }
}

/// Reads a journal's folder without changing anything; see [`Journal::open`].
///
/// Of a journal that is being written, the newest records may be missing and look torn.
pub fn inspect_journal(
    dir: &Path,
    low_water: Option<Seq>,
    mut on_record: impl FnMut(Seq, &[u8]),
) -> Result<Recovery, JournalError> {
    scan::scan(dir, low_water, &mut on_record).map(|scan| scan.recovery)
}

impl Open {
    fn close(&self) {
        self.shared.close();
        // Whoever else closes waits too, until the file is closed.
        let mut thread = self.thread.lock();
        let Some(thread) = thread.take() else { return };
        // Whoever is told of a record may hold the last handle; the thread ends by itself then.
        let is_own = thread.thread().id() == thread::current().id();
        if !is_own && thread.join().is_err() {
            tracing::error!("the journal's thread panicked");
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.close();
    }
}

impl Future for Appending {
    type Output = Result<Seq, JournalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(JournalError::Closed)))
    }
}

/// Makes the folder's files fit to go on from. Everything that was read is synced: a record that was written and not
/// synced before a crash of the process must not be handed on and lost later.
fn repair(disk: &dyn Disk, dir: &Path, scan: &Scan) -> Result<(), JournalError> {
    let (path, result) = match &scan.repair {
        Repair::Remove(path) => (path.clone(), disk.remove(path)),
        Repair::Cut(path, bytes) => {
            let cut = disk.open(path).and_then(|file| file.truncate(*bytes).and_then(|()| file.sync_data()));
            (path.clone(), cut)
        }
        Repair::Nothing => (dir.to_owned(), Ok(())),
    };
    result.map_err(|source| JournalError::Io { path, source })?;
    if let Some(newest) = scan.segments.last() {
        let path = dir.join(format::segment_name(newest.first));
        let synced = disk.open(&path).and_then(|file| file.sync_data());
        synced.map_err(|source| JournalError::Io { path, source })?;
    }
    disk.sync_dir().map_err(|source| JournalError::Io { path: dir.to_owned(), source })
}

fn log(dir: &Path, recovery: &Recovery) {
    for damage in recovery.damage.iter().take(LOGGED_DAMAGE) {
        damage.log();
    }
    tracing::info!(
        dir = %dir.display(),
        records = recovery.records,
        bytes = recovery.bytes,
        segments = recovery.segments,
        low_water = recovery.low_water.0,
        next = recovery.next.0,
        damage = recovery.damage.len(),
        "journal read"
    );
}

#[cfg(test)]
mod tests;
