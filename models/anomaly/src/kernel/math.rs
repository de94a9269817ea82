//! The arithmetic of cells and gradients: sums of products, and the two activation functions of a gate.
//!
//! Does not know the memory layout (`packed.rs`) or what the numbers mean.

use std::f32::consts::LOG2_E;

use super::simd::Simd;

/// [`gate`] takes a gate's sum times this: the sigmoid's exponent in powers of two, `1 / (1 + 2^(-x log2 e))`.
pub(super) const GATE: f32 = -LOG2_E;
/// [`candidate`] takes a candidate's sum times this: tanh(x) is 2 sigmoid(2x) - 1.
pub(super) const CANDIDATE: f32 = -2.0 * LOG2_E;

/// Returns sigmoid(x) for `x * GATE`.
#[inline(always)]
pub(super) fn gate<S: Simd<L, R>, const L: usize, const R: usize>(simd: S, scaled: S::V) -> S::V {
    simd.recip(simd.add(simd.splat(1.0), exp2(simd, scaled)))
}

/// Returns tanh(x) for `x * CANDIDATE`.
#[inline(always)]
pub(super) fn candidate<S: Simd<L, R>, const L: usize, const R: usize>(simd: S, scaled: S::V) -> S::V {
    simd.mul_add(simd.splat(2.0), gate(simd, scaled), simd.splat(-1.0))
}

/// Returns 2 to the power of x, limited to -30 to 30: beyond that a gate is fully open or closed in f32.
///
/// x is rounded to a whole number, which becomes the exponent of the result. 2 to the power of the rest r, from -0.5 to 0.5,
/// is a polynomial of degree 5, `1 + r p(r)`. Its coefficients are those with the smallest largest relative error, 9.2e-8
/// (Chebyshev's criterion, by a linear programme over 4,001 points). With rounding in f32 the error stays below 2.5e-7.
#[allow(clippy::approx_constant, reason = "the fitted factor is not ln 2, only near it")]
#[inline(always)]
fn exp2<S: Simd<L, R>, const L: usize, const R: usize>(simd: S, x: S::V) -> S::V {
    let x = simd.clamp(x, 30.0);
    let whole = simd.round(x);
    let fraction = simd.sub(x, whole);
    let mut p = simd.splat(1.326_472_7e-3);
    p = simd.mul_add(p, fraction, simd.splat(9.671_513e-3));
    p = simd.mul_add(p, fraction, simd.splat(5.550_733_6e-2));
    p = simd.mul_add(p, fraction, simd.splat(2.402_224_2e-1));
    p = simd.mul_add(p, fraction, simd.splat(6.931_47e-1));
    p = simd.mul_add(p, fraction, simd.splat(1.0));
    simd.scale(p, whole)
}

/// Adds to the sums of `N` rows: each row's values times a panel `[value][vector][lane]`.
#[inline(always)]
pub(super) fn add<S: Simd<L, R>, const L: usize, const R: usize, const N: usize, const G: usize>(
    simd: S,
    sums: &mut [[S::V; G]; N],
    panel: &[[[f32; L]; G]],
    rows: [&[f32]; N],
) {
    let mut accumulated = *sums;
    let rows = rows.map(|row| &row[..panel.len()]);
    for (k, weights) in panel.iter().enumerate() {
        let mut loaded = [simd.splat(0.0); G];
        for g in 0..G {
            loaded[g] = simd.load(&weights[g]);
        }
        for n in 0..N {
            let value = simd.splat(rows[n][k]);
            for g in 0..G {
                accumulated[n][g] = simd.mul_add(value, loaded[g], accumulated[n][g]);
            }
        }
    }
    *sums = accumulated;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::simd::{Portable, Work},
        *,
    };
    #[cfg(target_arch = "x86_64")]
    use crate::kernel::simd::{Avx2, Avx512};

    /// sigmoid(x) and tanh(x) as a kernel computes them.
    struct Activations(f32);

    impl<const L: usize, const R: usize> Work<L, R> for Activations {
        type Output = [f32; 2];

        #[inline(always)]
        fn run<S: Simd<L, R>>(self, simd: S) -> [f32; 2] {
            let mut lanes = [[0.0; L]; 2];
            simd.store(gate(simd, simd.splat(self.0 * GATE)), &mut lanes[0]);
            simd.store(candidate(simd, simd.splat(self.0 * CANDIDATE)), &mut lanes[1]);
            [lanes[0][0], lanes[1][L - 1]]
        }
    }

    fn activations(x: f32) -> Vec<[f32; 2]> {
        let mut activations = vec![Portable.dispatch(Activations(x))];
        #[cfg(target_arch = "x86_64")]
        {
            activations.extend(Avx2::detect().map(|simd| simd.dispatch(Activations(x))));
            activations.extend(Avx512::detect().map(|simd| simd.dispatch(Activations(x))));
        }
        activations
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn activations_are_close_to_exact(x in -40.0_f32..40.0) {
            let exact = f64::from(x);
            for [sigmoid, tanh] in activations(x) {
                prop_assert!((f64::from(sigmoid) - 1.0 / (1.0 + (-exact).exp())).abs() < 3e-7, "{x}: {sigmoid}");
                prop_assert!((f64::from(tanh) - exact.tanh()).abs() < 3e-7, "{x}: {tanh}");
            }
        }
    }

    #[test]
    fn activations_at_infinity_and_nan() {
        for [sigmoid, tanh] in activations(f32::INFINITY) {
            assert_eq!((sigmoid, tanh), (1.0, 1.0));
        }
        for [sigmoid, tanh] in activations(f32::NEG_INFINITY) {
            assert!(sigmoid < 1e-9 && tanh == -1.0, "{sigmoid} {tanh}");
        }
        for [sigmoid, tanh] in activations(f32::NAN) {
            assert!(sigmoid.is_nan() && tanh.is_nan());
        }
    }
}
