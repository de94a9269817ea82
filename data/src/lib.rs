//! Everything at rest: the journal, the embedded database with its schema, and recorded CSV files.
//!
//! The one place where SurrealDB is known; nothing of it shows in the public interface.
//! Deliberately absent: who may read what (the web's business), when a batch is cut (the
//! recorder's), and any clock: every time comes in with its row.

mod backup;
mod block;
mod export;
mod labelled;
mod original;
mod predictions;
mod recording;
mod store;

/// A recording in the form of the original system's: 2,000 rows of a simulated pump, a row a minute. See `data/demo/make`.
pub const DEMO_RECORDING: &[u8] = include_bytes!("../demo/recording.csv");

pub use backup::{
    About, BackupError, BackupReport, Damage, FileEntry, Listed, Manifest, Restored, check_repository,
    list as list_backups, restore, take as take_backup, verify as verify_backup,
};
pub use block::{Aggregate, Aggregates};
pub use export::{
    Export, ExportError, ExportFormat, Exported, Import, ImportError, Imported, export, export_documents, import,
    try_import,
};
pub use labelled::{Labelled, write_labelled};
pub use original::{EventMapping, EventsFile, EventsImported, import_events, read_events};
pub use predictions::{Prediction, write_predictions};
pub use recording::{
    DecimalMark, Dialect, Finding, Notes, Recording, RecordingError, RecordingFile, RepeatedHour, Row, RowOrder,
    TimeFormat, TimeZone, open_recording, parse_recording, parts, pumps_of, read_recording,
};
pub use store::{
    Answer, AuditAction, AuditEntry, AuditFilter, BaselineRecord, Batch, Bucket, Buckets, ClockMark,
    CommissioningRecord, Counts, DatabaseStatus, DiskUse, Document, DocumentFilter, DocumentKey, DocumentKind,
    EventFilter, Flushed, KeyBegins, KeyPart, NewBaseline, Order, PAST_MS, PROFILES, PumpRecord, PumpSetting,
    PumpSettings, PumpState, Purged, Range, Reach, Resolution, Retention, Staged, Standing, Store, StoreError,
    StoreSettings, StoreStatus, Swept, SystemMetrics, Uncommitted,
};
pub use volute_journal::durable::{NewFile, create_folder, sync_folder, write_file};
pub use volute_journal::{
    Journal, JournalError, JournalHealth, JournalSettings, JournalStatus, Recovery, SegmentFile, Seq, inspect_journal,
};
