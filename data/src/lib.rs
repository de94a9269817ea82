//! Everything at rest: the embedded database with its schema, and recorded CSV files.
//!
//! The one place where SurrealDB is known; nothing of it shows in the public interface.
//! Deliberately absent: who may read what (the web's business), when a batch is cut (the
//! recorder's), and any clock: every time comes in with its row.

mod labelled;
mod predictions;
mod recording;
mod store;

pub use labelled::{Labelled, write_labelled};
pub use predictions::{Prediction, write_predictions};
pub use recording::{Recording, RecordingError, Row, parse_recording, read_recording};
pub use store::{
    BaselineRecord, Batch, CommissioningRecord, Counts, EventFilter, NewBaseline, Order, PumpRecord, Range, Standing,
    Store, StoreError, StoreSettings, SystemMetrics,
};
