//! The configuration: what can be set, within which bounds, and what was set where.
//!
//! Layers, the later wins: `config/default.toml` (built in, every key), a TOML file, the environment
//! (`VOLUTE__SECTION__KEY`), flags. [`load`] finds every mistake at once. Values come out in the types
//! that the rest of the product uses, checked. There is no global getter, and nothing is read again
//! while the node runs.

mod diagnostics;
mod entry;
mod layers;
mod values;

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;
use volute_anomaly::Detector;
use volute_plant::{Profile, PumpId};

pub use diagnostics::{ConfigError, Mistake, Problem};
pub use entry::{Origin, Setting};
pub use layers::{Flag, Settings, load};
pub use values::{AutoRegister, HostList, LogFilter, LogFormat};
use values::{count, days, hours, mebibytes, millis, pumps, seconds, text, whole};

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[ingest]`
    pub ingest: Ingest,
    /// `[store]`
    pub store: Store,
    /// `[retention]`
    pub retention: Retention,
    /// `[model]`
    pub model: Model,
    /// `[engine]`
    pub engine: Engine,
    /// `[commissioning]`
    pub commissioning: Commissioning,
    /// `[live]`
    pub live: Live,
    /// `[log]`
    pub log: Log,
}

impl Config {
    /// Whether a pump that was never heard of is registered by its first reading.
    pub fn registers_unknown_pumps(&self) -> bool {
        match self.ingest.auto_register {
            AutoRegister::On => true,
            AutoRegister::Off => false,
            AutoRegister::Auto => self.server.listen.ip().is_loopback(),
        }
    }
}

/// Where requests are answered.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port.
    #[serde(deserialize_with = "text")]
    pub listen: SocketAddr,
    /// Names under which the node is reached besides its addresses and the machine's name.
    #[serde(deserialize_with = "text")]
    pub allowed_hosts: HostList,
    /// The most connections; none: what the limit on file descriptors leaves.
    #[serde(deserialize_with = "count::<1_000_000, _>")]
    pub max_connections: Option<NonZeroUsize>,
    /// How long a connection may be idle.
    #[serde(rename = "keep_alive_s", deserialize_with = "seconds::<1, 86_400, _>")]
    pub keep_alive: Duration,
    /// How long a request's head may take, and a window of its body.
    #[serde(rename = "request_timeout_s", deserialize_with = "seconds::<1, 3_600, _>")]
    pub request_timeout: Duration,
    /// How fast a body has to come.
    #[serde(deserialize_with = "whole::<1, 1_073_741_824, _>")]
    pub min_body_bytes_per_s: usize,
    /// How long a client may take nothing of what it is sent.
    #[serde(rename = "write_timeout_s", deserialize_with = "seconds::<1, 3_600, _>")]
    pub write_timeout: Duration,
    /// Bytes that large answers may hold until they are read.
    #[serde(deserialize_with = "whole::<1024, 4_294_967_296, _>")]
    pub max_in_flight_response_bytes: usize,
    /// The largest body of a post.
    #[serde(deserialize_with = "whole::<1024, 268_435_456, _>")]
    pub max_body_bytes: usize,
    /// Threads that answer; none: one per core.
    #[serde(deserialize_with = "count::<256, _>")]
    pub workers: Option<NonZeroUsize>,
    /// How long a stop waits for what is under way.
    #[serde(rename = "shutdown_timeout_s", deserialize_with = "seconds::<1, 600, _>")]
    pub shutdown_timeout: Duration,
}

/// What is let in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// The pump of readings that name none.
    #[serde(deserialize_with = "text")]
    pub default_pump: PumpId,
    /// Whether unknown pumps are registered; ask [`Config::registers_unknown_pumps`].
    #[serde(deserialize_with = "text")]
    pub auto_register: AutoRegister,
    /// The most pumps.
    #[serde(deserialize_with = "whole::<1, 1_000_000, _>")]
    pub max_pumps: usize,
    /// New pumps that a client may register at once.
    #[serde(deserialize_with = "pumps::<1_000_000, _>")]
    pub new_pumps_burst: NonZeroU32,
    /// New pumps that a client may register a minute, once these are used up.
    #[serde(deserialize_with = "pumps::<1_000_000, _>")]
    pub new_pumps_per_minute: NonZeroU32,
    /// Readings of one pump that may be on their way to the disk.
    #[serde(deserialize_with = "whole::<1, 1_000_000, _>")]
    pub burst_readings_per_pump: usize,
    /// Readings of all pumps that may be on their way to the disk.
    #[serde(deserialize_with = "whole::<1, 10_000_000, _>")]
    pub max_in_flight_readings: usize,
    /// Readings that may wait behind the parts of their backlogs that are on their way.
    #[serde(deserialize_with = "whole::<10_000, 10_000_000, _>")]
    pub max_backlog_readings: usize,
    /// How long a post with a backlog may take.
    #[serde(rename = "backlog_answer_s", deserialize_with = "seconds::<0, 3600, _>")]
    pub backlog_answer: Duration,
    /// How far ahead of the node's clock a device's clock may be.
    #[serde(rename = "max_ahead_s", deserialize_with = "seconds::<1, 600, _>")]
    pub max_ahead: Duration,
    /// How far from its receipt the device time of a current reading may be.
    #[serde(rename = "current_within_s", deserialize_with = "seconds::<1, 4_000_000_000, _>")]
    pub current_within: Duration,
    /// Minutes of the past of one pump that may wait for the database.
    #[serde(deserialize_with = "whole::<1, 1_000_000, _>")]
    pub past_minutes_per_pump: usize,
    /// Minutes of the past of all pumps that may wait for the database.
    #[serde(deserialize_with = "whole::<1, 10_000_000, _>")]
    pub past_minutes: usize,
    /// Bytes that the bodies of all posts under way may have.
    #[serde(deserialize_with = "whole::<1024, 4_294_967_296, _>")]
    pub max_in_flight_bytes: usize,
}

/// Where readings are kept.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The folder of the database.
    #[serde(deserialize_with = "text")]
    pub dir: PathBuf,
    /// The most readings in one batch.
    #[serde(deserialize_with = "whole::<1, 100_000, _>")]
    pub max_batch_readings: usize,
    /// How long a batch waits for more readings.
    #[serde(rename = "linger_ms", deserialize_with = "millis::<0, 20, _>")]
    pub linger: Duration,
    /// Memory for blocks read, in MiB.
    #[serde(deserialize_with = "mebibytes::<1_048_576, _>")]
    pub block_cache_mib: NonZeroU32,
    /// Memory for writes that are not in a table file yet, in MiB.
    #[serde(deserialize_with = "mebibytes::<65_536, _>")]
    pub memtable_mib: NonZeroU32,
    /// How long journal segments are kept that the database has all of.
    #[serde(rename = "journal_keep_hours", deserialize_with = "hours::<8_760, _>")]
    pub journal_keep: Duration,
    /// The most of them that is kept, in MiB.
    #[serde(deserialize_with = "mebibytes::<1_048_576, _>")]
    pub journal_keep_mib: NonZeroU32,
    /// The most that may wait in memory for the database, in MiB.
    #[serde(deserialize_with = "mebibytes::<1_048_576, _>")]
    pub backlog_mib: NonZeroU32,
    /// Warned is when less of the disk is free, in percent.
    #[serde(deserialize_with = "whole::<0, 100, _>")]
    pub warn_free_percent: usize,
}

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Readings.
    #[serde(rename = "readings_days", deserialize_with = "days::<36_500, _>")]
    pub readings: Duration,
    /// Rollups per minute and per hour.
    #[serde(rename = "aggregates_days", deserialize_with = "days::<36_500, _>")]
    pub aggregates: Duration,
    /// Verdicts of the model.
    #[serde(rename = "detections_days", deserialize_with = "days::<36_500, _>")]
    pub detections: Duration,
    /// The node's own figures.
    #[serde(rename = "metrics_days", deserialize_with = "days::<36_500, _>")]
    pub metrics: Duration,
}

/// What is watched, and with what.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The kind of pump.
    #[serde(deserialize_with = "text")]
    pub profile: Profile,
    /// The folder of a trained model, if there is one.
    #[serde(deserialize_with = "text")]
    pub dir: Option<PathBuf>,
}

/// The engine's bounds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Threads that score; none: one per core.
    #[serde(deserialize_with = "count::<256, _>")]
    pub inference_workers: Option<NonZeroUsize>,
    /// The most windows scored at once; none: what is measured best at the start.
    #[serde(deserialize_with = "count::<4096, _>")]
    pub max_batch_windows: Option<NonZeroUsize>,
    /// Windows of one pump that may wait.
    #[serde(deserialize_with = "whole::<1, 1_000_000, _>")]
    pub queued_windows_per_pump: usize,
    /// Windows of all pumps that may wait.
    #[serde(deserialize_with = "whole::<1, 10_000_000, _>")]
    pub queued_windows: usize,
    /// Intervals without a reading after which a pump is stale.
    #[serde(deserialize_with = "whole::<1, 100_000, _>")]
    pub stale_after_intervals: usize,
    /// Failures of an actor within the next after which it stays down.
    #[serde(deserialize_with = "whole::<1, 1_000_000, _>")]
    pub restarts: usize,
    /// The time in which failures are counted.
    #[serde(rename = "restart_window_s", deserialize_with = "seconds::<1, 86_400, _>")]
    pub restart_window: Duration,
    /// An actor that keeps its thread for longer is stuck.
    #[serde(rename = "wedged_after_s", deserialize_with = "seconds::<1, 3_600, _>")]
    pub wedged_after: Duration,
}

/// How a pump's own baseline is learned.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commissioning {
    /// How long its normal running is gathered.
    #[serde(rename = "hours", deserialize_with = "hours::<720, _>")]
    pub running: Duration,
    /// How its detections are made.
    #[serde(deserialize_with = "text")]
    pub detector: Detector,
}

/// What browsers are sent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Live {
    /// Time between two frames.
    #[serde(rename = "frame_ms", deserialize_with = "millis::<10, 10_000, _>")]
    pub frame: Duration,
    /// Frames that wait for a slow subscriber.
    #[serde(deserialize_with = "whole::<1, 65_536, _>")]
    pub subscriber_frames: usize,
    /// The most subscribers.
    #[serde(deserialize_with = "whole::<1, 100_000, _>")]
    pub max_subscribers: usize,
    /// Time between signs of life.
    #[serde(rename = "heartbeat_s", deserialize_with = "seconds::<1, 300, _>")]
    pub heartbeat: Duration,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// What is logged.
    #[serde(deserialize_with = "text")]
    pub filter: LogFilter,
    /// For whom.
    #[serde(deserialize_with = "text")]
    pub format: LogFormat,
}
