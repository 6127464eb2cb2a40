//! A linear layer and the batch normalization folded into it, trained as one.
//!
//! Equivalent to `QConv2DBatchnorm` of QKeras 0.9.0 with its default `ema_stats_folding` (Krishnamoorthi, arXiv
//! 1806.08342). Kernels are scaled by the *moving* variance before quantization, so their levels do not jump between
//! batches. In training the output is corrected to the batch variance and the bias is folded with the batch moments.
//! Inference uses the moving moments for both.

use candle_core::Tensor;
use tinsmith_core_tensor::ops;
use tinsmith_network::op;

use super::linear::{Linear, bias_quantizer};
use super::normalization::{ScaleShift, Statistics, rows};
use super::quantize::QuantizerSlot;
use super::{Blueprint, Context, LayerForward};
use crate::error::{LayersError, Result};

/// A folded layer; reads the input of the linear layer.
#[derive(Debug)]
pub(super) struct Folded {
    linear: Linear,
    bias_quantizer: Option<QuantizerSlot>,
    scale_shift: ScaleShift,
    statistics: Statistics,
    epsilon: f64,
    zeros: Tensor,
}

impl Folded {
    pub(super) fn new(blueprint: &Blueprint<'_>, index: usize, l: &op::BatchNorm) -> Result<Self> {
        let before = blueprint.graph.nodes[index].inputs.first().copied().unwrap_or(index);
        let linear = if before == index { None } else { Linear::new(blueprint, before)? };
        let linear = linear.ok_or_else(|| LayersError::Unsupported {
            layer: blueprint.layers[index].name.clone(),
            what: format!("cannot be folded into `{}`", blueprint.layers[before].name),
        })?;
        let shape = blueprint.graph.shape(index);
        let channels = shape.last().copied().unwrap_or_default();
        let zeros = Tensor::zeros(channels, candle_core::DType::F32, blueprint.device)?;
        Ok(Self {
            linear,
            bias_quantizer: bias_quantizer(&blueprint.layers[before].op)
                .map(|q| QuantizerSlot::find(blueprint, before, Some("bias"), &q))
                .transpose()?,
            scale_shift: ScaleShift::new(blueprint, index)?,
            statistics: Statistics::new(blueprint, index, l, shape.len() + 1)?,
            epsilon: l.epsilon,
            zeros,
        })
    }

    fn inverse_deviation(&self, variance: &Tensor) -> Result<Tensor> {
        Ok((variance + self.epsilon)?.sqrt()?.recip()?)
    }
}

impl LayerForward for Folded {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        let x = inputs[0];
        let (gamma, beta) = self.scale_shift.values(cx)?;
        let bias = self.linear.raw_bias(cx)?.unwrap_or_else(|| self.zeros.clone());
        let batch = if cx.mode.is_training() {
            let raw = self.linear.raw(cx, x)?;
            let (mean, variance) = ops::moments(&raw, cx.threads)?;
            self.statistics.update(cx, rows(&raw)?, &mean, &variance)?;
            Some((mean, variance))
        } else {
            None
        };
        let (moving_mean, moving_variance) = self.statistics.raw(cx)?;
        let moving_inverse = self.inverse_deviation(&moving_variance)?;
        let kernel = self.linear.scaled_kernel(cx, &(&gamma * &moving_inverse)?)?;
        let (mean, inverse) = match &batch {
            Some((mean, variance)) => (mean, self.inverse_deviation(variance)?),
            None => (&moving_mean, moving_inverse.clone()),
        };
        let folded_bias = (((&gamma * &inverse)? * (bias - mean)?)? + &beta)?;
        let folded_bias = match &self.bias_quantizer {
            Some(quantizer) => quantizer.apply(cx, "bias", &folded_bias)?,
            None => folded_bias,
        };
        if batch.is_none() {
            return self.linear.product(cx, x, &kernel, Some(&folded_bias));
        }
        let out = self.linear.product(cx, x, &kernel, None)?;
        let correction = (&inverse / &moving_inverse)?;
        Ok(ops::channel_affine(&out, &correction, &folded_bias, cx.threads)?)
    }
}
