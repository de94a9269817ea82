//! The engine's settings: sections `[ingest]`, `[engine]`, `[commissioning]` and `[live]` of the configuration.
//!
//! Plain values, already checked; their defaults, comments and ranges stand in `config/default.toml`
//! and the binary's configuration types.

use std::{num::NonZeroUsize, time::Duration};

use volute_anomaly::Detector;
use volute_plant::PumpId;

/// What may come in.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// Whose readings those without a `pump_id` are.
    pub default_pump: PumpId,
    /// Whether an unknown pump is registered on its first reading.
    pub auto_register: bool,
    /// How many pumps there may be.
    pub max_pumps: usize,
    /// How many new pumps a client may register at once.
    pub new_pumps_burst: u32,
    /// How many new pumps a client may register a minute, once these are used up.
    pub new_pumps_per_minute: u32,
    /// How many readings of one pump may be on their way at once.
    pub burst_readings_per_pump: usize,
    /// How many readings may be on their way at once.
    pub max_in_flight_readings: usize,
    /// How many readings may wait behind the parts of their backlogs that are on their way.
    pub max_backlog_readings: usize,
    /// How long a post with a backlog may take before the rest of it is to be sent again.
    pub backlog_answer: Duration,
    /// How far ahead of the node's clock a device's clock may be.
    pub max_ahead: Duration,
    /// A reading whose device time is no further from its receipt says how its pump is now.
    pub current_within: Duration,
    /// How many minutes of the past may wait for the database, of one pump.
    pub past_minutes_per_pump: usize,
    /// The same for all pumps together.
    pub past_minutes: usize,
}

/// How readings are stored and scored.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Inference workers, each with a thread of its own.
    pub inference_workers: usize,
    /// The largest batch a worker takes; none: what is measured best at the start.
    pub max_batch_windows: Option<NonZeroUsize>,
    /// Windows of one pump that may wait; beyond that its oldest is skipped.
    pub queued_windows_per_pump: usize,
    /// Windows that may wait in all; beyond that the arriving pump's oldest is skipped.
    pub queued_windows: usize,
    /// Rows in one transaction.
    pub max_batch_readings: usize,
    /// How long a lone row waits for company before it is committed.
    pub linger: Duration,
    /// A pump is stale after this many intervals without a reading.
    pub stale_after_intervals: i64,
    /// How often an actor may fail within the next before it stays down.
    pub restarts: usize,
    /// The time in which failures are counted.
    pub restart_window: Duration,
    /// An actor that keeps its thread for longer is stuck.
    pub wedged_after: Duration,
    /// Warned is when less than this share of the disk is free, 0 to 1.
    pub warn_free_share: f64,
}

/// How a pump's own baseline is learned.
#[derive(Debug, Clone)]
pub struct CommissioningSettings {
    /// How long its normal running is gathered.
    pub running: Duration,
    /// How its detections are made.
    pub detector: Detector,
}

/// How the live feed is sent.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// How long readings are gathered into one frame.
    pub frame: Duration,
    /// Frames that a slow subscriber may fall behind before its oldest are dropped.
    pub subscriber_frames: usize,
}
