//! Tests of the supervisor, with an actor that the tests control by messages.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant, UNIX_EPOCH},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::*;

/// How long a test waits for an actor's thread before it fails.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An actor that collects numbers over all its incarnations. It panics on 13 and 14, and a test can suspend it or make
/// it block its thread.
pub(crate) struct Toy {
    received: Received,
    pub outbox: Outbox,
    incarnation: Incarnation<Toy>,
}

type Received = Arc<Mutex<Vec<u32>>>;

/// Controls a [`Toy`].
pub(crate) struct Handle {
    pub address: Address<Toy>,
    commands: Address<Toy>,
    /// An address of the same inbox that still has free permits when those of `address` are in use.
    pub large_address: Address<Toy>,
    received: Received,
}

struct Hold(oneshot::Receiver<()>, oneshot::Sender<()>);
/// Blocks the thread until it is released, then sends a number to a peer and reports whether that was refused.
struct Block {
    released: mpsc::Receiver<()>,
    started: mpsc::Sender<()>,
    peer: Address<Toy>,
    refused: mpsc::Sender<bool>,
}

struct Ping(oneshot::Sender<()>);
/// Like a plain number, but survives a failure.
struct Surviving(u32);
/// Runs a closure in the actor.
struct Run(Closure);
type Closure = Box<dyn FnOnce(&mut Toy, &mut Context<Toy>) + Send>;

impl Message for u32 {}
impl Message for Hold {}
impl Message for Block {}
impl Message for Ping {}
impl Message for Run {}

impl Message for Surviving {
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
            // Panics in a future that the actor waits for, not in the handler.
            14 => ctx.wait(async {}.into_actor(self).map(|(), _, _| panic!("fourteen"))),
            n => self.received.lock().push(n),
        }
    }
}

impl Handler<Envelope<Hold>> for Toy {
    type Result = ();

    fn handle(&mut self, message: Envelope<Hold>, ctx: &mut Self::Context) {
        let Hold(released, started) = message.into_inner();
        started.send(()).expect("the test waits");
        ctx.wait(released.into_actor(self).map(|_, _, _| ()));
    }
}

impl Handler<Envelope<Block>> for Toy {
    type Result = ();

    fn handle(&mut self, message: Envelope<Block>, _: &mut Self::Context) {
        let Block { released, started, peer, refused } = message.into_inner();
        started.send(()).expect("the test waits");
        released.recv().expect("the test releases it");
        let is_refused = peer.try_send(666) == Err(TrySendError::Closed);
        refused.send(is_refused && is_superseded()).expect("the test waits");
    }
}

impl Handler<Envelope<Surviving>> for Toy {
    type Result = ();

    fn handle(&mut self, message: Envelope<Surviving>, _: &mut Self::Context) {
        self.received.lock().push(message.into_inner().0);
    }
}

impl Handler<Envelope<Run>> for Toy {
    type Result = ();

    fn handle(&mut self, message: Envelope<Run>, ctx: &mut Self::Context) {
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
    fn role(id: &str) -> ActorIdentity {
        ActorIdentity { id: id.to_owned(), kind: "toy", stage: "toys", subject: None }
    }

    fn on(supervisor: &Supervisor, thread: &Arc<ActorThread>, id: &str, limit: usize) -> Self {
        let (inbox, received) = (supervisor.register(Self::role(id), thread), Received::default());
        let (address, commands, large_address) = (inbox.address(limit), inbox.address(8), inbox.address(1000));
        let handle = Self { address, commands, large_address, received: received.clone() };
        supervisor.start(&inbox, move |incarnation| Toy {
            received: received.clone(),
            outbox: Outbox::default(),
            incarnation,
        });
        handle
    }

    /// Runs a closure in the actor.
    pub(crate) fn run(&self, closure: impl FnOnce(&mut Toy, &mut Context<Toy>) + Send + 'static) {
        self.commands.try_send(Run(Box::new(closure))).map_err(|_| "no room").expect("posted");
    }

    /// Suspends the actor until `released` is ready. Returns once it is suspended.
    pub(crate) async fn hold(&self, released: oneshot::Receiver<()>) {
        let (started, suspended) = oneshot::channel();
        self.commands.try_send(Hold(released, started)).map_err(|_| "no room").expect("posted");
        suspended.await.expect("it is suspended");
    }

    /// Waits until the actor has received `count` numbers, and returns all that it has received.
    pub(crate) async fn received(&self, count: usize) -> Vec<u32> {
        wait_until(|| self.received.lock().len() >= count).await;
        self.received.lock().clone()
    }

    pub(crate) fn post(&self, n: u32) {
        self.address.try_send(n).expect("posted");
    }
}

impl Toy {
    pub(crate) fn start(supervisor: &Supervisor, id: &str, limit: usize) -> Handle {
        Handle::on(supervisor, &supervisor.start_thread(), id, limit)
    }
}

/// Lets other tasks run until the condition holds.
async fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "the condition never held");
        tokio::task::yield_now().await;
    }
}

fn report_of(supervisor: &Supervisor, id: &str) -> ActorReport {
    supervisor.reports().into_iter().find(|report| report.id == id).expect("it is registered")
}

#[actix::test]
async fn only_the_current_message_is_lost() {
    let supervisor = supervisor(5);
    let toy = Toy::start(&supervisor, "toy", 20);
    let (release, released) = oneshot::channel();
    toy.hold(released).await;
    for n in [1, 13, 2, 14, 3, 4] {
        toy.post(n);
    }
    assert_eq!(report_of(&supervisor, "toy").queue_depth, 6);
    release.send(()).expect("it waits");
    assert_eq!(toy.received(4).await, [1, 2, 3, 4]);
    let report = report_of(&supervisor, "toy");
    assert_eq!((report.failures, report.restarts, report.queue_depth), (2, 2, 0));
    // The last number counts once its handler has returned.
    wait_until(|| report_of(&supervisor, "toy").processed == 5).await;
    let idle = report_of(&supervisor, "toy");
    assert_eq!(idle.last_progress, Some(UNIX_EPOCH + Duration::from_secs(1_773_050_400)));
    assert!(idle.p50_ms.is_some() && idle.p99_ms >= idle.p50_ms, "{idle:?}");
    assert_eq!(report.last_error.expect("an error").0, "fourteen");
    let dead: Vec<_> = supervisor.dead_letters().into_iter().map(|l| (l.actor, l.message, l.error)).collect();
    let letter = |error: &str| ("toy".to_owned(), "u32", error.to_owned());
    assert_eq!(dead, [letter("fourteen"), letter("thirteen")]);
    supervisor.stop();
}

#[actix::test]
async fn an_actor_that_fails_too_often_stays_down_until_a_restart_is_requested() {
    let supervisor = supervisor(1);
    let toy = Toy::start(&supervisor, "toy", 20);
    let (release, released) = oneshot::channel();
    toy.hold(released).await;
    for n in [13, 13, 1] {
        toy.post(n);
    }
    toy.commands.try_send(Surviving(70)).map_err(|_| "no room").expect("posted");
    release.send(()).expect("it waits");
    wait_until(|| {
        report_of(&supervisor, "toy").state == ActorState::Failed && report_of(&supervisor, "toy").queue_depth == 1
    })
    .await;
    toy.commands.try_send(Surviving(71)).map_err(|_| "no room").expect("accepted although the actor has failed");
    assert_eq!(supervisor.failed_actors(), ["toy"]);
    assert_eq!(toy.address.try_send(2), Err(TrySendError::Closed));
    assert_eq!(supervisor.restart("unknown"), [""; 0]);
    assert_eq!(supervisor.restart("toys"), ["toy"], "by its stage");
    wait_until(|| report_of(&supervisor, "toy").state == ActorState::Running).await;
    toy.post(3);
    assert_eq!(
        toy.received(3).await,
        [70, 71, 3],
        "of the messages that waited when it failed, only those that survive a failure"
    );
    supervisor.stop();
}

#[actix::test]
async fn a_failed_actor_refuses_a_message_also_if_its_inbox_is_full() {
    let supervisor = supervisor(0);
    let toy = Toy::start(&supervisor, "toy", 1);
    let (release, released) = oneshot::channel();
    toy.hold(released).await;
    toy.large_address.try_send(13).expect("posted");
    toy.address.try_send(Surviving(70)).map_err(|_| "no room").expect("posted");
    assert_eq!(toy.address.try_send(1), Err(TrySendError::Full(1)));
    assert!(!toy.address.is_failed());
    release.send(()).expect("it waits");
    wait_until(|| toy.address.is_failed()).await;
    assert_eq!(report_of(&supervisor, "toy").state, ActorState::Failed);
    assert_eq!(toy.address.try_send(1), Err(TrySendError::Closed), "it is not handled when there is room");
    let surviving = toy.address.try_send(Surviving(71));
    assert!(matches!(surviving, Err(TrySendError::Full(Surviving(71)))));
    supervisor.restart("toy");
    assert_eq!(toy.received(1).await, [70]);
    assert!(!toy.address.is_failed());
    supervisor.stop();
}

#[actix::test]
async fn a_requested_restart_loses_nothing_and_does_not_count_as_a_failure() {
    let supervisor = supervisor(1);
    let toy = Toy::start(&supervisor, "toy", 1000);
    for n in 100..1000 {
        toy.post(n);
        if n % 100 == 0 {
            let before = report_of(&supervisor, "toy").restarts;
            supervisor.restart("toy");
            wait_until(|| report_of(&supervisor, "toy").restarts > before).await;
        }
    }
    assert_eq!(toy.received(900).await, (100..1000).collect::<Vec<_>>());
    let report = report_of(&supervisor, "toy");
    assert_eq!((report.failures, report.restarts, report.last_error), (0, 9, None));
    assert_eq!(report.state, ActorState::Running);
    supervisor.stop();
}

/// actix 0.13.5 polls for ever and blocks the thread if a context is terminated in the poll in which one of its futures
/// was cancelled.
#[actix::test]
async fn a_restart_in_the_poll_of_a_cancelled_timer_does_not_block_the_thread() {
    let supervisor = supervisor(1);
    let toy = Toy::start(&supervisor, "toy", 20);
    for n in 100..200 {
        let requester = supervisor.clone();
        toy.run(move |_, ctx| {
            ctx.run_later(TIMEOUT, |_, _| {});
            let cancelled = ctx.run_later(TIMEOUT, |_, _| {});
            ctx.cancel_future(cancelled);
            requester.restart("toy");
        });
        toy.post(n);
        let received = tokio::time::timeout(TIMEOUT, toy.received(n as usize - 99)).await;
        assert_eq!(received.expect("its thread is not blocked").last(), Some(&n));
    }
    let report = report_of(&supervisor, "toy");
    assert_eq!((report.failures, report.restarts, report.state), (0, 100, ActorState::Running));
    supervisor.stop();
}

#[actix::test]
async fn a_requested_restart_wakes_an_idle_actor_and_waits_for_a_busy_one() {
    let supervisor = supervisor(1);
    let toy = Toy::start(&supervisor, "toy", 20);
    toy.post(1);
    assert_eq!(toy.received(1).await, [1]);
    supervisor.restart("toy");
    wait_until(|| report_of(&supervisor, "toy").restarts == 1).await;

    let (release, released) = oneshot::channel();
    let requester = supervisor.clone();
    toy.run(move |toy, ctx| {
        ctx.wait(released.into_actor(toy).map(|_, toy: &mut Toy, _| toy.received.lock().push(2)));
        requester.restart("toy");
    });
    toy.post(3);
    wait_until(|| report_of(&supervisor, "toy").current.is_some()).await;
    assert_eq!(report_of(&supervisor, "toy").restarts, 1, "it is suspended");
    release.send(()).expect("it waits");
    assert_eq!(toy.received(3).await, [1, 2, 3], "the awaited future is finished, and nothing is lost");
    wait_until(|| report_of(&supervisor, "toy").restarts == 2).await;
    supervisor.stop();
}

#[actix::test]
async fn an_incarnation_that_reports_a_failure_does_nothing_more() {
    let supervisor = supervisor(5);
    let toy = Toy::start(&supervisor, "toy", 20);
    toy.run(|toy, ctx| {
        ctx.run_later(Duration::ZERO, |toy, _| toy.received.lock().push(666));
        toy.incarnation.fail("the disk is gone".into(), ctx);
    });
    toy.post(1);
    assert_eq!(toy.received(1).await, [1]);
    let report = report_of(&supervisor, "toy");
    assert_eq!((report.failures, report.restarts), (1, 1));
    assert_eq!(report.last_error.expect("an error").0, "the disk is gone");
    let dead: Vec<_> = supervisor.dead_letters().into_iter().map(|letter| (letter.message, letter.error)).collect();
    assert_eq!(dead, [("Run", "the disk is gone".to_owned())]);
    supervisor.stop();
}

#[actix::test]
async fn a_stuck_actor_is_abandoned_and_has_no_effect() {
    let supervisor = supervisor(9);
    let thread = supervisor.start_thread();
    let (toy, neighbour) = (Handle::on(&supervisor, &thread, "toy", 20), Handle::on(&supervisor, &thread, "other", 20));
    // Wait until both have started, so that only the actor that is made to block runs on the thread.
    for handle in [&toy, &neighbour] {
        let (ping, pong) = oneshot::channel();
        handle.commands.try_send(Ping(ping)).map_err(|_| "no room").expect("posted");
        pong.await.expect("an answer");
    }
    let (mut releases, (refused, results)) = (Vec::new(), mpsc::channel());
    for n in 1..=4 {
        let ((release, released), (started, blocked)) = (mpsc::channel(), mpsc::channel());
        let block = Block { released, started, peer: neighbour.address.clone(), refused: refused.clone() };
        toy.commands.try_send(block).map_err(|_| "no room").expect("posted");
        toy.post(10 * n);
        neighbour.post(n);
        blocked.recv().expect("it blocks");
        releases.push(release);
        wait_until(|| {
            supervisor.replace_stuck();
            report_of(&supervisor, "toy").failures == u64::from(n)
        })
        .await;
        let count = usize::try_from(n).expect("small");
        assert_eq!(
            toy.received(count).await.last(),
            Some(&(10 * n)),
            "its waiting message is handled on another thread"
        );
        assert_eq!(neighbour.received(count).await.last(), Some(&n), "and so is that of the other actor of the thread");
    }
    assert_eq!(report_of(&supervisor, "other").failures, 0);
    assert!(supervisor.dead_letters().iter().all(|letter| letter.message == "Block"));
    supervisor.unrecoverable().await;
    for release in &releases {
        release.send(()).expect("it blocks");
    }
    assert!(results.iter().take(4).all(|is_refused| is_refused), "what the abandoned actors send is refused");
    let (ping, pong) = oneshot::channel();
    neighbour.commands.try_send(Ping(ping)).map_err(|_| "no room").expect("posted");
    pong.await.expect("an answer");
    assert_eq!(neighbour.received(4).await, [1, 2, 3, 4]);
    assert_eq!(toy.received(4).await, [10, 20, 30, 40]);
    supervisor.stop();
}
