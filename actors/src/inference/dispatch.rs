//! Which worker scores what, and when.
//!
//! A free worker takes what waits, up to its largest batch. Where windows come so quickly that some more are a matter of
//! milliseconds, it waits these for them: together they cost half as much. Otherwise nobody waits. Pumps take turns. A pump
//! that falls behind keeps its newest windows: its oldest are skipped. Deliberately absent: threads, and any clock.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use volute_plant::PumpId;

use super::fair_queue::FairQueue;

/// How long a worker waits for more windows at the most, and for how many of them it does.
pub(super) const LINGER: Duration = Duration::from_millis(4);
const WORTH_IT: f64 = 8.0;
/// Over how long the pace of the windows is told.
const PACE_OVER: Duration = Duration::from_millis(250);

/// How many windows may wait, and be scored at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub batch: usize,
    pub per_pump: usize,
    pub in_all: usize,
}

/// What waits, and what the workers are at.
#[derive(Debug)]
pub(super) struct Dispatch<T> {
    limits: Limits,
    queue: FairQueue<T>,
    /// They have looked and found nothing, and were not called since.
    idle: BTreeSet<usize>,
    /// Who waits for more, and until when.
    lingering: Option<(usize, Instant)>,
    pace: ArrivalRate,
}

/// What a worker does next.
#[derive(Debug, PartialEq)]
pub(super) enum Next<T> {
    /// It will be called.
    Nothing,
    /// It waits for [`LINGER`], and then asks again.
    Linger,
    Score(Vec<T>),
}

/// How many windows come.
#[derive(Debug)]
struct ArrivalRate {
    since: Instant,
    count: u32,
    per_s: f64,
}

impl<T> Dispatch<T> {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            queue: FairQueue::default(),
            idle: BTreeSet::new(),
            lingering: None,
            pace: ArrivalRate::new(now),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// One more. What comes out must give way to it: the pump's oldest, or else that whose turn is next.
    pub(super) fn put(&mut self, pump: PumpId, item: T, now: Instant) -> Option<T> {
        self.pace.note(now);
        let room = self.queue.len() < self.limits.in_all && self.queue.len_of(&pump) < self.limits.per_pump;
        let oldest = if room { None } else { self.queue.drop_oldest(&pump).or_else(|| self.queue.take(1).pop()) };
        self.queue.push(pump, item);
        oldest
    }

    /// Who is to be called because something has come. Nobody is called twice before he has looked.
    pub(super) fn worker_to_wake(&mut self, now: Instant) -> Option<usize> {
        if self.queue.is_empty() || (!self.is_enough() && self.is_waited_for(now)) {
            return None;
        }
        let lingering = self.lingering.take().map(|(worker, _)| worker);
        lingering.or_else(|| self.idle.pop_first())
    }

    /// What this worker does next; it has waited for more already, or not.
    pub(super) fn next(&mut self, worker: usize, lingered: bool, now: Instant) -> Next<T> {
        self.idle.remove(&worker);
        self.lingering.take_if(|(other, _)| *other == worker);
        if self.queue.is_empty() || (!self.is_enough() && self.is_waited_for(now)) {
            self.idle.insert(worker);
            return Next::Nothing;
        }
        if self.is_enough() || lingered || !self.pace.is_worth_waiting() {
            return Next::Score(self.queue.take(self.limits.batch));
        }
        self.lingering = Some((worker, now + LINGER));
        Next::Linger
    }

    fn is_enough(&self) -> bool {
        self.queue.len() >= self.limits.batch
    }

    /// Whether somebody will take what waits in a moment. One that is long overdue has broken meanwhile.
    fn is_waited_for(&self, now: Instant) -> bool {
        self.lingering.is_some_and(|(_, until)| now < until + LINGER)
    }
}

impl ArrivalRate {
    fn new(now: Instant) -> Self {
        Self { since: now, count: 0, per_s: 0.0 }
    }

    /// One more has come.
    fn note(&mut self, now: Instant) {
        self.count += 1;
        let over = now.duration_since(self.since);
        if over >= PACE_OVER {
            (self.per_s, self.count, self.since) = (f64::from(self.count) / over.as_secs_f64(), 0, now);
        }
    }

    /// Whether so many more may be hoped for that a worker should wait.
    fn is_worth_waiting(&self) -> bool {
        self.per_s * LINGER.as_secs_f64() >= WORTH_IT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { batch: 4, per_pump: 2, in_all: 6 };

    fn pump(n: u8) -> PumpId {
        format!("P-{n}").parse().expect("a name")
    }

    /// After a second of windows that came quickly.
    fn quick(start: Instant) -> (Dispatch<u8>, Instant) {
        let mut dispatch = Dispatch::new(LIMITS, start);
        for n in 0..10_000 {
            dispatch.put(pump(0), 0, start + n * Duration::from_micros(100));
            dispatch.queue.take(1);
        }
        (dispatch, start + Duration::from_secs(1))
    }

    #[test]
    fn a_worker_waits_for_more_only_where_they_come_quickly() {
        for (gap_us, waits) in [(100, true), (400, true), (600, false), (10_000, false)] {
            let start = Instant::now();
            let mut pace = ArrivalRate::new(start);
            assert!(!pace.is_worth_waiting(), "nothing is known yet");
            for n in 1..=3000 {
                pace.note(start + n * Duration::from_micros(gap_us));
            }
            assert_eq!(pace.is_worth_waiting(), waits, "one in {gap_us} us");
        }
    }

    #[test]
    fn who_is_free_is_called_once_and_takes_all() {
        let now = Instant::now();
        let mut dispatch = Dispatch::new(LIMITS, now);
        assert_eq!((dispatch.next(0, false, now), dispatch.next(1, false, now)), (Next::Nothing, Next::Nothing));
        assert_eq!(dispatch.worker_to_wake(now), None, "nothing waits");
        dispatch.put(pump(1), 1, now);
        assert_eq!(dispatch.worker_to_wake(now), Some(0));
        dispatch.put(pump(2), 2, now);
        assert_eq!(dispatch.worker_to_wake(now), Some(1));
        assert_eq!(dispatch.worker_to_wake(now), None, "both are called");
        assert_eq!(dispatch.next(0, false, now), Next::Score(vec![1, 2]));
        assert_eq!(dispatch.next(1, false, now), Next::Nothing);
    }

    #[test]
    fn one_waits_for_more_and_the_others_leave_it_to_him() {
        let (mut dispatch, now) = quick(Instant::now());
        dispatch.put(pump(1), 1, now);
        assert_eq!(dispatch.next(0, false, now), Next::Linger);
        assert_eq!(dispatch.next(1, false, now), Next::Nothing);
        dispatch.put(pump(2), 2, now);
        assert_eq!(dispatch.worker_to_wake(now), None, "the first is at it");
        assert_eq!(dispatch.next(0, true, now + LINGER), Next::Score(vec![1, 2]));
    }

    #[test]
    fn a_full_batch_is_not_waited_with() {
        let (mut dispatch, now) = quick(Instant::now());
        dispatch.put(pump(1), 1, now);
        assert_eq!(dispatch.next(0, false, now), Next::Linger);
        for n in 2..=4 {
            assert_eq!(dispatch.worker_to_wake(now), None);
            dispatch.put(pump(n), n, now);
        }
        assert_eq!(dispatch.worker_to_wake(now), Some(0));
        assert_eq!(dispatch.next(0, false, now), Next::Score(vec![1, 2, 3, 4]));
    }

    #[test]
    fn one_that_breaks_while_it_waits_holds_nobody_up() {
        let (mut dispatch, now) = quick(Instant::now());
        dispatch.put(pump(1), 1, now);
        assert_eq!(dispatch.next(0, false, now), Next::Linger);
        assert_eq!(dispatch.next(1, false, now), Next::Nothing);
        let later = now + 3 * LINGER;
        dispatch.put(pump(2), 2, later);
        // He takes no call, so the next one is called.
        assert_eq!((dispatch.worker_to_wake(later), dispatch.worker_to_wake(later)), (Some(0), Some(1)));
        assert_eq!(dispatch.next(1, true, later), Next::Score(vec![1, 2]));
    }

    #[test]
    fn the_newest_count_within_both_bounds() {
        let now = Instant::now();
        let mut dispatch = Dispatch::new(LIMITS, now);
        let given_up = |dispatch: &mut Dispatch<u8>, n, item| dispatch.put(pump(n), item, now);
        assert_eq!((1..=3).map(|item| given_up(&mut dispatch, 1, item)).collect::<Vec<_>>(), [None, None, Some(1)]);
        for n in 2..=5 {
            assert_eq!(given_up(&mut dispatch, n, 10 * n), None);
        }
        assert_eq!(given_up(&mut dispatch, 5, 51), Some(50), "its own oldest");
        assert_eq!(given_up(&mut dispatch, 6, 60), Some(2), "it has none: that of whose turn it is");
        assert_eq!(dispatch.waiting(), LIMITS.in_all);
    }
}
