//! The store: batches in, durable at once; pages of rows out; years of them.
//!
//! A batch is durable when it is in the journal ([`volute_journal`]). Its rows wait in the head, by minute, and go from
//! there into the database as compressed blocks with their rollups ([`Store::flush`]). Readers see head and database as
//! one. Where the database does not answer, the store goes on from journal and head, and says how far back it can read.
//! Each concern has its file. Deliberately absent: when to flush, to try again and to clean up (the engine's keeper).

mod audit;
mod audit_entry;
mod baselines;
mod blocks;
mod clock_mark;
mod commit;
mod conversion;
mod database;
mod document;
mod documents;
mod engine;
mod error;
mod event;
mod events;
mod flush;
mod folder;
mod handle;
mod head;
mod ids;
mod kinds;
mod legacy;
mod loading;
mod lookup;
mod migrations;
mod moved;
mod names;
mod naming;
mod oldest;
mod opening;
mod page;
mod pump_profile;
mod pump_settings;
mod reading;
mod record;
mod removal;
mod removals;
mod retention;
mod roster;
mod rows;
mod series;
mod settings;
mod staging;
mod states;
mod status;
#[cfg(test)]
mod tests;
mod types;
mod written;

pub use audit_entry::{AuditAction, AuditEntry};
pub use clock_mark::ClockMark;
pub use commit::Uncommitted;
pub use database::DatabaseStatus;
pub use document::{Document, DocumentKey, DocumentKind, KeyBegins, KeyPart};
pub use error::StoreError;
pub use folder::PROFILES;
pub use handle::Store;
pub use head::PAST_MS;
pub use pump_settings::{PumpSetting, PumpSettings};
pub use retention::Retention;
pub use settings::StoreSettings;
pub use staging::Staged;
pub use status::{DiskUse, StoreStatus};
pub use types::{
    Answer, AuditFilter, BaselineRecord, Batch, Bucket, Buckets, CommissioningRecord, Counts, DocumentFilter,
    EventFilter, Flushed, NewBaseline, Order, PumpRecord, PumpState, Purged, Range, Reach, Resolution, Standing, Swept,
    SystemMetrics,
};

pub(crate) use kinds::KINDS;

use handle::Inner;
