//! Training: the kernel as an operation in candle's graph, with candle's Adam. The only module that uses candle.
//!
//! Input: scaled windows, one after the other in a slice. Output: weights. The whole network, `window → LSTM → last
//! hidden state, repeated → LSTM → linear → window`, and its mean absolute error are one operation of the graph, with the
//! kernel's own backward pass. candle does the rest of the chain rule and the optimiser. Does not scale windows, count
//! epochs or score.
//!
//! Steps run one after the other on one thread, with sums in a fixed order: the same windows and weights give the same
//! step. candle distributes element-wise operations on 65,536 numbers or more over all cores, with threads that wait actively. For
//! tensors of this size that takes more time than it saves, so no tensor here is that long. The error is already a single number
//! when it enters the graph, and the weights are split into several variables of at most 32,768 numbers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Tensor, Var, bail};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use parking_lot::{Mutex, MutexGuard};

use crate::{
    kernel::Kernel,
    weights::{Part, Shape, Weights},
};

#[cfg(test)]
pub(crate) mod reference;

/// The most numbers in one variable.
const VARIABLE_LEN: usize = 1 << 15;

/// candle refused an operation. This is a defect of this crate.
#[derive(Debug, thiserror::Error)]
#[error("the network cannot compute: {0}")]
pub struct NetworkError(#[from] candle_core::Error);

/// A network in training.
#[derive(Debug)]
pub(crate) struct Trainer {
    shape: Shape,
    /// All arrays in the order of [`Part::ALL`], concatenated and split into pieces of [`VARIABLE_LEN`].
    weights: Vec<Var>,
    kernel: Arc<Mutex<TrainingKernel>>,
    adam: AdamW,
}

impl Trainer {
    /// Starts from these weights, with Adam (Kingma and Ba 2015) and the defaults of Keras.
    pub(crate) fn new(weights: &Weights, learning_rate: f64) -> Result<Trainer, NetworkError> {
        let pieces = weights.numbers().chunks(VARIABLE_LEN);
        let variables: Vec<Var> =
            pieces.map(|piece| Var::from_slice(piece, piece.len(), &Device::Cpu)).collect::<Result<_, _>>()?;
        let setting = ParamsAdamW { lr: learning_rate, beta1: 0.9, beta2: 0.999, eps: 1e-7, weight_decay: 0.0 };
        let kernel =
            TrainingKernel { kernel: Kernel::new(weights), passes: 0, output_grad: Vec::new(), present: Vec::new() };
        Ok(Trainer {
            shape: weights.shape(),
            kernel: Arc::new(Mutex::new(kernel)),
            adam: AdamW::new(variables.clone(), setting)?,
            weights: variables,
        })
    }

    /// Runs one step on one batch of scaled windows. Returns the batch's mean absolute error before the step.
    pub(crate) fn step(&mut self, windows: &[f32]) -> Result<f64, NetworkError> {
        self.kernel.lock().present.clear();
        self.advance(windows)
    }

    /// Like [`Self::step`], but only those values count whose flag in `present` is true. There is one flag per value.
    pub(crate) fn step_masked(&mut self, windows: &[f32], present: &[bool]) -> Result<f64, NetworkError> {
        let mut kernel = self.kernel.lock();
        kernel.present.clear();
        kernel.present.extend_from_slice(present);
        drop(kernel);
        self.advance(windows)
    }

    fn advance(&mut self, windows: &[f32]) -> Result<f64, NetworkError> {
        let loss = self.loss(windows)?;
        self.adam.backward_step(&loss)?;
        Ok(f64::from(loss.to_scalar::<f32>()?))
    }

    /// Returns the network's shape.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the weights, in the order of [`Part::ALL`]. They are not finite if training has diverged.
    pub(crate) fn arrays(&self) -> Result<Vec<Vec<f32>>, NetworkError> {
        let mut numbers = Vec::new();
        for piece in &self.weights {
            numbers.extend(piece.to_vec1::<f32>()?);
        }
        Ok(Part::ALL.map(|part| numbers[part.range(self.shape)].to_vec()).into())
    }

    /// Returns the mean absolute error of a batch, as a node of the graph.
    fn loss(&self, windows: &[f32]) -> Result<Tensor, NetworkError> {
        let windows = Tensor::from_slice(windows, windows.len(), &Device::Cpu)?;
        let pieces: Vec<&Tensor> = self.weights.iter().map(Var::as_tensor).collect();
        let weights = Tensor::cat(&pieces, 0)?;
        Ok(weights.apply_op2(&windows, MeanAbsoluteError::new(&self.kernel))?)
    }
}

/// A kernel with the results of its last forward pass that the backward pass needs.
#[derive(Debug)]
struct TrainingKernel {
    kernel: Kernel,
    /// Number of forward passes so far.
    passes: u64,
    /// The derivative of the error with respect to each reconstructed value.
    output_grad: Vec<f32>,
    /// For each value of the batch: whether its error counts. Empty if all errors count.
    present: Vec<bool>,
}

/// The kernel as one operation of the graph: from weights and windows, both flat, to the mean absolute error of the
/// reconstructions.
///
/// The gates of the forward pass stay in the kernel, so a backward pass after another forward pass is refused. There is
/// no gradient for the windows, which are data.
struct MeanAbsoluteError {
    kernel: Arc<Mutex<TrainingKernel>>,
    /// The number of this operation's forward pass.
    pass: AtomicU64,
}

impl MeanAbsoluteError {
    fn new(kernel: &Arc<Mutex<TrainingKernel>>) -> MeanAbsoluteError {
        MeanAbsoluteError { kernel: Arc::clone(kernel), pass: AtomicU64::new(0) }
    }

    fn kernel(&self) -> MutexGuard<'_, TrainingKernel> {
        self.kernel.lock()
    }
}

impl TrainingKernel {
    /// Returns the mean absolute error, and stores its derivative: 1/n or -1/n for each value, by the sign of its error, and
    /// 0 for a value that is not present.
    fn forward(&mut self, weights: &[f32], windows: &[f32]) -> f32 {
        let reconstructed = self.kernel.forward_train(weights, windows);
        let count = match self.present.as_slice() {
            [] => windows.len(),
            present => present.iter().filter(|present| **present).count().max(1),
        };
        let share = (1.0 / count as f64) as f32;
        self.output_grad.clear();
        let mut sum = 0.0;
        for (index, (reconstructed, value)) in reconstructed.iter().zip(windows).enumerate() {
            if self.present.get(index) == Some(&false) {
                self.output_grad.push(0.0);
                continue;
            }
            let error = reconstructed - value;
            sum += f64::from(error.abs());
            self.output_grad.push(if error >= 0.0 { share } else { -share });
        }
        (sum / count as f64) as f32
    }

    /// Returns the gradient of the error for each weight.
    fn backward(&mut self, windows: &[f32]) -> &[f32] {
        self.kernel.gradient(windows, &self.output_grad)
    }
}

impl CustomOp2 for MeanAbsoluteError {
    fn name(&self) -> &'static str {
        "lstm-autoencoder-mae"
    }

    fn cpu_fwd(
        &self,
        weights: &CpuStorage,
        weights_layout: &Layout,
        windows: &CpuStorage,
        windows_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, candle_core::Shape)> {
        let (weights, windows) = (slice(weights, weights_layout)?, slice(windows, windows_layout)?);
        let mut kernel = self.kernel();
        kernel.passes += 1;
        self.pass.store(kernel.passes, Ordering::Relaxed);
        Ok((CpuStorage::F32(vec![kernel.forward(weights, windows)]), ().into()))
    }

    fn bwd(
        &self,
        _weights: &Tensor,
        windows: &Tensor,
        _error: &Tensor,
        upstream: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let mut kernel = self.kernel();
        if kernel.passes != self.pass.load(Ordering::Relaxed) {
            bail!("the kernel has made another forward pass since");
        }
        let upstream: f32 = upstream.to_scalar()?;
        let gradient = kernel.backward(&windows.to_vec1::<f32>()?);
        let gradient: Vec<f32> = gradient.iter().map(|value| value * upstream).collect();
        let len = gradient.len();
        Ok((Some(Tensor::from_vec(gradient, len, &Device::Cpu)?), None))
    }
}

/// Returns a tensor's numbers as they lie in memory.
fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((first, end)) => Ok(&storage.as_slice()?[first..end]),
        None => bail!("the kernel needs contiguous numbers"),
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;

    fn draw(shape: Shape, seed: u64) -> Weights {
        Weights::random(shape, &mut Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    #[test]
    fn every_weight_array_is_trained() {
        let weights = draw(Shape { channels: 2, len: 4, units: 3 }, 1);
        let mut trainer = Trainer::new(&weights, 1e-3).expect("a trainer");
        trainer.step(&[0.3, 0.9].repeat(4 * 5)).expect("a step");
        for (part, learned) in Part::ALL.into_iter().zip(trainer.arrays().expect("arrays")) {
            assert_ne!(weights.array(part), learned, "{}", part.name());
        }
    }

    #[test]
    fn the_same_steps_give_the_same_weights() {
        let learn = || {
            let mut trainer =
                Trainer::new(&draw(Shape { channels: 3, len: 7, units: 17 }, 2), 1e-2).expect("a trainer");
            for step in 0..5 {
                let windows: Vec<f32> = (0..9 * 21).map(|i| ((i + step) as f32 * 0.3).sin()).collect();
                trainer.step(&windows).expect("a step");
            }
            trainer.arrays().expect("arrays")
        };
        assert_eq!(learn(), learn());
    }

    #[test]
    fn a_value_that_is_not_present_has_no_error_and_teaches_nothing() {
        let weights = draw(Shape { channels: 2, len: 4, units: 3 }, 1);
        let mut trainer = Trainer::new(&weights, 1e-3).expect("a trainer");
        let (windows, present) = ([0.3, 0.9].repeat(4 * 5), [true, false].repeat(4 * 5));
        let loss = trainer.step_masked(&windows, &present).expect("a step");
        let reconstructed = reference::reconstruct(&weights, &windows).expect("windows");
        let errors: Vec<f64> = reconstructed.iter().step_by(2).map(|value| f64::from((value - 0.3).abs())).collect();
        assert!((loss - errors.iter().sum::<f64>() / errors.len() as f64).abs() < 1e-6);
        let bias = &trainer.arrays().expect("arrays")[Part::HeadBias as usize];
        assert!(bias[0] != 0.0 && bias[1] == 0.0, "{bias:?}");
        let all = trainer.step(&windows).expect("a step");
        assert!(all > loss, "a step without a mask counts all values");
    }

    #[test]
    fn only_the_last_pass_has_a_gradient() {
        let trainer = Trainer::new(&draw(Shape { channels: 2, len: 4, units: 3 }, 1), 1e-3).expect("a trainer");
        let (first, second) = (trainer.loss(&[0.1; 8]).expect("a pass"), trainer.loss(&[0.2; 8]).expect("a pass"));
        assert!(second.backward().is_ok());
        assert!(first.backward().is_err());
    }

    #[test]
    fn loss_and_gradient_match_those_of_candles_own_network() {
        // More weights than fit into one variable.
        let weights = draw(Shape { channels: 3, len: 4, units: 64 }, 5);
        let trainer = Trainer::new(&weights, 1e-3).expect("a trainer");
        assert!(trainer.weights.len() > 1);
        let windows: Vec<f32> = (0..6 * 12).map(|i| (i as f32 * 0.7).sin()).collect();
        let reconstructed = reference::reconstruct(&weights, &windows).expect("windows");
        let errors: Vec<f32> = reconstructed.iter().zip(&windows).map(|(theirs, value)| theirs - value).collect();
        let share = 1.0 / errors.len() as f32;
        let loss = trainer.loss(&windows).expect("a pass");
        let mean = errors.iter().map(|error| error.abs()).sum::<f32>() * share;
        assert!((loss.to_scalar::<f32>().expect("a number") - mean).abs() < 1e-6);
        let upstream_grad: Vec<f32> = errors.iter().map(|error| share.copysign(*error)).collect();
        let theirs = reference::gradient(&weights, &windows, &upstream_grad).expect("a gradient");
        let gradients = loss.backward().expect("a backward pass");
        let ours: Vec<f32> = trainer
            .weights
            .iter()
            .flat_map(|piece| {
                gradients.get(piece).expect("a gradient for each piece").to_vec1::<f32>().expect("numbers")
            })
            .collect();
        assert_eq!(ours.len(), theirs.len());
        for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert!((ours - theirs).abs() < 1e-5, "{index}: {ours} {theirs}");
        }
    }
}
