//! What the recorder is sent: rows to be stored, and what their senders learn of it.

use std::time::Instant;

use tokio::sync::oneshot;
use volute_data::{Document, PumpRecord, PumpState, StoreError, SystemMetrics};
use volute_plant::{Detection, PumpId, Reading, Timestamp};
use volute_runtime::{Message, Subject};

/// A detection to be stored.
#[derive(Debug, Clone)]
pub(crate) struct RecordDetection {
    pub detection: Detection,
    /// When the last reading of its window was received.
    pub received_at: Timestamp,
    /// When it was sent.
    pub since: Instant,
}

/// Readings to be stored; `ack` says whether they are.
pub(crate) struct RecordReadings {
    pub readings: Vec<Reading>,
    /// The registration of their pump, if it may not be stored yet.
    pub register: Option<PumpRecord>,
    pub ack: oneshot::Sender<Stored>,
    /// When they were sent.
    pub since: Instant,
}

/// A row to be stored whose sender does not wait for that.
pub(crate) enum RecordRow {
    Document(Document),
    State(PumpState),
    Metrics(SystemMetrics),
}

/// A pump is removed; `ack` says whether that is durable. What waits of the pump then is dropped.
pub(crate) struct RecordRemoval {
    pub pump: PumpId,
    pub ack: oneshot::Sender<Stored>,
}

/// Replies once nothing waits to be stored.
pub(crate) struct DrainRecorder(pub oneshot::Sender<()>);

/// Whether readings are durable.
pub(crate) type Stored = Result<(), Unstored>;

/// Why readings are not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unstored {
    /// The disk is full.
    DiskFull,
    /// Too much waits for the database.
    Backlog,
    /// Something failed; the log says what.
    Failed,
}

impl From<&StoreError> for Unstored {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::DiskFull => Self::DiskFull,
            StoreError::Backlog { .. } => Self::Backlog,
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
            Self::State(state) => Some(state.pump.shared()),
            Self::Metrics(_) => None,
        }
    }
}

impl Message for RecordRemoval {
    fn subject(&self) -> Option<Subject> {
        Some(self.pump.shared())
    }
}

impl Message for DrainRecorder {}
