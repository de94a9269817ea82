//! The autoencoder as one fused kernel over plain slices, forward and backward.
//!
//! `window → LSTM → last hidden state, repeated → LSTM → linear → window`, without a graph, and without an allocation
//! once the buffers have grown. Deliberately absent: optimisers and losses (`network.rs`, which makes the kernel an
//! operation of candle's graph), and threads (each worker owns a kernel).
//!
//! **Shapes.** Windows, reconstructions and their slopes are `[row][step][channel]`, scaled, in one slice. Weights come
//! as [`crate::weights::Part`] says: kernels `[input][gate * units + unit]`, gates in Keras' order.
//!
//! **Layout.** Units go in groups of `L`, as many as a vector has lanes, the last group filled up with zeros. A group's
//! four gates lie side by side: a kernel is `[group][input][gate][lane]`, a bias `[group][gate][lane]`, a state
//! `[row][group][lane]`. One walk over a group's panel, first along the readings, then along the hidden state, makes the
//! four sums of a group's cells; `R` rows walk together, so that a weight is loaded once for them and `4 R` sums are under way
//! while each waits for its last addition. With AVX-512 `L` is 16 and `R` 4, with AVX2 8 and 2, elsewhere 4 and 2
//! (`simd.rs`). The decoder's input is the same at every step, so what it adds is summed once a window.
//!
//! **Order.** A batch is cut into blocks of [`BLOCK`] rows, whose states stay in the second cache; a group's weights stay in the
//! first while a block passes them. Every sum runs over the inputs in their order, alone or in company, so a window's
//! reconstruction is the same bit for bit in any batch.
//!
//! **Approximations** (`math.rs`). Both curves of a gate are sigmoids, `1 / (1 + 2^(-x log2 e))`, with tanh(x) as
//! `2 sigmoid(2x) - 1`; the factors are multiplied into the packed weights. `2^x` is an exponent and a polynomial of
//! degree 5, fitted for the least relative error (2.5e-7 with roundings). With AVX-512 a reciprocal is the processor's
//! estimate of 14 bits and one step of Newton's method. Both curves are within 3e-7 of the true ones, and the
//! reconstruction within 1e-5 of candle-nn's layers. Sums use fused multiply-add where the machine has it, and so
//! differ in the last bits between kinds of machine, never between runs or batches on one.
//!
//! **Checked** below: against candle-nn's LSTM, forward to 1e-5 and backward to 1e-4, and against central differences in
//! f64, on sizes that fill no vector and no block, for each kind of vector that the machine has.
#![allow(clippy::needless_range_loop, reason = "a number goes through several arrays at once, and all loops unroll")]

mod backward;
mod forward;
mod math;
mod packed;
mod simd;

use std::fmt::Debug;

use crate::weights::{Shape, Weights};
use backward::{Backward, Learning};
use forward::{Forward, Memory, Passed};
use packed::Packed;
#[cfg(target_arch = "x86_64")]
use simd::{Avx2, Avx512};
use simd::{Portable, Simd};

/// Windows that take a step together.
const BLOCK: usize = 32;

/// The kernel with its packed weights and its buffers; one for each worker.
#[derive(Debug)]
pub(crate) struct Kernel(Box<dyn Passes>);

impl Kernel {
    /// Packs the weights for what this machine can do.
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
        let (passed, learning) = (Passed::default(), Learning::default());
        Kernel(Box::new(Engine { simd, shape, packed, passed, learning, out: Vec::new() }))
    }

    /// The sizes it was built for.
    pub(crate) fn shape(&self) -> Shape {
        self.0.shape()
    }

    /// Reconstructs scaled windows, one after the other in a slice. The answer holds until the next call.
    pub(crate) fn reconstruct(&mut self, windows: &[f32]) -> &[f32] {
        self.0.reconstruct(windows)
    }

    /// Takes other weights of the same shape, all arrays one after the other, and reconstructs windows with them; keeps
    /// what [`Kernel::gradient`] needs.
    pub(crate) fn study(&mut self, weights: &[f32], windows: &[f32]) -> &[f32] {
        self.0.study(weights, windows)
    }

    /// The gradient of a loss for each weight, all arrays one after the other, from its gradient for each value that
    /// [`Kernel::study`] has just made of these windows. The answer holds until the next call.
    pub(crate) fn gradient(&mut self, windows: &[f32], slopes: &[f32]) -> &[f32] {
        self.0.gradient(windows, slopes)
    }
}

/// A kernel, whatever its vectors.
trait Passes: Debug + Send {
    fn shape(&self) -> Shape;
    fn reconstruct(&mut self, windows: &[f32]) -> &[f32];
    fn study(&mut self, weights: &[f32], windows: &[f32]) -> &[f32];
    fn gradient(&mut self, windows: &[f32], slopes: &[f32]) -> &[f32];
}

#[derive(Debug)]
struct Engine<S, const L: usize, const R: usize> {
    simd: S,
    shape: Shape,
    packed: Packed<L>,
    passed: Passed<L>,
    learning: Learning<L>,
    out: Vec<f32>,
}

impl<S: Simd<L, R>, const L: usize, const R: usize> Passes for Engine<S, L, R> {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn reconstruct(&mut self, windows: &[f32]) -> &[f32] {
        let Engine { simd, shape, packed, passed, out, .. } = self;
        out.resize(windows.len(), 0.0);
        let block = BLOCK * shape.window_size();
        for (windows, out) in windows.chunks(block).zip(out.chunks_mut(block)) {
            simd.perform(Forward { shape: *shape, packed, passed, memory: Memory::Last, windows, out });
        }
        out
    }

    fn study(&mut self, weights: &[f32], windows: &[f32]) -> &[f32] {
        let Engine { simd, shape, packed, passed, learning, out } = self;
        packed.pack(*shape, weights);
        learning.load(*shape, weights);
        out.resize(windows.len(), 0.0);
        simd.perform(Forward { shape: *shape, packed, passed, memory: Memory::All, windows, out });
        out
    }

    fn gradient(&mut self, windows: &[f32], slopes: &[f32]) -> &[f32] {
        let Engine { simd, shape, passed, learning, .. } = self;
        simd.perform(Backward { shape: *shape, passed, learning, windows, slopes });
        &learning.numbers
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
        fn it_is_what_candle_makes_and_alone_as_in_company(shape in shapes(), count in 1_usize..40, seed: u64) {
            let weights = draw(shape, seed);
            let windows = waves(shape, count, 0.7);
            let theirs = reference::reconstruct(&weights, &windows).expect("windows");
            for mut kernel in kernels(&weights) {
                let ours = kernel.reconstruct(&windows).to_vec();
                prop_assert_eq!(ours.len(), theirs.len());
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    prop_assert!((ours - theirs).abs() < 1e-5, "{} against {}", ours, theirs);
                }
                prop_assert_eq!(kernel.study(weights.numbers(), &windows), &ours);
                for (window, ours) in windows.chunks(shape.window_size()).zip(ours.chunks(shape.window_size())) {
                    prop_assert_eq!(kernel.reconstruct(window), ours);
                }
            }
        }

        #[test]
        fn its_gradients_are_what_candle_makes(shape in shapes(), count in 1_usize..15, seed: u64) {
            let weights = draw(shape, seed);
            let (windows, slopes) = (waves(shape, count, 0.7), waves(shape, count, 0.9));
            let theirs = reference::gradient(&weights, &windows, &slopes).expect("gradients");
            for mut kernel in kernels(&weights) {
                kernel.study(weights.numbers(), &windows);
                let ours = kernel.gradient(&windows, &slopes);
                prop_assert_eq!(ours.len(), theirs.len());
                for (place, (&ours, &theirs)) in ours.iter().zip(&theirs).enumerate() {
                    prop_assert!(close(ours.into(), theirs.into()), "{}: {} against {}", place, ours, theirs);
                }
            }
        }

        /// Against central differences in f64, a few weights of each array.
        #[test]
        fn its_gradients_are_the_slopes_of_the_loss(shape in shapes(), count in 1_usize..4, seed: u64, pick: usize) {
            const STEP: f64 = 1e-5;
            let weights = draw(shape, seed);
            let (windows, slopes) = (waves(shape, count, 0.7), waves(shape, count, 0.9));
            let numbers: Vec<f64> = weights.numbers().iter().map(|number| f64::from(*number)).collect();
            let loss = |place: usize, by: f64| {
                let mut numbers = numbers.clone();
                numbers[place] += by;
                let windows = windows.chunks(shape.window_size()).zip(slopes.chunks(shape.window_size()));
                windows.map(|(window, slopes)| plain::loss(shape, &numbers, window, slopes)).sum::<f64>()
            };
            for mut kernel in kernels(&weights) {
                kernel.study(weights.numbers(), &windows);
                let ours = kernel.gradient(&windows, &slopes).to_vec();
                for range in Part::ALL.map(|part| part.range(shape)) {
                    for place in [range.start, range.start + pick % range.len(), range.end - 1] {
                        let slope = (loss(place, STEP) - loss(place, -STEP)) / (2.0 * STEP);
                        prop_assert!(close(ours[place].into(), slope), "{}: {} and {}", place, ours[place], slope);
                    }
                }
            }
        }
    }

    /// To 1e-4 of the slope, or of 1 where it is smaller.
    fn close(ours: f64, theirs: f64) -> bool {
        (ours - theirs).abs() < 1e-4 * theirs.abs().max(1.0)
    }

    /// The network once more, cell by cell in f64.
    mod plain {
        use super::*;

        /// The sum of the products of the slopes and the window's reconstruction.
        pub(super) fn loss(shape: Shape, numbers: &[f64], window: &[f32], slopes: &[f32]) -> f64 {
            let of = |part: Part| &numbers[part.range(shape)];
            let readings = window.chunks(shape.channels).map(|r| r.iter().map(|v| f64::from(*v)).collect()).collect();
            let encoder = [Part::EncoderInput, Part::EncoderHidden, Part::EncoderBias].map(of);
            let latent = layer(encoder, shape.units, readings).pop().expect("a state");
            let decoder = [Part::DecoderInput, Part::DecoderHidden, Part::DecoderBias].map(of);
            let decoded = layer(decoder, shape.units, vec![latent; shape.len]);
            let mut loss = 0.0;
            for (hidden, slopes) in decoded.iter().zip(slopes.chunks(shape.channels)) {
                for (channel, slope) in slopes.iter().enumerate() {
                    let sum = dot(hidden, of(Part::HeadKernel), shape.channels, channel);
                    loss += f64::from(*slope) * (of(Part::HeadBias)[channel] + sum);
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
    fn far_out_values_stay_finite() {
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
