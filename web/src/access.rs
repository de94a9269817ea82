//! Access over HTTP: who sends a request, whether it may be executed, and the users, sessions and tokens behind that.
//!
//! The order of the checks of a request, each before any later one and before the body is read:
//!
//! ```text
//! origin.rs         is it for this node (421), and not from a page of another site (403)?
//! authenticate.rs   who is it? token, cookie, or a process on this machine    401 if the credential is not valid
//! gate.rs           may this principal use this route?                        401 without credentials, 403 with them
//! gate.rs           is the content type of a command JSON?                    415
//! the handler       reads the body, and records a command in the audit log with its principal
//! ```
//!
//! Which route needs which permission is in the table in `routes/mod.rs`; which role has which permission is in
//! `volute-access`. `service.rs` holds the users, sessions and tokens in memory, and stores each change before it takes
//! effect.

mod authenticate;
mod cookie;
mod gate;
mod hashing;
mod service;
mod store;

pub(crate) use authenticate::{client_address, person, session_credential, who};
pub(crate) use cookie::{LoginCookie, NAME as SESSION_COOKIE, SessionCookie};
pub(crate) use gate::authorize;
pub use service::{Access, AccessSettings, ChangeError, Login, StillAllowed};
pub use store::AccessStore;

#[cfg(test)]
pub(crate) mod testing;
