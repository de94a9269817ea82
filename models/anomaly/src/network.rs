//! The LSTM autoencoder on candle: the one module that knows candle.
//!
//! `window → LSTM → last hidden state, repeated → LSTM → linear → window`. In: scaled windows, one after
//! the other in a slice; out: their reconstructions, alike. Plain candle operations with candle's own
//! gradients: a faster kernel only has to replace this file. Deliberately absent: scaling, epochs, scores.

use candle_core::{Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, ops::sigmoid};

use crate::weights::{Part, Shape, Weights};

/// candle refused an operation: a defect of this crate.
#[derive(Debug, thiserror::Error)]
#[error("the network cannot compute: {0}")]
pub struct NetworkError(#[from] candle_core::Error);

/// The smallest batch that takes the same way through the matrix product as every larger one: a single
/// row is a vector to it, whose terms are summed in another order.
const MIN_BATCH: usize = 2;

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
    pub(crate) fn new(weights: &Weights) -> Result<Network, NetworkError> {
        Network::build(weights.shape(), |part| tensor(weights, part))
    }

    /// The sizes it was built for.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Reconstructs scaled windows. A window's reconstruction is bit for bit the same in any company.
    pub(crate) fn reconstruct(&self, windows: &[f32]) -> Result<Vec<f32>, NetworkError> {
        let count = windows.len() / self.shape.window_size();
        let mut batch = batch(self.shape, windows)?;
        if (1..MIN_BATCH).contains(&count) {
            batch = batch.repeat((MIN_BATCH, 1, 1))?;
        }
        let mut reconstructed = self.forward(&batch)?.flatten_all()?.to_vec1()?;
        reconstructed.truncate(windows.len());
        Ok(reconstructed)
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
mod speed {
    use super::*;
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
    #[test]
    fn speed() {
        let shape = Shape { channels: 10, len: 30, units: 64 };
        let w = Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(1));
        let n = Network::new(&w).unwrap();
        for b in [1usize, 2, 4, 8, 16, 32, 64, 128] {
            let x: Vec<f32> = (0..b * 300).map(|i| (i as f32 * 0.37).sin() * 0.5 + 0.5).collect();
            let reps = 2000 / b.max(10);
            n.reconstruct(&x).unwrap();
            let t = std::time::Instant::now();
            for _ in 0..reps { n.reconstruct(&x).unwrap(); }
            println!("score {b}: {:.0}/s", (reps * b) as f64 / t.elapsed().as_secs_f64());
        }
        let mut l = Learner::new(&w, 1e-3).unwrap();
        for b in [16usize, 64] {
            let x: Vec<f32> = (0..b * 300).map(|i| (i as f32 * 0.37).sin() * 0.5 + 0.5).collect();
            l.step(&x).unwrap();
            let t = std::time::Instant::now();
            for _ in 0..10 { l.step(&x).unwrap(); }
            println!("train {b}: {:.0}/s", (10 * b) as f64 / t.elapsed().as_secs_f64());
        }
    }
}
