//! The LSTM autoencoder on candle, for learning: the one module that knows candle.
//!
//! `window → LSTM → last hidden state, repeated → LSTM → linear → window`. In: scaled windows, one after
//! the other in a slice; out: their reconstructions, alike. Plain candle operations with candle's own
//! gradients. Scoring goes through the fused kernel (`kernel.rs`), which is tested against this network. Deliberately absent:
//! scaling, epochs, scores.
//!
//! Measured: unless `RAYON_NUM_THREADS` is set in the environment, candle 0.11 counts the cores in
//! `/proc/cpuinfo` anew for every matrix product, which makes one window ten times as dear.

use candle_core::{Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, ops::sigmoid};

use crate::weights::{Part, Shape, Weights};

/// candle refused an operation: a defect of this crate.
#[derive(Debug, thiserror::Error)]
#[error("the network cannot compute: {0}")]
pub struct NetworkError(#[from] candle_core::Error);

/// A network that reconstructs windows. Cheap to clone; nothing in it changes.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    shape: Shape,
    encoder: Lstm,
    decoder: Lstm,
    head_kernel: Tensor,
    head_bias: Tensor,
}

impl Network {
    #[cfg(test)]
    pub(crate) fn new(weights: &Weights) -> Result<Network, NetworkError> {
        Network::build(weights.shape(), |part| tensor(weights, part))
    }

    /// Reconstructs scaled windows.
    #[cfg(test)]
    pub(crate) fn reconstruct(&self, windows: &[f32]) -> Result<Vec<f32>, NetworkError> {
        Ok(self.forward(&batch(self.shape, windows)?)?.flatten_all()?.to_vec1()?)
    }

    fn build(shape: Shape, tensor: impl Fn(Part) -> Result<Tensor, NetworkError>) -> Result<Network, NetworkError> {
        let lstm = |input, hidden, bias| -> Result<Lstm, NetworkError> {
            Ok(Lstm { input: tensor(input)?, hidden: tensor(hidden)?, bias: tensor(bias)? })
        };
        Ok(Network {
            shape,
            encoder: lstm(Part::EncoderInput, Part::EncoderHidden, Part::EncoderBias)?,
            decoder: lstm(Part::DecoderInput, Part::DecoderHidden, Part::DecoderBias)?,
            head_kernel: tensor(Part::HeadKernel)?,
            head_bias: tensor(Part::HeadBias)?,
        })
    }

    /// From `[batch, len, channels]` to the same.
    fn forward(&self, windows: &Tensor) -> candle_core::Result<Tensor> {
        let mut readings = Vec::with_capacity(self.shape.len);
        for step in 0..self.shape.len {
            let reading = windows.narrow(1, step, 1)?.squeeze(1)?;
            readings.push(self.encoder.project(&reading)?);
        }
        let encoded = self.encoder.run(&readings)?;
        // The decoder sees the same input at every step, so it is projected once.
        let latent = self.decoder.project(&encoded[self.shape.len - 1])?;
        let decoded = self.decoder.run(&vec![latent; self.shape.len])?;
        let mut reconstructed = Vec::with_capacity(self.shape.len);
        for hidden in &decoded {
            reconstructed.push(hidden.matmul(&self.head_kernel)?.broadcast_add(&self.head_bias)?);
        }
        Tensor::stack(&reconstructed, 1)
    }
}

/// One layer of LSTM cells; the arrays are laid out as [`Part`] says.
#[derive(Debug, Clone)]
struct Lstm {
    input: Tensor,
    hidden: Tensor,
    bias: Tensor,
}

impl Lstm {
    /// What an input `[batch, inputs]` adds to the gates: `[batch, 4 * units]`.
    fn project(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        input.matmul(&self.input)?.broadcast_add(&self.bias)
    }

    /// The hidden state `[batch, units]` after each step, from the steps' projected inputs.
    fn run(&self, projected: &[Tensor]) -> candle_core::Result<Vec<Tensor>> {
        let mut states = Vec::with_capacity(projected.len());
        let mut last: Option<(Tensor, Tensor)> = None;
        for input in projected {
            let gates = match &last {
                None => input.clone(),
                Some((hidden, _)) => (input + hidden.matmul(&self.hidden)?)?,
            };
            let gates = gates.chunk(4, 1)?;
            let mut cell = (sigmoid(&gates[0])? * gates[2].tanh()?)?;
            if let Some((_, before)) = &last {
                cell = ((sigmoid(&gates[1])? * before)? + cell)?;
            }
            let hidden = (sigmoid(&gates[3])? * cell.tanh()?)?;
            states.push(hidden.clone());
            last = Some((hidden, cell));
        }
        Ok(states)
    }
}

/// A network that learns.
#[derive(Debug)]
pub(crate) struct Learner {
    network: Network,
    variables: Vec<Var>,
    adam: AdamW,
}

impl Learner {
    /// Starts from these weights, with Adam (Kingma and Ba 2015) in Keras' setting.
    pub(crate) fn new(weights: &Weights, learning_rate: f64) -> Result<Learner, NetworkError> {
        let mut variables = Vec::new();
        for part in Part::ALL {
            variables.push(Var::from_tensor(&tensor(weights, part)?)?);
        }
        let setting = ParamsAdamW { lr: learning_rate, beta1: 0.9, beta2: 0.999, eps: 1e-7, weight_decay: 0.0 };
        Ok(Learner {
            network: Network::build(weights.shape(), |part| Ok(variables[part as usize].as_tensor().clone()))?,
            adam: AdamW::new(variables.clone(), setting)?,
            variables,
        })
    }

    /// One step on one batch of scaled windows. Answers with the batch's mean absolute error before it.
    pub(crate) fn step(&mut self, windows: &[f32]) -> Result<f64, NetworkError> {
        let windows = batch(self.network.shape, windows)?;
        let loss = (self.network.forward(&windows)? - windows)?.abs()?.mean_all()?;
        self.adam.backward_step(&loss)?;
        Ok(f64::from(loss.to_scalar::<f32>()?))
    }

    /// The sizes it was built for.
    pub(crate) fn shape(&self) -> Shape {
        self.network.shape
    }

    /// What it has learned, in the order of [`Part::ALL`]; not finite where learning went astray.
    pub(crate) fn arrays(&self) -> Result<Vec<Vec<f32>>, NetworkError> {
        let array = |variable: &Var| Ok(variable.flatten_all()?.to_vec1()?);
        self.variables.iter().map(array).collect()
    }
}

fn tensor(weights: &Weights, part: Part) -> Result<Tensor, NetworkError> {
    Ok(Tensor::from_slice(weights.array(part), part.dims(weights.shape()), &Device::Cpu)?)
}

fn batch(shape: Shape, windows: &[f32]) -> Result<Tensor, NetworkError> {
    let count = windows.len() / shape.window_size();
    Ok(Tensor::from_slice(windows, (count, shape.len, shape.channels), &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::DType;
    use candle_nn::{LSTMConfig, RNN, VarBuilder, lstm};
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;

    fn draw(shape: Shape, seed: u64) -> Weights {
        Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// candle's own layer with the same numbers: it keeps kernels the other way round.
    fn reference(weights: &Weights, [input, hidden, bias]: [Part; 3], xs: &Tensor) -> candle_core::Result<Tensor> {
        let (inputs, units) = (input.dims(weights.shape())[0], weights.shape().units);
        let of = |part| tensor(weights, part).expect("a tensor");
        let tensors = HashMap::from([
            ("weight_ih_l0".into(), of(input).t()?.contiguous()?),
            ("weight_hh_l0".into(), of(hidden).t()?.contiguous()?),
            ("bias_ih_l0".into(), of(bias)),
        ]);
        let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let layer = lstm(inputs, units, LSTMConfig { b_hh_init: None, ..LSTMConfig::default() }, builder)?;
        layer.states_to_tensor(&layer.seq(xs)?)
    }

    fn reference_autoencoder(weights: &Weights, windows: &Tensor) -> candle_core::Result<Vec<f32>> {
        let len = weights.shape().len;
        let encoder = [Part::EncoderInput, Part::EncoderHidden, Part::EncoderBias];
        let latent = reference(weights, encoder, windows)?.narrow(1, len - 1, 1)?;
        let repeated = latent.repeat((1, len, 1))?;
        let decoder = [Part::DecoderInput, Part::DecoderHidden, Part::DecoderBias];
        let decoded = reference(weights, decoder, &repeated)?;
        let of = |part| tensor(weights, part).expect("a tensor");
        let out = decoded.broadcast_matmul(&of(Part::HeadKernel))?.broadcast_add(&of(Part::HeadBias))?;
        out.flatten_all()?.to_vec1()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn it_is_what_candles_own_layers_make(
            channels in 1_usize..12, len in 1_usize..12, units in 1_usize..70, count in 1_usize..5, seed: u64,
        ) {
            let shape = Shape { channels, len, units };
            let weights = draw(shape, seed);
            let windows: Vec<f32> = (0..count * shape.window_size()).map(|i| (i as f32 * 0.7).sin()).collect();
            let ours = Network::new(&weights).expect("a network").reconstruct(&windows).expect("windows");
            let theirs = reference_autoencoder(&weights, &batch(shape, &windows).expect("a batch")).expect("theirs");
            prop_assert_eq!(ours.len(), windows.len());
            for (ours, theirs) in ours.iter().zip(&theirs) {
                prop_assert!((ours - theirs).abs() < 1e-5, "{} against {}", ours, theirs);
            }
        }
    }

    #[test]
    fn every_part_learns() {
        let weights = draw(Shape { channels: 2, len: 4, units: 3 }, 1);
        let mut learner = Learner::new(&weights, 1e-3).expect("a learner");
        learner.step(&[0.3, 0.9].repeat(4 * 5)).expect("a step");
        for (part, learned) in Part::ALL.into_iter().zip(learner.arrays().expect("arrays")) {
            assert_ne!(weights.array(part), learned, "{}", part.name());
        }
    }
}
