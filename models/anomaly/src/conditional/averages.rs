//! Exponential averages of the residuals over several times (the *scales*), with missing values.
//!
//! A *residual* is an output's value less its prediction, an *output* a channel that is predicted. A *scale* is the time
//! constant of an average, in seconds. A short scale shows a jump at once; a long one shows a small change, because noise
//! averages away. The *weight* of an average says how much of it comes from readings: 0 before the first, near 1 after some
//! time constants without a missing value. A missing value leaves the average as it is, and reduces its weight slowly.
//!
//! An example at one reading per second and the scale 5 s. A reading replaces the share a = 1 - e^(-1/5) = 0.181. The average
//! is the weighted sum divided by the weight, and is tested while the weight is above 0.65:
//!
//! | residual | weighted sum | weight | average | tested |
//! | --- | --- | --- | --- | --- |
//! | 2 | 0.36 | 0.18 | 2 | no, the weight is below 0.65 |
//! | 2, five times more | 1.40 | 0.70 | 2 | yes |
//! | missing | 1.35 | 0.67 | 2 | yes |
//! | missing, twice more | 1.25 | 0.63 | | no |
//!
//! Time without readings counts as missing values.

use serde::{Deserialize, Serialize};

use super::{features::share, packed, tuning::TUNING};

/// The scales of a pump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scales {
    /// The time constants in seconds, ascending. The name is part of the stored form and of the id of a baseline.
    pub spans_s: Vec<f64>,
    /// The usual time between two readings, in seconds.
    pub interval_s: f64,
}

impl Scales {
    /// Returns the scales for readings with this interval, after a commissioning with `learned_s` seconds of running. A scale
    /// is left out if it is shorter than half an interval, or if commissioning was less than 25 times as long.
    pub(super) fn new(interval_s: f64, learned_s: f64) -> Scales {
        let usable = |time_constant_s: &f64| {
            *time_constant_s >= interval_s / 2.0 && TUNING.scale_periods * time_constant_s <= learned_s
        };
        let mut time_constants_s: Vec<f64> = TUNING.scales_s.into_iter().filter(usable).collect();
        if interval_s >= TUNING.scales_s[0] {
            // The shortest average is a single reading.
            time_constants_s.retain(|time_constant_s| *time_constant_s > 1.5 * interval_s);
            time_constants_s.insert(0, interval_s);
        }
        Scales { spans_s: time_constants_s, interval_s }
    }

    /// Returns the share of an average that a reading replaces if it comes one interval after the one before.
    pub(super) fn share(&self, scale: usize) -> f64 {
        self.share_of(scale, self.interval_s)
    }

    fn share_of(&self, scale: usize, elapsed_s: f64) -> f64 {
        let time_constant_s = self.spans_s[scale];
        // A reading after a pause replaces no more than any other: it is one value, not the average of the pause.
        if time_constant_s <= self.interval_s { 1.0 } else { share(elapsed_s.min(self.interval_s), time_constant_s) }
    }
}

/// The averages of one pump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Averages {
    outputs: usize,
    /// By scale, and by output: the weighted sums, and the weights.
    #[serde(with = "packed::f64s")]
    sums: Vec<f64>,
    #[serde(with = "packed::f64s")]
    weights: Vec<f64>,
    /// By scale: the average of the squared speed changes ([`super::features::InputFilter::squared_change`]).
    #[serde(with = "packed::f64s")]
    ramps: Vec<f64>,
    /// By scale: the average of the squared guards. The guard is the allowance for a speed outside of those of commissioning
    /// (`uncertainty.rs`): the share of its mean by which a channel may be off. An average needs the allowance as long as it
    /// contains readings at such speeds.
    #[serde(with = "packed::f64s")]
    guards: Vec<f64>,
    #[serde(with = "packed::f64s")]
    guard_weights: Vec<f64>,
}

impl Averages {
    /// Creates empty averages.
    pub(super) fn new(scales: usize, outputs: usize) -> Averages {
        let zeros = |count: usize| vec![0.0; count];
        let (sums, weights) = (zeros(scales * outputs), zeros(scales * outputs));
        let (ramps, guards, guard_weights) = (zeros(scales), zeros(scales), zeros(scales));
        Averages { outputs, sums, weights, ramps, guards, guard_weights }
    }

    /// Forgets the residuals and the guards, as after a gap or a stop. The speed changes are kept.
    pub(super) fn clear(&mut self) {
        for numbers in [&mut self.sums, &mut self.weights, &mut self.guards, &mut self.guard_weights] {
            numbers.fill(0.0);
        }
    }

    /// Adds a reading's squared speed change to the averages, also while the pump stands.
    pub(super) fn update_ramp(&mut self, scales: &Scales, squared_change: f64, elapsed_s: f64) {
        for (scale, ramp) in self.ramps.iter_mut().enumerate() {
            *ramp += scales.share_of(scale, elapsed_s) * (squared_change - *ramp);
        }
    }

    /// Adds the residuals of a reading, NaN where missing. `guard`: the share of its mean by which a channel may be off.
    /// `elapsed_s`: the seconds since the reading before.
    pub(super) fn add(&mut self, scales: &Scales, residuals: &[f64], guard: f64, elapsed_s: f64) {
        let silence_s = elapsed_s - scales.interval_s;
        for (scale, time_constant_s) in scales.spans_s.iter().enumerate() {
            let share = scales.share_of(scale, elapsed_s);
            let silent =
                if silence_s > 0.0 { (-TUNING.missing_decay * silence_s / time_constant_s).exp() } else { 1.0 };
            let cells = scale * self.outputs..(scale + 1) * self.outputs;
            let (sums, weights) = (&mut self.sums[cells.clone()], &mut self.weights[cells]);
            for ((sum, weight), residual) in sums.iter_mut().zip(weights).zip(residuals) {
                if residual.is_nan() {
                    let kept = silent * (1.0 - TUNING.missing_decay * share);
                    (*sum, *weight) = (*sum * kept, *weight * kept);
                } else {
                    *sum = silent * *sum + share * (residual - silent * *sum);
                    *weight = silent * *weight + share * (1.0 - silent * *weight);
                }
            }
            self.guards[scale] += share * (guard * guard - self.guards[scale]);
            self.guard_weights[scale] += share * (1.0 - self.guard_weights[scale]);
        }
    }

    /// Returns an output's average at a scale, or `None` while its weight is too small to test it.
    pub(super) fn mean(&self, scale: usize, output: usize) -> Option<f64> {
        let cell = scale * self.outputs + output;
        let weight = self.weights[cell];
        (weight > TUNING.min_weight).then(|| self.sums[cell] / weight)
    }

    /// Returns the average of the squared guards at a scale.
    pub(super) fn squared_guard(&self, scale: usize) -> f64 {
        if self.guard_weights[scale] > 0.0 { self.guards[scale] / self.guard_weights[scale] } else { 0.0 }
    }

    /// Returns the average of the squared speed changes at a scale.
    pub(super) fn ramp(&self, scale: usize) -> f64 {
        self.ramps[scale].clamp(0.0, TUNING.max_squared_change)
    }

    /// Whether there are averages for these numbers of scales and outputs, and all their numbers are finite.
    pub(super) fn is_valid(&self, scales: usize, outputs: usize) -> bool {
        let cells = scales * outputs;
        let by_scale = self.ramps.iter().chain(&self.guards).chain(&self.guard_weights);
        let numbers = self.sums.iter().chain(&self.weights).chain(by_scale);
        self.outputs == outputs
            && [self.sums.len(), self.weights.len()] == [cells; 2]
            && [self.ramps.len(), self.guards.len(), self.guard_weights.len()] == [scales; 3]
            && numbers.copied().all(f64::is_finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_constants(interval_s: f64, learned_s: f64) -> Vec<f64> {
        Scales::new(interval_s, learned_s).spans_s
    }

    #[test]
    fn the_scales_follow_from_the_interval_and_the_time_learned() {
        const DAY: f64 = 86_400.0;
        assert_eq!(time_constants(1.0, DAY), [5.0, 15.0, 60.0, 300.0, 900.0], "an hour 25 times is more than a day");
        assert_eq!(time_constants(1.0, 400.0), [5.0, 15.0]);
        assert_eq!(time_constants(60.0, DAY), [60.0, 300.0, 900.0]);
        assert_eq!(time_constants(5.0, DAY), [5.0, 15.0, 60.0, 300.0, 900.0]);
        assert_eq!(time_constants(3_600.0, 30.0 * DAY), [3_600.0]);
        assert_eq!(time_constants(1.0, 100.0), Vec::<f64>::new());
    }

    #[test]
    fn the_example_of_the_module() {
        let scales = Scales { spans_s: vec![5.0], interval_s: 1.0 };
        let mut averages = Averages::new(1, 1);
        averages.add(&scales, &[2.0], 0.0, 1.0);
        assert_eq!(averages.mean(0, 0), None);
        (0..5).for_each(|_| averages.add(&scales, &[2.0], 0.0, 1.0));
        let mean = averages.mean(0, 0).expect("tested");
        assert!((mean - 2.0).abs() < 1e-12);
        averages.add(&scales, &[f64::NAN], 0.0, 1.0);
        assert!((averages.mean(0, 0).expect("tested") - 2.0).abs() < 1e-12, "a missing value keeps the average");
        (0..2).for_each(|_| averages.add(&scales, &[f64::NAN], 0.0, 1.0));
        assert_eq!(averages.mean(0, 0), None);
    }

    #[test]
    fn an_average_remembers_the_guard_of_its_readings() {
        let scales = Scales { spans_s: vec![5.0, 50.0], interval_s: 1.0 };
        let mut averages = Averages::new(2, 1);
        (0..50).for_each(|_| averages.add(&scales, &[1.0], 0.5, 1.0));
        (0..20).for_each(|_| averages.add(&scales, &[1.0], 0.0, 1.0));
        assert!(averages.squared_guard(0) < 0.01 && averages.squared_guard(1) > 0.1);
        averages.clear();
        assert_eq!(averages.squared_guard(1), 0.0);
    }

    #[test]
    fn silence_counts_as_missing_values() {
        let scales = Scales { spans_s: vec![5.0], interval_s: 1.0 };
        let mut averages = Averages::new(1, 1);
        (0..60).for_each(|_| averages.add(&scales, &[1.0], 0.0, 1.0));
        averages.add(&scales, &[7.0], 0.0, 300.0);
        assert_eq!(averages.mean(0, 0), None, "one reading after five minutes is not enough");
    }
}
