//! The network's weights and gradients in the kernel's memory layout, and back.
//!
//! `L` is the number of lanes (numbers) of a SIMD vector. Outputs are in groups of `L`, the last one padded with zeros. A group's
//! gates (the four sums of an LSTM cell) are adjacent. The values of one group and one input are a panel, `[gate][lane]`.
//! So an array `[input][gate * units + unit]` becomes panels `[group][input][gate][lane]`, and a pass over one group reads
//! memory in order. Gradients have the same layout.

use super::math::{CANDIDATE, GATE};
use crate::weights::{Part, Shape};

/// Four vectors. For a group of cells they are the gates, in Keras' order: input, forget, candidate, output.
pub(super) type Gates<const L: usize> = [[f32; L]; 4];

/// Weights are stored times these, so that the activation functions in [`super::math`] need only powers of 2.
const FACTORS: [f32; 4] = [GATE, GATE, CANDIDATE, GATE];

/// Packed weights, or gradients.
#[derive(Debug, Clone, Default)]
pub(super) struct Packed<const L: usize> {
    pub(super) encoder: Layer<L>,
    pub(super) decoder: Layer<L>,
    /// The weights of the output layer (the *head*): `[group of channels][unit]`
    pub(super) head: Vec<[[f32; L]; 1]>,
    /// `[group of channels]`
    pub(super) head_bias: Vec<[[f32; L]; 1]>,
}

/// One layer of cells.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer<const L: usize> {
    /// `[group][input]`
    pub(super) input: Vec<Gates<L>>,
    /// `[group][unit]`
    pub(super) hidden: Vec<Gates<L>>,
    /// `[group]`
    pub(super) bias: Vec<Gates<L>>,
}

/// The arrays of a layer.
type Parts = [Part; 3];
const ENCODER: Parts = [Part::EncoderInput, Part::EncoderHidden, Part::EncoderBias];
const DECODER: Parts = [Part::DecoderInput, Part::DecoderHidden, Part::DecoderBias];

impl<const L: usize> Packed<L> {
    /// Packs the weights, all arrays concatenated.
    pub(super) fn pack(&mut self, shape: Shape, numbers: &[f32]) {
        for (layer, parts) in [(&mut self.encoder, ENCODER), (&mut self.decoder, DECODER)] {
            for (panels, part) in layer.arrays().into_iter().zip(parts) {
                pack(&numbers[part.range(shape)], shape.units, FACTORS, panels);
            }
        }
        pack(&numbers[Part::HeadKernel.range(shape)], shape.channels, [1.0], &mut self.head);
        pack(&numbers[Part::HeadBias.range(shape)], shape.channels, [1.0], &mut self.head_bias);
    }

    /// Sets all numbers to zero.
    pub(super) fn clear(&mut self, shape: Shape) {
        let (groups, Shape { channels, units, .. }) = (shape.units.div_ceil(L), shape);
        for (layer, inputs) in [(&mut self.encoder, channels), (&mut self.decoder, units)] {
            for (panels, rows) in layer.arrays().into_iter().zip([inputs, units, 1]) {
                panels.clear();
                panels.resize(groups * rows, [[0.0; L]; 4]);
            }
        }
        for (panels, rows) in [(&mut self.head, units), (&mut self.head_bias, 1)] {
            panels.clear();
            panels.resize(channels.div_ceil(L) * rows, [[0.0; L]]);
        }
    }

    /// Unpacks gradients, all arrays concatenated.
    pub(super) fn unpack(&mut self, shape: Shape, numbers: &mut [f32]) {
        for (layer, parts) in [(&mut self.encoder, ENCODER), (&mut self.decoder, DECODER)] {
            for (panels, part) in layer.arrays().into_iter().zip(parts) {
                unpack(panels, shape.units, &mut numbers[part.range(shape)]);
            }
        }
        unpack(&self.head, shape.channels, &mut numbers[Part::HeadKernel.range(shape)]);
        unpack(&self.head_bias, shape.channels, &mut numbers[Part::HeadBias.range(shape)]);
    }
}

impl<const L: usize> Layer<L> {
    fn arrays(&mut self) -> [&mut Vec<Gates<L>>; 3] {
        [&mut self.input, &mut self.hidden, &mut self.bias]
    }
}

/// Packs `[row][gate * outputs + output]`, times the gates' factors, as `[group][row][gate][lane]`.
fn pack<const L: usize, const G: usize>(
    array: &[f32],
    outputs: usize,
    factors: [f32; G],
    panels: &mut Vec<[[f32; L]; G]>,
) {
    panels.clear();
    for first in (0..outputs).step_by(L) {
        let width = L.min(outputs - first);
        for row in array.chunks_exact(G * outputs) {
            let mut panel = [[0.0; L]; G];
            for gate in 0..G {
                for (lane, value) in row[gate * outputs + first..][..width].iter().enumerate() {
                    panel[gate][lane] = value * factors[gate];
                }
            }
            panels.push(panel);
        }
    }
}

/// The inverse of [`pack`], without factors.
fn unpack<const L: usize, const G: usize>(panels: &[[[f32; L]; G]], outputs: usize, array: &mut [f32]) {
    let groups = outputs.div_ceil(L);
    for (group, panels) in panels.chunks_exact(panels.len() / groups).enumerate() {
        let width = L.min(outputs - group * L);
        for (panel, row) in panels.iter().zip(array.chunks_exact_mut(G * outputs)) {
            for gate in 0..G {
                row[gate * outputs + group * L..][..width].copy_from_slice(&panel[gate][..width]);
            }
        }
    }
}

/// Transposes a kernel, for gradients that flow back from gates `[group][gate][lane]` to `outputs`.
///
/// From `[output][gate * units + unit]` to `[four vectors of outputs][group][gate][lane of a unit][vector][lane]`.
pub(super) fn transpose<const L: usize>(array: &[f32], gates: usize, units: usize, panels: &mut Vec<Gates<L>>) {
    let outputs = array.len() / (gates * units);
    panels.clear();
    for first in (0..outputs).step_by(4 * L) {
        for group in (0..units).step_by(L) {
            for gate in 0..gates {
                for unit in group..group + L {
                    let mut panel = [[0.0; L]; 4];
                    if unit < units {
                        for (index, output) in (first..outputs.min(first + 4 * L)).enumerate() {
                            panel[index / L][index % L] = array[output * gates * units + gate * units + unit];
                        }
                    }
                    panels.push(panel);
                }
            }
        }
    }
}
