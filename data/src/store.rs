//! The store: takes batches of rows, makes them durable at once, and returns them page by page, years later.
//!
//! A batch is durable when it is in the journal ([`volute_journal`]). Its rows wait in the head, an in-memory table by
//! pump and minute, and move from there into the database as compressed blocks with their rollups ([`Store::flush`]).
//! Queries read head and database as one. While the database is unavailable, the store works from journal and head, and
//! each result says how far back it reaches.
//!
//! The way of one reading, taken at 12:00:30.000 and received at 12:00:30.007:
//!
//! ```text
//! 12:00:30.007  commit   the batch is checked against the pump registry, encoded, and appended to the journal as record 17
//! 12:00:30.010  commit   the record is synced: the reading enters the minute 12:00 in the head, and `commit` returns
//! 12:01:30..    flush    the minute 12:00 is due between one and two minutes after it was opened, a fixed time for each pump
//!               flush    one transaction: block `sensor_readings:[P-1, 12:00]`, rollups of the minute and the hour, and the
//!                        low-water mark 18: the database has all records below 18
//!               flush    the minute leaves the head
//! later         release  journal segments below the mark are deleted when they are too old or too large
//! 400 days      sweep    the block is deleted; the rollups stay until their own age
//! ```
//!
//! After a kill, the journal is replayed from the low-water mark into the head, and rows that the database already has
//! are discarded.
//!
//! | Concern | Files |
//! | --- | --- |
//! | Write path | `commit`, `record` (encoding), `head`, `flush`, `flush_cache`, `bulk_load` |
//! | Read path | `queries`, `lookup`, `page`, `blocks`, `documents`, `audit`, `events` |
//! | Opening and closing | `handle`, `opening`, `folder` (data directory), `database`, `engine`, `migrations`, `conversion`, `legacy` |
//! | The audit log | `audit_entry`, `audit_chain` (the format), `audit_seal`, `audit_head` (its writing), `audit_verify`, `audit_retention` |
//! | Per pump | `pump_registry`, `pump_names`, `pump_profile`, `pump_settings`, `baselines`, `checkpoints`, `removal` |
//! | Deleting and copying | `retention`, `oldest_rows`, `staging` (copy for a backup) |
//!
//! Does not decide when to flush, to reopen the database or to clean up; see the flusher in the `actors` crate.

mod access;
mod alarms;
mod audit;
mod audit_action;
mod audit_chain;
mod audit_entry;
mod audit_head;
mod audit_retention;
mod audit_seal;
mod audit_verify;
mod baselines;
mod blocks;
mod bulk_load;
mod checkpoints;
mod clock_mark;
mod commit;
mod conversion;
mod database;
mod document;
mod document_kinds;
mod documents;
mod engine;
mod error;
mod event;
mod events;
mod flush;
mod flush_cache;
mod flushed_until;
mod folder;
mod handle;
mod handover;
mod head;
mod ids;
mod legacy;
mod lookup;
mod migrations;
mod notifications;
mod oldest_rows;
mod opening;
mod page;
mod pending_removals;
mod planned_work;
mod pump_name_cache;
mod pump_names;
mod pump_profile;
mod pump_registry;
mod pump_settings;
mod queries;
mod record;
mod removal;
mod retention;
mod rows;
mod series;
mod settings;
mod staging;
mod status;
#[cfg(test)]
mod tests;
mod types;

pub use alarms::{AlarmCheckpoint, AlarmRecord, AlarmRules, StoredAlarms};
pub use audit_action::AuditAction;
pub use audit_chain::{ChainFault, ChainHash, ChainHead, ChainLink};
pub use audit_entry::{AuditEntry, Change, RequestOrigin};
pub use audit_verify::AuditVerification;
pub use clock_mark::ClockMark;
pub use database::DatabaseStatus;
pub use document::{Document, DocumentKey, DocumentKind, KeyPart, KeyPrefix};
pub use error::StoreError;
pub use folder::PROFILES_FOLDER;
pub use handle::Store;
pub use handover::HandoverSeen;
pub use head::PAST_AGE_MS;
pub use notifications::StoredNotifications;
pub use pump_settings::{PumpSetting, PumpSettings};
pub use retention::Retention;
pub use settings::StoreSettings;
pub use staging::StagedCopy;
pub use status::{DiskUse, StoreStatus};
pub use types::{
    AuditFilter, BaselineRecord, BaselineStatus, Batch, Bucket, Buckets, CommissioningRecord, CommitError,
    Completeness, DocumentFilter, EventFilter, FlushReport, NewBaseline, PageRange, PumpCheckpoint, PumpRecord,
    PurgeReport, QueryResult, Resolution, RowCounts, SortOrder, SweepReport, SystemMetrics,
};

pub(crate) use document_kinds::DOCUMENT_KINDS;

use handle::StoreInner;
