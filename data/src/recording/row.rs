//! One row of a recording, as it is read.

use std::sync::Arc;

use volute_plant::{Sample, Timestamp};

/// One recorded row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its time; without an offset and without a zone it is taken as UTC.
    pub at: Timestamp,
    /// One sample per channel of the profile: good, bad or missing, never filled.
    pub samples: Arc<[Sample]>,
    /// Whether `machine_status` says `NORMAL`; none without that column, or where it is empty.
    pub normal: Option<bool>,
    /// SKAB's label; none without the column `anomaly`, or where it is empty.
    pub anomaly: Option<bool>,
    /// The time as the file writes it.
    pub recorded_at: String,
}
