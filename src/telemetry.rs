//! Logging to standard error, as configured in `[log]`.
//!
//! Lines that clients can cause by their requests are rate limited; see [`throttle`]. Does not handle metrics; the
//! engine does. Does not write log files; the service manager does.

mod throttle;

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

pub use throttle::report_suppressed;

/// Logging could not be started.
#[derive(Debug, thiserror::Error)]
#[error("logging cannot be started: {0}")]
pub struct TelemetryError(Box<dyn std::error::Error + Send + Sync>);

/// Starts logging for the whole process. Must be called only once.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(log.filter.as_str()).map_err(|error| TelemetryError(error.into()))?;
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    registry()
        .with(lines)
        .with(throttle::ThrottleLayer)
        .with(filter)
        .try_init()
        .map_err(|error| TelemetryError(error.into()))
}
