//! Activation functions, fused into another layer or layers themselves.

use candle_core::Tensor;
use tinsmith_core_tensor::ops;
use tinsmith_kernels::Activation as Function;
use tinsmith_network::{Activation, Clip};

use super::quantize::{ParamSlot, QuantizerSlot};
use super::{Blueprint, Context, Forward};
use crate::error::{LayersError, Result};

/// A function of each element (softmax: of each row).
#[derive(Debug)]
pub(super) enum Activator {
    Function(Function),
    Clip(Clip),
    Quantizer(QuantizerSlot),
}

/// The kernel of an activation that is a plain function of each element (softmax: of each row).
pub(crate) const fn function_of(activation: &Activation) -> Option<Function> {
    Some(match activation {
        Activation::Linear => Function::Linear,
        Activation::Relu => Function::Relu,
        Activation::Relu6 => Function::Relu6,
        Activation::LeakyRelu(l) => Function::LeakyRelu { slope: l.alpha as f32 },
        Activation::Elu(l) => Function::Elu { alpha: l.alpha as f32 },
        Activation::Tanh => Function::Tanh,
        Activation::Sigmoid => Function::Sigmoid,
        Activation::HardSigmoid => Function::HardSigmoid,
        Activation::Hswish => Function::HardSwish,
        Activation::Softmax => Function::Softmax,
        _ => return None,
    })
}

impl Activator {
    /// The activation of layer number `layer`.
    pub(super) fn new(blueprint: &Blueprint<'_>, layer: usize, activation: &Activation) -> Result<Self> {
        match activation {
            Activation::Clip(clip) => Ok(Self::Clip(*clip)),
            Activation::Quantized(q) => Ok(Self::Quantizer(QuantizerSlot::find(blueprint, layer, None, q)?)),
            other => function_of(other).map(Self::Function).ok_or_else(|| LayersError::Unsupported {
                layer: blueprint.layers[layer].name.clone(),
                what: format!("has the activation {other}, which is no function of each element"),
            }),
        }
    }

    pub(super) fn apply(&self, cx: &Context<'_>, x: Tensor) -> Result<Tensor> {
        match self {
            Self::Function(Function::Linear) => Ok(x),
            Self::Function(Function::Softmax) if cx.keeps_logits => Ok(x),
            Self::Function(function) => Ok(ops::activation(&x, *function, cx.threads)?),
            Self::Clip(clip) => clipped(cx, &x, clip),
            Self::Quantizer(quantizer) => quantizer.apply_to_batch(cx, "activation", &x),
        }
    }
}

/// `min(max(x, low), high)`; the gradient passes inside and on the bounds, as TensorFlow's `clip_by_value` has it.
fn clipped(cx: &Context<'_>, x: &Tensor, clip: &Clip) -> Result<Tensor> {
    let (low, high) = (clip.min as f32, clip.max as f32);
    let clip = move |x: f32| {
        if x < low {
            (low, 0.0)
        } else if x > high {
            (high, 0.0)
        } else {
            (x, 1.0)
        }
    };
    Ok(ops::map_with_gradient(x, clip, cx.threads)?)
}

/// The activation as a layer.
pub(super) fn layer(
    blueprint: &Blueprint<'_>,
    index: usize,
    activation: &Activation,
) -> Result<Box<dyn Forward>> {
    if let Activation::Prelu(_) = activation {
        return Ok(Box::new(Prelu { slopes: ParamSlot::find(blueprint, index, "alpha")? }));
    }
    Ok(Box::new(Activator::new(blueprint, index, activation)?))
}

impl Forward for Activator {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        self.apply(cx, inputs[0].clone())
    }
}

/// `max(x, 0) - slope max(-x, 0)` with learned slopes.
#[derive(Debug)]
struct Prelu {
    slopes: ParamSlot,
}

impl Forward for Prelu {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        let x = inputs[0];
        let slopes = self.slopes.value(cx)?;
        let above = ops::activation(x, Function::Relu, cx.threads)?;
        let below = ops::activation(&x.neg()?, Function::Relu, cx.threads)?;
        Ok((above - below.broadcast_mul(&slopes)?)?)
    }
}
