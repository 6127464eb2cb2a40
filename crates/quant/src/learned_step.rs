//! Learned step size (LSQ): the distance between levels is a trained parameter.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use tinsmith_network::quantizer::Sharing;

use crate::Codes;
use crate::error::{QuantError, Result};
use crate::format::Format;
use crate::operator::check_length;
use crate::rounding::{limit, round_half_even};
use crate::scale::{Channels, Scale};
use crate::tensor::{contiguous, with_slices};

/// Fixed point with a trained step size, for the whole tensor or for each index of an axis.
///
/// `y = s * round(clip(x / s, low, high))`, with low = -2^(bits-1), high = 2^(bits-1) - 1 if signed, else 0 and
/// 2^bits - 1. Gradients: dy/dx is 1 if `low < x/s < high`, else 0. dy/ds is `round(x/s) - x/s` in that range and low
/// or high outside, multiplied by `1 / sqrt(n high)` for n values that share the step size.
///
/// # Source
/// Esser and others, Learned Step Size Quantization, 2020, arXiv 1902.08153, equations 1 to 3 and section 2.2.
///
/// ```
/// use tinsmith_quant::LearnedStep;
/// let lsq = LearnedStep::new(4, true, None)?;
/// let (weights, shape) = ([0.31, -0.2, 0.05, 1.9], [4]);
/// let mut out = [0.0; 4];
/// lsq.apply_slice(&weights, &shape, &[0.1], &mut out)?;
/// assert_eq!(out, [0.3, -0.2, 0.0, 0.7].map(|v: f32| (v * 10.0).round() * 0.1));
/// # Ok::<(), tinsmith_quant::QuantError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnedStep {
    bits: u32,
    low: f32,
    high: f32,
    /// Negative axes count from the last.
    axis: Option<i32>,
}

impl LearnedStep {
    /// Builds a quantizer of `bits` bits with one step size, or one for each index of `axis`.
    ///
    /// # Errors
    /// [`QuantError::Parameter`] if `bits` is not in 2..=24, the exact integer range of f32.
    pub fn new(bits: u32, signed: bool, axis: Option<usize>) -> Result<Self> {
        Self::along(bits, signed, axis.map(|axis| i32::try_from(axis).unwrap_or(i32::MAX)))
    }

    fn along(bits: u32, signed: bool, axis: Option<i32>) -> Result<Self> {
        if !(2..=24).contains(&bits) {
            let reason = format!("bits is {bits}, want 2..=24");
            return Err(QuantError::Parameter { quantizer: "learned step".to_owned(), reason });
        }
        let levels = (1_u32 << (bits - u32::from(signed))) as f32;
        Ok(Self { bits, low: if signed { -levels } else { 0.0 }, high: levels - 1.0, axis })
    }

    /// Number of step sizes for a tensor of shape `shape`.
    ///
    /// # Errors
    /// [`QuantError::Axis`] if the axis is outside of the shape.
    pub fn steps(&self, shape: &[usize]) -> Result<usize> {
        Ok(self.channels(shape)?.count)
    }

    /// Initial step sizes: `2 mean |x| / sqrt(high)` of the values that share one, at least 1e-7.
    ///
    /// # Errors
    /// [`QuantError::Length`] and [`QuantError::Axis`] if values and shape do not match.
    pub fn initial_steps(&self, xs: &[f32], shape: &[usize]) -> Result<Vec<f32>> {
        check_length("initial step", shape, xs.len())?;
        let channels = self.channels(shape)?;
        let mut sums = vec![0.0_f64; channels.count];
        channels.each(xs, |channel, x| sums[channel] += f64::from(x.abs()));
        let share = (xs.len() / channels.count.max(1)).max(1) as f64;
        let step = |sum: f64| (2.0 * sum / share / f64::from(self.high).sqrt()) as f32;
        Ok(sums.into_iter().map(|sum| step(sum).max(crate::rounding::EPSILON)).collect())
    }

    /// Quantizes `xs` into `out`.
    ///
    /// # Errors
    /// [`QuantError::Length`] and [`QuantError::Axis`] if slices and shape do not match.
    pub fn apply_slice(&self, xs: &[f32], shape: &[usize], steps: &[f32], out: &mut [f32]) -> Result<()> {
        check_length("learned step into", shape, out.len())?;
        let channels = self.check(xs, shape, steps)?;
        channels.zip(xs, out, |channel, x, y| {
            let step = steps[channel];
            *y = step * round_half_even(limit(x / step, self.low, self.high));
        });
        Ok(())
    }

    /// Turns output gradients into input gradients in place, and writes the gradients of the step sizes.
    ///
    /// # Errors
    /// [`QuantError::Length`] and [`QuantError::Axis`] if slices and shape do not match.
    pub fn pull_back_slice(
        &self,
        xs: &[f32],
        shape: &[usize],
        steps: &[f32],
        grads: &mut [f32],
        step_grads: &mut [f32],
    ) -> Result<()> {
        check_length("gradient of learned step", shape, grads.len())?;
        check_length("gradient of steps", &[steps.len()], step_grads.len())?;
        let channels = self.check(xs, shape, steps)?;
        let mut sums = vec![0.0_f64; channels.count];
        channels.zip(xs, grads, |channel, x, g| {
            let scaled = x / steps[channel];
            let slope = if scaled <= self.low {
                self.low
            } else if scaled >= self.high {
                self.high
            } else {
                round_half_even(scaled) - scaled
            };
            sums[channel] += f64::from(*g) * f64::from(slope);
            if scaled <= self.low || scaled >= self.high {
                *g = 0.0;
            }
        });
        let share = (xs.len() / channels.count.max(1)).max(1) as f64;
        let factor = 1.0 / (share * f64::from(self.high)).sqrt();
        step_grads.iter_mut().zip(sums).for_each(|(g, sum)| *g = (sum * factor) as f32);
        Ok(())
    }

    /// Quantizes a tensor. Both `xs` and `steps` receive gradients.
    ///
    /// # Shapes
    /// `xs` any, `steps` of rank 1 with [`steps`](Self::steps) elements; f32, on the CPU.
    ///
    /// # Errors
    /// Those of [`apply_slice`](Self::apply_slice), and candle's errors for the tensors.
    pub fn apply(&self, xs: &Tensor, steps: &Tensor) -> Result<Tensor> {
        Ok(xs.contiguous()?.apply_op2(&steps.contiguous()?, *self)?)
    }

    /// Encodes to integer codes. [`Codes::decode`] gives the result of [`apply_slice`](Self::apply_slice).
    ///
    /// # Errors
    /// Those of [`apply_slice`](Self::apply_slice); [`QuantError::NotANumber`] for NaN.
    pub fn encode(&self, xs: &[f32], shape: &[usize], steps: &[f32]) -> Result<Codes> {
        let channels = self.check(xs, shape, steps)?;
        let mut codes = vec![0.0; xs.len()];
        channels.zip(xs, &mut codes, |channel, x, y| {
            *y = round_half_even(limit(x / steps[channel], self.low, self.high));
        });
        if let Some(index) = codes.iter().position(|code| code.is_nan()) {
            return Err(QuantError::NotANumber { index, value: xs[index] });
        }
        let scale = match (self.axis, steps) {
            (None, &[step]) => Scale::Uniform(step),
            (axis, _) => {
                let axis = axis.and_then(|axis| Sharing::place(axis, shape.len())).unwrap_or(0);
                Scale::PerChannel { axis, values: steps.to_vec() }
            }
        };
        let format = Format::whole_numbers(self.low, self.high, self.bits);
        Codes::new(codes.iter().map(|&code| code as i32).collect(), shape.to_vec(), scale, format)
    }

    fn channels(&self, shape: &[usize]) -> Result<Channels> {
        match self.axis {
            None => Ok(Channels { count: 1, inner: shape.iter().product() }),
            Some(axis) => Channels::along_signed("learned step", shape, axis),
        }
    }

    fn check(&self, xs: &[f32], shape: &[usize], steps: &[f32]) -> Result<Channels> {
        check_length("learned step", shape, xs.len())?;
        let channels = self.channels(shape)?;
        check_length("steps", &[channels.count], steps.len())?;
        Ok(channels)
    }
}

impl TryFrom<&tinsmith_network::quantizer::LearnedStep> for LearnedStep {
    type Error = QuantError;

    fn try_from(settings: &tinsmith_network::quantizer::LearnedStep) -> Result<Self> {
        Self::along(settings.bits, settings.signed, settings.axis)
    }
}

impl CustomOp2 for LearnedStep {
    fn name(&self) -> &'static str {
        "learned_step"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        steps: &CpuStorage,
        step_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let xs = contiguous(xs.as_slice::<f32>()?, layout)?;
        let steps = contiguous(steps.as_slice::<f32>()?, step_layout)?;
        let mut out = vec![0.0; xs.len()];
        self.apply_slice(xs, layout.dims(), steps, &mut out).map_err(candle_core::Error::wrap)?;
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        steps: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let mut grads = grad.flatten_all()?.to_vec1::<f32>()?;
        let mut step_grads = vec![0.0; steps.elem_count()];
        with_slices(xs, steps, |values, step_values| {
            self.pull_back_slice(values, xs.dims(), step_values, &mut grads, &mut step_grads)
        })?;
        let grads = Tensor::from_vec(grads, xs.dims(), xs.device())?;
        Ok((Some(grads), Some(Tensor::from_vec(step_grads, steps.dims(), steps.device())?)))
    }
}
