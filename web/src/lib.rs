//! The node's face to the network: HTTP routes, problem details, the live stream, OpenAPI.
//!
//! Everything that comes in is parsed into the vocabulary's types at this edge, and everything that goes
//! out gets its JSON shape here. Deliberately absent: what becomes of a reading (the engine's), SQL (the
//! store's), who may do what (nobody is asked yet), and signals (the binary stops the server by its handle).

mod audit;
mod bare;
mod body;
mod body_budget;
mod channels;
mod connection;
mod framing;
mod list;
mod openapi;
mod origin;
mod problem;
mod query;
mod response_budget;
mod routes;
mod server;
mod stream;

pub use openapi::openapi;
pub use server::{WebHandle, WebServer, WebSettings, serve};
