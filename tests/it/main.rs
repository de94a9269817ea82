//! End to end: the real binary, a real database, real HTTP. One test binary, a module per concern.

mod bad_input;
mod crash;
mod engine;
mod ingest;
mod skab;
mod support;
