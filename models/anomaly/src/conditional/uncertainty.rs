//! Allowances for readings that are less certain than those of commissioning: the *guard* for a speed outside of those of
//! commissioning, and the *noise* of a sensor that has become noisier. Both are added to the variance of the averages of the
//! residuals (value less prediction), so that a pump is tested less strictly where less is known. `level_test.rs` adds them,
//! together with the other uncertainties (of the weights, of the inputs, of fast speed changes).
//!
//! **Guard.** The prediction is not extrapolated: beyond the known speeds it is that of the nearest known speed. So a value may
//! be off. The power of a pump, its steepest law, grows with the cube of the speed: 1 % more speed is 3 % more power. The guard
//! is therefore three times the excess of the speed. Example: a pump that was commissioned at 800 to 1200 rpm runs at 1260 rpm.
//! The excess is 5 % of the highest speed. Of it 1 % is free; for the other 4 % each channel may be off by 3 · 4 % = 12 % of its
//! mean, and nothing is learned. An hour later the pump is back at 1200 rpm. The pump cools slowly, so the guard falls with a
//! time constant of 600 s; an average over an hour needs the guard as long as it contains those readings. Flow and load rise
//! and fall with the speed, so in the other direction they may be off by a third of the guard only: a pump that runs too slow
//! and draws too much current is seen at once.
//!
//! **Noise.** Example: the noise of a flow sensor grows from 1 L/min (variance 1) to 3 L/min (variance 9). Noise of up to 1.3
//! times the usual variance changes nothing; the excess is 9 - 1.3 = 7.7. An average in which a reading has the share a = 0.18
//! gets 1.5 · a/(2 - a) · 7.7 = 1.1 more variance. A sudden jump of the value is not noise: one change counts at most 6 times
//! the noise so far, so the jump is still seen. A gross fault that comes and goes is not noise either: the variance counts up to
//! 20 times the usual one.

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
    /// The guard of the last reading: three times the excess, as a share of a channel's mean.
    now: f64,
    /// Its average over 600 s.
    remembered: f64,
    /// Whether the last speed outside of the known ones was below them.
    is_below: bool,
}

impl Guard {
    /// Takes a reading. `speed`: of a running pump; `None` if it stands or the speed is missing.
    pub(super) fn advance(&mut self, range: Option<SpeedRange>, speed: Option<f64>, elapsed_s: f64) {
        self.now = match (range, speed) {
            (Some(range), Some(speed)) => TUNING.guard * (range.excess(speed) - TUNING.guard_free).max(0.0),
            _ => 0.0,
        };
        if self.now > 0.0 {
            self.is_below = range.zip(speed).is_some_and(|(range, speed)| speed < range.low);
        }
        self.remembered += share(elapsed_s, TUNING.guard_time_constant_s) * (self.now - self.remembered);
    }

    /// Returns the share of its mean by which a channel may be off.
    pub(super) fn level(self) -> f64 {
        self.now.max(self.remembered)
    }

    /// Returns the part of the guard, 1/3 or 1, that applies to an output whose average residual is `mean`.
    pub(super) fn share(self, group: Group, mean: f64) -> f64 {
        match group {
            Group::Flow | Group::Loaded if (mean < 0.0) != self.is_below => TUNING.guard_against_speed,
            Group::Flow | Group::Loaded | Group::Thermal | Group::Other => 1.0,
        }
    }

    /// Whether the speed of this reading is outside of the known ones.
    pub(super) fn is_outside_now(self) -> bool {
        self.now > TUNING.max_guard
    }

    /// Whether the speed is outside of the known ones, or was minutes ago.
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

    /// Adds the residuals of a reading, one per output; NaN if missing.
    pub(super) fn add_all(noises: &mut [Noise], residuals: &[f64], interval_s: f64) {
        let share = share(interval_s, TUNING.noise_time_constant_s.max(TUNING.noise_readings * interval_s));
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

    /// Returns the variance that excess noise adds to an average in which a reading has this share. `usual`: the noise of
    /// commissioning.
    pub(super) fn excess(self, usual: f64, share: f64) -> f64 {
        let variance = self.variance.min(TUNING.noise_most * usual);
        TUNING.noise_factor * share / (2.0 - share) * (variance - TUNING.noise_free * usual).max(0.0)
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
    fn an_unknown_speed_widens_the_test_and_is_remembered() {
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
    fn more_noise_widens_the_test_and_a_step_does_not() {
        let mut noise = Noise::new(1.0);
        assert_eq!(noise.excess(1.0, 0.18), 0.0);
        (0..600).for_each(|i| noise.add(if i % 2 == 0 { 3.0 } else { -3.0 }, share(1.0, 60.0)));
        let excess = noise.excess(1.0, 0.18);
        assert!((excess - 1.5 * 0.18 / 1.82 * 16.7).abs() < 0.1, "{excess}");
        (0..600).for_each(|i| noise.add(if i % 2 == 0 { 90.0 } else { -90.0 }, share(1.0, 60.0)));
        let most = 1.5 * 0.18 / 1.82 * (TUNING.noise_most - 1.3);
        assert!((noise.excess(1.0, 0.18) - most).abs() < 1e-9, "a gross fault that comes and goes is not noise");
        let mut noise = Noise::new(1.0);
        (0..600).for_each(|i| noise.add(if i < 300 { 0.0 } else { 100.0 }, share(1.0, 60.0)));
        assert_eq!(noise.excess(1.0, 0.18), 0.0);
    }
}
