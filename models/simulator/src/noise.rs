//! Random number streams, autoregressive noise, and the first-order lag of physical quantities.

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use rand_distr::StandardNormal;

/// Returns a separate random number stream for each `purpose`, so that further draws from one stream do not change
/// another.
pub(crate) fn rng_stream(seed: u64, purpose: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_mul(64).wrapping_add(purpose))
}

/// Draws a standard normal number.
pub(crate) fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    rng.sample(StandardNormal)
}

/// First-order autoregressive noise with standard deviation 1, whose correlation decays with the time constant
/// `correlation_s`.
#[derive(Debug, Clone)]
pub(crate) struct Ar1 {
    value: f64,
    correlation_s: f64,
}

impl Ar1 {
    /// Starts in the stationary state.
    pub(crate) fn stationary(correlation_s: f64, rng: &mut Xoshiro256PlusPlus) -> Self {
        Self { value: normal(rng), correlation_s }
    }

    /// Advances by `dt_s` seconds and returns the value.
    pub(crate) fn advance(&mut self, dt_s: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
        let decay = (-dt_s / self.correlation_s).exp();
        self.value = decay * self.value + (1.0 - decay * decay).sqrt() * normal(rng);
        self.value
    }
}

/// Moves `value` towards `target` with a first-order lag: 63 % of the way in `lag_s`. Exact for any `dt_s`.
pub(crate) fn follow(value: &mut f64, target: f64, dt_s: f64, lag_s: f64) {
    *value += (target - *value) * (1.0 - (-dt_s / lag_s).exp());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_unit_variance_and_the_given_correlation() {
        let mut rng = rng_stream(7, 0);
        let mut noise = Ar1::stationary(4.0, &mut rng);
        let values: Vec<f64> = (0..50_000).map(|_| noise.advance(1.0, &mut rng)).collect();
        let count = values.len() as f64;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / count;
        let correlation = values.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / count / variance;
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
        assert!((correlation - (-0.25_f64).exp()).abs() < 0.01, "{correlation}");
    }

    #[test]
    fn a_lag_is_the_same_in_one_step_or_in_many() {
        let (mut one_step, mut many_steps) = (0.0, 0.0);
        follow(&mut one_step, 1.0, 5.0, 5.0);
        (0..50).for_each(|_| follow(&mut many_steps, 1.0, 0.1, 5.0));
        assert!((one_step - 0.632).abs() < 1e-3 && (one_step - many_steps).abs() < 1e-9, "{one_step} {many_steps}");
    }
}
