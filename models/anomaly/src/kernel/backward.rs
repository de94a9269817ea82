//! The way back: from what the loss says of the reconstructions to what it says of the weights.
//!
//! Backward through time (Werbos 1990), step by step from the last, with the gates and the cells that
//! [`super::forward`] has left behind. A step makes the gradients of its gates' sums, one `[row][group][gate][lane]`
//! block that stays in the second cache; from it come, while it is there, the step's part of the weights' gradients and
//! what flows to the step before. The decoder has the same input at every step, so its input's part is made once, of the
//! steps' sum. Deliberately absent: a gradient for the windows, which are data.

use std::array::from_fn;

use super::{
    forward::{Passed, States},
    math::add,
    packed::{Gates, Layer, Packed, transpose},
    simd::{Simd, Work},
};
use crate::weights::{Part, Shape};

/// What the way back needs beside the way forward's memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Learning<const L: usize> {
    back: Back<L>,
    gradient: Packed<L>,
    flows: Flows<L>,
    /// The gradients, all arrays one after the other.
    pub(super) numbers: Vec<f32>,
}

/// Kernels the other way round.
#[derive(Debug, Clone, Default)]
struct Back<const L: usize> {
    encoder_hidden: Vec<Gates<L>>,
    decoder_input: Vec<Gates<L>>,
    decoder_hidden: Vec<Gates<L>>,
    head: Vec<Gates<L>>,
}

/// The loss's gradients on their way through a layer.
#[derive(Debug, Clone, Default)]
struct Flows<const L: usize> {
    /// Of a step's reconstructed readings: `[row][group of channels]`.
    readings: Vec<[[f32; L]; 1]>,
    /// Of the hidden states after a step: `[row][group of units, to a multiple of four]`.
    hidden: Vec<[f32; L]>,
    /// Of the cells after a step: `[row][group]`.
    cells: Vec<[f32; L]>,
    /// Of the sums of the gates in a step: `[row][group]`.
    gates: Vec<Gates<L>>,
    /// The same, of all steps together.
    total: Vec<Gates<L>>,
}

impl<const L: usize> Learning<L> {
    /// Takes the weights, all arrays one after the other.
    pub(super) fn load(&mut self, shape: Shape, numbers: &[f32]) {
        let units = shape.units;
        for (panels, part) in [
            (&mut self.back.encoder_hidden, Part::EncoderHidden),
            (&mut self.back.decoder_input, Part::DecoderInput),
            (&mut self.back.decoder_hidden, Part::DecoderHidden),
        ] {
            transpose(&numbers[part.range(shape)], 4, units, panels);
        }
        transpose(&numbers[Part::HeadKernel.range(shape)], 1, shape.channels, &mut self.back.head);
    }
}

/// A batch on its way back.
pub(super) struct Backward<'a, const L: usize> {
    pub(super) shape: Shape,
    pub(super) passed: &'a Passed<L>,
    pub(super) learning: &'a mut Learning<L>,
    /// `[row][step][channel]`
    pub(super) windows: &'a [f32],
    /// The loss's gradient for each reconstructed value, alike.
    pub(super) slopes: &'a [f32],
}

impl<const L: usize, const R: usize> Work<L, R> for Backward<'_, L> {
    type Answer = ();

    #[inline(always)]
    fn run<S: Simd<L, R>>(self, simd: S) {
        let Backward { shape, passed, learning, windows, slopes } = self;
        let Learning { back, gradient, flows, numbers } = learning;
        let Shape { channels, len, units } = shape;
        let rows = windows.len() / shape.window_size();
        gradient.clear(shape);

        flows.begin(rows, units);
        for step in (0..len).rev() {
            flows.take_readings(slopes, shape, step);
            let hidden = passed.decoder.hidden(step);
            learn(simd, &mut gradient.head, hidden, hidden.len() / rows, units, &flows.readings, rows);
            learn_bias(simd, &mut gradient.head_bias, &flows.readings);
            flow(simd, &mut flows.hidden, flows.readings.as_flattened().as_flattened(), &back.head, rows);
            flows.turn(simd, &passed.decoder, &back.decoder_hidden, &mut gradient.decoder, step, shape);
        }
        let latent = passed.encoder.hidden(len - 1);
        learn(simd, &mut gradient.decoder.input, latent, latent.len() / rows, units, &flows.total, rows);
        learn_bias(simd, &mut gradient.decoder.bias, &flows.total);

        flows.hidden.fill([0.0; L]);
        flow(simd, &mut flows.hidden, flows.total.as_flattened().as_flattened(), &back.decoder_input, rows);
        flows.begin_layer();
        for step in (0..len).rev() {
            flows.turn(simd, &passed.encoder, &back.encoder_hidden, &mut gradient.encoder, step, shape);
            let readings = &windows[step * channels..];
            learn(simd, &mut gradient.encoder.input, readings, shape.window_size(), channels, &flows.gates, rows);
        }
        learn_bias(simd, &mut gradient.encoder.bias, &flows.total);
        numbers.resize(Part::HeadBias.range(shape).end, 0.0);
        gradient.unpack(shape, numbers);
    }
}

impl<const L: usize> Flows<L> {
    /// Nothing flows yet.
    fn begin(&mut self, rows: usize, units: usize) {
        let groups = units.div_ceil(L);
        self.hidden.clear();
        self.hidden.resize(rows * groups.next_multiple_of(4), [0.0; L]);
        self.cells.resize(rows * groups, [0.0; L]);
        self.gates.resize(rows * groups, [[0.0; L]; 4]);
        self.total.resize(rows * groups, [[0.0; L]; 4]);
        self.begin_layer();
    }

    fn begin_layer(&mut self) {
        self.cells.fill([0.0; L]);
        self.total.fill([[0.0; L]; 4]);
    }

    /// Fills a step's readings up to whole vectors.
    fn take_readings(&mut self, slopes: &[f32], shape: Shape, step: usize) {
        self.readings.clear();
        for window in slopes.chunks_exact(shape.window_size()) {
            for part in window[step * shape.channels..][..shape.channels].chunks(L) {
                let mut reading = [0.0; L];
                reading[..part.len()].copy_from_slice(part);
                self.readings.push([reading]);
            }
        }
    }

    /// Back through a step of a layer: what flows to its hidden states and cells becomes what flows to the states
    /// before it, and its gates leave their mark on the recurrent kernel's gradient.
    #[inline(always)]
    fn turn<S: Simd<L, R>, const R: usize>(
        &mut self,
        simd: S,
        states: &States<L>,
        back: &[Gates<L>],
        gradient: &mut Layer<L>,
        step: usize,
        shape: Shape,
    ) {
        let groups = shape.units.div_ceil(L);
        let rows = self.cells.len() / groups;
        for row in 0..rows {
            for group in 0..groups {
                self.turn_cells(simd, states, step, row * groups.next_multiple_of(4) + group, row * groups + group);
            }
        }
        self.hidden.fill([0.0; L]);
        if step > 0 {
            let before = states.hidden(step - 1);
            learn(simd, &mut gradient.hidden, before, groups * L, shape.units, &self.gates, rows);
            flow(simd, &mut self.hidden, self.gates.as_flattened().as_flattened(), back, rows);
        }
    }

    /// The derivatives of `cell = forget * before + input * new` and `hidden = output * tanh(cell)`; a sigmoid's is
    /// `s (1 - s)`, that of tanh `1 - t^2`.
    #[inline(always)]
    fn turn_cells<S: Simd<L, R>, const R: usize>(
        &mut self,
        simd: S,
        states: &States<L>,
        step: usize,
        hidden: usize,
        at: usize,
    ) {
        let gates = &states.gates(step)[at];
        let [input, forget] = [simd.load(&gates[0]), simd.load(&gates[1])];
        let [new, output] = [simd.load(&gates[2]), simd.load(&gates[3])];
        let tanh = simd.load(&states.tanhs(step)[at]);
        let before = if step > 0 { simd.load(&states.cells(step - 1)[at]) } else { simd.splat(0.0) };

        let hidden = simd.load(&self.hidden[hidden]);
        let through = simd.mul(hidden, output);
        let cell = simd.add(simd.load(&self.cells[at]), below_tanh(simd, through, tanh));
        simd.store(simd.mul(cell, forget), &mut self.cells[at]);
        let slopes = [
            below_sigmoid(simd, simd.mul(cell, new), input),
            below_sigmoid(simd, simd.mul(cell, before), forget),
            below_tanh(simd, simd.mul(cell, input), new),
            below_sigmoid(simd, simd.mul(hidden, tanh), output),
        ];
        for g in 0..4 {
            simd.store(slopes[g], &mut self.gates[at][g]);
            let total = simd.add(simd.load(&self.total[at][g]), slopes[g]);
            simd.store(total, &mut self.total[at][g]);
        }
    }
}

#[inline(always)]
fn below_sigmoid<S: Simd<L, R>, const L: usize, const R: usize>(simd: S, slope: S::V, sigmoid: S::V) -> S::V {
    simd.mul(slope, simd.mul(sigmoid, simd.sub(simd.splat(1.0), sigmoid)))
}

#[inline(always)]
fn below_tanh<S: Simd<L, R>, const L: usize, const R: usize>(simd: S, slope: S::V, tanh: S::V) -> S::V {
    simd.mul(slope, simd.sub(simd.splat(1.0), simd.mul(tanh, tanh)))
}

/// Adds to `[row][vector]` what flows there: rows of slopes times a kernel the other way round.
#[inline(always)]
fn flow<S: Simd<L, R>, const L: usize, const R: usize>(
    simd: S,
    to: &mut [[f32; L]],
    slopes: &[f32],
    back: &[Gates<L>],
    rows: usize,
) {
    let (size, wide) = (slopes.len() / rows, to.len() / rows);
    let whole = rows - rows % R;
    for (four, panel) in back.chunks_exact(size).enumerate() {
        for row in (0..whole).step_by(R) {
            tile_flow::<S, L, R, R>(simd, to, wide, 4 * four, slopes, panel, row);
        }
        for row in whole..rows {
            tile_flow::<S, L, R, 1>(simd, to, wide, 4 * four, slopes, panel, row);
        }
    }
}

#[inline(always)]
fn tile_flow<S: Simd<L, R>, const L: usize, const R: usize, const N: usize>(
    simd: S,
    to: &mut [[f32; L]],
    wide: usize,
    first: usize,
    slopes: &[f32],
    panel: &[Gates<L>],
    row: usize,
) {
    let mut sums = [[simd.splat(0.0); 4]; N];
    for n in 0..N {
        for g in 0..4 {
            sums[n][g] = simd.load(&to[(row + n) * wide + first + g]);
        }
    }
    add::<S, L, R, N, 4>(simd, &mut sums, panel, from_fn(|n| &slopes[(row + n) * panel.len()..][..panel.len()]));
    for n in 0..N {
        for g in 0..4 {
            simd.store(sums[n][g], &mut to[(row + n) * wide + first + g]);
        }
    }
}

/// Adds to a kernel's gradient `[group][input]`: over all rows, the row's inputs times its slopes `[row][group]`. The
/// inputs of a row begin `stride` after those of the row before.
#[inline(always)]
fn learn<S: Simd<L, R>, const L: usize, const R: usize, const G: usize>(
    simd: S,
    gradient: &mut [[[f32; L]; G]],
    inputs: &[f32],
    stride: usize,
    count: usize,
    slopes: &[[[f32; L]; G]],
    rows: usize,
) {
    let whole = count - count % R;
    for (group, gradient) in gradient.chunks_exact_mut(count).enumerate() {
        for first in (0..whole).step_by(R) {
            tile_learn::<S, L, R, R, G>(simd, &mut gradient[first..], &inputs[first..], stride, slopes, group, rows);
        }
        for first in whole..count {
            tile_learn::<S, L, R, 1, G>(simd, &mut gradient[first..], &inputs[first..], stride, slopes, group, rows);
        }
    }
}

#[inline(always)]
fn tile_learn<S: Simd<L, R>, const L: usize, const R: usize, const N: usize, const G: usize>(
    simd: S,
    gradient: &mut [[[f32; L]; G]],
    inputs: &[f32],
    stride: usize,
    slopes: &[[[f32; L]; G]],
    group: usize,
    rows: usize,
) {
    let groups = slopes.len() / rows;
    let mut sums = [[simd.splat(0.0); G]; N];
    for n in 0..N {
        for g in 0..G {
            sums[n][g] = simd.load(&gradient[n][g]);
        }
    }
    for row in 0..rows {
        let (inputs, slopes) = (&inputs[row * stride..][..N], &slopes[row * groups + group]);
        for n in 0..N {
            let value = simd.splat(inputs[n]);
            for g in 0..G {
                sums[n][g] = simd.mul_add(value, simd.load(&slopes[g]), sums[n][g]);
            }
        }
    }
    for n in 0..N {
        for g in 0..G {
            simd.store(sums[n][g], &mut gradient[n][g]);
        }
    }
}

/// Adds to a bias' gradient `[group]`: the slopes `[row][group]` of all rows.
#[inline(always)]
fn learn_bias<S: Simd<L, R>, const L: usize, const R: usize, const G: usize>(
    simd: S,
    gradient: &mut [[[f32; L]; G]],
    slopes: &[[[f32; L]; G]],
) {
    for slopes in slopes.chunks_exact(gradient.len()) {
        for (sums, slopes) in gradient.iter_mut().zip(slopes) {
            for g in 0..G {
                let sum = simd.add(simd.load(&sums[g]), simd.load(&slopes[g]));
                simd.store(sum, &mut sums[g]);
            }
        }
    }
}
