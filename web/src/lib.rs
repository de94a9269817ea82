//! The HTTP interface of the node: routes, problem details (RFC 9457), the live stream, OpenAPI.
//!
//! Everything that is received is parsed into the types of `volute-plant` here, and everything that is sent is serialized to
//! JSON here. The modules by layer, the lowest first:
//!
//! ```text
//! invalid_value, problem            errors of requests
//! decode, query, list               query parameters, pages of lists
//! item, non_finite, body            the body of a post: JSON to drafts of readings
//! queries, store_context, node      what handlers use: the store's queries, the engine
//! new_kinds                         the trait by which the program adds and removes kinds of pumps
//! channels, wire, responses         JSON types and error responses that several handlers share
//! extract, series, last_known       the pump in a path, queries of one pump's rows, pumps without a reading since the start
//! simulation_plan, audit            the request for a simulation; executes commands and records them
//! stream, stream_events             live streams (server-sent events)
//! routes, openapi                   the handlers and the description of the API
//! tls, transport                    the certificate, and a connection with or without TLS
//! framing, connection, origin       limits and checks on connections
//! forwarded                         who sends a request that came through a proxy
//! route_access, access              who sends a request, and whether the route is open to it
//! oidc                              logins at an identity provider (OpenID Connect)
//! body_budget, response_budget      memory limits of bodies and responses
//! limits, restart_pacer             limits per client: requests, commands, bytes, connections, streams; restarts
//! request_id, audited_value         what an audit entry has of a request, and of what a command changes
//! in_flight                         counts requests in flight, for a graceful stop
//! server                            the routes on a socket, with these limits
//! ```
//!
//! Terms that these modules use (more are in `docs/concepts.md`):
//! - A *profile* describes a kind of pump: its channels, their units and limits, and the interval of its readings.
//! - A *window* is the last 30 steps of a pump, one row of values per interval; the model scores windows.
//! - A *baseline* is what is normal for one pump: the thresholds above which a window is anomalous. *Commissioning* learns
//!   it from the pump's normal running.
//! - A *detection* is the model's stored result for one window.
//! - A *rollup* is the aggregate of a pump's readings over a minute or an hour.
//!
//! Does not process readings (the engine does), does not contain SQL (the store does), and does not handle signals (the
//! binary stops the server through its handle).

mod access;
mod audit;
mod audited_value;
mod body;
mod body_budget;
mod channels;
mod connection;
mod decode;
mod extract;
mod forwarded;
mod framing;
mod handover;
mod in_flight;
mod invalid_value;
mod item;
mod last_known;
mod limits;
mod list;
mod new_kinds;
mod node;
mod non_finite;
mod oidc;
mod openapi;
mod origin;
mod problem;
mod queries;
mod query;
mod request_id;
mod response_budget;
mod responses;
mod restart_pacer;
mod route_access;
mod routes;
mod series;
mod server;
mod simulation_plan;
mod store_context;
mod stream;
mod stream_events;
mod tls;
mod transport;
mod wire;

pub use access::{Access, AccessSettings, AccessStore, ChangeError};
pub use audited_value::AuditedState;
pub use forwarded::{ProxyError, TrustedProxies};
pub use limits::LimitSettings;
pub use new_kinds::{AddKindError, AddedKind, DeleteKindError, ManageKinds, NewKind, NewModel};
pub use oidc::{ClientSecret, OidcSettings, SingleSignOn};
pub use openapi::openapi;
pub use route_access::RouteAccess;
pub use routes::{RouteRow, route_table};
pub use server::{WebHandle, WebServer, WebSettings, serve};
pub use tls::{
    CertificatePair, Fingerprint, PairError, PemFiles, Reloader, SelfSignedError, ServedCertificate, TlsSettings,
    self_signed,
};
