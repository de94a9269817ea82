//! One pump: its actor, and the four plain state machines that the actor runs.
//!
//! | file | |
//! | --- | --- |
//! | `admit`, `backlog` | decide which submitted items are new, and the order in which they become durable |
//! | `detection_pipeline`, `pending`, `checkpoint` | build windows of durable readings, have them scored, and make detections |
//! | `alarms` | evaluates readings against alarms |
//! | `commission` | decides what the pump does next to get its baseline |
//! | `device_cadence` | measures how often readings and posts arrive |
//! | `note` | the text on the pump's page if its detections have less information than usual |
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
mod detection_pipeline;
mod device_cadence;
pub(crate) mod handle;
pub(crate) mod launch;
mod note;
mod pending;
mod recovery;
