//! The write-ahead journal: an append-only, checksummed, segmented log of opaque records.
//!
//! A record is acknowledged once it is on disk. One thread, the writer, owns the newest segment file. It takes the
//! waiting records, up to `group_bytes`, writes them with one call, syncs the file once and acknowledges them (group
//! commit). Records that arrive during the sync form the next group.
//!
//! ```text
//! append(a)                  queue: a
//! writer takes group 1       writes a, syncs ...
//! append(b), append(c)       queue: b, c
//! ... sync returns           a is acknowledged as record 1
//! writer takes group 2       writes b and c, syncs once; they are acknowledged as records 2 and 3
//! release(3)                 3 is the low-water mark: records 1 and 2 are no longer needed
//! ```
//!
//! The writer deletes a segment once none of its records is needed and it is older than `retention`, or such segments
//! together exceed `retention_bytes`.
//!
//! Failures:
//!
//! - A failed sync is permanent, because it is unknown what the kernel has written. The journal refuses every record
//!   until the process restarts.
//! - A full disk is temporary. The writer truncates the file to its durable part, and the next append tries again.
//! - A lack of file descriptors or memory is temporary too. If the next segment cannot be created, the writer continues
//!   in the full one until it can.
//!
//! Does not interpret the content of records. Does not decide when a record is no longer needed; the caller does
//! ([`Journal::release`]). Has no clock; the caller passes the time.

mod disk;
pub mod durable;
pub mod failpoints;
mod format;
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

pub use recovery::{Damage, LostRecords, Recovery};

use disk::{Disk, RealDisk};
use queue::{AppendRequest, Completion, Shared};
use scan::{Repair, Scan};
use writer::Writer;

/// The maximum number of damaged parts that are logged one by one.
const MAX_LOGGED_DAMAGE: usize = 32;

/// The sequence number of a record. Numbers increase by one from record to record, starting at [`Seq::FIRST`]. No two
/// acknowledged records have the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(u64);

impl Seq {
    /// A number below that of every record.
    pub const ZERO: Self = Self(0);
    /// The number of the first record.
    pub const FIRST: Self = Self(1);
    /// The highest possible number. It fits in a signed integer.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// Creates a sequence number. A number above [`Seq::MAX`] becomes [`Seq::MAX`].
    pub fn new(number: u64) -> Self {
        Self(number).min(Self::MAX)
    }

    /// Returns the number as an integer.
    pub fn get(self) -> u64 {
        self.0
    }

    /// Returns the next number. After [`Seq::MAX`] comes [`Seq::MAX`].
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

/// Sizes, limits and retention of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalSettings {
    /// When a segment has this size in bytes, the next one is begun as soon as it can be created.
    pub segment_bytes: u64,
    /// The maximum size in bytes of a group of records that are written and synced together. A longer record is a group
    /// of its own.
    pub group_bytes: usize,
    /// The maximum number of waiting records. A further record is refused with [`JournalError::Busy`].
    pub queue_records: usize,
    /// The maximum total payload of waiting records, in bytes. A longer record is accepted if no other record waits.
    pub queue_bytes: usize,
    /// How long a segment is retained after its last record, if none of its records is needed any more.
    pub retention: Duration,
    /// The maximum total size, in bytes, of segments of which no record is needed any more.
    pub retention_bytes: u64,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            group_bytes: 256 << 10,
            queue_records: 8192,
            queue_bytes: 64 << 20,
            retention: Duration::from_secs(24 * 3600),
            retention_bytes: 1 << 30,
        }
    }
}

/// Why a record was refused, or a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk is full. The next append tries again.
    #[error("the disk of the journal is full")]
    Full,
    /// The process is short of file descriptors or memory. The next append tries again.
    #[error("the journal cannot be written at the moment: {0}")]
    OutOfResources(String),
    /// A write or a sync failed. The journal refuses all records until the process restarts.
    #[error("the journal has failed: {0}")]
    Failed(String),
    /// The queue of waiting records is full.
    #[error("too many records wait for the journal")]
    Busy,
    /// A record is longer than the maximum.
    #[error("a record of {bytes} bytes is too large for the journal; at most {max}")]
    TooLarge {
        /// The length of the record's payload, in bytes.
        bytes: usize,
        /// The maximum length of a payload, in bytes.
        max: usize,
    },
    /// The journal is closed.
    #[error("the journal is closed")]
    Closed,
    /// Another process, or another [`Journal`] of this process, has the folder open.
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
        /// The version of its format.
        version: u32,
    },
    /// The folder or a file in it cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Whether a journal accepts records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum JournalHealth {
    /// It accepts records.
    #[default]
    Good,
    /// The last group could not be written because the disk is full.
    Full,
    /// The last group could not be written, because file descriptors or memory were short. Holds the details.
    OutOfResources(String),
    /// The journal refuses all records until the process restarts. Holds the reason.
    Failed(String),
}

/// The content of a journal, and counters since it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalStatus {
    /// The number of the last durable record.
    pub durable_seq: Seq,
    /// Records below this number are no longer needed.
    pub low_water: Seq,
    /// The number of segment files.
    pub segments: u64,
    /// The total size of the segment files, in bytes.
    pub bytes: u64,
    /// The number of records that wait to be written.
    pub waiting_records: u64,
    /// The number of groups that were made durable.
    pub groups: u64,
    /// The number of records in these groups.
    pub records: u64,
    /// The number of data syncs, failed ones included.
    pub syncs: u64,
    /// The total duration of all syncs, in microseconds.
    pub sync_total_us: u64,
    /// The duration of the last sync, in microseconds.
    pub sync_last_us: u64,
    /// How long the writer has been writing the current group; zero if it is not writing.
    pub writing_for: Duration,
    /// Whether the journal accepts records.
    pub health: JournalHealth,
}

/// A segment file to copy for a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// The file. The journal may delete it once none of its records is needed.
    pub path: PathBuf,
    /// The length of the durable part, in bytes. Records after it are not acknowledged.
    pub durable_bytes: u64,
}

/// A journal that is open for writing. Clones write to the same journal.
#[derive(Debug, Clone)]
pub struct Journal {
    writer: Arc<WriterThread>,
}

/// The handle of the writer's thread. Stops the thread when it is dropped.
#[derive(Debug)]
struct WriterThread {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The future of an append: ready when the record is durable or refused. Dropping it does not cancel the append.
#[derive(Debug)]
pub struct AppendFuture(oneshot::Receiver<Result<Seq, JournalError>>);

impl Journal {
    /// Opens the journal in a folder, creates the folder if it is missing, and passes every record from `low_water` on
    /// to `on_record`, in order. If `low_water` is none, uses the low-water mark in the header of the newest readable
    /// segment.
    ///
    /// Truncates the newest segment if it ends with an incomplete record. New records are numbered above all existing
    /// ones, and not below `low_water`. `now_ms` is Unix time in milliseconds. Also succeeds if no new segment can be
    /// created because the disk is full, or file descriptors or memory are short.
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
        writer.start(scan.newest_is_empty)?;
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|source| JournalError::Io { path: dir.to_owned(), source })?;
        let writer = WriterThread { shared, thread: Mutex::new(Some(thread)) };
        Ok((Self { writer: Arc::new(writer) }, recovery))
    }

    /// Queues a record without blocking. The future is ready when the record is durable or refused. Records become
    /// durable in the order of the calls.
    pub fn append(&self, payload: Vec<u8>) -> AppendFuture {
        let (sender, receiver) = oneshot::channel();
        // Sending fails if the caller has dropped the future.
        self.append_then(payload, move |outcome| drop(sender.send(outcome)));
        AppendFuture(receiver)
    }

    /// Queues a record like [`Journal::append`] and calls `callback` with the outcome.
    ///
    /// The callback runs on the journal's thread, or on the caller's thread if the record is refused at once. The
    /// journal writes nothing while the callback runs, so it must be short.
    pub fn append_then(&self, payload: Vec<u8>, callback: impl FnOnce(Result<Seq, JournalError>) + Send + 'static) {
        self.writer.shared.push(AppendRequest { payload, completion: Completion::new(callback) });
    }

    /// Declares that records below `low_water` are no longer needed. A value below an earlier one has no effect. The
    /// writer deletes unneeded segments that are older than [`JournalSettings::retention`], and the oldest ones while
    /// they take more than [`JournalSettings::retention_bytes`]. `now_ms` is Unix time in milliseconds.
    pub fn release(&self, low_water: Seq, now_ms: i64) {
        self.writer.shared.release(low_water, now_ms);
    }

    /// Returns the number of the last durable record; [`Seq::ZERO`] if there is none.
    pub fn durable_seq(&self) -> Seq {
        self.writer.shared.durable_seq()
    }

    /// Returns the journal's content and counters.
    pub fn status(&self) -> JournalStatus {
        self.writer.shared.status()
    }

    /// Returns the files with the records from `low_water` on, oldest first.
    pub fn segments_from(&self, low_water: Seq) -> Vec<SegmentFile> {
        self.writer.shared.segments_from(low_water)
    }

    /// Writes the waiting records, and returns when the file is closed. Later records are refused, also from clones of
    /// this handle.
    pub fn close(self) {
        self.writer.close();
    }
}

/// Reads a journal's folder without changing it. The parameters are those of [`Journal::open`].
///
/// If a process writes to the journal meanwhile, the newest records may be missing or appear incomplete.
pub fn inspect_journal(
    dir: &Path,
    low_water: Option<Seq>,
    mut on_record: impl FnMut(Seq, &[u8]),
) -> Result<Recovery, JournalError> {
    scan::scan(dir, low_water, &mut on_record).map(|scan| scan.recovery)
}

impl WriterThread {
    fn close(&self) {
        self.shared.close();
        // A concurrent call of this function waits here until the file is closed.
        let mut thread = self.thread.lock();
        let Some(thread) = thread.take() else { return };
        // The last handle may be dropped in a callback on the writer's thread. That thread cannot join itself; it ends
        // after the callback.
        let is_own = thread.thread().id() == thread::current().id();
        if !is_own && thread.join().is_err() {
            tracing::error!("the journal's thread panicked");
        }
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.close();
    }
}

impl Future for AppendFuture {
    type Output = Result<Seq, JournalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|outcome| outcome.unwrap_or(Err(JournalError::Closed)))
    }
}

/// Repairs the newest segment and syncs it. A record that was written but not synced before a crash of the process has
/// already been passed to the caller, so the sync makes it durable.
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
    for damage in recovery.damage.iter().take(MAX_LOGGED_DAMAGE) {
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
