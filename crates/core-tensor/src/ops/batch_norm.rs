//! Batch normalization as operations. Channels are the last axis; all other axes together form the rows.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Device, Layout, Shape, Tensor};

use super::access::{Floats, check, check_channels, floats, last_axis, stored, tensor_like};
use crate::error::{Result, TensorError};
use tinsmith_kernels::Threads;
use tinsmith_kernels::batch_norm as kernel;
use tinsmith_kernels::batch_norm::{batch_norm, batch_norm_gradient, normalize};
use tinsmith_kernels::elementwise::{sum_channels, zip_channels};
use tinsmith_kernels::rows::column_sums;

/// Batch normalization in training: `gamma (x - mean) / sqrt(variance + epsilon) + beta` with the mean and the biased
/// variance of this batch. Returns the result, and the detached mean and variance for the moving statistics.
///
/// # Shapes
/// `x` (…, channels), `gamma` and `beta` (channels). Returns the shape of `x`, (channels) and (channels).
///
/// # Errors
/// [`TensorError::Shape`] or [`TensorError::DType`] if the arguments do not fit, [`TensorError::Argument`] if
/// `epsilon` is not positive.
pub fn batch_norm_train(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f32,
    threads: Threads,
) -> Result<(Tensor, Tensor, Tensor)> {
    check(TRAIN, &[x, gamma, beta])?;
    let channels = check_channels(TRAIN, x, &[gamma, beta])?;
    check_epsilon(TRAIN, epsilon)?;
    let moments = Arc::new(OnceLock::new());
    let op = BatchNorm { epsilon, threads, moments: Arc::clone(&moments) };
    let y = x.contiguous()?.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?;
    let (mean, variance) =
        moments.get().cloned().expect("invariant: the forward pass has stored the moments");
    let (mean, variance) = (
        Tensor::from_vec(mean, channels, &Device::Cpu)?,
        Tensor::from_vec(variance, channels, &Device::Cpu)?,
    );
    Ok((y, mean, variance))
}

/// Batch normalization with given moments: `gamma (x - mean) / sqrt(variance + epsilon) + beta`, with gradients for
/// every tracked tensor.
///
/// # Shapes
/// `x` (…, channels), all others (channels). Returns the shape of `x`.
///
/// # Errors
/// As [`batch_norm_train`].
pub fn batch_norm_inference(
    x: &Tensor,
    (gamma, beta): (&Tensor, &Tensor),
    (mean, variance): (&Tensor, &Tensor),
    epsilon: f32,
    threads: Threads,
) -> Result<Tensor> {
    const NAME: &str = "batch_norm_inference";
    check(NAME, &[x, gamma, beta, mean, variance])?;
    check_channels(NAME, x, &[gamma, beta, mean, variance])?;
    check_epsilon(NAME, epsilon)?;
    let scale = (gamma / (variance + f64::from(epsilon))?.sqrt()?)?;
    let shift = (beta - (mean * &scale)?)?;
    channel_affine(x, &scale, &shift, threads)
}

/// `x scale + shift`, per channel, with gradients for all three.
///
/// # Shapes
/// `x` (…, channels), `scale` and `shift` (channels). Returns the shape of `x`.
///
/// # Errors
/// [`TensorError::Shape`] or [`TensorError::DType`] if the arguments do not fit.
pub fn channel_affine(x: &Tensor, scale: &Tensor, shift: &Tensor, threads: Threads) -> Result<Tensor> {
    check(AFFINE, &[x, scale, shift])?;
    check_channels(AFFINE, x, &[scale, shift])?;
    Ok(x.contiguous()?.apply_op3(&scale.contiguous()?, &shift.contiguous()?, ChannelAffine { threads })?)
}

/// Mean and biased variance of every channel, with gradients. Training with a normalization folded into the layer
/// before it needs these.
///
/// # Shapes
/// `x` (…, channels). Returns (channels) and (channels).
///
/// # Errors
/// [`TensorError::Shape`] or [`TensorError::DType`] if `x` is empty or not `f32`.
pub fn moments(x: &Tensor, threads: Threads) -> Result<(Tensor, Tensor)> {
    check(MOMENTS, &[x])?;
    let channels = last_axis(MOMENTS, x)?;
    let both = x.contiguous()?.apply_op1(Moments { channels, threads })?;
    Ok((both.narrow(0, 0, 1)?.squeeze(0)?, both.narrow(0, 1, 1)?.squeeze(0)?))
}

const TRAIN: &str = "batch_norm_train";
const AFFINE: &str = "channel_affine";
const MOMENTS: &str = "moments";

fn check_epsilon(op: &'static str, epsilon: f32) -> Result<()> {
    if epsilon > 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(TensorError::Argument { op, what: "epsilon", value: epsilon.into(), want: "a positive number" })
}

struct BatchNorm {
    epsilon: f32,
    threads: Threads,
    moments: Arc<OnceLock<(Vec<f32>, Vec<f32>)>>,
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        TRAIN
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = floats(TRAIN, x, x_layout)?;
        let (gamma, beta) = (floats(TRAIN, gamma, gamma_layout)?, floats(TRAIN, beta, beta_layout)?);
        let mut out = vec![0.0; x.len()];
        let (mut mean, mut variance) = (vec![0.0; gamma.len()], vec![0.0; gamma.len()]);
        let moments = (mean.as_mut_slice(), variance.as_mut_slice());
        batch_norm(&mut out, moments, x, (gamma, beta), self.epsilon, self.threads.count());
        self.moments.get_or_init(|| (mean, variance));
        Ok(stored(out, x_layout.dims()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some((mean, variance)) = self.moments.get() else {
            return Err(candle_core::Error::BackwardNotSupported { op: TRAIN });
        };
        let dy = dy.contiguous()?;
        let (xs, gammas, dys) = (Floats::of(TRAIN, x), Floats::of(TRAIN, gamma), Floats::of(TRAIN, &dy));
        let mut dx = vec![0.0; if x.track_op() { x.elem_count() } else { 0 }];
        let (mut d_gamma, mut d_beta) = (vec![0.0; mean.len()], vec![0.0; mean.len()]);
        batch_norm_gradient(
            (&mut dx, &mut d_gamma, &mut d_beta),
            dys.slice()?,
            xs.slice()?,
            gammas.slice()?,
            (mean, variance),
            self.epsilon,
            self.threads.count(),
        );
        let dx = if dx.is_empty() { None } else { Some(tensor_like(dx, x)?) };
        Ok((dx, Some(tensor_like(d_gamma, gamma)?), Some(tensor_like(d_beta, beta)?)))
    }
}

struct ChannelAffine {
    threads: Threads,
}

impl CustomOp3 for ChannelAffine {
    fn name(&self) -> &'static str {
        AFFINE
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = floats(AFFINE, x, x_layout)?;
        let pair = (floats(AFFINE, scale, scale_layout)?, floats(AFFINE, shift, shift_layout)?);
        let mut out = vec![0.0; x.len()];
        normalize(&mut out, x, &vec![0.0; pair.0.len()], pair, self.threads.count());
        Ok(stored(out, x_layout.dims()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (xs, scales, dys) = (Floats::of(AFFINE, x), Floats::of(AFFINE, scale), Floats::of(AFFINE, &dy));
        let (x_values, scale_values, dy_values) = (xs.slice()?, scales.slice()?, dys.slice()?);
        let threads = self.threads.count();
        let channel_gradient = |like: &Tensor, fill: &dyn Fn(&mut [f32])| {
            if !like.track_op() {
                return Ok(None);
            }
            let mut sums = vec![0.0; like.elem_count()];
            fill(&mut sums);
            tensor_like(sums, like).map(Some)
        };
        let d_scale = channel_gradient(scale, &|sums| {
            sum_channels(sums, dy_values, x_values, scale_values, |dy, x, _| dy * x, threads);
        })?;
        let d_shift = channel_gradient(shift, &|sums| column_sums(sums, dy_values, threads))?;
        let dx = if x.track_op() {
            let mut dx = vec![0.0; x_values.len()];
            zip_channels(&mut dx, dy_values, x_values, scale_values, |dy, _, s| dy * s, threads);
            Some(tensor_like(dx, x)?)
        } else {
            None
        };
        Ok((dx, d_scale, d_shift))
    }
}

struct Moments {
    channels: usize,
    threads: Threads,
}

impl CustomOp1 for Moments {
    fn name(&self) -> &'static str {
        MOMENTS
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = floats(MOMENTS, x, layout)?;
        let mut both = vec![0.0; 2 * self.channels];
        let (mean, variance) = both.split_at_mut(self.channels);
        kernel::moments(mean, variance, x, self.threads.count());
        Ok(stored(both, &[2, self.channels]))
    }

    fn bwd(&self, x: &Tensor, both: &Tensor, d_both: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let d_both = d_both.contiguous()?;
        let (xs, values, gradients) =
            (Floats::of(MOMENTS, x), Floats::of(MOMENTS, both), Floats::of(MOMENTS, &d_both));
        let mut dx = vec![0.0; x.elem_count()];
        let (mean, gradients) =
            (&values.slice()?[..self.channels], gradients.slice()?.split_at(self.channels));
        kernel::moments_gradient(&mut dx, xs.slice()?, mean, gradients, self.threads.count());
        tensor_like(dx, x).map(Some)
    }
}
