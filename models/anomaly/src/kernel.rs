//! The autoencoder as one fused kernel over plain slices, forward and backward.
//!
//! `window → LSTM → last hidden state, repeated → LSTM → linear → window`, without a graph of operations, and without
//! allocation once the buffers have grown. The first LSTM is the *encoder*, the second the *decoder*, the linear layer the
//! *head*. Does not have optimisers and losses (`network.rs`, which makes the kernel an operation of candle's graph) or
//! threads (each worker has its own kernel).
//!
//! **Shapes.** Windows, reconstructions and their gradients are `[row][step][channel]`, scaled, in one slice; a row is
//! one window. Weights are in the layout of [`crate::weights::Part`]: kernels `[input][gate * units + unit]`, gates in
//! the order of Keras.
//!
//! **Layout.** A unit is one LSTM cell with its four gates (input, forget, candidate, output). Units are in groups of `L`, the
//! number of lanes (numbers) of a SIMD vector; the last group is padded with zeros. A group's four gates are adjacent: a
//! kernel is `[group][input][gate][lane]`, a bias `[group][gate][lane]`, a state `[row][group][lane]`. The weights of one
//! group are its *panel*. One pass over the panel, first for the readings, then for the hidden state, computes the four sums
//! of the group's cells. `R` rows are computed together, so that a weight is loaded once for all of them, and `4 R`
//! independent sums hide the latency of an addition. With AVX-512 `L` is 16 and `R` 4, with AVX2 8 and 2, otherwise
//! 4 and 2 (`simd.rs`). The decoder's input is the same at every step, so its contribution is computed once per window.
//!
//! **Order.** A batch is split into blocks of [`BLOCK`] rows, whose states stay in the L2 cache. A group's weights stay
//! in the L1 cache while it is computed for a block. Every sum adds the inputs in their order, whatever the batch, so a
//! window's reconstruction is the same, bit for bit, in any batch.
//!
//! **Approximations** (`math.rs`). Both activation functions of a gate are sigmoids, `1 / (1 + 2^(-x log2 e))`, with
//! tanh(x) as `2 sigmoid(2x) - 1`; the factors are multiplied into the packed weights. `2^x` is an exponent and a
//! polynomial of degree 5, fitted for the smallest relative error (2.5e-7 with rounding). With AVX-512 a reciprocal is
//! the processor's 14-bit estimate and one step of Newton's method. Both functions are within 3e-7 of the exact ones, and
//! the reconstruction within 1e-5 of candle-nn's layers. Sums use fused multiply-add if the machine has it. So the last
//! bits differ between kinds of machine, but never between runs or batches on one machine.
//!
//! **Tests** compare it with candle-nn's LSTM (forward within 1e-5, backward within 1e-4) and with central differences in f64,
//! at sizes that are no multiple of a vector or a block, for each kind of vector that the machine has.
#![allow(clippy::needless_range_loop, reason = "one index is used for several arrays, and all loops unroll")]

mod backward;
mod forward;
mod math;
mod packed;
mod simd;

use std::fmt::Debug;

use crate::weights::{Shape, Weights};
use backward::{Backward, BackwardState};
use forward::{Forward, ForwardState, Retention};
use packed::Packed;
#[cfg(target_arch = "x86_64")]
use simd::{Avx2, Avx512};
use simd::{Portable, Simd};

/// Number of windows in a block: all windows of a block are computed before the next step.
const BLOCK: usize = 32;

/// The kernel with its packed weights and its buffers; one per worker.
#[derive(Debug)]
pub(crate) struct Kernel(Box<dyn KernelOps>);

impl Kernel {
    /// Packs the weights for the best vectors of this machine.
    pub(crate) fn new(weights: &Weights) -> Kernel {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(simd) = Avx512::detect() {
                return Kernel::with(simd, weights);
            }
            if let Some(simd) = Avx2::detect() {
                return Kernel::with(simd, weights);
            }
        }
        Kernel::with(Portable, weights)
    }

    fn with<S: Simd<L, R>, const L: usize, const R: usize>(simd: S, weights: &Weights) -> Kernel {
        let shape = weights.shape();
        let mut packed = Packed::default();
        packed.pack(shape, weights.numbers());
        let (forward_state, backward_state) = (ForwardState::default(), BackwardState::default());
        Kernel(Box::new(KernelImpl { simd, shape, packed, forward_state, backward_state, out: Vec::new() }))
    }

    /// Returns the network's shape.
    pub(crate) fn shape(&self) -> Shape {
        self.0.shape()
    }

    /// Reconstructs scaled windows, one after the other in a slice. The result is valid until the next call.
    pub(crate) fn reconstruct(&mut self, windows: &[f32]) -> &[f32] {
        self.0.reconstruct(windows)
    }

    /// Reconstructs windows with other weights of the same shape, all arrays concatenated, and stores what
    /// [`Kernel::gradient`] needs.
    pub(crate) fn forward_train(&mut self, weights: &[f32], windows: &[f32]) -> &[f32] {
        self.0.forward_train(weights, windows)
    }

    /// Returns the gradient of a loss for each weight, all arrays concatenated. `upstream_grad` is the loss's gradient for
    /// each value that [`Kernel::forward_train`] has just computed for these windows. The result is valid until the next
    /// call.
    pub(crate) fn gradient(&mut self, windows: &[f32], upstream_grad: &[f32]) -> &[f32] {
        self.0.gradient(windows, upstream_grad)
    }
}

/// A kernel for any kind of vector.
trait KernelOps: Debug + Send {
    fn shape(&self) -> Shape;
    fn reconstruct(&mut self, windows: &[f32]) -> &[f32];
    fn forward_train(&mut self, weights: &[f32], windows: &[f32]) -> &[f32];
    fn gradient(&mut self, windows: &[f32], upstream_grad: &[f32]) -> &[f32];
}

#[derive(Debug)]
struct KernelImpl<S, const L: usize, const R: usize> {
    simd: S,
    shape: Shape,
    packed: Packed<L>,
    forward_state: ForwardState<L>,
    backward_state: BackwardState<L>,
    out: Vec<f32>,
}

impl<S: Simd<L, R>, const L: usize, const R: usize> KernelOps for KernelImpl<S, L, R> {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn reconstruct(&mut self, windows: &[f32]) -> &[f32] {
        let KernelImpl { simd, shape, packed, forward_state, out, .. } = self;
        out.resize(windows.len(), 0.0);
        let block = BLOCK * shape.window_size();
        for (windows, out) in windows.chunks(block).zip(out.chunks_mut(block)) {
            simd.dispatch(Forward {
                shape: *shape,
                packed,
                state: forward_state,
                retention: Retention::Last,
                windows,
                out,
            });
        }
        out
    }

    fn forward_train(&mut self, weights: &[f32], windows: &[f32]) -> &[f32] {
        let KernelImpl { simd, shape, packed, forward_state, backward_state, out } = self;
        packed.pack(*shape, weights);
        backward_state.load(*shape, weights);
        out.resize(windows.len(), 0.0);
        simd.dispatch(Forward { shape: *shape, packed, state: forward_state, retention: Retention::All, windows, out });
        out
    }

    fn gradient(&mut self, windows: &[f32], upstream_grad: &[f32]) -> &[f32] {
        let KernelImpl { simd, shape, forward_state, backward_state, .. } = self;
        simd.dispatch(Backward {
            shape: *shape,
            state: forward_state,
            buffers: backward_state,
            windows,
            upstream_grad,
        });
        &backward_state.numbers
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;
    use crate::{network::reference, weights::Part};

    /// Every kind of kernel that this machine can run.
    fn kernels(weights: &Weights) -> Vec<Kernel> {
        let mut kernels = vec![Kernel::with(Portable, weights)];
        #[cfg(target_arch = "x86_64")]
        {
            kernels.extend(Avx2::detect().map(|simd| Kernel::with(simd, weights)));
            kernels.extend(Avx512::detect().map(|simd| Kernel::with(simd, weights)));
        }
        kernels
    }

    fn draw(shape: Shape, seed: u64) -> Weights {
        Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    fn waves(shape: Shape, count: usize, pace: f32) -> Vec<f32> {
        (0..count * shape.window_size()).map(|i| (i as f32 * pace).sin()).collect()
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let sizes = (1_usize..20, 1_usize..12, 1_usize..70);
        sizes.prop_map(|(channels, len, units)| Shape { channels, len, units })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn reconstructions_match_candle_in_any_batch(shape in shapes(), count in 1_usize..40, seed: u64) {
            let weights = draw(shape, seed);
            let windows = waves(shape, count, 0.7);
            let theirs = reference::reconstruct(&weights, &windows).expect("windows");
            for mut kernel in kernels(&weights) {
                let ours = kernel.reconstruct(&windows).to_vec();
                prop_assert_eq!(ours.len(), theirs.len());
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    prop_assert!((ours - theirs).abs() < 1e-5, "{} against {}", ours, theirs);
                }
                prop_assert_eq!(kernel.forward_train(weights.numbers(), &windows), &ours);
                for (window, ours) in windows.chunks(shape.window_size()).zip(ours.chunks(shape.window_size())) {
                    prop_assert_eq!(kernel.reconstruct(window), ours);
                }
            }
        }

        #[test]
        fn gradients_match_candle(shape in shapes(), count in 1_usize..15, seed: u64) {
            let weights = draw(shape, seed);
            let (windows, upstream_grad) = (waves(shape, count, 0.7), waves(shape, count, 0.9));
            let theirs = reference::gradient(&weights, &windows, &upstream_grad).expect("gradients");
            for mut kernel in kernels(&weights) {
                kernel.forward_train(weights.numbers(), &windows);
                let ours = kernel.gradient(&windows, &upstream_grad);
                prop_assert_eq!(ours.len(), theirs.len());
                for (index, (&ours, &theirs)) in ours.iter().zip(&theirs).enumerate() {
                    prop_assert!(close(ours.into(), theirs.into()), "{}: {} against {}", index, ours, theirs);
                }
            }
        }

        /// Against central differences in f64, a few weights of each array.
        #[test]
        fn gradients_match_central_differences(shape in shapes(), count in 1_usize..4, seed: u64, pick: usize) {
            const STEP: f64 = 1e-5;
            let weights = draw(shape, seed);
            let (windows, upstream_grad) = (waves(shape, count, 0.7), waves(shape, count, 0.9));
            let numbers: Vec<f64> = weights.numbers().iter().map(|number| f64::from(*number)).collect();
            let loss = |index: usize, by: f64| {
                let mut numbers = numbers.clone();
                numbers[index] += by;
                let windows = windows.chunks(shape.window_size()).zip(upstream_grad.chunks(shape.window_size()));
                windows.map(|(window, upstream_grad)| f64_reference::loss(shape, &numbers, window, upstream_grad)).sum::<f64>()
            };
            for mut kernel in kernels(&weights) {
                kernel.forward_train(weights.numbers(), &windows);
                let ours = kernel.gradient(&windows, &upstream_grad).to_vec();
                for range in Part::ALL.map(|part| part.range(shape)) {
                    for index in [range.start, range.start + pick % range.len(), range.end - 1] {
                        let slope = (loss(index, STEP) - loss(index, -STEP)) / (2.0 * STEP);
                        prop_assert!(close(ours[index].into(), slope), "{}: {} and {}", index, ours[index], slope);
                    }
                }
            }
        }
    }

    /// Equal to 1e-4, relative for values above 1.
    fn close(ours: f64, theirs: f64) -> bool {
        (ours - theirs).abs() < 1e-4 * theirs.abs().max(1.0)
    }

    /// The same network, cell by cell in f64.
    mod f64_reference {
        use super::*;

        /// The sum of the products of `upstream_grad` and the window's reconstruction.
        pub(super) fn loss(shape: Shape, numbers: &[f64], window: &[f32], upstream_grad: &[f32]) -> f64 {
            let array = |part: Part| &numbers[part.range(shape)];
            let readings = window.chunks(shape.channels).map(|r| r.iter().map(|v| f64::from(*v)).collect()).collect();
            let encoder = [Part::EncoderInput, Part::EncoderHidden, Part::EncoderBias].map(array);
            let latent = layer(encoder, shape.units, readings).pop().expect("a state");
            let decoder = [Part::DecoderInput, Part::DecoderHidden, Part::DecoderBias].map(array);
            let decoded = layer(decoder, shape.units, vec![latent; shape.len]);
            let mut loss = 0.0;
            for (hidden, upstream_grad) in decoded.iter().zip(upstream_grad.chunks(shape.channels)) {
                for (channel, slope) in upstream_grad.iter().enumerate() {
                    let sum = dot(hidden, array(Part::HeadKernel), shape.channels, channel);
                    loss += f64::from(*slope) * (array(Part::HeadBias)[channel] + sum);
                }
            }
            loss
        }

        fn layer([input, hidden, bias]: [&[f64]; 3], units: usize, inputs: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
            let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
            let (mut cells, mut states) = (vec![0.0; units], vec![vec![0.0; units]]);
            for values in inputs {
                let before = &states[states.len() - 1];
                let sum = |gate: usize, unit: usize| {
                    let column = gate * units + unit;
                    bias[column] + dot(&values, input, 4 * units, column) + dot(before, hidden, 4 * units, column)
                };
                let mut after = Vec::new();
                for unit in 0..units {
                    cells[unit] = sigmoid(sum(1, unit)) * cells[unit] + sigmoid(sum(0, unit)) * sum(2, unit).tanh();
                    after.push(sigmoid(sum(3, unit)) * cells[unit].tanh());
                }
                states.push(after);
            }
            states.split_off(1)
        }

        fn dot(row: &[f64], kernel: &[f64], columns: usize, column: usize) -> f64 {
            row.iter().zip(kernel.chunks(columns)).map(|(value, row)| value * row[column]).sum()
        }
    }

    #[test]
    fn extreme_values_stay_finite() {
        let weights = draw(Shape { channels: 3, len: 5, units: 9 }, 1);
        for far in [1e30, f32::MAX] {
            let windows: Vec<f32> = waves(weights.shape(), 7, 0.7).iter().map(|value| value * far).collect();
            for mut kernel in kernels(&weights) {
                assert!(kernel.reconstruct(&windows).iter().all(|value| value.is_finite()), "{far}");
                assert!(kernel.reconstruct(&[]).is_empty());
            }
        }
    }
}
