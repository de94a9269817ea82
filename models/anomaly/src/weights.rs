//! The network's weights: names and sizes of the arrays, initial values, and the serialized form.
//!
//! The arrays are plain vectors, so that `files.rs` and `kernel.rs` do not need candle. Does not apply the weights to windows
//! (`kernel.rs`), and does not store their bytes (`files.rs`).

use std::{f64::consts::TAU, ops::Range};

use rand::{Rng, RngExt};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};

/// The sizes of a network, which determine the sizes of its arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Channels of a step.
    pub(crate) channels: usize,
    /// Steps in a window.
    pub(crate) len: usize,
    /// Hidden units of the encoder and of the decoder.
    pub(crate) units: usize,
}

impl Shape {
    /// Returns the number of values in a window.
    pub(crate) fn window_size(self) -> usize {
        self.len * self.channels
    }
}

/// One array of the network. A kernel (matrix of weights) has the dimensions `[inputs, outputs]`: a row vector of inputs times
/// the kernel is a row vector of outputs. The outputs of an LSTM are its four gates, one after the other, in the order of
/// Keras: input, forget, candidate, output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    EncoderInput,
    EncoderHidden,
    EncoderBias,
    DecoderInput,
    DecoderHidden,
    DecoderBias,
    HeadKernel,
    HeadBias,
}

impl Part {
    pub(crate) const ALL: [Part; 8] = [
        Part::EncoderInput,
        Part::EncoderHidden,
        Part::EncoderBias,
        Part::DecoderInput,
        Part::DecoderHidden,
        Part::DecoderBias,
        Part::HeadKernel,
        Part::HeadBias,
    ];

    /// Returns the array's name in a weights file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::EncoderInput => "encoder.input",
            Part::EncoderHidden => "encoder.hidden",
            Part::EncoderBias => "encoder.bias",
            Part::DecoderInput => "decoder.input",
            Part::DecoderHidden => "decoder.hidden",
            Part::DecoderBias => "decoder.bias",
            Part::HeadKernel => "head.kernel",
            Part::HeadBias => "head.bias",
        }
    }

    /// Returns the array's dimensions.
    pub(crate) fn dims(self, shape: Shape) -> Vec<usize> {
        let Shape { channels, units, .. } = shape;
        match self {
            Part::EncoderInput => vec![channels, 4 * units],
            Part::DecoderInput | Part::EncoderHidden | Part::DecoderHidden => vec![units, 4 * units],
            Part::EncoderBias | Part::DecoderBias => vec![4 * units],
            Part::HeadKernel => vec![units, channels],
            Part::HeadBias => vec![channels],
        }
    }

    /// Returns the array's range among the network's numbers.
    pub(crate) fn range(self, shape: Shape) -> Range<usize> {
        let size = |part: &Part| part.dims(shape).iter().product::<usize>();
        let first = Part::ALL[..self as usize].iter().map(size).sum();
        first..first + size(&self)
    }
}

/// The prefix of the names of the second network's arrays in a file (the network of residuals).
const SECOND_PREFIX: &str = "residual.";

/// All arrays of one network: finite, and of the sizes of its shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weights {
    shape: Shape,
    numbers: Vec<f32>,
}

/// An array does not match the shape, or is not finite.
#[derive(Debug, thiserror::Error)]
#[error("{name} holds {found}; expected: {expected}")]
pub(crate) struct ArrayError {
    pub(crate) name: &'static str,
    pub(crate) found: String,
    pub(crate) expected: String,
}

/// The bytes are not valid weights for the shape.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WeightsError {
    #[error("not a safetensors file of this network: {0}")]
    Format(#[from] SafeTensorError),
    #[error(transparent)]
    Array(#[from] ArrayError),
}

impl Weights {
    /// Returns initial values as in Keras: Glorot-uniform kernels, orthogonal recurrent kernels, and biases of 0, except for the
    /// biases of the forget gates, which are 1.
    pub(crate) fn random(shape: Shape, rng: &mut impl Rng) -> Weights {
        let mut draw = |part: Part| {
            let dims = part.dims(shape);
            match part {
                Part::EncoderInput | Part::DecoderInput | Part::HeadKernel => glorot_uniform(dims[0], dims[1], rng),
                Part::EncoderHidden | Part::DecoderHidden => orthonormal_rows(dims[0], dims[1], rng),
                Part::EncoderBias | Part::DecoderBias => forget_bias(shape.units),
                Part::HeadBias => vec![0.0; dims[0]],
            }
        };
        Weights { shape, numbers: Part::ALL.map(&mut draw).concat() }
    }

    /// Creates weights from arrays in the order of [`Part::ALL`].
    pub(crate) fn from_arrays(shape: Shape, arrays: Vec<Vec<f32>>) -> Result<Weights, ArrayError> {
        for (part, array) in Part::ALL.into_iter().zip(&arrays) {
            let size: usize = part.dims(shape).iter().product();
            let refuse = |found| {
                let expected = format!("{size} finite numbers");
                Err(ArrayError { name: part.name(), found, expected })
            };
            if array.len() != size {
                return refuse(format!("{} numbers", array.len()));
            }
            if let Some(value) = array.iter().find(|value| !value.is_finite()) {
                return refuse(value.to_string());
            }
        }
        Ok(Weights { shape, numbers: arrays.concat() })
    }

    /// Parses the bytes of a safetensors file.
    pub(crate) fn from_bytes(shape: Shape, bytes: &[u8]) -> Result<Weights, WeightsError> {
        Weights::with_prefix("", shape, &SafeTensors::deserialize(bytes)?)
    }

    /// Parses the bytes of a file of two networks. The second one is optional.
    pub(crate) fn pair_from_bytes(
        shape: Shape,
        second: Shape,
        bytes: &[u8],
    ) -> Result<(Weights, Option<Weights>), WeightsError> {
        let file = SafeTensors::deserialize(bytes)?;
        let has_second = file.names().iter().any(|name| name.starts_with(SECOND_PREFIX));
        let second = if has_second { Some(Weights::with_prefix(SECOND_PREFIX, second, &file)?) } else { None };
        Ok((Weights::with_prefix("", shape, &file)?, second))
    }

    fn with_prefix(prefix: &str, shape: Shape, file: &SafeTensors) -> Result<Weights, WeightsError> {
        let mut arrays = Vec::with_capacity(Part::ALL.len());
        for part in Part::ALL {
            let tensor = file.tensor(&format!("{prefix}{}", part.name()))?;
            let dims = part.dims(shape);
            if tensor.dtype() != Dtype::F32 || tensor.shape() != dims {
                let found = format!("{:?} of {:?}", tensor.shape(), tensor.dtype());
                let expected = format!("{dims:?} of F32");
                return Err(ArrayError { name: part.name(), found, expected }.into());
            }
            let (numbers, _) = tensor.data().as_chunks();
            arrays.push(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect());
        }
        Ok(Weights::from_arrays(shape, arrays)?)
    }

    /// Returns the bytes of a safetensors file. The same weights always give the same bytes.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, SafeTensorError> {
        self.to_bytes_with(None)
    }

    /// Returns the bytes of a file of two networks; see [`Weights::pair_from_bytes`].
    pub(crate) fn to_bytes_with(&self, second: Option<&Weights>) -> Result<Vec<u8>, SafeTensorError> {
        let mut arrays: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (prefix, weights) in [("", Some(self)), (SECOND_PREFIX, second)] {
            let Some(weights) = weights else { continue };
            for part in Part::ALL {
                let bytes = weights.array(part).iter().flat_map(|value| value.to_le_bytes()).collect();
                arrays.push((format!("{prefix}{}", part.name()), part.dims(weights.shape), bytes));
            }
        }
        let mut views = Vec::with_capacity(arrays.len());
        for (name, dims, bytes) in &arrays {
            views.push((name, TensorView::new(Dtype::F32, dims.clone(), bytes)?));
        }
        safetensors::serialize(views, None)
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns one array, row by row.
    pub(crate) fn array(&self, part: Part) -> &[f32] {
        &self.numbers[part.range(self.shape)]
    }

    /// Returns all arrays, concatenated in the order of [`Part::ALL`].
    pub(crate) fn numbers(&self) -> &[f32] {
        &self.numbers
    }
}

/// Uniform random values within `sqrt(6 / (inputs + outputs))` of zero (Glorot and Bengio 2010).
fn glorot_uniform(inputs: usize, outputs: usize, rng: &mut impl Rng) -> Vec<f32> {
    let limit = (6.0 / (inputs + outputs) as f64).sqrt();
    (0..inputs * outputs).map(|_| rng.random_range(-limit..limit) as f32).collect()
}

/// `rows` orthonormal rows of `size` numbers each; at most `size` of them exist. Normal random rows, orthogonalised by
/// Gram-Schmidt.
fn orthonormal_rows(rows: usize, size: usize, rng: &mut impl Rng) -> Vec<f32> {
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(rows);
    while basis.len() < rows {
        let mut row: Vec<f64> = (0..size).map(|_| normal(rng)).collect();
        for other in &basis {
            let along = dot(&row, other);
            row.iter_mut().zip(other).for_each(|(value, base)| *value -= along * base);
        }
        let length = dot(&row, &row).sqrt();
        // A row that is nearly in the span of the rows before it is drawn again.
        if length > 1e-6 {
            row.iter_mut().for_each(|value| *value /= length);
            basis.push(row);
        }
    }
    basis.into_iter().flatten().map(|value| value as f32).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A standard normal random value (Box and Muller 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let (radius, angle) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
}

fn forget_bias(units: usize) -> Vec<f32> {
    let mut bias = vec![0.0; 4 * units];
    bias[units..2 * units].fill(1.0);
    bias
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;

    fn draw(shape: Shape, seed: u64) -> Weights {
        Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    proptest! {
        #[test]
        fn serialization_keeps_every_number(channels in 1_usize..5, units in 1_usize..9, seed: u64) {
            let weights = draw(Shape { channels, len: 3, units }, seed);
            let bytes = weights.to_bytes().expect("bytes");
            prop_assert_eq!(Weights::from_bytes(weights.shape(), &bytes).expect("the same"), weights);
        }

        #[test]
        fn recurrent_kernels_are_orthonormal(units in 1_usize..20, seed: u64) {
            let weights = draw(Shape { channels: 2, len: 3, units }, seed);
            let rows: Vec<&[f32]> = weights.array(Part::EncoderHidden).chunks(4 * units).collect();
            for (i, a) in rows.iter().enumerate() {
                for (j, b) in rows.iter().enumerate() {
                    let product: f32 = a.iter().zip(*b).map(|(a, b)| a * b).sum();
                    prop_assert!((product - f32::from(i == j)).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn the_forget_gates_start_open() {
        let weights = draw(Shape { channels: 2, len: 3, units: 2 }, 1);
        assert_eq!(weights.array(Part::DecoderBias), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn wrong_sizes_and_numbers_are_refused_by_name() {
        let shape = Shape { channels: 2, len: 3, units: 2 };
        let bytes = draw(shape, 1).to_bytes().expect("bytes");
        let error = Weights::from_bytes(Shape { channels: 3, ..shape }, &bytes).expect_err("three channels");
        assert_eq!(error.to_string(), "encoder.input holds [2, 8] of F32; expected: [3, 8] of F32");
        let mut arrays = Part::ALL.map(|part| vec![0.0; part.dims(shape).iter().product()]).to_vec();
        arrays[Part::HeadBias as usize][1] = f32::NAN;
        let error = Weights::from_arrays(shape, arrays).expect_err("not a number");
        assert_eq!(error.to_string(), "head.bias holds NaN; expected: 2 finite numbers");
    }
}
