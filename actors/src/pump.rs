//! One pump: its actor and the plain state machines behind it.
//!
//! | file | |
//! | --- | --- |
//! | `admit`, `backlog` | which submitted items are new, and in which order they become durable |
//! | `judge`, `pending`, `checkpoint` | windows of durable readings, and decisions on their scores |
//! | `commission` | how the pump comes to its baseline |
//! | `feed` | how often readings and posts come |
//! | `actor`, `orders` | the shell: asks the store, sends, keeps timers |
//! | `recovery`, `launch`, `handle`, `context` | how the actor starts, what it is given, how it is reached |

pub(crate) mod actor;
pub(crate) mod admit;
mod backlog;
mod checkpoint;
mod commission;
pub(crate) mod context;
mod feed;
pub(crate) mod handle;
mod judge;
pub(crate) mod launch;
mod orders;
mod pending;
mod recovery;
