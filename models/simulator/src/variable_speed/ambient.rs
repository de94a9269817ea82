//! The temperatures around the pump. The ambient temperature has a daily swing and weather, and as options a season and
//! one hot day. The liquid's temperature follows a part of its changes, slowly.

use std::f64::consts::TAU;

use rand::rngs::Xoshiro256PlusPlus;
use volute_plant::Timestamp;

use super::design::Design;
use crate::noise::{Ar1, follow};

/// The warmest hour of the day.
const WARMEST_HOUR: f64 = 15.0;
/// Standard deviation of the weather, in K, and its correlation time in seconds.
const WEATHER: (f64, f64) = (1.2, 43_200.0);
/// The season's drift is given as the change over this many days. It continues at the same rate.
const SEASON_DAYS: f64 = 28.0;
/// The additional heat of a hot day comes and goes with this lag, in seconds.
const HOT_LAG_S: f64 = 1_800.0;
/// The share of a change of the ambient temperature that the liquid follows, and its lag in seconds.
const PROCESS_SHARE: f64 = 0.6;
const PROCESS_LAG_S: f64 = 43_200.0;
const DAY_S: f64 = 86_400.0;

/// Changes of the ambient temperature in addition to its daily swing and the weather.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AmbientPlan {
    /// How much warmer it gets within 28 days, K.
    pub season_k: f64,
    /// A hot day: its number, from 0, and by how much it is hotter, K.
    pub hot_day: Option<(u32, f64)>,
}

/// The ambient temperature over time.
#[derive(Debug, Clone)]
pub(super) struct Ambient {
    plan: AmbientPlan,
    mean_c: f64,
    daily_swing_k: f64,
    process_mean_c: f64,
    weather: Ar1,
    hot_k: f64,
    celsius: f64,
    /// The ambient temperature's difference from its mean, with the liquid's lag, K.
    slow_k: f64,
    rng: Xoshiro256PlusPlus,
}

impl Ambient {
    pub(super) fn new(plan: AmbientPlan, design: &Design, mut rng: Xoshiro256PlusPlus) -> Self {
        Self {
            plan,
            mean_c: design.ambient_c,
            daily_swing_k: design.daily_swing_k,
            process_mean_c: design.process_c,
            weather: Ar1::stationary(WEATHER.1, &mut rng),
            hot_k: 0.0,
            celsius: design.ambient_c,
            slow_k: 0.0,
            rng,
        }
    }

    pub(super) fn celsius(&self) -> f64 {
        self.celsius
    }

    /// Returns the temperature of the liquid at the inlet.
    pub(super) fn process_c(&self) -> f64 {
        self.process_mean_c + PROCESS_SHARE * self.slow_k
    }

    /// Advances to `at`, which is `elapsed_s` after the first reading, and returns the temperature.
    pub(super) fn advance(&mut self, at: Timestamp, elapsed_s: f64, dt_s: f64) -> f64 {
        let day = (elapsed_s / DAY_S).floor();
        let hot =
            self.plan.hot_day.filter(|(number, _)| f64::from(*number) == day).map_or(0.0, |(_, hotter_k)| hotter_k);
        follow(&mut self.hot_k, hot, dt_s, HOT_LAG_S);
        let hour = at.millis().rem_euclid(86_400_000) as f64 / 3_600_000.0;
        let swing = self.daily_swing_k * (TAU * (hour - WARMEST_HOUR) / 24.0).cos();
        let season = self.plan.season_k * elapsed_s.max(0.0) / (SEASON_DAYS * DAY_S);
        let weather = WEATHER.0 * self.weather.advance(dt_s, &mut self.rng);
        self.celsius = self.mean_c + swing + weather + season + self.hot_k;
        follow(&mut self.slow_k, self.celsius - self.mean_c, dt_s, PROCESS_LAG_S);
        self.celsius
    }
}
