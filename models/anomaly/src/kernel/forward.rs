//! The forward pass: from windows to their reconstructions.
//!
//! All windows of a block are computed one step at a time, group of cells by group of cells. A group's weights (19 KiB at
//! 64 units and 16 lanes) stay in the L1 cache while the block is computed, and `R` windows at a time share each load of
//! a weight. Remaining windows are computed alone, with the same sums in the same order.

use std::array::from_fn;

use super::{
    math::{CANDIDATE, add, candidate, gate},
    packed::{Gates, Layer, Packed},
    simd::{Simd, Work},
};
use crate::weights::Shape;

/// Number of windows for which the head's outputs are computed together, one vector each.
const HEAD_ROWS: usize = 8;

/// The states of all cells after one forward pass.
#[derive(Debug, Clone, Default)]
pub(super) struct ForwardState<const L: usize> {
    pub(super) encoder: LayerStates<L>,
    pub(super) decoder: LayerStates<L>,
    /// The contribution of the decoder's constant input to the gates: `[row][group]`.
    latent: Vec<Gates<L>>,
}

/// Which steps are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Retention {
    /// Only the step that the next one needs.
    #[default]
    Last,
    /// All steps, with the gates, for the backward pass.
    All,
}

/// The cells of a layer, `[step][row][group]`. A step that is not kept is overwritten by a later one.
#[derive(Debug, Clone, Default)]
pub(super) struct LayerStates<const L: usize> {
    retention: Retention,
    groups: usize,
    /// Number of vectors in a step: rows times groups.
    size: usize,
    hidden: Vec<[f32; L]>,
    cells: Vec<[f32; L]>,
    /// Only with [`Retention::All`]: the gates after activation.
    gates: Vec<Gates<L>>,
    /// Only with [`Retention::All`]: tanh of the cells.
    tanhs: Vec<[f32; L]>,
}

impl<const L: usize> LayerStates<L> {
    fn prepare(&mut self, rows: usize, groups: usize, len: usize, retention: Retention) {
        (self.retention, self.groups, self.size) = (retention, groups, rows * groups);
        let all = if retention == Retention::All { len } else { 0 };
        self.hidden.resize(all.max(2) * self.size, [0.0; L]);
        self.cells.resize(all.max(1) * self.size, [0.0; L]);
        self.gates.resize(all * self.size, [[0.0; L]; 4]);
        self.tanhs.resize(all * self.size, [0.0; L]);
    }

    /// Returns the offsets of the hidden states and of the cells after a step.
    fn offsets(&self, step: usize) -> (usize, usize) {
        match self.retention {
            Retention::Last => (step % 2 * self.size, 0),
            Retention::All => (step * self.size, step * self.size),
        }
    }

    /// Returns the hidden states after a step, `[row][group * L]`.
    pub(super) fn hidden(&self, step: usize) -> &[f32] {
        self.hidden[self.offsets(step).0..][..self.size].as_flattened()
    }

    /// Returns the cells after a step.
    pub(super) fn cells(&self, step: usize) -> &[[f32; L]] {
        &self.cells[self.offsets(step).1..][..self.size]
    }

    /// Returns the gates in a step.
    pub(super) fn gates(&self, step: usize) -> &[Gates<L>] {
        &self.gates[step * self.size..][..self.size]
    }

    /// Returns tanh of the cells after a step.
    pub(super) fn tanhs(&self, step: usize) -> &[[f32; L]] {
        &self.tanhs[step * self.size..][..self.size]
    }

    /// Computes one step of the cells of a group and a row, from the sums of the gates (Hochreiter and Schmidhuber 1997, with
    /// forget gates).
    #[inline(always)]
    fn update_cells<S: Simd<L, R>, const R: usize>(&mut self, simd: S, sums: &[S::V; 4], step: usize, at: usize) {
        let before = if step > 0 { simd.load(&self.cells(step - 1)[at]) } else { simd.splat(0.0) };
        let [input, forget] = [gate(simd, sums[0]), gate(simd, sums[1])];
        let [candidate_value, output] = [candidate(simd, sums[2]), gate(simd, sums[3])];
        let cell = simd.mul_add(forget, before, simd.mul(input, candidate_value));
        let tanh = candidate(simd, simd.mul(cell, simd.splat(CANDIDATE)));
        let (hidden, cells) = self.offsets(step);
        simd.store(cell, &mut self.cells[cells + at]);
        simd.store(simd.mul(output, tanh), &mut self.hidden[hidden + at]);
        if self.retention == Retention::All {
            let gates = &mut self.gates[step * self.size + at];
            for (value, gate) in [input, forget, candidate_value, output].into_iter().zip(gates) {
                simd.store(value, gate);
            }
            simd.store(tanh, &mut self.tanhs[step * self.size + at]);
        }
    }
}

/// A forward pass over a block of windows.
pub(super) struct Forward<'a, const L: usize> {
    pub(super) shape: Shape,
    pub(super) packed: &'a Packed<L>,
    pub(super) state: &'a mut ForwardState<L>,
    pub(super) retention: Retention,
    /// `[row][step][channel]`
    pub(super) windows: &'a [f32],
    /// The reconstructions, in the same layout.
    pub(super) out: &'a mut [f32],
}

/// The input of a layer at a step.
#[derive(Clone, Copy)]
enum Input<'a, const L: usize> {
    /// The windows' readings.
    Readings(&'a [f32]),
    /// The same input at every step: its contribution to the gates, with the bias, `[row][group]`.
    Same(&'a [Gates<L>]),
}

impl<const L: usize, const R: usize> Work<L, R> for Forward<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<L, R>>(self, simd: S) {
        let Forward { shape, packed, state, retention, windows, out } = self;
        let (rows, groups) = (windows.len() / shape.window_size(), shape.units.div_ceil(L));
        state.encoder.prepare(rows, groups, shape.len, retention);
        state.decoder.prepare(rows, groups, shape.len, retention);
        state.latent.resize(rows * groups, [[0.0; L]; 4]);
        for step in 0..shape.len {
            layer_step(simd, shape, &packed.encoder, &mut state.encoder, Input::Readings(windows), step, rows);
        }
        project(simd, shape, &packed.decoder, state.encoder.hidden(shape.len - 1), &mut state.latent, rows);
        for step in 0..shape.len {
            layer_step(simd, shape, &packed.decoder, &mut state.decoder, Input::Same(&state.latent), step, rows);
            let whole = rows - rows % HEAD_ROWS;
            for row in (0..whole).step_by(HEAD_ROWS) {
                write_output::<S, L, R, HEAD_ROWS>(simd, shape, packed, &state.decoder, out, step, row);
            }
            for row in whole..rows {
                write_output::<S, L, R, 1>(simd, shape, packed, &state.decoder, out, step, row);
            }
        }
    }
}

/// Computes one step of a layer for all windows.
#[inline(always)]
fn layer_step<S: Simd<L, R>, const L: usize, const R: usize>(
    simd: S,
    shape: Shape,
    layer: &Layer<L>,
    states: &mut LayerStates<L>,
    input: Input<'_, L>,
    step: usize,
    rows: usize,
) {
    let whole = rows - rows % R;
    for group in 0..states.groups {
        for row in (0..whole).step_by(R) {
            tile_step::<S, L, R, R>(simd, shape, layer, states, input, step, group, row);
        }
        for row in whole..rows {
            tile_step::<S, L, R, 1>(simd, shape, layer, states, input, step, group, row);
        }
    }
}

/// Computes one step of one group of cells for `N` windows.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the position, in a function that must be inlined")]
fn tile_step<S: Simd<L, R>, const L: usize, const R: usize, const N: usize>(
    simd: S,
    shape: Shape,
    layer: &Layer<L>,
    states: &mut LayerStates<L>,
    input: Input<'_, L>,
    step: usize,
    group: usize,
    row: usize,
) {
    let (Shape { channels, units, .. }, groups) = (shape, states.groups);
    let mut sums = [[simd.splat(0.0); 4]; N];
    for n in 0..N {
        let start = match input {
            Input::Readings(_) => &layer.bias[group],
            Input::Same(sums) => &sums[(row + n) * groups + group],
        };
        for g in 0..4 {
            sums[n][g] = simd.load(&start[g]);
        }
    }
    if let Input::Readings(windows) = input {
        let readings = from_fn(|n| &windows[(row + n) * shape.window_size() + step * channels..][..channels]);
        add::<S, L, R, N, 4>(simd, &mut sums, &layer.input[group * channels..][..channels], readings);
    }
    if step > 0 {
        let hidden = states.hidden(step - 1);
        let hidden = from_fn(|n| &hidden[(row + n) * groups * L..][..units]);
        add::<S, L, R, N, 4>(simd, &mut sums, &layer.hidden[group * units..][..units], hidden);
    }
    for n in 0..N {
        states.update_cells(simd, &sums[n], step, (row + n) * groups + group);
    }
}

/// Computes the contribution of the windows' last hidden states to the decoder's gates, which is the same at every step.
#[inline(always)]
fn project<S: Simd<L, R>, const L: usize, const R: usize>(
    simd: S,
    shape: Shape,
    layer: &Layer<L>,
    hidden: &[f32],
    latent: &mut [Gates<L>],
    rows: usize,
) {
    let whole = rows - rows % R;
    for group in 0..shape.units.div_ceil(L) {
        for row in (0..whole).step_by(R) {
            tile_project::<S, L, R, R>(simd, shape, layer, hidden, latent, group, row);
        }
        for row in whole..rows {
            tile_project::<S, L, R, 1>(simd, shape, layer, hidden, latent, group, row);
        }
    }
}

#[inline(always)]
fn tile_project<S: Simd<L, R>, const L: usize, const R: usize, const N: usize>(
    simd: S,
    shape: Shape,
    layer: &Layer<L>,
    hidden: &[f32],
    latent: &mut [Gates<L>],
    group: usize,
    row: usize,
) {
    let (units, groups) = (shape.units, shape.units.div_ceil(L));
    let mut sums = [[simd.splat(0.0); 4]; N];
    for n in 0..N {
        for g in 0..4 {
            sums[n][g] = simd.load(&layer.bias[group][g]);
        }
    }
    let hidden = from_fn(|n| &hidden[(row + n) * groups * L..][..units]);
    add::<S, L, R, N, 4>(simd, &mut sums, &layer.input[group * units..][..units], hidden);
    for n in 0..N {
        for g in 0..4 {
            simd.store(sums[n][g], &mut latent[(row + n) * groups + group][g]);
        }
    }
}

/// Writes one reconstructed reading of `N` windows.
#[inline(always)]
fn write_output<S: Simd<L, R>, const L: usize, const R: usize, const N: usize>(
    simd: S,
    shape: Shape,
    packed: &Packed<L>,
    states: &LayerStates<L>,
    out: &mut [f32],
    step: usize,
    row: usize,
) {
    let Shape { channels, units, .. } = shape;
    let hidden = states.hidden(step);
    for (group, [bias]) in packed.head_bias.iter().enumerate() {
        let mut sums = [[simd.load(bias)]; N];
        let hidden = from_fn(|n| &hidden[(row + n) * states.groups * L..][..units]);
        add::<S, L, R, N, 1>(simd, &mut sums, &packed.head[group * units..][..units], hidden);
        let width = L.min(channels - group * L);
        for n in 0..N {
            let mut reading = [0.0; L];
            simd.store(sums[n][0], &mut reading);
            let at = (row + n) * shape.window_size() + step * channels + group * L;
            out[at..][..width].copy_from_slice(&reading[..width]);
        }
    }
}
