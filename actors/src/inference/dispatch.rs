//! Decides which worker scores which windows, and when. Does no I/O: the caller passes the time.
//!
//! A free worker takes up to a batch of waiting windows, one of each pump in turn (round-robin). If windows arrive at
//! 2,000 per second or more, it first lingers for up to 4 ms until a batch is full, because a window costs about half
//! as much in a batch. If a new window would exceed a limit of the queue, the oldest waiting window of its pump is
//! skipped (not scored). If its pump has none waiting, the oldest window of the next pump in turn is skipped. An
//! example with batches of 4 and windows of four pumps, at a high rate:
//!
//! 1. Window 1 arrives. Worker 0 asks for work and lingers. Worker 1 asks and stays idle, since worker 0 will take the
//!    window.
//! 2. Windows 2 and 3 arrive and wake nobody.
//! 3. Window 4 fills the batch: worker 0 is woken and scores all four. Without window 4 it would score three after 4
//!    ms.
//!
//! At a low rate, worker 0 scores window 1 at once. Does not handle threads or timers; see [`super::pool`] and
//! [`super::worker`].

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use volute_plant::PumpId;

use super::fair_queue::FairQueue;

/// How long a worker waits for more windows.
pub(super) const LINGER: Duration = Duration::from_millis(4);
/// A worker lingers only if this many windows are expected within [`LINGER`].
const MIN_EXPECTED_WINDOWS: f64 = 8.0;
/// The period over which the arrival rate is measured.
const RATE_PERIOD: Duration = Duration::from_millis(250);

/// The limits of the queue and of a batch, in windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    /// The largest batch.
    pub batch: usize,
    /// How many windows of one pump may wait.
    pub per_pump: usize,
    /// How many windows of all pumps may wait.
    pub total: usize,
}

/// The waiting windows and the states of the workers.
#[derive(Debug)]
pub(super) struct Dispatch<T> {
    limits: QueueLimits,
    queue: FairQueue<T>,
    /// Workers that have found no work and were not woken since.
    idle: BTreeSet<usize>,
    /// The worker that lingers, and until when.
    lingering: Option<(usize, Instant)>,
    arrivals: ArrivalRate,
}

/// What a worker does next.
#[derive(Debug, PartialEq)]
pub(super) enum NextStep<T> {
    /// It stays idle until it is woken.
    Idle,
    /// It waits for [`LINGER`] and then checks the pool again.
    Linger,
    /// It scores these windows.
    Score(Vec<T>),
}

/// The arrival rate of windows.
#[derive(Debug)]
struct ArrivalRate {
    period_began: Instant,
    count: u32,
    per_s: f64,
}

impl<T> Dispatch<T> {
    pub(super) fn new(limits: QueueLimits, now: Instant) -> Self {
        Self {
            limits,
            queue: FairQueue::default(),
            idle: BTreeSet::new(),
            lingering: None,
            arrivals: ArrivalRate::new(now),
        }
    }

    /// Returns the number of waiting windows.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Adds a window. If a limit is reached, returns the window to skip: the oldest of the same pump, or else the
    /// oldest of the next pump in turn.
    pub(super) fn put(&mut self, pump: PumpId, item: T, now: Instant) -> Option<T> {
        self.arrivals.record(now);
        let room = self.queue.len() < self.limits.total && self.queue.len_of(&pump) < self.limits.per_pump;
        let skipped = if room { None } else { self.queue.pop_oldest(&pump).or_else(|| self.queue.take(1).pop()) };
        self.queue.push(pump, item);
        skipped
    }

    /// Returns the worker to wake for the waiting windows. A worker is returned once, until it asks for work again.
    pub(super) fn worker_to_wake(&mut self, now: Instant) -> Option<usize> {
        if self.queue.is_empty() || (!self.is_batch_full() && self.is_worker_lingering(now)) {
            return None;
        }
        let lingering = self.lingering.take().map(|(worker, _)| worker);
        lingering.or_else(|| self.idle.pop_first())
    }

    /// Returns what this worker does next. `lingered` says whether it has just waited for more windows.
    pub(super) fn next(&mut self, worker: usize, lingered: bool, now: Instant) -> NextStep<T> {
        self.idle.remove(&worker);
        self.lingering.take_if(|(other, _)| *other == worker);
        if self.queue.is_empty() || (!self.is_batch_full() && self.is_worker_lingering(now)) {
            self.idle.insert(worker);
            return NextStep::Idle;
        }
        if self.is_batch_full() || lingered || !self.arrivals.is_worth_lingering() {
            return NextStep::Score(self.queue.take(self.limits.batch));
        }
        self.lingering = Some((worker, now + LINGER));
        NextStep::Linger
    }

    fn is_batch_full(&self) -> bool {
        self.queue.len() >= self.limits.batch
    }

    /// Returns whether a lingering worker will take the waiting windows. A worker that is overdue by [`LINGER`] counts
    /// as failed.
    fn is_worker_lingering(&self, now: Instant) -> bool {
        self.lingering.is_some_and(|(_, until)| now < until + LINGER)
    }
}

impl ArrivalRate {
    fn new(now: Instant) -> Self {
        Self { period_began: now, count: 0, per_s: 0.0 }
    }

    /// Records the arrival of a window.
    fn record(&mut self, now: Instant) {
        self.count += 1;
        let elapsed = now.duration_since(self.period_began);
        if elapsed >= RATE_PERIOD {
            (self.per_s, self.count, self.period_began) = (f64::from(self.count) / elapsed.as_secs_f64(), 0, now);
        }
    }

    /// Returns whether enough windows are expected for a worker to linger.
    fn is_worth_lingering(&self) -> bool {
        self.per_s * LINGER.as_secs_f64() >= MIN_EXPECTED_WINDOWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: QueueLimits = QueueLimits { batch: 4, per_pump: 2, total: 6 };

    fn pump(n: u8) -> PumpId {
        format!("P-{n}").parse().expect("a name")
    }

    /// Returns a dispatch to which 10,000 windows arrived within 1 s.
    fn at_high_rate(start: Instant) -> (Dispatch<u8>, Instant) {
        let mut dispatch = Dispatch::new(LIMITS, start);
        for n in 0..10_000 {
            dispatch.put(pump(0), 0, start + n * Duration::from_micros(100));
            dispatch.queue.take(1);
        }
        (dispatch, start + Duration::from_secs(1))
    }

    #[test]
    fn a_worker_lingers_only_at_a_high_rate() {
        for (gap_us, lingers) in [(100, true), (400, true), (600, false), (10_000, false)] {
            let start = Instant::now();
            let mut arrivals = ArrivalRate::new(start);
            assert!(!arrivals.is_worth_lingering(), "no rate is known yet");
            for n in 1..=3000 {
                arrivals.record(start + n * Duration::from_micros(gap_us));
            }
            assert_eq!(arrivals.is_worth_lingering(), lingers, "one in {gap_us} us");
        }
    }

    #[test]
    fn an_idle_worker_is_woken_once_and_takes_all_windows() {
        let now = Instant::now();
        let mut dispatch = Dispatch::new(LIMITS, now);
        assert_eq!((dispatch.next(0, false, now), dispatch.next(1, false, now)), (NextStep::Idle, NextStep::Idle));
        assert_eq!(dispatch.worker_to_wake(now), None, "no window waits");
        dispatch.put(pump(1), 1, now);
        assert_eq!(dispatch.worker_to_wake(now), Some(0));
        dispatch.put(pump(2), 2, now);
        assert_eq!(dispatch.worker_to_wake(now), Some(1));
        assert_eq!(dispatch.worker_to_wake(now), None, "both are woken");
        assert_eq!(dispatch.next(0, false, now), NextStep::Score(vec![1, 2]));
        assert_eq!(dispatch.next(1, false, now), NextStep::Idle);
    }

    #[test]
    fn while_one_worker_lingers_the_others_stay_idle() {
        let (mut dispatch, now) = at_high_rate(Instant::now());
        dispatch.put(pump(1), 1, now);
        assert_eq!(dispatch.next(0, false, now), NextStep::Linger);
        assert_eq!(dispatch.next(1, false, now), NextStep::Idle);
        dispatch.put(pump(2), 2, now);
        assert_eq!(dispatch.worker_to_wake(now), None, "the first worker lingers");
        assert_eq!(dispatch.next(0, true, now + LINGER), NextStep::Score(vec![1, 2]));
    }

    #[test]
    fn a_full_batch_ends_the_lingering() {
        let (mut dispatch, now) = at_high_rate(Instant::now());
        dispatch.put(pump(1), 1, now);
        assert_eq!(dispatch.next(0, false, now), NextStep::Linger);
        for n in 2..=4 {
            assert_eq!(dispatch.worker_to_wake(now), None);
            dispatch.put(pump(n), n, now);
        }
        assert_eq!(dispatch.worker_to_wake(now), Some(0));
        assert_eq!(dispatch.next(0, false, now), NextStep::Score(vec![1, 2, 3, 4]));
    }

    #[test]
    fn a_worker_that_fails_while_it_lingers_does_not_block_the_others() {
        let (mut dispatch, now) = at_high_rate(Instant::now());
        dispatch.put(pump(1), 1, now);
        assert_eq!(dispatch.next(0, false, now), NextStep::Linger);
        assert_eq!(dispatch.next(1, false, now), NextStep::Idle);
        let later = now + 3 * LINGER;
        dispatch.put(pump(2), 2, later);
        // Worker 0 has failed. The pool cannot wake it, checks again, and gets worker 1.
        assert_eq!((dispatch.worker_to_wake(later), dispatch.worker_to_wake(later)), (Some(0), Some(1)));
        assert_eq!(dispatch.next(1, true, later), NextStep::Score(vec![1, 2]));
    }

    #[test]
    fn the_oldest_windows_are_skipped_at_both_limits() {
        let now = Instant::now();
        let mut dispatch = Dispatch::new(LIMITS, now);
        let skipped = |dispatch: &mut Dispatch<u8>, n, item| dispatch.put(pump(n), item, now);
        assert_eq!((1..=3).map(|item| skipped(&mut dispatch, 1, item)).collect::<Vec<_>>(), [None, None, Some(1)]);
        for n in 2..=5 {
            assert_eq!(skipped(&mut dispatch, n, 10 * n), None);
        }
        assert_eq!(skipped(&mut dispatch, 5, 51), Some(50), "the pump's own oldest");
        assert_eq!(skipped(&mut dispatch, 6, 60), Some(2), "the pump has none: the window next in turn");
        assert_eq!(dispatch.waiting(), LIMITS.total);
    }
}
