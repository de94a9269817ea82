//! Storage: the journal, the embedded database with its schema, backups, exports, and recorded CSV files.
//!
//! This crate is the only one that uses SurrealDB; its public interface does not show it. The terms that it shares
//! with the other crates:
//!
//! - A *reading* is one row of a pump's sensor values at one time. A *window* is the sequence of consecutive steps
//!   that the anomaly model scores at once, and a *detection* is the result for one window.
//! - A *profile* describes a kind of pump: its channels, their limits, and its maintenance rules.
//! - *Commissioning* is the learning phase of a pump. Its result is the pump's *baseline*: what is normal for this
//!   pump. Baselines are stored as numbered versions, of which at most one is active.
//! - A *block* holds one pump's readings, or its detections, of one minute in compressed form. A *rollup* holds the
//!   count, minimum, maximum and sum of each channel over a minute or an hour; buckets for charts are made from
//!   rollups.
//! - The *head* holds in memory what is durable in the journal and not in the database yet.
//!
//! Does not check who may read what (see the `web` crate), does not decide when a batch is complete (the recorder of
//! the `actors` crate), and reads no clock: every time is in a row or is an argument.

mod backup;
mod block;
mod event_import;
mod export;
mod labelled;
mod predictions;
mod recording;
mod store;

/// A recording in the format of the original system: 2,000 rows of a simulated pump, one row per minute. Made by
/// `data/demo/make`.
pub const DEMO_RECORDING: &[u8] = include_bytes!("../demo/recording.csv");

pub use backup::{
    BackupError, BackupReport, BackupRequest, Damage, FileEntry, ListedBackup, Manifest, RestoreReport,
    check_repository, list as list_backups, restore, take as take_backup, verify as verify_backup,
};
pub use block::{Aggregate, Aggregates};
pub use event_import::{EventImportReport, EventMapping, EventsFile, import_events, read_events};
pub use export::{
    ExportError, ExportFormat, ExportReport, ExportRequest, ImportError, ImportReport, ImportRequest, dry_run_import,
    export, export_documents, import,
};
pub use labelled::{LabelledRow, write_labelled};
pub use predictions::{Prediction, write_predictions};
pub use recording::{
    DecimalMark, Dialect, Finding, Notes, Recording, RecordingError, RecordingFile, RepeatedHour, Row, RowOrder,
    TimeFormat, TimeZone, dialects_of, open_recording, ordered_segments, parse_recording, pumps_of, read_recording,
};
pub use store::{
    AlarmCheckpoint, AlarmRecord, AlarmRules, AuditAction, AuditEntry, AuditFilter, AuditVerification, BaselineRecord,
    BaselineStatus, Batch, Bucket, Buckets, ChainFault, ChainHash, ChainHead, ChainLink, Change, ClockMark,
    CommissioningRecord, CommitError, Completeness, DatabaseStatus, DiskUse, Document, DocumentFilter, DocumentKey,
    DocumentKind, EventFilter, FlushReport, HandoverSeen, KeyPart, KeyPrefix, NewBaseline, PAST_AGE_MS,
    PROFILES_FOLDER, PageRange, PumpCheckpoint, PumpRecord, PumpSetting, PumpSettings, PurgeReport, QueryResult,
    RequestOrigin, Resolution, Retention, RowCounts, SortOrder, StagedCopy, Store, StoreError, StoreSettings,
    StoreStatus, StoredAlarms, StoredNotifications, SweepReport, SystemMetrics,
};
pub use volute_journal::durable::{NewFile, create_folder, sync_folder, write_file, write_private_file};
pub use volute_journal::{
    Journal, JournalError, JournalHealth, JournalSettings, JournalStatus, Recovery, SegmentFile, Seq, inspect_journal,
};
