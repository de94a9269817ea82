//! The engine's settings: sections `[ingest]`, `[engine]`, `[commissioning]` and `[live]` of the configuration.
//!
//! The values are validated before they get here. Their defaults and ranges are in `config/default.toml` and in the
//! binary's configuration types.

use std::{num::NonZeroUsize, time::Duration};

use volute_anomaly::Detector;
use volute_plant::PumpId;

/// Limits of ingestion.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// The pump of readings without a `pump_id`.
    pub default_pump: PumpId,
    /// Whether an unknown pump is registered on its first reading.
    pub auto_register: bool,
    /// The maximum number of pumps.
    pub max_pumps: usize,
    /// How many new pumps a client may register at once.
    pub new_pumps_burst: u32,
    /// How many new pumps a client may register per minute after that burst.
    pub new_pumps_per_minute: u32,
    /// The maximum number of readings of one pump in flight.
    pub max_in_flight_readings_per_pump: usize,
    /// The maximum number of readings of all pumps in flight.
    pub max_in_flight_readings: usize,
    /// The maximum number of readings of backlogs that wait for their part.
    pub max_backlog_readings: usize,
    /// How long a post with a backlog may take. Items that are not stored by then have to be sent again.
    pub backlog_timeout: Duration,
    /// How far a device's clock may be ahead of the node's.
    pub max_ahead: Duration,
    /// A reading is current, which means it shows its pump's present state, if its device time is at most this far from
    /// its receipt.
    pub current_within: Duration,
    /// The maximum number of past minutes of one pump that wait for the database.
    pub past_minutes_per_pump: usize,
    /// The maximum number of past minutes of all pumps that wait for the database.
    pub past_minutes: usize,
}

/// How readings are stored and scored.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Inference workers, each with a thread of its own.
    pub inference_workers: usize,
    /// The largest batch of a worker; none to measure the best size at the start.
    pub max_batch_windows: Option<NonZeroUsize>,
    /// The maximum number of waiting windows of one pump. If a further one arrives, the oldest of them is skipped.
    pub queued_windows_per_pump: usize,
    /// The maximum number of waiting windows of all pumps. If a further one arrives, the oldest window of the same pump
    /// is skipped, or that of another pump if it has none.
    pub queued_windows: usize,
    /// The maximum number of readings in one record of the journal.
    pub max_batch_readings: usize,
    /// How long a reading waits for others to share its record of the journal.
    pub linger: Duration,
    /// A pump is stale after this many intervals without a reading.
    pub stale_after_intervals: i64,
    /// How many restarts an actor may need within `restart_window` before it stays down.
    pub restarts: usize,
    /// The period over which failures are counted.
    pub restart_window: Duration,
    /// An actor that blocks its thread for longer than this is stuck.
    pub stuck_after: Duration,
    /// The node warns if less than this share of the disk is free, 0 to 1.
    pub warn_free_share: f64,
}

/// How a pump's own baseline is learned.
#[derive(Debug, Clone)]
pub struct CommissioningSettings {
    /// How much normal running is collected.
    pub running: Duration,
    /// The detector that the baseline is for.
    pub detector: Detector,
}

/// How the live feed sends frames.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// The time between two frames.
    pub frame: Duration,
    /// How many frames a slow subscriber may fall behind before it loses the oldest.
    pub subscriber_frames: usize,
}
