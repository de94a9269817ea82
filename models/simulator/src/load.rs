//! The demand on the pump over time: whether it runs, and at which share of its duty flow (the flow that the pump was
//! chosen for).

use rand::{RngExt, rngs::Xoshiro256PlusPlus};

use crate::noise::rng_stream;

/// How the demand changes over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadPlan {
    /// Always the pump's duty flow.
    Steady,
    /// A new level, 75 to 110 % of the duty flow, every 45 s to 4 minutes.
    Steps,
    /// Like `Steps`, with a stop of 1 to 4 minutes after every 5 to 15 minutes of running.
    Starts,
}

/// The demand at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Demand {
    pub(crate) running: bool,
    /// Share of the pump's duty flow.
    pub(crate) level: f64,
}

/// Runs a load plan.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    plan: LoadPlan,
    rng: Xoshiro256PlusPlus,
    demand: Demand,
    /// Seconds until the level changes.
    level_left_s: f64,
    /// Seconds until the pump stops or starts.
    phase_left_s: f64,
}

impl Load {
    pub(crate) fn new(plan: LoadPlan, seed: u64) -> Self {
        let demand = Demand { running: true, level: 1.0 };
        let mut load = Self { plan, rng: rng_stream(seed, 1), demand, level_left_s: 0.0, phase_left_s: 0.0 };
        load.change_level();
        load.phase_left_s = load.rng.random_range(300.0..900.0);
        load
    }

    pub(crate) fn demand(&self) -> Demand {
        self.demand
    }

    /// Advances by `dt_s`, which must be short compared to the times of the plan.
    pub(crate) fn advance(&mut self, dt_s: f64) -> Demand {
        self.level_left_s -= dt_s;
        if self.level_left_s <= 0.0 {
            self.change_level();
        }
        self.phase_left_s -= dt_s;
        if self.phase_left_s <= 0.0 {
            self.demand.running = !self.demand.running || self.plan != LoadPlan::Starts;
            let range = if self.demand.running { 300.0..900.0 } else { 60.0..240.0 };
            self.phase_left_s = self.rng.random_range(range);
        }
        self.demand
    }

    fn change_level(&mut self) {
        let level = self.rng.random_range(0.75..1.10);
        self.demand.level = if self.plan == LoadPlan::Steady { 1.0 } else { level };
        self.level_left_s = self.rng.random_range(45.0..240.0);
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
    fn each_plan_has_its_levels_and_stops() {
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
