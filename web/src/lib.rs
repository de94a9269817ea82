//! The node's face to the network: HTTP routes, problem details, the live stream, OpenAPI.
//!
//! Everything that comes in is parsed into the vocabulary's types at this edge, and everything that goes
//! out gets its JSON here. From below upwards:
//!
//! ```text
//! invalid_value, problem            how what comes in is refused
//! decode, query, list               what a request asks
//! item, body                        what a post holds: JSON to drafts of readings
//! queries, stored, node             what a handler works with: the store's queries, the engine
//! new_kinds                         how kinds of pumps are added, by the program
//! wire, series, extract, audit      what several handlers share
//! routes, openapi                   the handlers, and their description
//! server                            the routes over a socket, with the budgets of connections, bodies and responses
//! ```
//!
//! Does not handle what becomes of a reading (the engine does), SQL (the store), who may do what (nobody is asked yet), nor
//! signals (the binary stops the server by its handle).

mod audit;
mod bare;
mod body;
mod body_budget;
mod channels;
mod connection;
mod decode;
mod extract;
mod framing;
mod in_flight;
mod invalid_value;
mod item;
mod last_known;
mod list;
mod new_kinds;
mod node;
mod openapi;
mod origin;
mod problem;
mod queries;
mod query;
mod response_budget;
mod responses;
mod routes;
mod series;
mod server;
mod simulation_plan;
mod stored;
mod stream;
mod stream_events;
mod wire;

pub use new_kinds::{AddKindError, AddKinds, AddedKind, NewKind, NewModel};
pub use openapi::openapi;
pub use server::{WebHandle, WebServer, WebSettings, serve};
