//! The demand on the pump: whether the pump runs, and a speed of 60 to 100 % of rated speed that follows the day and
//! the week, with noise.

use std::f64::consts::TAU;

use rand::{RngExt, rngs::Xoshiro256PlusPlus};
use volute_plant::Timestamp;

use super::design::Design;
use crate::noise::Ar1;

/// The lowest and the highest demand, as shares of rated speed.
const RANGE: (f64, f64) = (0.60, 1.0);
/// The slow and the fast noise of the demand: standard deviation, as a share of rated speed, and correlation time in
/// seconds.
const SLOW: (f64, f64) = (0.02, 3_600.0);
const FAST: (f64, f64) = (0.012, 300.0);
const HOUR_S: f64 = 3_600.0;

/// When a pump runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunPattern {
    /// It always runs.
    #[default]
    Continuous,
    /// It runs for one to three hours, and then stands for eight to twenty-two hours.
    Standby,
}

/// The demand over time.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    runs: RunPattern,
    late_h: f64,
    weekend_less: f64,
    slow: Ar1,
    fast: Ar1,
    running: bool,
    /// Seconds until a standby pump starts or stops.
    left_s: f64,
    rng: Xoshiro256PlusPlus,
}

impl Demand {
    pub(super) fn new(runs: RunPattern, design: &Design, mut rng: Xoshiro256PlusPlus) -> Self {
        Self {
            runs,
            late_h: design.late_h,
            weekend_less: design.weekend_less,
            slow: Ar1::stationary(SLOW.1, &mut rng),
            fast: Ar1::stationary(FAST.1, &mut rng),
            running: true,
            left_s: 2.0 * HOUR_S,
            rng,
        }
    }

    /// Advances to `at` and returns the demand as a share of rated speed; `None` while the pump is switched off.
    pub(super) fn advance(&mut self, at: Timestamp, dt_s: f64) -> Option<f64> {
        let slow = SLOW.0 * self.slow.advance(dt_s, &mut self.rng);
        let fast = FAST.0 * self.fast.advance(dt_s, &mut self.rng);
        if self.runs == RunPattern::Standby {
            self.left_s -= dt_s;
            if self.left_s <= 0.0 {
                self.running = !self.running;
                let hours = if self.running { 1.0..3.0 } else { 8.0..22.0 };
                self.left_s = HOUR_S * self.rng.random_range(hours);
            }
        }
        self.running.then(|| (self.level(at) + slow + fast).clamp(RANGE.0, RANGE.1))
    }

    /// Returns the demand for this day and hour, without noise: lowest at about 03:30, highest at about noon and 19:00,
    /// and lower at the weekend.
    fn level(&self, at: Timestamp) -> f64 {
        let hours = at.millis() as f64 / 3_600_000.0 - self.late_h;
        // The epoch was a Thursday, so Saturday begins at hour 48 of a week.
        let is_weekend = hours.rem_euclid(168.0) >= 48.0 && hours.rem_euclid(168.0) < 96.0;
        let day = -(TAU * (hours - 3.5) / 24.0).cos();
        let half_day = -(2.0 * TAU * (hours - 3.5) / 24.0).cos();
        0.81 + 0.11 * day + 0.05 * half_day - if is_weekend { self.weekend_less } else { 0.0 }
    }
}
