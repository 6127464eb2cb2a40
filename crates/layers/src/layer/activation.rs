//! Activation functions, fused into another layer or as layers.

use candle_core::Tensor;
use tinsmith_core_tensor::ops;
use tinsmith_kernels::Activation as Function;
use tinsmith_network::{Activation, Clip};

use super::quantize::{ParamSlot, QuantizerSlot};
use super::{Blueprint, Context, LayerForward};
use crate::error::{LayersError, Result};

/// An element-wise function (softmax: row-wise).
#[derive(Debug)]
pub(super) enum Activator {
    Function(Function),
    Clip(Clip),
    Quantizer(QuantizerSlot),
}

/// Returns the kernel of a plain element-wise activation (softmax: row-wise).
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
    /// Builds the activation of layer number `layer`.
    pub(super) fn new(blueprint: &Blueprint<'_>, layer: usize, activation: &Activation) -> Result<Self> {
        match activation {
            Activation::Clip(clip) => Ok(Self::Clip(*clip)),
            Activation::Quantized(q) => Ok(Self::Quantizer(QuantizerSlot::find(blueprint, layer, None, q)?)),
            other => function_of(other).map(Self::Function).ok_or_else(|| LayersError::Unsupported {
                layer: blueprint.layers[layer].name.clone(),
                what: format!("has the activation {other}, which is not element-wise"),
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

/// `min(max(x, low), high)`. The gradient passes inside and on the bounds, as in TensorFlow's `clip_by_value`.
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

/// Builds an activation layer.
pub(super) fn layer(
    blueprint: &Blueprint<'_>,
    index: usize,
    activation: &Activation,
) -> Result<Box<dyn LayerForward>> {
    if let Activation::Prelu(_) = activation {
        return Ok(Box::new(Prelu { slopes: ParamSlot::find(blueprint, index, "alpha")? }));
    }
    Ok(Box::new(Activator::new(blueprint, index, activation)?))
}

impl LayerForward for Activator {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        self.apply(cx, inputs[0].clone())
    }
}

/// `max(x, 0) - slope max(-x, 0)` with learned slopes.
#[derive(Debug)]
struct Prelu {
    slopes: ParamSlot,
}

impl LayerForward for Prelu {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        let x = inputs[0];
        let slopes = self.slopes.value(cx)?;
        let above = ops::activation(x, Function::Relu, cx.threads)?;
        let below = ops::activation(&x.neg()?, Function::Relu, cx.threads)?;
        Ok((above - below.broadcast_mul(&slopes)?)?)
    }
}
