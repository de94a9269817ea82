//! All end-to-end tests, one binary: the real program, from outside.

#![allow(clippy::expect_used, clippy::panic, reason = "clippy.toml allows them in tests, and not in their helpers")]

mod architecture;
mod cli;
