//! Messages to the recorder: rows to be stored, and its replies.

use std::time::Instant;

use tokio::sync::oneshot;
use volute_data::{Document, PumpCheckpoint, PumpRecord, StoreError, SystemMetrics};
use volute_plant::{Detection, PumpId, Reading, Timestamp};
use volute_runtime::{Message, Subject};

/// A detection to be stored.
#[derive(Debug, Clone)]
pub(crate) struct RecordDetection {
    pub detection: Detection,
    /// When the last reading of its window was received.
    pub received_at: Timestamp,
    /// When the message was sent.
    pub sent_at: Instant,
}

/// Readings to be stored. `ack` receives whether they are durable.
pub(crate) struct RecordReadings {
    pub readings: Vec<Reading>,
    /// The registration of their pump; none if it is known to be stored already.
    pub register: Option<PumpRecord>,
    pub ack: oneshot::Sender<StoreOutcome>,
    /// When the message was sent.
    pub sent_at: Instant,
}

/// A row to be stored. Its sender does not wait until it is durable.
pub(crate) enum RecordRow {
    Document(Document),
    /// Documents that are stored in one record.
    Documents(Vec<Document>),
    Checkpoint(PumpCheckpoint),
    Metrics(SystemMetrics),
}

/// The removal of a pump. `ack` receives whether it is durable. When it is, waiting rows of the pump are dropped.
pub(crate) struct RecordRemoval {
    pub pump: PumpId,
    pub ack: oneshot::Sender<StoreOutcome>,
}

/// Replies once no row waits to be stored.
pub(crate) struct DrainRecorder(pub oneshot::Sender<()>);

/// Whether readings are durable.
pub(crate) type StoreOutcome = Result<(), StoreFailure>;

/// Why readings are not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFailure {
    /// The disk is full.
    DiskFull,
    /// The head is full: too many rows wait in memory for the database.
    HeadFull,
    /// Another failure, which is in the log.
    Failed,
}

impl From<&StoreError> for StoreFailure {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::DiskFull => Self::DiskFull,
            StoreError::HeadFull { .. } => Self::HeadFull,
            _ => Self::Failed,
        }
    }
}

impl Message for RecordReadings {
    fn subject(&self) -> Option<Subject> {
        self.readings.first().map(|reading| reading.pump.shared())
    }
}

impl Message for RecordDetection {
    const SURVIVES_FAILURE: bool = true;

    fn subject(&self) -> Option<Subject> {
        Some(self.detection.pump.shared())
    }
}

impl Message for RecordRow {
    const SURVIVES_FAILURE: bool = true;

    fn subject(&self) -> Option<Subject> {
        match self {
            Self::Document(document) => document.pump().map(PumpId::shared),
            Self::Checkpoint(checkpoint) => Some(checkpoint.pump.shared()),
            Self::Documents(_) | Self::Metrics(_) => None,
        }
    }
}

impl Message for RecordRemoval {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for DrainRecorder {}
