//! Learning: the kernel in candle's graph, with candle's Adam. The one module that knows candle.
//!
//! In: scaled windows, one after the other in a slice; out: weights. The whole network, `window → LSTM → last hidden
//! state, repeated → LSTM → linear → window`, is one operation of the graph, with the kernel's own way back; the loss and
//! the optimiser are candle's. Deliberately absent: scaling, epochs, scores.
//!
//! One step after the other, on one thread, in a fixed order of sums: the same windows and weights give the same step.

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

/// candle refused an operation: a defect of this crate.
#[derive(Debug, thiserror::Error)]
#[error("the network cannot compute: {0}")]
pub struct NetworkError(#[from] candle_core::Error);

/// A network that learns.
#[derive(Debug)]
pub(crate) struct Learner {
    shape: Shape,
    /// All arrays, one after the other in the order of [`Part::ALL`].
    weights: Var,
    desk: Arc<Mutex<Desk>>,
    adam: AdamW,
}

impl Learner {
    /// Starts from these weights, with Adam (Kingma and Ba 2015) in Keras' setting.
    pub(crate) fn new(weights: &Weights, learning_rate: f64) -> Result<Learner, NetworkError> {
        let variable = Var::from_slice(weights.numbers(), weights.numbers().len(), &Device::Cpu)?;
        let setting = ParamsAdamW { lr: learning_rate, beta1: 0.9, beta2: 0.999, eps: 1e-7, weight_decay: 0.0 };
        Ok(Learner {
            shape: weights.shape(),
            desk: Arc::new(Mutex::new(Desk { kernel: Kernel::new(weights), passes: 0 })),
            adam: AdamW::new(vec![variable.clone()], setting)?,
            weights: variable,
        })
    }

    /// One step on one batch of scaled windows. Answers with the batch's mean absolute error before it.
    pub(crate) fn step(&mut self, windows: &[f32]) -> Result<f64, NetworkError> {
        let windows = Tensor::from_slice(windows, windows.len(), &Device::Cpu)?;
        let reconstructed = self.weights.apply_op2(&windows, Reconstruct::at(&self.desk))?;
        let loss = (reconstructed - windows)?.abs()?.mean_all()?;
        self.adam.backward_step(&loss)?;
        Ok(f64::from(loss.to_scalar::<f32>()?))
    }

    /// The sizes it was built for.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// What it has learned, in the order of [`Part::ALL`]; not finite where learning went astray.
    pub(crate) fn arrays(&self) -> Result<Vec<Vec<f32>>, NetworkError> {
        let numbers: Vec<f32> = self.weights.to_vec1()?;
        Ok(Part::ALL.map(|part| numbers[part.range(self.shape)].to_vec()).into())
    }
}

/// A kernel with the memory of its last pass, which a gradient asks for.
#[derive(Debug)]
struct Desk {
    kernel: Kernel,
    /// Passes so far.
    passes: u64,
}

/// From weights and windows, each flat, to the windows' reconstructions: the kernel as one operation of the graph.
///
/// An operation has one answer, so the gates of the pass stay in the kernel; a gradient after another pass is refused.
/// The windows have no gradient: they are data.
struct Reconstruct {
    desk: Arc<Mutex<Desk>>,
    /// The number of this operation's pass.
    pass: AtomicU64,
}

impl Reconstruct {
    fn at(desk: &Arc<Mutex<Desk>>) -> Reconstruct {
        Reconstruct { desk: Arc::clone(desk), pass: AtomicU64::new(0) }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock()
    }
}

impl CustomOp2 for Reconstruct {
    fn name(&self) -> &'static str {
        "lstm-autoencoder"
    }

    fn cpu_fwd(
        &self,
        weights: &CpuStorage,
        weights_layout: &Layout,
        windows: &CpuStorage,
        windows_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, candle_core::Shape)> {
        let (weights, windows) = (slice(weights, weights_layout)?, slice(windows, windows_layout)?);
        let mut desk = self.desk();
        desk.passes += 1;
        self.pass.store(desk.passes, Ordering::Relaxed);
        let reconstructed = desk.kernel.study(weights, windows).to_vec();
        Ok((CpuStorage::F32(reconstructed), windows_layout.shape().clone()))
    }

    fn bwd(
        &self,
        _weights: &Tensor,
        windows: &Tensor,
        _reconstructed: &Tensor,
        slopes: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let mut desk = self.desk();
        if desk.passes != self.pass.load(Ordering::Relaxed) {
            bail!("the kernel has made another pass since");
        }
        let (windows, slopes): (Vec<f32>, Vec<f32>) = (windows.to_vec1()?, slopes.to_vec1()?);
        let gradient = desk.kernel.gradient(&windows, &slopes);
        Ok((Some(Tensor::from_slice(gradient, gradient.len(), &Device::Cpu)?), None))
    }
}

/// A tensor's numbers as they lie in memory.
fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((first, end)) => Ok(&storage.as_slice()?[first..end]),
        None => bail!("the kernel takes numbers that lie side by side"),
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
    fn every_part_learns() {
        let weights = draw(Shape { channels: 2, len: 4, units: 3 }, 1);
        let mut learner = Learner::new(&weights, 1e-3).expect("a learner");
        learner.step(&[0.3, 0.9].repeat(4 * 5)).expect("a step");
        for (part, learned) in Part::ALL.into_iter().zip(learner.arrays().expect("arrays")) {
            assert_ne!(weights.array(part), learned, "{}", part.name());
        }
    }

    #[test]
    fn the_same_steps_teach_the_same() {
        let learn = || {
            let mut learner =
                Learner::new(&draw(Shape { channels: 3, len: 7, units: 17 }, 2), 1e-2).expect("a learner");
            for step in 0..5 {
                let windows: Vec<f32> = (0..9 * 21).map(|i| ((i + step) as f32 * 0.3).sin()).collect();
                learner.step(&windows).expect("a step");
            }
            learner.arrays().expect("arrays")
        };
        assert_eq!(learn(), learn());
    }

    #[test]
    fn a_gradient_belongs_to_the_last_pass() {
        let learner = Learner::new(&draw(Shape { channels: 2, len: 4, units: 3 }, 1), 1e-3).expect("a learner");
        let pass = |value: f32| {
            let windows = Tensor::from_slice(&[value; 8], 8, &Device::Cpu).expect("windows");
            learner.weights.apply_op2(&windows, Reconstruct::at(&learner.desk)).expect("a pass")
        };
        let (first, second) = (pass(0.1), pass(0.2));
        assert!(second.sum_all().expect("a sum").backward().is_ok());
        assert!(first.sum_all().expect("a sum").backward().is_err());
    }
}
