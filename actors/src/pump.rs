//! One pump: its actor, and the four plain state machines that the actor runs.
//!
//! | file | |
//! | --- | --- |
//! | `admit`, `backlog` | decide which submitted items are new, and the order in which they become durable |
//! | `judge`, `pending`, `checkpoint` | build windows of durable readings and decide on their scores |
//! | `alarms` | evaluates readings against alarms |
//! | `commission` | decides what the pump does next to get its baseline |
//! | `feed` | measures how often readings and posts arrive |
//! | `note` | the text on the pump's page if it is judged with less information than usual |
//! | `actor`, `commands`, `alarm_commands` | the shell: queries the store, sends messages, runs timers |
//! | `recovery`, `launch`, `handle`, `context` | start the actor, recover its state, and hold its addresses |

pub(crate) mod actor;
pub(crate) mod admit;
mod alarm_commands;
mod alarms;
mod backlog;
mod checkpoint;
mod commands;
mod commission;
pub(crate) mod context;
mod feed;
pub(crate) mod handle;
mod judge;
pub(crate) mod launch;
mod note;
mod pending;
mod recovery;
