//! Supervised actors over actix.
//!
//! # A worked example
//!
//! A counter that panics on 13. It is started again, what waits in its inbox stays, and only the 13 is lost. At last it
//! drains: its answer to a message says that all before it are done.
//!
//! ```
//! use std::{sync::Arc, time::{Duration, SystemTime}};
//!
//! use actix::{Actor, Context, Handler};
//! use parking_lot::Mutex;
//! use tokio::sync::oneshot;
//! use volute_runtime::{Envelope, Message, RestartPolicy, Role, SupervisionConfig, Supervisor};
//!
//! struct Counter {
//!     /// What outlives an incarnation is kept outside of the actor.
//!     total: Arc<Mutex<u64>>,
//! }
//!
//! struct Add(u64);
//! struct Drain(oneshot::Sender<u64>);
//!
//! impl Message for Add {}
//! impl Message for Drain {}
//!
//! impl Actor for Counter {
//!     type Context = Context<Self>;
//! }
//!
//! impl Handler<Envelope<Add>> for Counter {
//!     type Result = ();
//!
//!     fn handle(&mut self, message: Envelope<Add>, _: &mut Self::Context) {
//!         let Add(n) = message.into_inner();
//!         assert_ne!(n, 13, "thirteen");
//!         *self.total.lock() += n;
//!     }
//! }
//!
//! impl Handler<Envelope<Drain>> for Counter {
//!     type Result = ();
//!
//!     fn handle(&mut self, message: Envelope<Drain>, _: &mut Self::Context) {
//!         let Drain(reply) = message.into_inner();
//!         let _ = reply.send(*self.total.lock());
//!     }
//! }
//!
//! actix_rt::System::new().block_on(async {
//!     let policy = RestartPolicy { restarts: 5, window: Duration::from_secs(60) };
//!     let config = SupervisionConfig { policy, stuck_after: Duration::from_secs(30) };
//!     let supervisor = Supervisor::new(config, Arc::new(SystemTime::now));
//!
//!     let role = Role { id: "counter".into(), kind: "counter", stage: "counters", subject: None };
//!     let inbox = supervisor.register::<Counter>(role, &supervisor.thread());
//!     let mailbox = inbox.mailbox(100);
//!     let total = Arc::new(Mutex::new(0));
//!     supervisor.start(&inbox, move |_| Counter { total: total.clone() });
//!
//!     for n in [1, 13, 2] {
//!         mailbox.try_send(Add(n)).map_err(|_| "full").unwrap();
//!     }
//!     let (reply, drained) = oneshot::channel();
//!     mailbox.send(Drain(reply)).await.map_err(|_| "closed").unwrap();
//!     assert_eq!(drained.await, Ok(3));
//!
//!     let report = &supervisor.reports()[0];
//!     assert_eq!((report.failures, report.restarts), (1, 1));
//!     assert_eq!(supervisor.dead_letters()[0].message, "Add");
//!     supervisor.stop();
//! });
//! ```
//!
//! # What actix does, and what this adds
//!
//! actix gives contexts (an actor's messages, timers and futures in one task), handlers chosen by message type, suspension
//! (`ctx.wait`), and arbiters, which are threads with an event loop.
//!
//! | actix | here | why |
//! | --- | --- | --- |
//! | each clone of an address adds a message to the bound, `do_send` ignores it | a [`Mailbox`] is a semaphore | memory stays bounded whatever the number of senders |
//! | the mailbox dies with the actor | the [`Inbox`] stays | a panic costs one message, not all that waits |
//! | a panic ends the arbiter's task in silence | it is caught, counted, and a [`DeadLetter`] | someone can find out what happened |
//! | its supervisor restarts only after `stop`, at once, for ever | a pause that grows, and an end ([`RestartPolicy`]) | a fault that stays does not burn a core |
//! | a handler that never returns holds its thread for good | the thread is left behind, its actors go on elsewhere | one stuck call does not stop the others |
//! | `ctx.wait` runs last in, first out | an [`Outbox`] keeps the order | results arrive in the order of their windows |
//! | no metrics | [`ActorReport`] for each | queues, times and failures can be seen |
//!
//! # Where what is
//!
//! | module | |
//! | --- | --- |
//! | `message`, `mailbox`, `outbox`, `reply_to` | what is sent, how it waits, how an order is kept, how one replies |
//! | `supervisor` | starts, restarts, replaces and ends actors |
//! | `incarnation`, `catch_panic` | one run of an actor, from built to dropped; where its panics are caught |
//! | `slot` | what stays of an actor while incarnations come and go |
//! | `restart_policy`, `back_off` | when the next incarnation starts |
//! | `liveness`, `metrics`, `histogram`, `dead_letters` | what can be seen from outside |
//!
//! Does not handle state over restarts, which is the actor's own, nor messages between processes.

mod back_off;
mod catch_panic;
mod dead_letters;
mod histogram;
mod incarnation;
mod liveness;
mod mailbox;
mod message;
mod metrics;
mod outbox;
mod reply_to;
mod restart_policy;
mod slot;
mod supervisor;

pub use back_off::BackOff;
pub use catch_panic::{is_superseded, panic_text, resume_task_panic};
pub use dead_letters::DeadLetter;
pub use histogram::{Histogram, quantile_ms};
pub use incarnation::Incarnation;
pub use liveness::CurrentMessage;
pub use mailbox::{Inbox, Mailbox, TrySendError};
pub use message::{Envelope, Message, Subject};
pub use metrics::ActorMetrics;
pub use outbox::Outbox;
pub use reply_to::ReplyTo;
pub use restart_policy::RestartPolicy;
pub use slot::{ActorSlot, ActorState, ActorThread, Role, WallClock};
pub use supervisor::{ActorReport, MOST_ABANDONED, SupervisionConfig, Supervisor};

#[cfg(test)]
mod tests;
