//! The network made of candle-nn's LSTM layers with candle's gradients: the reference for tests of the kernel. Slow.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{LSTMConfig, RNN, VarBuilder, lstm};

use crate::weights::{Part, Weights};

/// Returns the reconstructions of windows.
pub(crate) fn reconstruct(weights: &Weights, windows: &[f32]) -> Result<Vec<f32>> {
    forward(weights, &variables(weights)?, windows)?.flatten_all()?.to_vec1()
}

/// Returns the gradient of `sum(upstream_grad * reconstructions)` for each weight, all arrays concatenated.
pub(crate) fn gradient(weights: &Weights, windows: &[f32], upstream_grad: &[f32]) -> Result<Vec<f32>> {
    let variables = variables(weights)?;
    let reconstructed = forward(weights, &variables, windows)?.flatten_all()?;
    let upstream_grad = Tensor::from_slice(upstream_grad, upstream_grad.len(), &Device::Cpu)?;
    let gradients = (reconstructed * upstream_grad)?.sum_all()?.backward()?;
    let mut numbers = Vec::new();
    for variable in &variables {
        match gradients.get(variable) {
            Some(gradient) => numbers.extend(gradient.flatten_all()?.to_vec1::<f32>()?),
            // With one step, the recurrent weights have no gradient.
            None => numbers.extend(vec![0.0; variable.elem_count()]),
        }
    }
    Ok(numbers)
}

fn variables(weights: &Weights) -> Result<Vec<Var>> {
    let variable = |part: Part| Var::from_slice(weights.array(part), part.dims(weights.shape()), &Device::Cpu);
    Part::ALL.into_iter().map(variable).collect()
}

fn forward(weights: &Weights, variables: &[Var], windows: &[f32]) -> Result<Tensor> {
    let shape = weights.shape();
    let count = windows.len() / shape.window_size();
    let windows = Tensor::from_slice(windows, (count, shape.len, shape.channels), &Device::Cpu)?;
    let tensor = |part: Part| variables[part as usize].as_tensor();
    let encoder = [Part::EncoderInput, Part::EncoderHidden, Part::EncoderBias].map(tensor);
    let latent = layer(encoder, &windows)?.narrow(1, shape.len - 1, 1)?;
    let decoder = [Part::DecoderInput, Part::DecoderHidden, Part::DecoderBias].map(tensor);
    let decoded = layer(decoder, &latent.repeat((1, shape.len, 1))?)?;
    decoded.broadcast_matmul(tensor(Part::HeadKernel))?.broadcast_add(tensor(Part::HeadBias))
}

/// candle's LSTM layer with the same weights. It stores kernels transposed.
fn layer([input, hidden, bias]: [&Tensor; 3], xs: &Tensor) -> Result<Tensor> {
    let (inputs, units) = (input.dims()[0], hidden.dims()[0]);
    let tensors = HashMap::from([
        ("weight_ih_l0".into(), input.t()?.contiguous()?),
        ("weight_hh_l0".into(), hidden.t()?.contiguous()?),
        ("bias_ih_l0".into(), bias.clone()),
    ]);
    let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let layer = lstm(inputs, units, LSTMConfig { b_hh_init: None, ..LSTMConfig::default() }, builder)?;
    layer.states_to_tensor(&layer.seq(xs)?)
}
