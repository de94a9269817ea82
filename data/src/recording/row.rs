//! One row of a recording.

use std::sync::Arc;

use volute_plant::{Sample, Timestamp};

/// One recorded row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The time of the row. A time without an offset is taken as UTC if no zone is known.
    pub at: Timestamp,
    /// One sample per channel of the profile: good, bad or missing, never filled.
    pub samples: Arc<[Sample]>,
    /// Whether `machine_status` is `NORMAL`; none without that column, or if the cell is empty.
    pub normal: Option<bool>,
    /// The label in SKAB's column `anomaly`; none without that column, or if the cell is empty.
    pub anomaly: Option<bool>,
    /// The time as written in the file.
    pub recorded_at: String,
}
