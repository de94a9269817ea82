//! The supervisor with an actor that does what it is told.

use std::{sync::mpsc, time::Instant};

use actix::{ActorFutureExt, AsyncContext, Handler, WrapFuture};
use tokio::sync::oneshot;
use volute_plant::ManualClock;

use super::*;
use crate::{
    mailbox::{Letter, Mail, Mailbox},
    outbox::Outbox,
};

/// The longest that a test waits for a toy; one whose thread never comes back fails it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Remembers numbers for all its lives together; panics at 13; can be made to wait, or to block its thread.
pub(crate) struct Toy {
    seen: Seen,
    pub outbox: Outbox,
    life: Life<Toy>,
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

impl Letter for u32 {}
impl Letter for Hold {}
impl Letter for Block {}
impl Letter for Ping {}
impl Letter for Act {}

impl Letter for Kept {
    const KEPT: bool = true;
}

pub(crate) fn supervisor(restarts: usize) -> Supervisor {
    let tolerance = Tolerance { restarts, window: Duration::from_secs(3600) };
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_773_050_400_000).expect("a time")));
    Supervisor::new(Rules { tolerance, wedged_after: Duration::ZERO }, clock)
}

impl Actor for Toy {
    type Context = Context<Self>;
}

impl Handler<Mail<u32>> for Toy {
    type Result = ();

    fn handle(&mut self, mail: Mail<u32>, ctx: &mut Self::Context) {
        match mail.open() {
            13 => panic!("thirteen"),
            // Not in the handler, but in what it waits for.
            14 => ctx.wait(async {}.into_actor(self).map(|(), _, _| panic!("fourteen"))),
            n => lock(&self.seen).push(n),
        }
    }
}

impl Handler<Mail<Hold>> for Toy {
    type Result = ();

    fn handle(&mut self, mail: Mail<Hold>, ctx: &mut Self::Context) {
        let Hold(gate, begun) = mail.open();
        begun.send(()).expect("the test waits");
        ctx.wait(gate.into_actor(self).map(|_, _, _| ()));
    }
}

impl Handler<Mail<Block>> for Toy {
    type Result = ();

    fn handle(&mut self, mail: Mail<Block>, _: &mut Self::Context) {
        let Block { gate, begun, friend, ended } = mail.open();
        begun.send(()).expect("the test waits");
        gate.recv().expect("the test lets it go");
        let refused = friend.post(666) == Err(crate::mailbox::Undelivered::Closed);
        ended.send(refused && abandoned()).expect("the test waits");
    }
}

impl Handler<Mail<Kept>> for Toy {
    type Result = ();

    fn handle(&mut self, mail: Mail<Kept>, _: &mut Self::Context) {
        lock(&self.seen).push(mail.open().0);
    }
}

impl Handler<Mail<Act>> for Toy {
    type Result = ();

    fn handle(&mut self, mail: Mail<Act>, ctx: &mut Self::Context) {
        (mail.open().0)(self, ctx);
    }
}

impl Handler<Mail<Ping>> for Toy {
    type Result = ();

    fn handle(&mut self, mail: Mail<Ping>, _: &mut Self::Context) {
        mail.open().0.send(()).expect("the test waits");
    }
}

impl Handle {
    fn role(id: &str) -> Role {
        Role { id: id.to_owned(), kind: "toy", stage: "toys", pump: None }
    }

    fn on(supervisor: &Supervisor, home: &Arc<Home>, id: &str, limit: usize) -> Self {
        let (inbox, seen) = (supervisor.enrol(Self::role(id), home), Seen::default());
        let (mailbox, orders, wide) = (inbox.door(limit), inbox.door(8), inbox.door(1000));
        let handle = Self { mailbox, orders, wide, seen: seen.clone() };
        supervisor.start(&inbox, move |life| Toy { seen: seen.clone(), outbox: Outbox::default(), life });
        handle
    }

    /// Has the toy do this in its turn.
    pub(crate) fn act(&self, what: impl FnOnce(&mut Toy, &mut Context<Toy>) + Send + 'static) {
        self.orders.post(Act(Box::new(what))).map_err(|_| "no room").expect("posted");
    }

    /// Has the toy wait for `gate`; answers when it does.
    pub(crate) async fn hold(&self, gate: oneshot::Receiver<()>) {
        let (begun, waits) = oneshot::channel();
        self.orders.post(Hold(gate, begun)).map_err(|_| "no room").expect("posted");
        waits.await.expect("it waits");
    }

    /// What it has seen, as soon as that is so much.
    pub(crate) async fn seen(&self, many: usize) -> Vec<u32> {
        until(|| lock(&self.seen).len() >= many).await;
        lock(&self.seen).clone()
    }

    pub(crate) fn post(&self, n: u32) {
        self.mailbox.post(n).expect("posted");
    }
}

impl Toy {
    pub(crate) fn start(supervisor: &Supervisor, id: &str, limit: usize) -> Handle {
        Handle::on(supervisor, &supervisor.home(), id, limit)
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
    supervisor.reports().into_iter().find(|report| report.id == id).expect("it is enrolled")
}

#[actix::test]
async fn only_the_message_in_hand_is_lost() {
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
    toy.orders.post(Kept(70)).map_err(|_| "no room").expect("posted");
    open.send(()).expect("it waits");
    until(|| state(&supervisor, "toy").state == ActorState::Failed && state(&supervisor, "toy").queue_depth == 1).await;
    toy.orders.post(Kept(71)).map_err(|_| "no room").expect("taken all the same");
    assert_eq!(supervisor.failed(), ["toy"]);
    assert_eq!(toy.mailbox.post(2), Err(crate::mailbox::Undelivered::Closed));
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
        ctx.wait(gate.into_actor(toy).map(|_, toy: &mut Toy, _| lock(&toy.seen).push(2)));
        asked.restart("toy");
    });
    toy.post(3);
    until(|| state(&supervisor, "toy").in_hand.is_some()).await;
    assert_eq!(state(&supervisor, "toy").restarts, 1, "it waits for something");
    open.send(()).expect("it waits");
    assert_eq!(toy.seen(3).await, [1, 2, 3], "what it waited for is done, and nothing is lost");
    until(|| state(&supervisor, "toy").restarts == 2).await;
    supervisor.stop();
}

#[actix::test]
async fn a_life_that_fails_by_its_own_word_does_nothing_more() {
    let supervisor = supervisor(5);
    let toy = Toy::start(&supervisor, "toy", 20);
    toy.act(|toy, ctx| {
        ctx.run_later(Duration::ZERO, |toy, _| lock(&toy.seen).push(666));
        toy.life.fail("the disk is gone".into(), ctx);
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
    let home = supervisor.home();
    let (toy, neighbour) = (Handle::on(&supervisor, &home, "toy", 20), Handle::on(&supervisor, &home, "other", 20));
    // Both are there, so that nobody is on the thread but who is made to block it.
    for handle in [&toy, &neighbour] {
        let (ping, pong) = oneshot::channel();
        handle.orders.post(Ping(ping)).map_err(|_| "no room").expect("posted");
        pong.await.expect("an answer");
    }
    let (mut gates, (ended, ends)) = (Vec::new(), mpsc::channel());
    for n in 1..=4 {
        let ((open, gate), (begun, blocks)) = (mpsc::channel(), mpsc::channel());
        let block = Block { gate, begun, friend: neighbour.mailbox.clone(), ended: ended.clone() };
        toy.orders.post(block).map_err(|_| "no room").expect("posted");
        toy.post(10 * n);
        neighbour.post(n);
        blocks.recv().expect("it blocks");
        gates.push(open);
        until(|| {
            supervisor.look();
            state(&supervisor, "toy").failures == u64::from(n)
        })
        .await;
        let many = usize::try_from(n).expect("small");
        assert_eq!(toy.seen(many).await.last(), Some(&(10 * n)), "what waited goes on elsewhere");
        assert_eq!(neighbour.seen(many).await.last(), Some(&n), "and so do those that lived there");
    }
    assert_eq!(state(&supervisor, "other").failures, 0);
    assert!(supervisor.dead_letters().iter().all(|letter| letter.message == "Block"));
    supervisor.hopeless().await;
    for open in &gates {
        open.send(()).expect("it blocks");
    }
    assert!(ends.iter().take(4).all(|without_effect| without_effect), "what they send at last is refused");
    let (ping, pong) = oneshot::channel();
    neighbour.orders.post(Ping(ping)).map_err(|_| "no room").expect("posted");
    pong.await.expect("an answer");
    assert_eq!(neighbour.seen(4).await, [1, 2, 3, 4]);
    assert_eq!(toy.seen(4).await, [10, 20, 30, 40]);
    supervisor.stop();
}
