//! Randomness with a memory, and the lag that everything physical has.

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use rand_distr::StandardNormal;

/// A stream of random numbers of its own for each `purpose`, so that one never shifts another.
pub(crate) fn stream(seed: u64, purpose: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_mul(64).wrapping_add(purpose))
}

/// A standard normal number.
pub(crate) fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    rng.sample(StandardNormal)
}

/// First-order autoregressive noise: standard deviation 1, and a correlation that decays with `memory_s`.
#[derive(Debug, Clone)]
pub(crate) struct Ar1 {
    value: f64,
    memory_s: f64,
}

impl Ar1 {
    /// Noise that has been going on for ever.
    pub(crate) fn settled(memory_s: f64, rng: &mut Xoshiro256PlusPlus) -> Self {
        Self { value: normal(rng), memory_s }
    }

    /// Its value after `dt_s` more seconds.
    pub(crate) fn advance(&mut self, dt_s: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
        let kept = (-dt_s / self.memory_s).exp();
        self.value = kept * self.value + (1.0 - kept * kept).sqrt() * normal(rng);
        self.value
    }
}

/// Moves `value` towards `target` as a first-order lag does: 63 % of the way in `lag_s`. Exact for any `dt_s`.
pub(crate) fn follow(value: &mut f64, target: f64, dt_s: f64, lag_s: f64) {
    *value += (target - *value) * (1.0 - (-dt_s / lag_s).exp());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_unit_variance_and_the_memory_that_was_asked_for() {
        let mut rng = stream(7, 0);
        let mut noise = Ar1::settled(4.0, &mut rng);
        let values: Vec<f64> = (0..50_000).map(|_| noise.advance(1.0, &mut rng)).collect();
        let count = values.len() as f64;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / count;
        let correlation = values.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / count / variance;
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
        assert!((correlation - (-0.25_f64).exp()).abs() < 0.01, "{correlation}");
    }

    #[test]
    fn a_lag_is_the_same_in_one_step_or_in_many() {
        let (mut once, mut often) = (0.0, 0.0);
        follow(&mut once, 1.0, 5.0, 5.0);
        (0..50).for_each(|_| follow(&mut often, 1.0, 0.1, 5.0));
        assert!((once - 0.632).abs() < 1e-3 && (once - often).abs() < 1e-9, "{once} {often}");
    }
}
