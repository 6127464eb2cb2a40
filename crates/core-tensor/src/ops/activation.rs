//! Activation functions as operations.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use super::access::{Floats, check, floats, last_axis, stored, tensor_like};
use crate::error::Result;
use tinsmith_kernels::Threads;
use tinsmith_kernels::activation::{Activation, activate, activation_gradient};

/// Applies `kind` to every element of `x`, or, for softmax, to every row of the last axis. The shape stays the same.
///
/// # Errors
/// [`TensorError::DType`](crate::TensorError::DType) or [`TensorError::Shape`](crate::TensorError::Shape) if `x` is
/// not `f32` or is empty.
pub fn activation(x: &Tensor, kind: Activation, threads: Threads) -> Result<Tensor> {
    if kind == Activation::Linear {
        return Ok(x.clone());
    }
    check(NAME, &[x])?;
    let channels = last_axis(NAME, x)?;
    Ok(x.contiguous()?.apply_op1(Activate { kind, channels, threads })?)
}

/// Softmax over the last axis.
///
/// # Errors
/// As [`activation`].
pub fn softmax(x: &Tensor, threads: Threads) -> Result<Tensor> {
    activation(x, Activation::Softmax, threads)
}

const NAME: &str = "activation";

struct Activate {
    kind: Activation,
    channels: usize,
    threads: Threads,
}

impl CustomOp1 for Activate {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = floats(NAME, x, layout)?;
        let mut out = vec![0.0; x.len()];
        activate(&mut out, x, self.kind, self.channels, self.threads.count());
        Ok(stored(out, layout.dims()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (xs, ys, dys) = (Floats::of(NAME, x), Floats::of(NAME, y), Floats::of(NAME, &dy));
        let mut dx = vec![0.0; x.elem_count()];
        let pair = (xs.slice()?, ys.slice()?);
        activation_gradient(&mut dx, dys.slice()?, pair, self.kind, self.channels, self.threads.count());
        tensor_like(dx, x).map(Some)
    }
}
