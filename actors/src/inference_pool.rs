//! The windows that wait for a worker: a fair, bounded queue per pump, handed out in batches.
//!
//! A free worker gets what waits, at once, up to its largest batch; nobody lingers. Pumps take turns. A pump
//! that falls behind keeps its newest windows: its oldest are skipped, and counted.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use actix::{Actor, Context, Handler};
use volute_anomaly::Baseline;
use volute_plant::{PumpId, Window};

use crate::{
    counters::{Counters, add},
    inference::{InferenceActor, ScoreBatch},
    mailbox::{Mail, Mailbox, unbound},
    pump::{Judged, PumpActor},
};

/// A window to be scored.
pub(crate) struct Job {
    pub seq: u64,
    pub window: Window,
    /// What is normal for its pump.
    pub baseline: Arc<Baseline>,
    pub judged: Mailbox<PumpActor>,
}

/// A worker has nothing to do.
pub(crate) struct Idle(pub Mailbox<InferenceActor>);

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolLimits {
    pub batch: usize,
    pub per_pump: usize,
    pub in_all: usize,
}

/// The actor.
pub(crate) struct InferencePool {
    limits: PoolLimits,
    counters: Arc<Counters>,
    queue: FairQueue<Job>,
    idle: Vec<Mailbox<InferenceActor>>,
}

impl Job {
    /// Tells the pump how it ended. Bounded by the pump's own windows; a pump that is gone needs no answer.
    pub(crate) fn finish(self, score: Option<volute_anomaly::Score>) {
        let _ = self.judged.post(Judged { seq: self.seq, score });
    }
}

impl InferencePool {
    pub(crate) fn new(limits: PoolLimits, counters: Arc<Counters>) -> Self {
        Self { limits, counters, queue: FairQueue::default(), idle: Vec::new() }
    }

    fn hand_out(&mut self) {
        while !self.queue.is_empty()
            && let Some(worker) = self.idle.pop()
        {
            let batch = self.queue.take(self.limits.batch);
            if let Err(crate::mailbox::Undelivered::Full(ScoreBatch(jobs))) = worker.post(ScoreBatch(batch)) {
                add(&self.counters.score_failures, jobs.len());
                jobs.into_iter().for_each(|job| job.finish(None));
            }
        }
    }
}

impl Actor for InferencePool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        unbound(ctx);
    }
}

impl Handler<Mail<Job>> for InferencePool {
    type Result = ();

    fn handle(&mut self, mail: Mail<Job>, _: &mut Self::Context) {
        let job = mail.open();
        let pump = job.window.pump.clone();
        let full = self.queue.len() >= self.limits.in_all || self.queue.len_of(&pump) >= self.limits.per_pump;
        if full && let Some(oldest) = self.queue.drop_oldest(&pump) {
            add(&self.counters.skipped, 1);
            oldest.finish(None);
        }
        self.queue.push(pump, job);
        self.hand_out();
    }
}

impl Handler<Mail<Idle>> for InferencePool {
    type Result = ();

    fn handle(&mut self, mail: Mail<Idle>, _: &mut Self::Context) {
        let Idle(worker) = mail.open();
        self.idle.push(worker);
        self.hand_out();
    }
}

/// First in, first out for each pump; the pumps take turns.
#[derive(Debug)]
struct FairQueue<T> {
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
