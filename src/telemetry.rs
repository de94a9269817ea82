//! Logs, as `[log]` says, to standard error.
//!
//! Deliberately absent: metrics (the engine counts for itself) and log files (the service manager's business).

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Log, LogFormat};

/// The logs could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the logs cannot be started: {0}")]
pub struct TelemetryError(Box<dyn std::error::Error + Send + Sync>);

/// Starts logging for the whole process; once.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(log.filter.as_str()).map_err(|error| TelemetryError(error.into()))?;
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(TelemetryError)
}
