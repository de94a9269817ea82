//! The way forward: from windows to their reconstructions.
//!
//! All windows of a block take a step together, group of cells by group of cells, so that a group's weights (19 KiB at
//! 64 units and 16 lanes) stay in the first cache while the block passes them, and `R` windows at a time share each load
//! of a weight. A window left over goes alone, through the same sums in the same order.

use std::array::from_fn;

use super::{
    math::{CANDIDATE, add, candidate, gate},
    packed::{Gates, Layer, Packed},
    simd::{Simd, Work},
};
use crate::weights::Shape;

/// Windows whose sums with the head's weights are made together: a vector each.
const HEAD_ROWS: usize = 8;

/// What one pass of some windows leaves behind.
#[derive(Debug, Clone, Default)]
pub(super) struct Passed<const L: usize> {
    pub(super) encoder: States<L>,
    pub(super) decoder: States<L>,
    /// What the decoder's constant input adds to the gates: `[row][group]`.
    latent: Vec<Gates<L>>,
}

/// How many steps are remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Memory {
    /// As many as the next one needs.
    #[default]
    Last,
    /// All, and the gates: for the way back.
    All,
}

/// The cells of a layer, `[step][row][group]`; of a step that is no longer remembered, a later one takes the place.
#[derive(Debug, Clone, Default)]
pub(super) struct States<const L: usize> {
    memory: Memory,
    groups: usize,
    /// Vectors in a step: rows times groups.
    size: usize,
    hidden: Vec<[f32; L]>,
    cells: Vec<[f32; L]>,
    /// Only with [`Memory::All`]: the gates, open or shut.
    gates: Vec<Gates<L>>,
    /// Only with [`Memory::All`]: tanh of the cells.
    tanhs: Vec<[f32; L]>,
}

impl<const L: usize> States<L> {
    fn prepare(&mut self, rows: usize, groups: usize, len: usize, memory: Memory) {
        (self.memory, self.groups, self.size) = (memory, groups, rows * groups);
        let all = if memory == Memory::All { len } else { 0 };
        self.hidden.resize(all.max(2) * self.size, [0.0; L]);
        self.cells.resize(all.max(1) * self.size, [0.0; L]);
        self.gates.resize(all * self.size, [[0.0; L]; 4]);
        self.tanhs.resize(all * self.size, [0.0; L]);
    }

    /// Where the hidden states after a step begin, and the cells.
    fn places(&self, step: usize) -> (usize, usize) {
        match self.memory {
            Memory::Last => (step % 2 * self.size, 0),
            Memory::All => (step * self.size, step * self.size),
        }
    }

    /// Hidden states after a step, `[row][group * L]`.
    pub(super) fn hidden(&self, step: usize) -> &[f32] {
        self.hidden[self.places(step).0..][..self.size].as_flattened()
    }

    /// Cells after a step.
    pub(super) fn cells(&self, step: usize) -> &[[f32; L]] {
        &self.cells[self.places(step).1..][..self.size]
    }

    /// The gates in a step.
    pub(super) fn gates(&self, step: usize) -> &[Gates<L>] {
        &self.gates[step * self.size..][..self.size]
    }

    /// tanh of the cells after a step.
    pub(super) fn tanhs(&self, step: usize) -> &[[f32; L]] {
        &self.tanhs[step * self.size..][..self.size]
    }

    /// Takes the cells of a group and a row through a step, from the gates' sums
    /// (Hochreiter and Schmidhuber 1997, with forget gates).
    #[inline(always)]
    fn turn<S: Simd<L, R>, const R: usize>(&mut self, simd: S, sums: &[S::V; 4], step: usize, at: usize) {
        let before = if step > 0 { simd.load(&self.cells(step - 1)[at]) } else { simd.splat(0.0) };
        let [input, forget] = [gate(simd, sums[0]), gate(simd, sums[1])];
        let [new, output] = [candidate(simd, sums[2]), gate(simd, sums[3])];
        let cell = simd.mul_add(forget, before, simd.mul(input, new));
        let tanh = candidate(simd, simd.mul(cell, simd.splat(CANDIDATE)));
        let (hidden, cells) = self.places(step);
        simd.store(cell, &mut self.cells[cells + at]);
        simd.store(simd.mul(output, tanh), &mut self.hidden[hidden + at]);
        if self.memory == Memory::All {
            let gates = &mut self.gates[step * self.size + at];
            for (value, gate) in [input, forget, new, output].into_iter().zip(gates) {
                simd.store(value, gate);
            }
            simd.store(tanh, &mut self.tanhs[step * self.size + at]);
        }
    }
}

/// A block of windows on its way.
pub(super) struct Forward<'a, const L: usize> {
    pub(super) shape: Shape,
    pub(super) packed: &'a Packed<L>,
    pub(super) passed: &'a mut Passed<L>,
    pub(super) memory: Memory,
    /// `[row][step][channel]`
    pub(super) windows: &'a [f32],
    /// The same.
    pub(super) out: &'a mut [f32],
}

/// What goes into a layer at a step.
#[derive(Clone, Copy)]
enum Input<'a, const L: usize> {
    /// The windows' readings.
    Readings(&'a [f32]),
    /// The same at every step: what it adds to the gates, the bias included, `[row][group]`.
    Same(&'a [Gates<L>]),
}

impl<const L: usize, const R: usize> Work<L, R> for Forward<'_, L> {
    type Answer = ();

    #[inline(always)]
    fn run<S: Simd<L, R>>(self, simd: S) {
        let Forward { shape, packed, passed, memory, windows, out } = self;
        let (rows, groups) = (windows.len() / shape.window_size(), shape.units.div_ceil(L));
        passed.encoder.prepare(rows, groups, shape.len, memory);
        passed.decoder.prepare(rows, groups, shape.len, memory);
        passed.latent.resize(rows * groups, [[0.0; L]; 4]);
        for step in 0..shape.len {
            layer_step(simd, shape, &packed.encoder, &mut passed.encoder, Input::Readings(windows), step, rows);
        }
        project(simd, shape, &packed.decoder, passed.encoder.hidden(shape.len - 1), &mut passed.latent, rows);
        for step in 0..shape.len {
            layer_step(simd, shape, &packed.decoder, &mut passed.decoder, Input::Same(&passed.latent), step, rows);
            let whole = rows - rows % HEAD_ROWS;
            for row in (0..whole).step_by(HEAD_ROWS) {
                put_out::<S, L, R, HEAD_ROWS>(simd, shape, packed, &passed.decoder, out, step, row);
            }
            for row in whole..rows {
                put_out::<S, L, R, 1>(simd, shape, packed, &passed.decoder, out, step, row);
            }
        }
    }
}

/// All windows take one step through a layer.
#[inline(always)]
fn layer_step<S: Simd<L, R>, const L: usize, const R: usize>(
    simd: S,
    shape: Shape,
    layer: &Layer<L>,
    states: &mut States<L>,
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

/// One step of one group of cells of `N` windows.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "where it is, in a function that must be inlined")]
fn tile_step<S: Simd<L, R>, const L: usize, const R: usize, const N: usize>(
    simd: S,
    shape: Shape,
    layer: &Layer<L>,
    states: &mut States<L>,
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
        states.turn(simd, &sums[n], step, (row + n) * groups + group);
    }
}

/// What the windows' last hidden states add to the decoder's gates, at every step.
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

/// One reconstructed reading of `N` windows.
#[inline(always)]
fn put_out<S: Simd<L, R>, const L: usize, const R: usize, const N: usize>(
    simd: S,
    shape: Shape,
    packed: &Packed<L>,
    states: &States<L>,
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
