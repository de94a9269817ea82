//! What makes a live reading less certain than those of commissioning: a speed that was not seen, and a sensor that has
//! become noisy. Together with the leverage (`ridge.rs`), unknown terms (`unknown.rs`), unknown thermal levels and ramps it
//! is added to the variance of the averages, so that a pump is judged less strictly where less is known.
//!
//! **Guard**: powers and bumps do not extrapolate, so they are constant beyond the known speeds. A value may be off there by
//! three times the excess, as the cube of the speed is, which is the steepest law of a pump. Example: a pump that
//! was commissioned at 800 to 1200 rpm runs at 1260 rpm, 5 % of its highest speed beyond. Of these 1 % is free; each channel
//! may be off by 3 · 4 % = 12 % of its mean, and nothing is learned. Back at 1200 rpm, an hour later, the guard falls with a
//! time constant of 600 s, because heat remembers; an average over an hour remembers it for an hour. Flow and load follow the
//! speed: against its direction they may be off by a third of that. So a motor whose speed falls while its current rises is
//! seen at once.
//!
//! **Noise**: example of a flow sensor with a noise of 1 L/min (variance 1) whose noise grows to 3 (variance 9). The
//! excess over 1.3 is 7.7; an average whose readings weigh a = 0.18 gets 1.5 · a/(2 - a) · 7.7 = 1.1 more variance. One
//! step of the level is limited to 6 times the noise so far, and is therefore seen.

use serde::{Deserialize, Serialize};

use super::{
    channels::Group,
    features::{SpeedRange, share},
    tuning::TUNING,
};

/// How far a running pump is, or was recently, outside of its known speeds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    now: f64,
    remembered: f64,
    /// Whether the last speed that was not seen is below the known ones.
    is_below: bool,
}

impl Guard {
    /// Passes a reading. `speed`: of a running pump; `None` if it stands or the speed is missing.
    pub(super) fn advance(&mut self, range: Option<SpeedRange>, speed: Option<f64>, elapsed_s: f64) {
        self.now = match (range, speed) {
            (Some(range), Some(speed)) => TUNING.guard * (range.excess(speed) - TUNING.guard_free).max(0.0),
            _ => 0.0,
        };
        if self.now > 0.0 {
            self.is_below = range.zip(speed).is_some_and(|(range, speed)| speed < range.low);
        }
        self.remembered += share(elapsed_s, TUNING.guard_span_s) * (self.now - self.remembered);
    }

    /// Returns by which share of its mean a channel may be off.
    pub(super) fn level(self) -> f64 {
        self.now.max(self.remembered)
    }

    /// Returns the share of the level that applies to an output whose average is off by `mean`.
    pub(super) fn share(self, group: Group, mean: f64) -> f64 {
        match group {
            Group::Flow | Group::Loaded if (mean < 0.0) != self.is_below => TUNING.guard_against_speed,
            Group::Flow | Group::Loaded | Group::Thermal | Group::Other => 1.0,
        }
    }

    /// Whether the pump runs where it was not seen before, in this reading.
    pub(super) fn is_outside_now(self) -> bool {
        self.now > TUNING.max_guard
    }

    /// Whether the pump runs where it was not seen before, or did recently.
    pub(super) fn is_outside(self) -> bool {
        self.level() > TUNING.max_guard
    }

    pub(super) fn is_valid(self) -> bool {
        self.now.is_finite() && self.remembered.is_finite()
    }
}

/// The noise of one channel: half the mean squared change of its residual between readings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Noise {
    variance: f64,
    last: Option<f64>,
}

impl Noise {
    /// Begins with the noise of commissioning.
    pub(super) fn new(variance: f64) -> Noise {
        Noise { variance, last: None }
    }

    /// Forgets the last residual, as after a gap or a stop.
    pub(super) fn interrupt(&mut self) {
        self.last = None;
    }

    /// Adds the residuals of a reading, NaN if missing.
    pub(super) fn add_all(noises: &mut [Noise], residuals: &[f64], interval_s: f64) {
        let share = share(interval_s, TUNING.noise_span_s.max(TUNING.noise_readings * interval_s));
        for (noise, residual) in noises.iter_mut().zip(residuals) {
            noise.add(*residual, share);
        }
    }

    fn add(&mut self, residual: f64, share: f64) {
        if residual.is_nan() {
            return;
        }
        if let Some(last) = self.last {
            let change = (0.5 * (residual - last).powi(2)).min(TUNING.noise_clip * self.variance);
            self.variance += share * (change - self.variance);
        }
        self.last = Some(residual);
    }

    /// Returns the variance that excess noise adds to an average in which a reading weighs `share`. `usual`: the noise of
    /// commissioning.
    pub(super) fn excess(self, usual: f64, share: f64) -> f64 {
        TUNING.noise_factor * share / (2.0 - share) * (self.variance - TUNING.noise_free * usual).max(0.0)
    }

    pub(super) fn is_valid(self) -> bool {
        self.variance.is_finite() && self.last.is_none_or(f64::is_finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_and_load_may_be_off_in_the_direction_of_the_speed() {
        let range = Some(SpeedRange { low: 800.0, high: 1200.0 });
        let mut guard = Guard::default();
        guard.advance(range, Some(700.0), 1.0);
        let against = TUNING.guard_against_speed;
        for (group, share_of_more, share_of_less) in [
            (Group::Loaded, against, 1.0),
            (Group::Flow, against, 1.0),
            (Group::Thermal, 1.0, 1.0),
            (Group::Other, 1.0, 1.0),
        ] {
            assert_eq!(
                (guard.share(group, 2.0), guard.share(group, -2.0)),
                (share_of_more, share_of_less),
                "{group:?}"
            );
        }
        guard.advance(range, Some(1000.0), 60.0);
        assert_eq!(guard.share(Group::Loaded, 2.0), against, "it is remembered");
        guard.advance(range, Some(1300.0), 60.0);
        assert_eq!((guard.share(Group::Loaded, 2.0), guard.share(Group::Loaded, -2.0)), (1.0, against));
    }

    #[test]
    fn an_unknown_speed_widens_the_judgement_and_is_remembered() {
        let range = Some(SpeedRange { low: 800.0, high: 1200.0 });
        let mut guard = Guard::default();
        guard.advance(range, Some(1210.0), 60.0);
        assert!(!guard.is_outside(), "one percent is free");
        (0..60).for_each(|_| guard.advance(range, Some(1260.0), 60.0));
        assert!((guard.level() - 0.12).abs() < 0.001);
        (0..10).for_each(|_| guard.advance(range, Some(1200.0), 60.0));
        assert!((guard.level() - 0.12 * (-1.0f64).exp()).abs() < 0.001);
        (0..60).for_each(|_| guard.advance(range, None, 60.0));
        assert!(!guard.is_outside());
    }

    #[test]
    fn more_noise_widens_the_judgement_and_a_step_does_not() {
        let mut noise = Noise::new(1.0);
        assert_eq!(noise.excess(1.0, 0.18), 0.0);
        (0..600).for_each(|i| noise.add(if i % 2 == 0 { 3.0 } else { -3.0 }, share(1.0, 60.0)));
        let excess = noise.excess(1.0, 0.18);
        assert!((excess - 1.5 * 0.18 / 1.82 * 16.7).abs() < 0.1, "{excess}");
        let mut noise = Noise::new(1.0);
        (0..600).for_each(|i| noise.add(if i < 300 { 0.0 } else { 100.0 }, share(1.0, 60.0)));
        assert_eq!(noise.excess(1.0, 0.18), 0.0);
    }
}
