//! The supervisor with an actor that does what it is told.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant, UNIX_EPOCH},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::*;

/// The longest that a test waits for a toy; one whose thread never comes back fails it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Remembers numbers for all its incarnations together; panics at 13; can be made to wait, or to block its thread.
pub(crate) struct Toy {
    seen: Seen,
    pub outbox: Outbox,
    incarnation: Incarnation<Toy>,
}

type Seen = Arc<Mutex<Vec<u32>>>;

/// A toy from outside.
pub(crate) struct Handle {
    pub mailbox: Mailbox<Toy>,
    orders: Mailbox<Toy>,
    /// A way in that has room where `mailbox` has none.
    pub wide: Mailbox<Toy>,
    seen: Seen,
}

struct Hold(oneshot::Receiver<()>, oneshot::Sender<()>);
/// Blocks the thread until it is let go, and sends a number to a friend then.
struct Block {
    gate: mpsc::Receiver<()>,
    begun: mpsc::Sender<()>,
    friend: Mailbox<Toy>,
    ended: mpsc::Sender<bool>,
}

struct Ping(oneshot::Sender<()>);
struct Kept(u32);
/// Does this in its turn.
struct Act(Turn);
type Turn = Box<dyn FnOnce(&mut Toy, &mut Context<Toy>) + Send>;

impl Message for u32 {}
impl Message for Hold {}
impl Message for Block {}
impl Message for Ping {}
impl Message for Act {}

impl Message for Kept {
    const SURVIVES_FAILURE: bool = true;
}

pub(crate) fn supervisor(restarts: usize) -> Supervisor {
    let policy = RestartPolicy { restarts, window: Duration::from_secs(3600) };
    let config = SupervisionConfig { policy, stuck_after: Duration::ZERO };
    Supervisor::new(config, Arc::new(|| UNIX_EPOCH + Duration::from_secs(1_773_050_400)))
}

impl Actor for Toy {
    type Context = Context<Self>;
}

impl Handler<Envelope<u32>> for Toy {
    type Result = ();

    fn handle(&mut self, message: Envelope<u32>, ctx: &mut Self::Context) {
        match message.into_inner() {
            13 => panic!("thirteen"),
            // Not in the handler, but in what it waits for.
            14 => ctx.wait(async {}.into_actor(self).map(|(), _, _| panic!("fourteen"))),
            n => self.seen.lock().push(n),
        }
    }
}

impl Handler<Envelope<Hold>> for Toy {
    type Result = ();

    fn handle(&mut self, message: Envelope<Hold>, ctx: &mut Self::Context) {
        let Hold(gate, begun) = message.into_inner();
        begun.send(()).expect("the test waits");
        ctx.wait(gate.into_actor(self).map(|_, _, _| ()));
    }
}

impl Handler<Envelope<Block>> for Toy {
    type Result = ();

    fn handle(&mut self, message: Envelope<Block>, _: &mut Self::Context) {
        let Block { gate, begun, friend, ended } = message.into_inner();
        begun.send(()).expect("the test waits");
        gate.recv().expect("the test lets it go");
        let refused = friend.try_send(666) == Err(TrySendError::Closed);
        ended.send(refused && is_superseded()).expect("the test waits");
    }
}

impl Handler<Envelope<Kept>> for Toy {
    type Result = ();

    fn handle(&mut self, message: Envelope<Kept>, _: &mut Self::Context) {
        self.seen.lock().push(message.into_inner().0);
    }
}

impl Handler<Envelope<Act>> for Toy {
    type Result = ();

    fn handle(&mut self, message: Envelope<Act>, ctx: &mut Self::Context) {
        (message.into_inner().0)(self, ctx);
    }
}

impl Handler<Envelope<Ping>> for Toy {
    type Result = ();

    fn handle(&mut self, message: Envelope<Ping>, _: &mut Self::Context) {
        message.into_inner().0.send(()).expect("the test waits");
    }
}

impl Handle {
    fn role(id: &str) -> Role {
        Role { id: id.to_owned(), kind: "toy", stage: "toys", subject: None }
    }

    fn on(supervisor: &Supervisor, thread: &Arc<ActorThread>, id: &str, limit: usize) -> Self {
        let (inbox, seen) = (supervisor.register(Self::role(id), thread), Seen::default());
        let (mailbox, orders, wide) = (inbox.mailbox(limit), inbox.mailbox(8), inbox.mailbox(1000));
        let handle = Self { mailbox, orders, wide, seen: seen.clone() };
        supervisor.start(&inbox, move |incarnation| Toy { seen: seen.clone(), outbox: Outbox::default(), incarnation });
        handle
    }

    /// Has the toy do this in its turn.
    pub(crate) fn act(&self, what: impl FnOnce(&mut Toy, &mut Context<Toy>) + Send + 'static) {
        self.orders.try_send(Act(Box::new(what))).map_err(|_| "no room").expect("posted");
    }

    /// Has the toy wait for `gate`; answers when it does.
    pub(crate) async fn hold(&self, gate: oneshot::Receiver<()>) {
        let (begun, waits) = oneshot::channel();
        self.orders.try_send(Hold(gate, begun)).map_err(|_| "no room").expect("posted");
        waits.await.expect("it waits");
    }

    /// What it has seen, as soon as that is so much.
    pub(crate) async fn seen(&self, many: usize) -> Vec<u32> {
        until(|| self.seen.lock().len() >= many).await;
        self.seen.lock().clone()
    }

    pub(crate) fn post(&self, n: u32) {
        self.mailbox.try_send(n).expect("posted");
    }
}

impl Toy {
    pub(crate) fn start(supervisor: &Supervisor, id: &str, limit: usize) -> Handle {
        Handle::on(supervisor, &supervisor.thread(), id, limit)
    }
}

/// Lets others run until it is so.
async fn until(so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !so() {
        assert!(Instant::now() < deadline, "it never became so");
        tokio::task::yield_now().await;
    }
}

fn state(supervisor: &Supervisor, id: &str) -> ActorReport {
    supervisor.reports().into_iter().find(|report| report.id == id).expect("it is registered")
}

#[actix::test]
async fn only_the_current_message_is_lost() {
    let supervisor = supervisor(5);
    let toy = Toy::start(&supervisor, "toy", 20);
    let (open, gate) = oneshot::channel();
    toy.hold(gate).await;
    for n in [1, 13, 2, 14, 3, 4] {
        toy.post(n);
    }
    assert_eq!(state(&supervisor, "toy").queue_depth, 6);
    open.send(()).expect("it waits");
    assert_eq!(toy.seen(4).await, [1, 2, 3, 4]);
    let report = state(&supervisor, "toy");
    assert_eq!((report.failures, report.restarts, report.queue_depth), (2, 2, 0));
    assert_eq!(report.last_error.expect("an error").0, "fourteen");
    let dead: Vec<_> = supervisor.dead_letters().into_iter().map(|l| (l.actor, l.message, l.error)).collect();
    let letter = |error: &str| ("toy".to_owned(), "u32", error.to_owned());
    assert_eq!(dead, [letter("fourteen"), letter("thirteen")]);
    supervisor.stop();
}

#[actix::test]
async fn one_that_fails_too_often_stays_down_until_it_is_asked_for() {
    let supervisor = supervisor(1);
    let toy = Toy::start(&supervisor, "toy", 20);
    let (open, gate) = oneshot::channel();
    toy.hold(gate).await;
    for n in [13, 13, 1] {
        toy.post(n);
    }
    toy.orders.try_send(Kept(70)).map_err(|_| "no room").expect("posted");
    open.send(()).expect("it waits");
    until(|| state(&supervisor, "toy").state == ActorState::Failed && state(&supervisor, "toy").queue_depth == 1).await;
    toy.orders.try_send(Kept(71)).map_err(|_| "no room").expect("taken all the same");
    assert_eq!(supervisor.failed(), ["toy"]);
    assert_eq!(toy.mailbox.try_send(2), Err(TrySendError::Closed));
    assert_eq!(supervisor.restart("nobody"), [""; 0]);
    assert_eq!(supervisor.restart("toys"), ["toy"], "by its stage");
    until(|| state(&supervisor, "toy").state == ActorState::Running).await;
    toy.post(3);
    assert_eq!(toy.seen(3).await, [70, 71, 3], "of what waited when it failed, only what is kept");
    supervisor.stop();
}

#[actix::test]
async fn a_restart_by_hand_loses_nothing_and_counts_as_no_failure() {
    let supervisor = supervisor(1);
    let toy = Toy::start(&supervisor, "toy", 1000);
    for n in 100..1000 {
        toy.post(n);
        if n % 100 == 0 {
            let before = state(&supervisor, "toy").restarts;
            supervisor.restart("toy");
            until(|| state(&supervisor, "toy").restarts > before).await;
        }
    }
    assert_eq!(toy.seen(900).await, (100..1000).collect::<Vec<_>>());
    let report = state(&supervisor, "toy");
    assert_eq!((report.failures, report.restarts, report.last_error), (0, 9, None));
    assert_eq!(report.state, ActorState::Running);
    supervisor.stop();
}

/// actix 0.13.5 polls for ever, and holds the thread, where a context is terminated in the turn in which a future of it was
/// cancelled.
#[actix::test]
async fn a_restart_in_the_turn_of_a_cancelled_timer_does_not_hold_the_thread() {
    let supervisor = supervisor(1);
    let toy = Toy::start(&supervisor, "toy", 20);
    for n in 100..200 {
        let asked = supervisor.clone();
        toy.act(move |_, ctx| {
            ctx.run_later(PATIENCE, |_, _| {});
            let cancelled = ctx.run_later(PATIENCE, |_, _| {});
            ctx.cancel_future(cancelled);
            asked.restart("toy");
        });
        toy.post(n);
        let seen = tokio::time::timeout(PATIENCE, toy.seen(n as usize - 99)).await;
        assert_eq!(seen.expect("its thread comes back").last(), Some(&n));
    }
    let report = state(&supervisor, "toy");
    assert_eq!((report.failures, report.restarts, report.state), (0, 100, ActorState::Running));
    supervisor.stop();
}

#[actix::test]
async fn a_restart_that_is_asked_for_wakes_an_idle_actor_and_waits_for_a_busy_one() {
    let supervisor = supervisor(1);
    let toy = Toy::start(&supervisor, "toy", 20);
    toy.post(1);
    assert_eq!(toy.seen(1).await, [1]);
    supervisor.restart("toy");
    until(|| state(&supervisor, "toy").restarts == 1).await;

    let (open, gate) = oneshot::channel();
    let asked = supervisor.clone();
    toy.act(move |toy, ctx| {
        ctx.wait(gate.into_actor(toy).map(|_, toy: &mut Toy, _| toy.seen.lock().push(2)));
        asked.restart("toy");
    });
    toy.post(3);
    until(|| state(&supervisor, "toy").current.is_some()).await;
    assert_eq!(state(&supervisor, "toy").restarts, 1, "it waits for something");
    open.send(()).expect("it waits");
    assert_eq!(toy.seen(3).await, [1, 2, 3], "what it waited for is done, and nothing is lost");
    until(|| state(&supervisor, "toy").restarts == 2).await;
    supervisor.stop();
}

#[actix::test]
async fn an_incarnation_that_fails_by_itself_does_nothing_more() {
    let supervisor = supervisor(5);
    let toy = Toy::start(&supervisor, "toy", 20);
    toy.act(|toy, ctx| {
        ctx.run_later(Duration::ZERO, |toy, _| toy.seen.lock().push(666));
        toy.incarnation.fail("the disk is gone".into(), ctx);
    });
    toy.post(1);
    assert_eq!(toy.seen(1).await, [1]);
    let report = state(&supervisor, "toy");
    assert_eq!((report.failures, report.restarts), (1, 1));
    assert_eq!(report.last_error.expect("an error").0, "the disk is gone");
    let dead: Vec<_> = supervisor.dead_letters().into_iter().map(|letter| (letter.message, letter.error)).collect();
    assert_eq!(dead, [("Act", "the disk is gone".to_owned())]);
    supervisor.stop();
}

#[actix::test]
async fn a_stuck_actor_is_left_behind_and_has_no_effect() {
    let supervisor = supervisor(9);
    let thread = supervisor.thread();
    let (toy, neighbour) = (Handle::on(&supervisor, &thread, "toy", 20), Handle::on(&supervisor, &thread, "other", 20));
    // Both are there, so that nobody is on the thread but who is made to block it.
    for handle in [&toy, &neighbour] {
        let (ping, pong) = oneshot::channel();
        handle.orders.try_send(Ping(ping)).map_err(|_| "no room").expect("posted");
        pong.await.expect("an answer");
    }
    let (mut gates, (ended, ends)) = (Vec::new(), mpsc::channel());
    for n in 1..=4 {
        let ((open, gate), (begun, blocks)) = (mpsc::channel(), mpsc::channel());
        let block = Block { gate, begun, friend: neighbour.mailbox.clone(), ended: ended.clone() };
        toy.orders.try_send(block).map_err(|_| "no room").expect("posted");
        toy.post(10 * n);
        neighbour.post(n);
        blocks.recv().expect("it blocks");
        gates.push(open);
        until(|| {
            supervisor.replace_stuck();
            state(&supervisor, "toy").failures == u64::from(n)
        })
        .await;
        let many = usize::try_from(n).expect("small");
        assert_eq!(toy.seen(many).await.last(), Some(&(10 * n)), "what waited goes on elsewhere");
        assert_eq!(neighbour.seen(many).await.last(), Some(&n), "and so do those that lived there");
    }
    assert_eq!(state(&supervisor, "other").failures, 0);
    assert!(supervisor.dead_letters().iter().all(|letter| letter.message == "Block"));
    supervisor.unrecoverable().await;
    for open in &gates {
        open.send(()).expect("it blocks");
    }
    assert!(ends.iter().take(4).all(|without_effect| without_effect), "what they send at last is refused");
    let (ping, pong) = oneshot::channel();
    neighbour.orders.try_send(Ping(ping)).map_err(|_| "no room").expect("posted");
    pong.await.expect("an answer");
    assert_eq!(neighbour.seen(4).await, [1, 2, 3, 4]);
    assert_eq!(toy.seen(4).await, [10, 20, 30, 40]);
    supervisor.stop();
}
