//! What is asked of the pump: whether it runs, and how far its valve is open.

use rand::{RngExt, rngs::Xoshiro256PlusPlus};

use crate::noise::stream;

/// How demand moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadPlan {
    /// Always the pump's own duty.
    Steady,
    /// A new level, 75 to 110 % of its duty, every 45 s to 4 minutes.
    Steps,
    /// The same, and every 5 to 15 minutes a stop of 1 to 4 minutes.
    Starts,
}

/// What is asked at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Demand {
    pub(crate) running: bool,
    /// Share of the pump's own duty flow.
    pub(crate) level: f64,
}

/// A plan being carried out.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    plan: LoadPlan,
    rng: Xoshiro256PlusPlus,
    now: Demand,
    level_for_s: f64,
    running_for_s: f64,
}

impl Load {
    pub(crate) fn new(plan: LoadPlan, seed: u64) -> Self {
        let now = Demand { running: true, level: 1.0 };
        let mut load = Self { plan, rng: stream(seed, 1), now, level_for_s: 0.0, running_for_s: 0.0 };
        load.change_level();
        load.running_for_s = load.rng.random_range(300.0..900.0);
        load
    }

    pub(crate) fn now(&self) -> Demand {
        self.now
    }

    /// Moves on by `dt_s`, which is short against the plan.
    pub(crate) fn advance(&mut self, dt_s: f64) -> Demand {
        self.level_for_s -= dt_s;
        if self.level_for_s <= 0.0 {
            self.change_level();
        }
        self.running_for_s -= dt_s;
        if self.running_for_s <= 0.0 {
            self.now.running = !self.now.running || self.plan != LoadPlan::Starts;
            let range = if self.now.running { 300.0..900.0 } else { 60.0..240.0 };
            self.running_for_s = self.rng.random_range(range);
        }
        self.now
    }

    fn change_level(&mut self) {
        let level = self.rng.random_range(0.75..1.10);
        self.now.level = if self.plan == LoadPlan::Steady { 1.0 } else { level };
        self.level_for_s = self.rng.random_range(45.0..240.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demands(plan: LoadPlan) -> Vec<Demand> {
        let mut load = Load::new(plan, 3);
        (0..20_000).map(|_| load.advance(1.0)).collect()
    }

    #[test]
    fn plans_do_what_they_say() {
        assert!(demands(LoadPlan::Steady).iter().all(|d| *d == Demand { running: true, level: 1.0 }));
        let steps = demands(LoadPlan::Steps);
        assert!(steps.iter().all(|d| d.running && (0.75..1.1).contains(&d.level)));
        let changes = steps.windows(2).filter(|pair| pair[0].level != pair[1].level).count();
        assert!((20_000 / 240..=20_000 / 45).contains(&changes), "{changes}");
        let starts = demands(LoadPlan::Starts);
        let stopped = starts.iter().filter(|d| !d.running).count();
        assert!((2_000..8_000).contains(&stopped), "{stopped}");
    }
}
