//! The end-to-end tests, in one binary with a module per concern: the real program, a real database, real HTTP.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "clippy.toml allows them in tests, and not in their helpers"
)]

mod absent_channel;
mod access;
mod alarm_kills;
mod alarms;
mod architecture;
mod audit;
#[cfg(feature = "failpoints")]
mod backlog;
mod backup;
mod bad_input;
mod bad_requests;
mod bodies;
mod cadence;
mod cli;
mod clients;
#[cfg(feature = "failpoints")]
mod clock;
mod commissioning;
mod crash;
#[cfg(feature = "failpoints")]
mod degraded;
mod demo;
mod disk_full;
mod engine;
#[cfg(feature = "failpoints")]
mod feeds;
mod ingest;
#[cfg(feature = "failpoints")]
mod kills;
mod live;
mod load;
mod maintenance_work;
mod memory;
mod module_cycles;
mod node_alarms;
#[cfg(feature = "failpoints")]
mod notifications;
mod order;
mod original;
#[cfg(feature = "failpoints")]
mod outage;
#[cfg(feature = "failpoints")]
mod panics;
mod pretrained;
mod profiles;
mod pumps;
mod readme;
mod recordings;
mod restart;
mod simulate;
mod skab;
mod storm;
mod supervision;
mod support;
mod tags;
#[cfg(feature = "failpoints")]
mod times;
mod wire;
