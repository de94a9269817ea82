//! A queue that is first in, first out for each pump, and round-robin between pumps.
//!
//! For example, with windows a1, a2, a3 of pump A and b1 of pump B, `take(3)` returns a1, b1, a2.

use std::collections::{HashMap, VecDeque};

use volute_plant::PumpId;

/// A fair queue.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    /// The waiting items of each pump (its lane), oldest first.
    lanes: HashMap<PumpId, VecDeque<T>>,
    /// The pumps that have a lane, each once, in the order of their turns.
    turns: VecDeque<PumpId>,
    len: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> FairQueue<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len_of(&self, pump: &PumpId) -> usize {
        self.lanes.get(pump).map_or(0, VecDeque::len)
    }

    pub(super) fn push(&mut self, pump: PumpId, item: T) {
        if !self.lanes.contains_key(&pump) {
            self.turns.push_back(pump.clone());
        }
        self.lanes.entry(pump).or_default().push_back(item);
        self.len += 1;
    }

    /// Removes and returns the oldest item of this pump.
    pub(super) fn pop_oldest(&mut self, pump: &PumpId) -> Option<T> {
        let item = self.lanes.get_mut(pump)?.pop_front()?;
        self.len -= 1;
        Some(item)
    }

    /// Removes and returns up to `max` items, one per pump and turn.
    pub(super) fn take(&mut self, max: usize) -> Vec<T> {
        let mut taken = Vec::with_capacity(max.min(self.len));
        while taken.len() < max
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
        assert_eq!(queue.pop_oldest(&pump(1)), Some((1, 2)));
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
                    out.extend(queue.pop_oldest(&pump(n)));
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
