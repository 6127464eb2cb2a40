//! Batch and layer normalization.

use candle_core::{D, Device, Tensor};
use tinsmith_core_tensor::{Param, ops};
use tinsmith_network::op;

use super::quantize::ParamSlot;
use super::{Blueprint, Context, LayerForward};
use crate::error::Result;

/// Moving statistics of a batch normalization and their update rule.
#[derive(Debug)]
pub(super) struct Statistics {
    mean: ParamSlot,
    variance: ParamSlot,
    momentum: f64,
    /// True if the moving variance tracks the unbiased batch variance.
    unbiased: bool,
}

impl Statistics {
    /// `rank` includes the batch axis. Keras' fused kernel, used at rank 4, updates the moving variance with the
    /// unbiased variance; its other path and `QBatchNormalization` use the biased one.
    pub(super) fn new(
        blueprint: &Blueprint<'_>,
        index: usize,
        l: &op::BatchNorm,
        rank: usize,
    ) -> Result<Self> {
        let is_quantized = l.gamma_quantizer.is_some()
            || l.beta_quantizer.is_some()
            || l.mean_quantizer.is_some()
            || l.variance_quantizer.is_some();
        Ok(Self {
            mean: ParamSlot::find(blueprint, index, "moving_mean")?,
            variance: ParamSlot::find(blueprint, index, "moving_variance")?,
            momentum: l.momentum,
            unbiased: rank == 4 && !is_quantized,
        })
    }

    /// Updates both statistics to `momentum * old + (1 - momentum) * new`, for moments over `rows` rows.
    pub(super) fn update(
        &self,
        cx: &Context<'_>,
        rows: usize,
        mean: &Tensor,
        variance: &Tensor,
    ) -> Result<()> {
        let correction = if self.unbiased && rows > 1 { rows as f64 / (rows - 1) as f64 } else { 1.0 };
        move_towards(self.mean.param(cx), mean, self.momentum, 1.0)?;
        move_towards(self.variance.param(cx), variance, self.momentum, correction)
    }

    pub(super) fn raw(&self, cx: &Context<'_>) -> Result<(Tensor, Tensor)> {
        Ok((self.mean.raw(cx)?, self.variance.raw(cx)?))
    }
}

fn move_towards(param: &Param, value: &Tensor, momentum: f64, factor: f64) -> Result<()> {
    let step = (1.0 - momentum) * factor;
    let moved = ((param.tensor().detach() * momentum)? + (value.detach() * step)?)?;
    Ok(param.set(&moved)?)
}

/// Number of rows that moments are computed over: the product of all axes but the last.
pub(super) fn rows(x: &Tensor) -> Result<usize> {
    Ok(x.elem_count() / x.dim(D::Minus1)?.max(1))
}

/// Scale and shift of a normalization. An unlearned one is replaced by ones or zeros.
#[derive(Debug)]
pub(super) struct ScaleShift {
    gamma: Option<ParamSlot>,
    beta: Option<ParamSlot>,
    ones: Tensor,
    zeros: Tensor,
}

impl ScaleShift {
    pub(super) fn new(blueprint: &Blueprint<'_>, index: usize) -> Result<Self> {
        let shape = blueprint.graph.shape(index);
        let channels = shape.last().copied().unwrap_or_default();
        let ones = Tensor::ones(channels, candle_core::DType::F32, blueprint.device)?;
        Ok(Self {
            gamma: ParamSlot::find_optional(blueprint, index, "gamma")?,
            beta: ParamSlot::find_optional(blueprint, index, "beta")?,
            zeros: ones.zeros_like()?,
            ones,
        })
    }

    pub(super) fn values(&self, cx: &Context<'_>) -> Result<(Tensor, Tensor)> {
        let gamma = self.gamma.as_ref().map_or_else(|| Ok(self.ones.clone()), |g| g.value(cx))?;
        let beta = self.beta.as_ref().map_or_else(|| Ok(self.zeros.clone()), |b| b.value(cx))?;
        Ok((gamma, beta))
    }
}

/// Batch normalization, float or with quantizers.
#[derive(Debug)]
pub(super) struct BatchNorm {
    scale_shift: ScaleShift,
    statistics: Statistics,
    epsilon: f32,
}

impl BatchNorm {
    pub(super) fn new(blueprint: &Blueprint<'_>, index: usize, l: &op::BatchNorm) -> Result<Self> {
        let rank = blueprint.graph.shape(index).len() + 1;
        Ok(Self {
            scale_shift: ScaleShift::new(blueprint, index)?,
            statistics: Statistics::new(blueprint, index, l, rank)?,
            epsilon: l.epsilon as f32,
        })
    }
}

impl LayerForward for BatchNorm {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        let x = inputs[0];
        let (gamma, beta) = self.scale_shift.values(cx)?;
        let Statistics { mean, variance, .. } = &self.statistics;
        if !cx.mode.is_training() {
            let moments = (&mean.value(cx)?, &variance.value(cx)?);
            return Ok(ops::batch_norm_inference(x, (&gamma, &beta), moments, self.epsilon, cx.threads)?);
        }
        if mean.is_quantized() || variance.is_quantized() {
            let (batch_mean, batch_variance) = ops::moments(x, cx.threads)?;
            self.statistics.update(cx, rows(x)?, &batch_mean, &batch_variance)?;
            let moments = (&mean.quantize(cx, batch_mean)?, &variance.quantize(cx, batch_variance)?);
            return Ok(ops::batch_norm_inference(x, (&gamma, &beta), moments, self.epsilon, cx.threads)?);
        }
        let (out, mean, variance) = ops::batch_norm_train(x, &gamma, &beta, self.epsilon, cx.threads)?;
        self.statistics.update(cx, rows(x)?, &mean, &variance)?;
        Ok(out)
    }
}

/// Layer normalization over the last axis (Ba, Kiros, Hinton, arXiv 1607.06450), composed of candle operations
/// because candle's own kernel has no gradient.
#[derive(Debug)]
pub(super) struct LayerNorm {
    scale_shift: ScaleShift,
    epsilon: f64,
}

impl LayerNorm {
    pub(super) fn new(blueprint: &Blueprint<'_>, index: usize, l: &op::LayerNorm) -> Result<Self> {
        Ok(Self { scale_shift: ScaleShift::new(blueprint, index)?, epsilon: l.epsilon })
    }
}

impl LayerForward for LayerNorm {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        let x = inputs[0];
        let (gamma, beta) = self.scale_shift.values(cx)?;
        let centered = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centered.sqr()?.mean_keepdim(D::Minus1)?;
        let normal = centered.broadcast_div(&(variance + self.epsilon)?.sqrt()?)?;
        Ok(ops::channel_affine(&normal, &gamma, &beta, cx.threads)?)
    }
}

/// `scale x + offset` with constants, one for all channels or one for each.
#[derive(Debug)]
pub(super) struct Rescaling {
    scale: Tensor,
    offset: Tensor,
}

impl Rescaling {
    pub(super) fn new(l: &op::Rescaling, device: &Device) -> Result<Self> {
        let tensor = |constants: &op::PerChannel| {
            let values: Vec<f32> = constants.values().iter().map(|&v| v as f32).collect();
            Tensor::from_slice(&values, values.len(), device)
        };
        Ok(Self { scale: tensor(&l.scale)?, offset: tensor(&l.offset)? })
    }
}

impl Forward for Rescaling {
    fn forward(&self, _: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(inputs[0].broadcast_mul(&self.scale)?.broadcast_add(&self.offset)?)
    }
}
