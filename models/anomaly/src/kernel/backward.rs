//! The backward pass: from the gradients of the reconstructions to the gradients of the weights.
//!
//! Backpropagation through time (Werbos 1990), step by step from the last, with the gates and cells that
//! [`super::forward`] has stored. A step computes the gradients of its gates' sums, one `[row][group][gate][lane]` block
//! that stays in the L2 cache. From it come the step's part of the weights' gradients and the gradients of the step
//! before. The decoder's input is the same at every step, so its part is computed once, from the sum over the steps. Does
//! not compute a gradient for the windows, which are data.

use std::array::from_fn;

use super::{
    forward::{ForwardState, LayerStates},
    math::add,
    packed::{Gates, Layer, Packed, transpose},
    simd::{Simd, Work},
};
use crate::weights::{Part, Shape};

/// The buffers of the backward pass.
#[derive(Debug, Clone, Default)]
pub(super) struct BackwardState<const L: usize> {
    transposed: TransposedKernels<L>,
    weight_grad: Packed<L>,
    gradients: Gradients<L>,
    /// The gradients of the weights, all arrays concatenated.
    pub(super) numbers: Vec<f32>,
}

/// The transposed kernels (matrices of weights), through which the gradients flow back.
#[derive(Debug, Clone, Default)]
struct TransposedKernels<const L: usize> {
    encoder_hidden: Vec<Gates<L>>,
    decoder_input: Vec<Gates<L>>,
    decoder_hidden: Vec<Gates<L>>,
    head: Vec<Gates<L>>,
}

/// The gradients of the loss on their way back through a layer.
#[derive(Debug, Clone, Default)]
struct Gradients<const L: usize> {
    /// For a step's reconstructed readings: `[row][group of channels]`.
    readings: Vec<[[f32; L]; 1]>,
    /// For the hidden states after a step: `[row][group of units, to a multiple of four]`.
    hidden: Vec<[f32; L]>,
    /// For the cells after a step: `[row][group]`.
    cells: Vec<[f32; L]>,
    /// For the sums of the gates in a step: `[row][group]`.
    gates: Vec<Gates<L>>,
    /// Those for the sums of the gates, added up over all steps.
    total: Vec<Gates<L>>,
}

impl<const L: usize> BackwardState<L> {
    /// Transposes the weights, all arrays concatenated.
    pub(super) fn load(&mut self, shape: Shape, numbers: &[f32]) {
        let units = shape.units;
        for (panels, part) in [
            (&mut self.transposed.encoder_hidden, Part::EncoderHidden),
            (&mut self.transposed.decoder_input, Part::DecoderInput),
            (&mut self.transposed.decoder_hidden, Part::DecoderHidden),
        ] {
            transpose(&numbers[part.range(shape)], 4, units, panels);
        }
        transpose(&numbers[Part::HeadKernel.range(shape)], 1, shape.channels, &mut self.transposed.head);
    }
}

/// A backward pass over a batch.
pub(super) struct Backward<'a, const L: usize> {
    pub(super) shape: Shape,
    pub(super) state: &'a ForwardState<L>,
    pub(super) buffers: &'a mut BackwardState<L>,
    /// `[row][step][channel]`
    pub(super) windows: &'a [f32],
    /// The gradient of the loss for each reconstructed value, in the same layout.
    pub(super) upstream_grad: &'a [f32],
}

impl<const L: usize, const R: usize> Work<L, R> for Backward<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<L, R>>(self, simd: S) {
        let Backward { shape, state, buffers, windows, upstream_grad } = self;
        let BackwardState { transposed, weight_grad, gradients, numbers } = buffers;
        let Shape { channels, len, units } = shape;
        let rows = windows.len() / shape.window_size();
        weight_grad.clear(shape);

        gradients.begin(rows, units);
        for step in (0..len).rev() {
            gradients.load_readings(upstream_grad, shape, step);
            let hidden = state.decoder.hidden(step);
            add_kernel_grad(simd, &mut weight_grad.head, hidden, hidden.len() / rows, units, &gradients.readings, rows);
            add_bias_grad(simd, &mut weight_grad.head_bias, &gradients.readings);
            backpropagate(
                simd,
                &mut gradients.hidden,
                gradients.readings.as_flattened().as_flattened(),
                &transposed.head,
                rows,
            );
            gradients.step_back(
                simd,
                &state.decoder,
                &transposed.decoder_hidden,
                &mut weight_grad.decoder,
                step,
                shape,
            );
        }
        let latent = state.encoder.hidden(len - 1);
        add_kernel_grad(
            simd,
            &mut weight_grad.decoder.input,
            latent,
            latent.len() / rows,
            units,
            &gradients.total,
            rows,
        );
        add_bias_grad(simd, &mut weight_grad.decoder.bias, &gradients.total);

        gradients.hidden.fill([0.0; L]);
        backpropagate(
            simd,
            &mut gradients.hidden,
            gradients.total.as_flattened().as_flattened(),
            &transposed.decoder_input,
            rows,
        );
        gradients.begin_layer();
        for step in (0..len).rev() {
            gradients.step_back(
                simd,
                &state.encoder,
                &transposed.encoder_hidden,
                &mut weight_grad.encoder,
                step,
                shape,
            );
            let readings = &windows[step * channels..];
            add_kernel_grad(
                simd,
                &mut weight_grad.encoder.input,
                readings,
                shape.window_size(),
                channels,
                &gradients.gates,
                rows,
            );
        }
        add_bias_grad(simd, &mut weight_grad.encoder.bias, &gradients.total);
        numbers.resize(Part::HeadBias.range(shape).end, 0.0);
        weight_grad.unpack(shape, numbers);
    }
}

impl<const L: usize> Gradients<L> {
    /// Sizes the buffers and sets all gradients to zero.
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

    /// Loads the gradients of a step's readings, padded to whole vectors.
    fn load_readings(&mut self, upstream_grad: &[f32], shape: Shape, step: usize) {
        self.readings.clear();
        for window in upstream_grad.chunks_exact(shape.window_size()) {
            for part in window[step * shape.channels..][..shape.channels].chunks(L) {
                let mut reading = [0.0; L];
                reading[..part.len()].copy_from_slice(part);
                self.readings.push([reading]);
            }
        }
    }

    /// Computes one step of a layer backward: from the gradients of its hidden states and cells to those of the states before
    /// it. Adds to the gradient of the recurrent kernel.
    #[inline(always)]
    fn step_back<S: Simd<L, R>, const R: usize>(
        &mut self,
        simd: S,
        states: &LayerStates<L>,
        transposed: &[Gates<L>],
        gradient: &mut Layer<L>,
        step: usize,
        shape: Shape,
    ) {
        let groups = shape.units.div_ceil(L);
        let rows = self.cells.len() / groups;
        for row in 0..rows {
            for group in 0..groups {
                self.cells_back(simd, states, step, row * groups.next_multiple_of(4) + group, row * groups + group);
            }
        }
        self.hidden.fill([0.0; L]);
        if step > 0 {
            let before = states.hidden(step - 1);
            add_kernel_grad(simd, &mut gradient.hidden, before, groups * L, shape.units, &self.gates, rows);
            backpropagate(simd, &mut self.hidden, self.gates.as_flattened().as_flattened(), transposed, rows);
        }
    }

    /// Applies the derivatives of `cell = forget * before + input * candidate` and `hidden = output * tanh(cell)`. The
    /// derivative of a sigmoid with the value `s` is `s (1 - s)`, that of a tanh with the value `t` is `1 - t^2`.
    #[inline(always)]
    fn cells_back<S: Simd<L, R>, const R: usize>(
        &mut self,
        simd: S,
        states: &LayerStates<L>,
        step: usize,
        hidden: usize,
        at: usize,
    ) {
        let gates = &states.gates(step)[at];
        let [input, forget] = [simd.load(&gates[0]), simd.load(&gates[1])];
        let [candidate_value, output] = [simd.load(&gates[2]), simd.load(&gates[3])];
        let tanh = simd.load(&states.tanhs(step)[at]);
        let before = if step > 0 { simd.load(&states.cells(step - 1)[at]) } else { simd.splat(0.0) };

        let hidden = simd.load(&self.hidden[hidden]);
        let through = simd.mul(hidden, output);
        let cell = simd.add(simd.load(&self.cells[at]), tanh_grad(simd, through, tanh));
        simd.store(simd.mul(cell, forget), &mut self.cells[at]);
        let grads = [
            sigmoid_grad(simd, simd.mul(cell, candidate_value), input),
            sigmoid_grad(simd, simd.mul(cell, before), forget),
            tanh_grad(simd, simd.mul(cell, input), candidate_value),
            sigmoid_grad(simd, simd.mul(hidden, tanh), output),
        ];
        for g in 0..4 {
            simd.store(grads[g], &mut self.gates[at][g]);
            let total = simd.add(simd.load(&self.total[at][g]), grads[g]);
            simd.store(total, &mut self.total[at][g]);
        }
    }
}

#[inline(always)]
fn sigmoid_grad<S: Simd<L, R>, const L: usize, const R: usize>(simd: S, grad: S::V, sigmoid: S::V) -> S::V {
    simd.mul(grad, simd.mul(sigmoid, simd.sub(simd.splat(1.0), sigmoid)))
}

#[inline(always)]
fn tanh_grad<S: Simd<L, R>, const L: usize, const R: usize>(simd: S, grad: S::V, tanh: S::V) -> S::V {
    simd.mul(grad, simd.sub(simd.splat(1.0), simd.mul(tanh, tanh)))
}

/// Adds to the gradients `[row][vector]`: rows of gradients times a transposed kernel.
#[inline(always)]
fn backpropagate<S: Simd<L, R>, const L: usize, const R: usize>(
    simd: S,
    to: &mut [[f32; L]],
    grads: &[f32],
    transposed: &[Gates<L>],
    rows: usize,
) {
    let (size, wide) = (grads.len() / rows, to.len() / rows);
    let whole = rows - rows % R;
    for (four, panel) in transposed.chunks_exact(size).enumerate() {
        for row in (0..whole).step_by(R) {
            tile_backpropagate::<S, L, R, R>(simd, to, wide, 4 * four, grads, panel, row);
        }
        for row in whole..rows {
            tile_backpropagate::<S, L, R, 1>(simd, to, wide, 4 * four, grads, panel, row);
        }
    }
}

#[inline(always)]
fn tile_backpropagate<S: Simd<L, R>, const L: usize, const R: usize, const N: usize>(
    simd: S,
    to: &mut [[f32; L]],
    wide: usize,
    first: usize,
    grads: &[f32],
    panel: &[Gates<L>],
    row: usize,
) {
    let mut sums = [[simd.splat(0.0); 4]; N];
    for n in 0..N {
        for g in 0..4 {
            sums[n][g] = simd.load(&to[(row + n) * wide + first + g]);
        }
    }
    add::<S, L, R, N, 4>(simd, &mut sums, panel, from_fn(|n| &grads[(row + n) * panel.len()..][..panel.len()]));
    for n in 0..N {
        for g in 0..4 {
            simd.store(sums[n][g], &mut to[(row + n) * wide + first + g]);
        }
    }
}

/// Adds to a kernel's gradient `[group][input]`: the sum over all rows of the row's inputs times its gradients
/// `[row][group]`. The inputs of a row start `stride` numbers after those of the row before.
#[inline(always)]
fn add_kernel_grad<S: Simd<L, R>, const L: usize, const R: usize, const G: usize>(
    simd: S,
    gradient: &mut [[[f32; L]; G]],
    inputs: &[f32],
    stride: usize,
    count: usize,
    grads: &[[[f32; L]; G]],
    rows: usize,
) {
    let whole = count - count % R;
    for (group, gradient) in gradient.chunks_exact_mut(count).enumerate() {
        for first in (0..whole).step_by(R) {
            tile_kernel_grad::<S, L, R, R, G>(
                simd,
                &mut gradient[first..],
                &inputs[first..],
                stride,
                grads,
                group,
                rows,
            );
        }
        for first in whole..count {
            tile_kernel_grad::<S, L, R, 1, G>(
                simd,
                &mut gradient[first..],
                &inputs[first..],
                stride,
                grads,
                group,
                rows,
            );
        }
    }
}

#[inline(always)]
fn tile_kernel_grad<S: Simd<L, R>, const L: usize, const R: usize, const N: usize, const G: usize>(
    simd: S,
    gradient: &mut [[[f32; L]; G]],
    inputs: &[f32],
    stride: usize,
    grads: &[[[f32; L]; G]],
    group: usize,
    rows: usize,
) {
    let groups = grads.len() / rows;
    let mut sums = [[simd.splat(0.0); G]; N];
    for n in 0..N {
        for g in 0..G {
            sums[n][g] = simd.load(&gradient[n][g]);
        }
    }
    for row in 0..rows {
        let (inputs, grads) = (&inputs[row * stride..][..N], &grads[row * groups + group]);
        for n in 0..N {
            let value = simd.splat(inputs[n]);
            for g in 0..G {
                sums[n][g] = simd.mul_add(value, simd.load(&grads[g]), sums[n][g]);
            }
        }
    }
    for n in 0..N {
        for g in 0..G {
            simd.store(sums[n][g], &mut gradient[n][g]);
        }
    }
}

/// Adds to a bias' gradient `[group]`: the sum of the gradients `[row][group]` over all rows.
#[inline(always)]
fn add_bias_grad<S: Simd<L, R>, const L: usize, const R: usize, const G: usize>(
    simd: S,
    gradient: &mut [[[f32; L]; G]],
    grads: &[[[f32; L]; G]],
) {
    for grads in grads.chunks_exact(gradient.len()) {
        for (sums, grads) in gradient.iter_mut().zip(grads) {
            for g in 0..G {
                let sum = simd.add(simd.load(&sums[g]), simd.load(&grads[g]));
                simd.store(sum, &mut sums[g]);
            }
        }
    }
}
