//! The windows that wait for a worker: a fair, bounded queue per pump, handed out in batches.
//!
//! A free worker gets what waits, up to its largest batch. Where windows come so quickly that some more are a matter of
//! milliseconds, it waits these for them: together they cost half as much. Otherwise nobody waits. Pumps take turns. A pump
//! that falls behind keeps its newest windows: its oldest are skipped, and counted.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext, Context, Handler};
use volute_anomaly::{Baseline, Score};
use volute_plant::{PumpId, Window};

use crate::{
    counters::{Counters, add},
    inference::{AreYouIdle, InferenceActor, ScoreBatch},
    mailbox::{Letter, Mail, Mailbox, Undelivered},
    pump::{Judged, PumpActor},
    supervision::Life,
};

/// How long a worker waits for more windows at the most, and for how many of them it does.
const LINGER: Duration = Duration::from_millis(4);
const WORTH_IT: f64 = 8.0;
/// Over how long the pace of the windows is told.
const PACE_OVER: Duration = Duration::from_millis(250);

/// A window to be scored. One that is dropped on its way tells its pump so.
pub(crate) struct Job {
    seq: u64,
    pub window: Window,
    /// What is normal for its pump.
    pub baseline: Arc<Baseline>,
    judged: Mailbox<PumpActor>,
    /// When it came here, and then when a worker took it.
    since: Instant,
    told: bool,
}

/// The worker of this number has nothing to do.
pub(crate) struct Idle(pub usize);

impl Letter for Job {
    fn pump(&self) -> Option<&PumpId> {
        Some(&self.window.pump)
    }
}

impl Letter for Idle {}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolLimits {
    pub batch: usize,
    pub per_pump: usize,
    pub in_all: usize,
}

/// The windows that wait; they outlive the actor.
pub(crate) type Windows = Arc<Mutex<FairQueue<Job>>>;

/// The actor.
pub(crate) struct InferencePool {
    limits: PoolLimits,
    counters: Arc<Counters>,
    queue: Windows,
    workers: Arc<[Mailbox<InferenceActor>]>,
    idle: BTreeSet<usize>,
    pace: Pace,
    /// A worker waits for more.
    lingering: bool,
    life: Life<InferencePool>,
}

/// How many windows come.
#[derive(Debug)]
struct Pace {
    since: Instant,
    count: u32,
    per_s: f64,
}

impl Pace {
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

impl Job {
    pub(crate) fn new(seq: u64, window: Window, baseline: Arc<Baseline>, judged: Mailbox<PumpActor>) -> Self {
        Self { seq, window, baseline, judged, since: Instant::now(), told: false }
    }

    /// How long it has been with its worker.
    pub(crate) fn in_hand(&self) -> Duration {
        self.since.elapsed()
    }

    /// Tells the pump how it ended.
    pub(crate) fn finish(mut self, score: Option<Score>) {
        self.tell(score);
    }

    /// Bounded by the pump's own windows; a pump that is gone needs no answer.
    fn tell(&mut self, score: Option<Score>) {
        if !std::mem::replace(&mut self.told, true) {
            let _ = self.judged.post(Judged { seq: self.seq, score });
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.tell(None);
    }
}

impl InferencePool {
    pub(crate) fn new(
        limits: PoolLimits,
        counters: Arc<Counters>,
        queue: Windows,
        workers: Arc<[Mailbox<InferenceActor>]>,
        life: Life<InferencePool>,
    ) -> Self {
        let pace = Pace::new(Instant::now());
        Self { limits, counters, queue, workers, idle: BTreeSet::new(), pace, lingering: false, life }
    }

    /// Hands out what waits, or has it wait for more.
    fn stir(&mut self, ctx: &mut Context<Self>) {
        let waiting = self.note_waiting();
        if waiting >= self.limits.batch || !self.pace.is_worth_waiting() {
            return self.hand_out();
        }
        if waiting > 0 && !self.lingering {
            self.lingering = true;
            ctx.run_later(LINGER, |actor, _| {
                actor.lingering = false;
                actor.hand_out();
            });
        }
    }

    /// How many windows wait, for whoever asks.
    fn note_waiting(&self) -> usize {
        let waiting = self.queue().len();
        self.life.inbox.cell().vitals.held.store(waiting, Relaxed);
        waiting
    }

    fn hand_out(&mut self) {
        self.idle.retain(|&number| self.workers.get(number).is_some_and(|worker| !worker.is_failed()));
        loop {
            let mut batch = {
                let mut queue = self.queue();
                if queue.is_empty() || self.idle.is_empty() {
                    break;
                }
                queue.take(self.limits.batch)
            };
            let worker = self.idle.pop_first().and_then(|number| self.workers.get(number));
            let Some(worker) = worker else { break };
            let now = Instant::now();
            for job in &mut batch {
                self.counters.latencies.queue.note(now.duration_since(job.since));
                job.since = now;
            }
            if let Err(Undelivered::Full(ScoreBatch(jobs))) = worker.post(ScoreBatch(batch)) {
                // It has said twice that it has nothing to do, and got something for the first time.
                let mut queue = self.queue();
                jobs.into_iter().for_each(|job| queue.push(job.window.pump.clone(), job));
            }
        }
        self.note_waiting();
    }

    fn queue(&self) -> MutexGuard<'_, FairQueue<Job>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Actor for InferencePool {
    type Context = Context<Self>;

    /// Who is idle died with the one before: all are asked.
    fn started(&mut self, _: &mut Self::Context) {
        for worker in self.workers.iter() {
            // One that is busy, or about to start, says so by itself when it is done.
            let _ = worker.post(AreYouIdle);
        }
    }
}

impl Handler<Mail<Job>> for InferencePool {
    type Result = ();

    fn handle(&mut self, mail: Mail<Job>, ctx: &mut Self::Context) {
        let job = mail.open();
        self.pace.note(job.since);
        let pump = job.window.pump.clone();
        let oldest = {
            let mut queue = self.queue();
            let full = queue.len() >= self.limits.in_all || queue.len_of(&pump) >= self.limits.per_pump;
            let oldest = if full { queue.drop_oldest(&pump) } else { None };
            queue.push(pump, job);
            oldest
        };
        if let Some(oldest) = oldest {
            add(&self.counters.skipped, 1);
            oldest.finish(None);
        }
        self.stir(ctx);
    }
}

impl Handler<Mail<Idle>> for InferencePool {
    type Result = ();

    fn handle(&mut self, mail: Mail<Idle>, ctx: &mut Self::Context) {
        let Idle(worker) = mail.open();
        self.idle.insert(worker);
        self.stir(ctx);
    }
}

/// First in, first out for each pump; the pumps take turns.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    lanes: HashMap<PumpId, VecDeque<T>>,
    /// Each pump that has a lane, once.
    turns: VecDeque<PumpId>,
    len: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> FairQueue<T> {
    fn len(&self) -> usize {
        self.len
    }

    fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn len_of(&self, pump: &PumpId) -> usize {
        self.lanes.get(pump).map_or(0, VecDeque::len)
    }

    fn push(&mut self, pump: PumpId, item: T) {
        if !self.lanes.contains_key(&pump) {
            self.turns.push_back(pump.clone());
        }
        self.lanes.entry(pump).or_default().push_back(item);
        self.len += 1;
    }

    fn drop_oldest(&mut self, pump: &PumpId) -> Option<T> {
        let item = self.lanes.get_mut(pump)?.pop_front()?;
        self.len -= 1;
        Some(item)
    }

    fn take(&mut self, most: usize) -> Vec<T> {
        let mut taken = Vec::with_capacity(most.min(self.len));
        while taken.len() < most
            && let Some(pump) = self.turns.pop_front()
        {
            let Some(lane) = self.lanes.get_mut(&pump) else { continue };
            if let Some(item) = lane.pop_front() {
                self.len -= 1;
                taken.push(item);
            }
            if lane.is_empty() {
                self.lanes.remove(&pump);
            } else {
                self.turns.push_back(pump);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pump(n: u8) -> PumpId {
        format!("P-{n}").parse().expect("a name")
    }

    #[test]
    fn a_worker_waits_for_more_only_where_they_come_quickly() {
        for (gap_us, waits) in [(100, true), (400, true), (600, false), (10_000, false)] {
            let start = Instant::now();
            let mut pace = Pace::new(start);
            assert!(!pace.is_worth_waiting(), "nothing is known yet");
            for n in 1..=3000 {
                pace.note(start + n * Duration::from_micros(gap_us));
            }
            assert_eq!(pace.is_worth_waiting(), waits, "one in {gap_us} us");
        }
    }

    #[test]
    fn pumps_take_turns() {
        let mut queue = FairQueue::default();
        for n in 0..5 {
            queue.push(pump(1), (1, n));
        }
        queue.push(pump(2), (2, 0));
        assert_eq!(queue.take(3), [(1, 0), (2, 0), (1, 1)]);
        assert_eq!(queue.drop_oldest(&pump(1)), Some((1, 2)));
        assert_eq!(queue.take(9), [(1, 3), (1, 4)]);
        assert!(queue.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_reordered(steps in prop::collection::vec((0_u8..4, 0_usize..3), 0..200)) {
            let mut queue = FairQueue::default();
            let (mut pushed, mut out) = (Vec::new(), Vec::new());
            for (number, (n, take)) in steps.into_iter().enumerate() {
                queue.push(pump(n), (n, number));
                pushed.push((n, number));
                if take == 2 && number % 7 == 0 {
                    out.extend(queue.drop_oldest(&pump(n)));
                } else {
                    out.extend(queue.take(take));
                }
                prop_assert_eq!(queue.len(), pushed.len() - out.len());
            }
            out.extend(queue.take(usize::MAX));
            for n in 0..4 {
                let of = |all: &[(u8, usize)]| all.iter().filter(|(p, _)| *p == n).copied().collect::<Vec<_>>();
                prop_assert_eq!(of(&out), of(&pushed));
            }
        }
    }
}
