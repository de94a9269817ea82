//! The autoencoder's forward pass as one fused kernel over plain slices.
//!
//! `window → LSTM → last hidden state, repeated → LSTM → linear → window`, without a graph and without an
//! allocation once the buffers have grown. Deliberately absent: gradients (`network.rs` learns on candle), and threads
//! (each worker owns a kernel).
//!
//! **Layout.** Units go in groups of as many as a vector has lanes, the last group filled up with zeros. A
//! group's four gates lie side by side, so that one pass over a row of inputs makes all that the group's cells need:
//! a kernel is `[group][input][gate][lane]`, a bias `[group][gate][lane]`, a state `[row][unit]`. A padded unit has
//! zero weights, and so a hidden state of zero.
//!
//! **Order.** A group's weights (8 or 16 KiB at 64 units) stay in the first cache while all windows of a batch pass them. Every
//! sum runs over the inputs in their order, so a window's reconstruction is the same bit for bit in any batch.
//!
//! **Approximations.** `exp` is Cephes' `expf` (Moshier, netlib.org/cephes: a polynomial of degree 5 after a reduction by
//! ln 2), with a relative error below 2e-7; sigmoid and tanh are quotients of it. Sums use fused multiply-add where the
//! machine has it, and so differ in the last bits between machines, never between runs or batches on one.
#![allow(unsafe_code, reason = "a function compiled for a vector extension is called after asking for that extension")]

use crate::weights::{Part, Shape, Weights};

/// The kernel with its packed weights and its buffers; one for each worker.
#[derive(Debug, Clone)]
pub(crate) enum Kernel {
    /// AVX-512: sixteen lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512(Packed<16>),
    /// AVX2 with FMA: eight lanes.
    #[cfg(target_arch = "x86_64")]
    Avx2(Packed<8>),
    /// Any machine.
    Portable(Packed<8>),
}

impl Kernel {
    /// Packs the weights for what this machine can do.
    pub(crate) fn new(weights: &Weights) -> Kernel {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
                return Kernel::Avx512(Packed::new(weights));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Kernel::Avx2(Packed::new(weights));
            }
        }
        Kernel::Portable(Packed::new(weights))
    }

    /// The sizes it was built for.
    pub(crate) fn shape(&self) -> Shape {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(packed) => packed.shape,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(packed) => packed.shape,
            Kernel::Portable(packed) => packed.shape,
        }
    }

    /// Reconstructs scaled windows, one after the other in a slice. The answer holds until the next call.
    pub(crate) fn reconstruct(&mut self, windows: &[f32]) -> &[f32] {
        match self {
            // SAFETY: `new` makes this variant only where it has found AVX-512F and FMA.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(packed) => unsafe { avx512(packed, windows) },
            // SAFETY: `new` makes this variant only where it has found AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(packed) => unsafe { avx2(packed, windows) },
            Kernel::Portable(packed) => packed.run::<Separate>(windows),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,fma")]
fn avx512<'a>(packed: &'a mut Packed<16>, windows: &[f32]) -> &'a [f32] {
    packed.run::<Fused>(windows)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<'a>(packed: &'a mut Packed<8>, windows: &[f32]) -> &'a [f32] {
    packed.run::<Fused>(windows)
}

/// How a product is added.
trait Arithmetic {
    fn add_product(a: f32, b: f32, sum: f32) -> f32;
}

/// In one rounding; without the machine's help it would be a call.
struct Fused;
/// In two.
struct Separate;

impl Arithmetic for Fused {
    #[inline(always)]
    fn add_product(a: f32, b: f32, sum: f32) -> f32 {
        a.mul_add(b, sum)
    }
}

impl Arithmetic for Separate {
    #[inline(always)]
    fn add_product(a: f32, b: f32, sum: f32) -> f32 {
        a * b + sum
    }
}

/// The four gates of a group of cells, in Keras' order: input, forget, candidate, output.
type Gates<const L: usize> = [[f32; L]; 4];

/// Packed weights and buffers.
#[derive(Debug, Clone)]
pub(crate) struct Packed<const L: usize> {
    shape: Shape,
    /// Groups of units.
    groups: usize,
    encoder: Layer<L>,
    decoder: Layer<L>,
    /// `[group of channels][unit]`
    head: Vec<[[f32; L]; 1]>,
    /// `[group of channels]`
    head_bias: Vec<[f32; L]>,
    states: States<L>,
    /// What the decoder's constant input adds to the gates: `[group][row]`.
    latent: Vec<Gates<L>>,
    out: Vec<f32>,
}

/// One layer of cells.
#[derive(Debug, Clone)]
struct Layer<const L: usize> {
    /// `[group][input]`
    input: Vec<Gates<L>>,
    /// `[group][unit]`
    hidden: Vec<Gates<L>>,
    /// `[group]`
    bias: Vec<Gates<L>>,
}

/// The cells' states, each `[row][group]`.
#[derive(Debug, Clone, Default)]
struct States<const L: usize> {
    /// The hidden states before a step.
    before: Vec<[f32; L]>,
    /// The hidden states after it.
    after: Vec<[f32; L]>,
    cells: Vec<[f32; L]>,
}

impl<const L: usize> Packed<L> {
    fn new(weights: &Weights) -> Self {
        let shape = weights.shape();
        let layer = |input, hidden, bias| Layer {
            input: pack(weights.array(input), shape.units),
            hidden: pack(weights.array(hidden), shape.units),
            bias: pack(weights.array(bias), shape.units),
        };
        Self {
            shape,
            groups: shape.units.div_ceil(L),
            encoder: layer(Part::EncoderInput, Part::EncoderHidden, Part::EncoderBias),
            decoder: layer(Part::DecoderInput, Part::DecoderHidden, Part::DecoderBias),
            head: pack(weights.array(Part::HeadKernel), shape.channels),
            head_bias: pack(weights.array(Part::HeadBias), shape.channels).into_iter().map(|[bias]| bias).collect(),
            states: States::default(),
            latent: Vec::new(),
            out: Vec::new(),
        }
    }

    #[inline(always)]
    fn run<A: Arithmetic>(&mut self, windows: &[f32]) -> &[f32] {
        let rows = windows.len() / self.shape.window_size();
        self.out.resize(rows * self.shape.window_size(), 0.0);
        self.latent.resize(rows * self.groups, [[0.0; L]; 4]);
        self.states.reset(rows * self.groups);
        for step in 0..self.shape.len {
            for group in 0..self.groups {
                for row in 0..rows {
                    self.encode::<A>(windows, step, group, row);
                }
            }
            self.states.turn();
        }
        for group in 0..self.groups {
            for row in 0..rows {
                self.project::<A>(rows, group, row);
            }
        }
        self.states.reset(rows * self.groups);
        for step in 0..self.shape.len {
            for group in 0..self.groups {
                for row in 0..rows {
                    self.decode::<A>(rows, step, group, row);
                }
            }
            self.states.turn();
            for row in 0..rows {
                self.put_out::<A>(step, row);
            }
        }
        &self.out
    }

    /// One step of one group of the encoder's cells.
    #[inline(always)]
    fn encode<A: Arithmetic>(&mut self, windows: &[f32], step: usize, group: usize, row: usize) {
        let Shape { channels, units, .. } = self.shape;
        let mut gates = self.encoder.bias[group];
        let reading = &windows[row * self.shape.window_size() + step * channels..][..channels];
        add::<A, L, 4>(&mut gates, &self.encoder.input[group * channels..][..channels], reading);
        if step > 0 {
            let hidden = self.states.hidden(row, self.groups, units);
            add::<A, L, 4>(&mut gates, &self.encoder.hidden[group * units..][..units], hidden);
        }
        self.states.turn_cells::<A>(&gates, row * self.groups + group);
    }

    /// What a window's last hidden state adds to a group of the decoder's gates, at every step.
    #[inline(always)]
    fn project<A: Arithmetic>(&mut self, rows: usize, group: usize, row: usize) {
        let units = self.shape.units;
        let mut gates = self.decoder.bias[group];
        let hidden = self.states.hidden(row, self.groups, units);
        add::<A, L, 4>(&mut gates, &self.decoder.input[group * units..][..units], hidden);
        self.latent[group * rows + row] = gates;
    }

    /// One step of one group of the decoder's cells.
    #[inline(always)]
    fn decode<A: Arithmetic>(&mut self, rows: usize, step: usize, group: usize, row: usize) {
        let units = self.shape.units;
        let mut gates = self.latent[group * rows + row];
        if step > 0 {
            let hidden = self.states.hidden(row, self.groups, units);
            add::<A, L, 4>(&mut gates, &self.decoder.hidden[group * units..][..units], hidden);
        }
        self.states.turn_cells::<A>(&gates, row * self.groups + group);
    }

    /// One reconstructed reading of a window.
    #[inline(always)]
    fn put_out<A: Arithmetic>(&mut self, step: usize, row: usize) {
        let Shape { channels, units, .. } = self.shape;
        let reading = row * self.shape.window_size() + step * channels;
        for (group, bias) in self.head_bias.iter().enumerate() {
            let mut sums = [*bias];
            let hidden = self.states.hidden(row, self.groups, units);
            add::<A, L, 1>(&mut sums, &self.head[group * units..][..units], hidden);
            let width = L.min(channels - group * L);
            self.out[reading + group * L..][..width].copy_from_slice(&sums[0][..width]);
        }
    }
}

impl<const L: usize> States<L> {
    /// Room for so many groups, all states zero.
    fn reset(&mut self, groups: usize) {
        for state in [&mut self.before, &mut self.after, &mut self.cells] {
            state.clear();
            state.resize(groups, [0.0; L]);
        }
    }

    /// The step is done: what came after it is before the next.
    fn turn(&mut self) {
        std::mem::swap(&mut self.before, &mut self.after);
    }

    /// A window's hidden state before the step.
    #[inline(always)]
    fn hidden(&self, row: usize, groups: usize, units: usize) -> &[f32] {
        &self.before.as_flattened()[row * groups * L..][..units]
    }

    /// Takes a group's cells through the gates (Hochreiter and Schmidhuber 1997, with forget gates).
    ///
    /// With `e` for exp, sigmoid(x) is 1 / (1 + e(-x)) and tanh(x) is (1 - e(-2x)) / (1 + e(-2x)): products of both share
    /// a division.
    #[inline(always)]
    fn turn_cells<A: Arithmetic>(&mut self, [input, forget, candidate, output]: &Gates<L>, at: usize) {
        let (cells, hidden) = (&mut self.cells[at], &mut self.after[at]);
        for lane in 0..L {
            let i = exp::<A>(-input[lane]);
            let f = exp::<A>(-forget[lane]);
            let c = exp::<A>(-2.0 * candidate[lane]);
            let o = exp::<A>(-output[lane]);
            let cell = cells[lane] / (1.0 + f) + (1.0 - c) / ((1.0 + i) * (1.0 + c));
            let t = exp::<A>(-2.0 * cell);
            cells[lane] = cell;
            hidden[lane] = (1.0 - t) / ((1.0 + o) * (1.0 + t));
        }
    }
}

/// Adds the products of a row and a group's weights `[input][gate][lane]` to the sums.
#[inline(always)]
fn add<A: Arithmetic, const L: usize, const G: usize>(
    sums: &mut [[f32; L]; G],
    weights: &[[[f32; L]; G]],
    row: &[f32],
) {
    let mut held = *sums;
    for (&value, weights) in row.iter().zip(weights) {
        for gate in 0..G {
            for lane in 0..L {
                held[gate][lane] = A::add_product(value, weights[gate][lane], held[gate][lane]);
            }
        }
    }
    *sums = held;
}

/// e to the power of x, which counts as at most 30 and at least -30: beyond that a gate is open or shut to the last bit.
#[inline(always)]
fn exp<A: Arithmetic>(x: f32) -> f32 {
    /// Adding 1.5 * 2^23 leaves a whole number in the lowest bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-30.0, 30.0);
    let shifted = A::add_product(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, the first exact in few bits.
    let r = A::add_product(n, 2.121_944_4e-4, A::add_product(n, -0.693_359_4, x));
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = A::add_product(p, r, c);
    }
    let p = A::add_product(p, r * r, r) + 1.0;
    // Times 2^n: n goes into the exponent.
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// `[row][gate * outputs + output]` as `[group][row][gate][lane]`, filled up with zeros.
fn pack<const L: usize, const G: usize>(array: &[f32], outputs: usize) -> Vec<[[f32; L]; G]> {
    let mut packed = Vec::new();
    for first in (0..outputs).step_by(L) {
        for row in array.chunks_exact(G * outputs) {
            packed.push(std::array::from_fn(|gate| {
                std::array::from_fn(
                    |lane| {
                        if first + lane < outputs { row[gate * outputs + first + lane] } else { 0.0 }
                    },
                )
            }));
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;
    use crate::network::Network;

    /// Every kind of kernel that this machine can run.
    fn kernels(weights: &Weights) -> Vec<Kernel> {
        let mut kernels = vec![Kernel::Portable(Packed::new(weights))];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kernels.push(Kernel::Avx2(Packed::new(weights)));
            }
            if is_x86_feature_detected!("avx512f") {
                kernels.push(Kernel::Avx512(Packed::new(weights)));
            }
        }
        kernels
    }

    fn waves(shape: Shape, count: usize) -> Vec<f32> {
        (0..count * shape.window_size()).map(|i| (i as f32 * 0.7).sin()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn it_is_what_candle_makes_and_alone_as_in_company(
            channels in 1_usize..20, len in 1_usize..12, units in 1_usize..70, count in 1_usize..15, seed: u64,
        ) {
            let shape = Shape { channels, len, units };
            let weights = Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(seed));
            let windows = waves(shape, count);
            let theirs = Network::new(&weights).expect("a network").reconstruct(&windows).expect("windows");
            for mut kernel in kernels(&weights) {
                let ours = kernel.reconstruct(&windows).to_vec();
                prop_assert_eq!(ours.len(), theirs.len());
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    prop_assert!((ours - theirs).abs() < 1e-5, "{} against {}", ours, theirs);
                }
                for (window, ours) in windows.chunks(shape.window_size()).zip(ours.chunks(shape.window_size())) {
                    prop_assert_eq!(kernel.reconstruct(window), ours);
                }
            }
        }

        #[test]
        fn exp_is_close(x in -30.0_f32..30.0) {
            let exact = f64::from(x).exp();
            for found in [exp::<Fused>(x), exp::<Separate>(x)] {
                prop_assert!((f64::from(found) / exact - 1.0).abs() < 4e-7, "{x}: {found} against {exact}");
            }
        }
    }

    #[test]
    fn far_out_values_stay_finite() {
        let shape = Shape { channels: 3, len: 5, units: 9 };
        let weights = Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(1));
        let windows: Vec<f32> = waves(shape, 4).iter().map(|value| value * 1e30).collect();
        for mut kernel in kernels(&weights) {
            assert!(kernel.reconstruct(&windows).iter().all(|value| value.is_finite()));
            assert!(kernel.reconstruct(&[]).is_empty());
        }
    }
}
