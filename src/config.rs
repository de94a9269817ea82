//! The configuration: its keys, their bounds, and where each value was set.
//!
//! Layers in rising order of precedence: `config/default.toml` (built in, with every key), a TOML file, the environment
//! (`VOLUTE__SECTION__KEY`), flags. [`load`] reports all mistakes at once, and returns checked values of the types that
//! the rest of the product uses. The configuration is not global, and is not read again while the node runs.

mod diagnostics;
mod entry;
mod layers;
mod notify;
mod values;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;
use volute_access::{AnonymousIngest, Role};
use volute_anomaly::Detector;
use volute_plant::{Profile, PumpId};
use volute_web::TrustedProxies;

pub use diagnostics::{ConfigError, Mistake, Problem};
pub use entry::{Origin, Setting};
pub use layers::{Flag, Settings, load};
pub use notify::Notify;
pub use values::{AutoRegister, HostList, IssuerUrl, LogFilter, LogFormat, OptionalFile, PublicUrl, Scopes, TlsMode};
use values::{count, days, hours, mebibytes, millis, pumps, rate, roles, seconds, text, whole};

/// The configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[access]`
    pub access: Access,
    /// `[limits]`
    pub limits: Limits,
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
    /// `[notify]`
    pub notify: Notify,
}

impl Config {
    /// Returns whether an unknown pump is registered by its first reading, if that is posted without a token.
    pub fn registers_unknown_pumps(&self) -> bool {
        match self.ingest.auto_register {
            AutoRegister::On => true,
            AutoRegister::Off => false,
            AutoRegister::Auto => self.server.listen.ip().is_loopback(),
        }
    }
}

impl Server {
    /// Returns whether other machines reach the node through TLS: its own, or that of a proxy.
    pub fn is_encrypted(&self) -> bool {
        self.tls != TlsMode::Off || !self.behind_proxy.is_empty()
    }
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The address and port to listen on.
    #[serde(deserialize_with = "text")]
    pub listen: SocketAddr,
    /// Host names under which the node may be requested, in addition to its addresses and the machine's name.
    #[serde(deserialize_with = "text")]
    pub allowed_hosts: HostList,
    /// Where the certificate comes from.
    #[serde(deserialize_with = "text")]
    pub tls: TlsMode,
    /// The file with the certificate's private key; none if it is in the certificate's file.
    #[serde(deserialize_with = "text")]
    pub tls_key: OptionalFile,
    /// The proxies whose `Forwarded` and `X-Forwarded-For` are believed.
    #[serde(deserialize_with = "text")]
    pub behind_proxy: TrustedProxies,
    /// The address under which browsers reach the node, such as `https://volute.plant.example`.
    #[serde(deserialize_with = "text")]
    pub public_url: Option<PublicUrl>,
    /// The maximum number of connections; none for as many as the limit on file descriptors allows.
    #[serde(deserialize_with = "count::<1_000_000, _>")]
    pub max_connections: Option<NonZeroUsize>,
    /// How long a connection may be idle.
    #[serde(rename = "keep_alive_s", deserialize_with = "seconds::<1, 86_400, _>")]
    pub keep_alive: Duration,
    /// How long the head of a request may take to arrive. Also the time over which the rate of its body is measured.
    #[serde(rename = "request_timeout_s", deserialize_with = "seconds::<1, 3_600, _>")]
    pub request_timeout: Duration,
    /// The minimum rate at which a body must arrive, in bytes per second.
    #[serde(deserialize_with = "whole::<1, 1_073_741_824, _>")]
    pub min_body_bytes_per_s: usize,
    /// How long a client may pause while it reads its response.
    #[serde(rename = "write_timeout_s", deserialize_with = "seconds::<1, 3_600, _>")]
    pub write_timeout: Duration,
    /// The maximum memory for large responses that clients have not read yet, in bytes.
    #[serde(deserialize_with = "whole::<1024, 4_294_967_296, _>")]
    pub max_in_flight_response_bytes: usize,
    /// The maximum size of the body of a post, in bytes.
    #[serde(deserialize_with = "whole::<1024, 268_435_456, _>")]
    pub max_body_bytes: usize,
    /// The number of threads that handle requests; none for one per core.
    #[serde(deserialize_with = "count::<256, _>")]
    pub workers: Option<NonZeroUsize>,
    /// How long a stop waits for work in progress.
    #[serde(rename = "shutdown_timeout_s", deserialize_with = "seconds::<1, 600, _>")]
    pub shutdown_timeout: Duration,
}

/// Logins at an identity provider (OpenID Connect).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// The issuer; none: there are no such logins.
    #[serde(deserialize_with = "text")]
    pub issuer: Option<IssuerUrl>,
    /// The node's id at the issuer.
    pub client_id: String,
    /// The file with the node's secret at the issuer.
    #[serde(deserialize_with = "text")]
    pub client_secret_file: OptionalFile,
    /// The provider's name for people.
    pub name: String,
    /// What is asked for.
    #[serde(deserialize_with = "text")]
    pub scopes: Scopes,
    /// The claim that has the user's name.
    pub name_claim: String,
    /// The claim that has the user's groups.
    pub groups_claim: String,
    /// The roles by group.
    #[serde(deserialize_with = "roles")]
    pub roles: BTreeMap<String, Role>,
    /// The file with the certificates of the authorities that the issuer's certificate may be of; none for those of the
    /// web.
    #[serde(deserialize_with = "text")]
    pub ca_file: OptionalFile,
    /// Whether a logout ends the session at the issuer, too.
    pub end_issuer_session: bool,
}

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// How long a session lasts without a request.
    #[serde(rename = "session_idle_hours", deserialize_with = "hours::<720, _>")]
    pub session_idle: Duration,
    /// How long a session lasts in all.
    #[serde(rename = "session_hours", deserialize_with = "hours::<2_000, _>")]
    pub session: Duration,
    /// `[access.oidc]`
    pub oidc: Oidc,
}

/// Limits per client.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests per second with one token.
    #[serde(deserialize_with = "rate::<1_000_000, _>")]
    pub requests_per_s_per_token: NonZeroU32,
    /// Requests per second of one user.
    #[serde(deserialize_with = "rate::<1_000_000, _>")]
    pub requests_per_s_per_user: NonZeroU32,
    /// Requests per second from one address.
    #[serde(deserialize_with = "rate::<1_000_000, _>")]
    pub requests_per_s_per_address: NonZeroU32,
    /// Commands per minute of one user or address.
    #[serde(deserialize_with = "rate::<1_000_000, _>")]
    pub commands_per_minute: NonZeroU32,
    /// MiB of bodies per minute of one token, user or address.
    #[serde(deserialize_with = "rate::<1_000_000, _>")]
    pub body_mib_per_minute: NonZeroU32,
    /// Connections from one address at once.
    #[serde(deserialize_with = "whole::<1, 1_000_000, _>")]
    pub connections_per_address: usize,
    /// Live streams of one user or address at once.
    #[serde(deserialize_with = "whole::<1, 100_000, _>")]
    pub streams_per_client: usize,
    /// The time between two restarts of an actor.
    #[serde(rename = "restart_pause_s", deserialize_with = "seconds::<0, 3_600, _>")]
    pub restart_pause: Duration,
}

/// Limits of ingestion.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// The pump of readings that name no pump.
    #[serde(deserialize_with = "text")]
    pub default_pump: PumpId,
    /// Whether unknown pumps are registered; see [`Config::registers_unknown_pumps`].
    #[serde(deserialize_with = "text")]
    pub auto_register: AutoRegister,
    /// Whether clients on the node's machine post without a token once there are users.
    #[serde(deserialize_with = "text")]
    pub anonymous: AnonymousIngest,
    /// The maximum number of registered pumps.
    #[serde(deserialize_with = "whole::<1, 1_000_000, _>")]
    pub max_pumps: usize,
    /// The number of new pumps that a client may register at once.
    #[serde(deserialize_with = "pumps::<1_000_000, _>")]
    pub new_pumps_burst: NonZeroU32,
    /// The number of new pumps that a client may register per minute after that burst.
    #[serde(deserialize_with = "pumps::<1_000_000, _>")]
    pub new_pumps_per_minute: NonZeroU32,
    /// The maximum number of readings of one pump that wait for the disk.
    #[serde(deserialize_with = "whole::<1, 1_000_000, _>")]
    pub max_in_flight_readings_per_pump: usize,
    /// The maximum number of readings of all pumps that wait for the disk.
    #[serde(deserialize_with = "whole::<1, 10_000_000, _>")]
    pub max_in_flight_readings: usize,
    /// The maximum number of readings of backlogs that wait for their part.
    #[serde(deserialize_with = "whole::<10_000, 10_000_000, _>")]
    pub max_backlog_readings: usize,
    /// How long a post with a backlog may take.
    #[serde(rename = "backlog_timeout_s", deserialize_with = "seconds::<0, 3600, _>")]
    pub backlog_timeout: Duration,
    /// How far ahead of the node's clock a device's clock may be.
    #[serde(rename = "max_ahead_s", deserialize_with = "seconds::<1, 600, _>")]
    pub max_ahead: Duration,
    /// A reading is current if its device time is at most this far from its receipt.
    #[serde(rename = "current_within_s", deserialize_with = "seconds::<1, 4_000_000_000, _>")]
    pub current_within: Duration,
    /// The maximum number of past minutes of one pump that wait for the database.
    #[serde(deserialize_with = "whole::<1, 1_000_000, _>")]
    pub past_minutes_per_pump: usize,
    /// The maximum number of past minutes of all pumps that wait for the database.
    #[serde(deserialize_with = "whole::<1, 10_000_000, _>")]
    pub past_minutes: usize,
    /// The maximum memory for the bodies of all posts in progress, in bytes.
    #[serde(deserialize_with = "whole::<1024, 4_294_967_296, _>")]
    pub max_in_flight_bytes: usize,
}

/// The store.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The data directory.
    #[serde(deserialize_with = "text")]
    pub dir: PathBuf,
    /// The maximum number of readings in one record of the journal.
    #[serde(deserialize_with = "whole::<1, 100_000, _>")]
    pub max_batch_readings: usize,
    /// How long a record of the journal waits for more readings.
    #[serde(rename = "linger_ms", deserialize_with = "millis::<0, 20, _>")]
    pub linger: Duration,
    /// The database's cache for blocks that were read, in MiB.
    #[serde(deserialize_with = "mebibytes::<1_048_576, _>")]
    pub block_cache_mib: NonZeroU32,
    /// The database's memory for writes that are not in a table file yet, in MiB.
    #[serde(deserialize_with = "mebibytes::<65_536, _>")]
    pub memtable_mib: NonZeroU32,
    /// How long journal segments are kept after the database has all their rows.
    #[serde(rename = "journal_keep_hours", deserialize_with = "hours::<8_760, _>")]
    pub journal_keep: Duration,
    /// The maximum total size of these segments, in MiB.
    #[serde(deserialize_with = "mebibytes::<1_048_576, _>")]
    pub journal_keep_mib: NonZeroU32,
    /// The maximum size of the rows that wait in memory for the database, in MiB.
    #[serde(deserialize_with = "mebibytes::<1_048_576, _>")]
    pub backlog_mib: NonZeroU32,
    /// The free share of the disk below which the node warns, in percent.
    #[serde(deserialize_with = "whole::<0, 100, _>")]
    pub warn_free_percent: usize,
}

/// How long rows are kept.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Readings.
    #[serde(rename = "readings_days", deserialize_with = "days::<36_500, _>")]
    pub readings: Duration,
    /// Rollups per minute and per hour.
    #[serde(rename = "aggregates_days", deserialize_with = "days::<36_500, _>")]
    pub aggregates: Duration,
    /// Detections.
    #[serde(rename = "detections_days", deserialize_with = "days::<36_500, _>")]
    pub detections: Duration,
    /// The node's own metrics.
    #[serde(rename = "metrics_days", deserialize_with = "days::<36_500, _>")]
    pub metrics: Duration,
    /// Entries of the audit log.
    #[serde(rename = "audit_days", deserialize_with = "days::<36_500, _>")]
    pub audit: Duration,
}

/// The default kind of pump.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The profile.
    #[serde(deserialize_with = "text")]
    pub profile: Profile,
    /// The folder of a trained model, if there is one.
    #[serde(deserialize_with = "text")]
    pub dir: Option<PathBuf>,
}

/// The limits of the engine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// The number of threads that score windows; none for one per core.
    #[serde(deserialize_with = "count::<256, _>")]
    pub inference_workers: Option<NonZeroUsize>,
    /// The maximum number of windows in one batch; none for the best size, which is measured at the start.
    #[serde(deserialize_with = "count::<4096, _>")]
    pub max_batch_windows: Option<NonZeroUsize>,
    /// The maximum number of waiting windows of one pump.
    #[serde(deserialize_with = "whole::<1, 1_000_000, _>")]
    pub queued_windows_per_pump: usize,
    /// The maximum number of waiting windows of all pumps.
    #[serde(deserialize_with = "whole::<1, 10_000_000, _>")]
    pub queued_windows: usize,
    /// The number of intervals without a reading after which a pump is stale.
    #[serde(deserialize_with = "whole::<1, 100_000, _>")]
    pub stale_after_intervals: usize,
    /// How many times an actor is restarted within `restart_window`. After one more failure it stays down.
    #[serde(deserialize_with = "whole::<1, 1_000_000, _>")]
    pub restarts: usize,
    /// The period over which failures are counted.
    #[serde(rename = "restart_window_s", deserialize_with = "seconds::<1, 86_400, _>")]
    pub restart_window: Duration,
    /// An actor that blocks its thread for longer than this is stuck.
    #[serde(rename = "stuck_after_s", deserialize_with = "seconds::<1, 3_600, _>")]
    pub stuck_after: Duration,
}

/// How a pump's baseline is learned.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commissioning {
    /// How much normal running a baseline is learned from.
    #[serde(rename = "hours", deserialize_with = "hours::<720, _>")]
    pub running: Duration,
    /// The detector.
    #[serde(deserialize_with = "text")]
    pub detector: Detector,
}

/// The live stream.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Live {
    /// The time between two frames.
    #[serde(rename = "frame_ms", deserialize_with = "millis::<10, 10_000, _>")]
    pub frame: Duration,
    /// The maximum number of frames that wait for a slow subscriber.
    #[serde(deserialize_with = "whole::<1, 65_536, _>")]
    pub subscriber_frames: usize,
    /// The maximum number of subscribers.
    #[serde(deserialize_with = "whole::<1, 100_000, _>")]
    pub max_subscribers: usize,
    /// The time between two heartbeats.
    #[serde(rename = "heartbeat_s", deserialize_with = "seconds::<1, 300, _>")]
    pub heartbeat: Duration,
}

/// The logs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The log filter.
    #[serde(deserialize_with = "text")]
    pub filter: LogFilter,
    /// The log format.
    #[serde(deserialize_with = "text")]
    pub format: LogFormat,
}
