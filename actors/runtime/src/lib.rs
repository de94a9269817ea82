//! Supervised actors over actix.
//!
//! # A worked example
//!
//! An actor adds numbers, and panics on 13. The supervisor restarts it. Messages that wait in its inbox stay there, and
//! only the 13 is lost. `Drain` is handled after all messages before it, so its reply holds their total.
//!
//! ```
//! use std::{sync::Arc, time::{Duration, SystemTime}};
//!
//! use actix::{Actor, Context, Handler};
//! use parking_lot::Mutex;
//! use tokio::sync::oneshot;
//! use volute_runtime::{Envelope, Message, RestartPolicy, ActorIdentity, SupervisionConfig, Supervisor};
//!
//! struct Counter {
//!     /// Shared with the code outside of the actor, so that it outlives a failed incarnation (one run of the actor).
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
//!     let role = ActorIdentity { id: "counter".into(), kind: "counter", stage: "counters", subject: None };
//!     let inbox = supervisor.register::<Counter>(role, &supervisor.start_thread());
//!     let address = inbox.address(100);
//!     let total = Arc::new(Mutex::new(0));
//!     supervisor.start(&inbox, move |_| Counter { total: total.clone() });
//!
//!     for n in [1, 13, 2] {
//!         address.try_send(Add(n)).map_err(|_| "full").unwrap();
//!     }
//!     let (reply, drained) = oneshot::channel();
//!     address.send(Drain(reply)).await.map_err(|_| "closed").unwrap();
//!     assert_eq!(drained.await, Ok(3));
//!
//!     let report = &supervisor.reports()[0];
//!     assert_eq!((report.failures, report.restarts), (1, 1));
//!     assert_eq!(supervisor.dead_letters()[0].message, "Add");
//!     supervisor.stop();
//! });
//! ```
//!
//! # What actix does, and what this crate adds
//!
//! actix gives contexts (an actor's messages, timers and futures in one task), handlers chosen by message type,
//! suspension (`ctx.wait`), and arbiters, which are threads with an event loop.
//!
//! | actix | this crate | reason |
//! | --- | --- | --- |
//! | each clone of an address adds one message to the capacity, and `do_send` ignores the capacity | an [`Address`] has a semaphore | memory stays bounded whatever the number of senders |
//! | waiting messages are dropped with the actor | the [`Inbox`] stays | a panic loses one message, not all that wait |
//! | a panic ends the arbiter's task and is not recorded | the panic is caught, counted, and recorded as a [`DeadLetter`] | the failure can be examined |
//! | its supervisor restarts an actor only after `stop`, without a pause and without a limit | restarts after a failure, with pauses that grow and a limit ([`RestartPolicy`]) | a permanent fault does not keep a core busy |
//! | a handler that never returns blocks its thread permanently | the thread is abandoned, and its actors are restarted on another | one stuck call does not stop other actors |
//! | futures passed to `ctx.wait` run last in, first out | an [`Outbox`] keeps the order | messages arrive in the order in which they are sent |
//! | no metrics | an [`ActorReport`] for each actor | queues, times and failures are visible |
//!
//! # Modules
//!
//! | module | |
//! | --- | --- |
//! | `message`, `inbox`, `outbox`, `recipient` | messages, bounded inboxes, ordered sending, replies |
//! | `supervisor` | starts, restarts, replaces and stops actors |
//! | `incarnation`, `catch_panic` | one run of an actor, from its construction to its drop; catches its panics |
//! | `slot` | the part of an actor that outlives its incarnations |
//! | `restart_policy`, `back_off` | when the next incarnation starts |
//! | `liveness`, `metrics`, `histogram`, `dead_letters` | what can be observed from other threads |
//!
//! Does not preserve an actor's state over restarts; the actor has to. Does not send messages between processes.

mod back_off;
mod catch_panic;
mod dead_letters;
mod histogram;
mod inbox;
mod incarnation;
mod liveness;
mod message;
mod metrics;
mod outbox;
mod recipient;
mod restart_policy;
mod slot;
mod supervisor;

pub use back_off::BackOff;
pub use catch_panic::{is_superseded, panic_text, resume_task_panic};
pub use dead_letters::DeadLetter;
pub use histogram::{Histogram, quantile_ms};
pub use inbox::{Address, Inbox, TrySendError};
pub use incarnation::Incarnation;
pub use liveness::CurrentMessage;
pub use message::{Envelope, Message, Subject};
pub use metrics::ActorMetrics;
pub use outbox::Outbox;
pub use recipient::Recipient;
pub use restart_policy::RestartPolicy;
pub use slot::{ActorIdentity, ActorSlot, ActorState, ActorThread, WallClock};
pub use supervisor::{ActorReport, MAX_ABANDONED_THREADS, SupervisionConfig, Supervisor};

#[cfg(test)]
mod tests;
