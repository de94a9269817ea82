//! Volute's binary as a library: the command line, the configuration and the commands.
//!
//! It combines the crates of the workspace; see `ARCHITECTURE.md`.

mod access_command;
pub mod cli;
mod clock;
pub mod commands;
pub mod config;
pub mod control;
mod descriptors;
pub mod kinds;
mod machine;
pub mod model_versions;
mod node_kinds;
pub mod pretrained;
pub mod profiles;
mod secret_file;
pub mod telemetry;
