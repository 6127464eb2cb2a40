//! Straight-through estimators (Bengio, Léonard, Courville, arXiv 1308.3432): the value of one tensor with the
//! gradient of another. candle's own `round`, `sign` and `floor` silently have no gradient.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor};

use super::access::{Floats, check, floats, stored, tensor_like};
use super::map::map_with_gradient;
use crate::error::{Result, shape_error};
use tinsmith_kernels::Threads;
use tinsmith_kernels::elementwise;

/// Returns the value of `y`. The gradient passes unchanged to `x`; `y` receives none.
///
/// # Shapes
/// `x` and `y` of the same shape, which is also that of the result.
///
/// # Errors
/// [`TensorError::Shape`](crate::TensorError::Shape) or [`TensorError::DType`](crate::TensorError::DType) if the
/// arguments do not fit.
pub fn ste(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    check(STE, &[x, y])?;
    if x.dims() != y.dims() {
        return Err(shape_error(STE, &[x.dims(), y.dims()], "two equal shapes"));
    }
    Ok(x.contiguous()?.apply_op2(&y.contiguous()?.detach(), Ste)?)
}

/// Returns the value of `y`. The gradient passes to `x`, multiplied by `derivative`. Use this for values that a
/// deterministic function of one element cannot reproduce, such as stochastic rounding.
///
/// # Shapes
/// All three of the same shape, which is also that of the result.
///
/// # Errors
/// As [`ste`].
pub fn ste_scaled(x: &Tensor, y: &Tensor, derivative: &Tensor, threads: Threads) -> Result<Tensor> {
    check(SCALED, &[x, y, derivative])?;
    if x.dims() != y.dims() || x.dims() != derivative.dims() {
        return Err(shape_error(SCALED, &[x.dims(), y.dims(), derivative.dims()], "three equal shapes"));
    }
    let (y, derivative) = (y.contiguous()?.detach(), derivative.contiguous()?.detach());
    Ok(x.contiguous()?.apply_op3(&y, &derivative, SteScaled { threads })?)
}

/// Rounds to the nearest integer, halves to even as in TensorFlow; the gradient passes unchanged.
///
/// # Errors
/// As [`ste`].
pub fn round(x: &Tensor, threads: Threads) -> Result<Tensor> {
    map_with_gradient(x, |x| (x.round_ties_even(), 1.0), threads)
}

/// Rounds down to an integer; the gradient passes unchanged.
///
/// # Errors
/// As [`ste`].
pub fn floor(x: &Tensor, threads: Threads) -> Result<Tensor> {
    map_with_gradient(x, |x| (x.floor(), 1.0), threads)
}

/// Returns -1, 0 or 1 (NaN for NaN); the gradient passes unchanged.
///
/// # Errors
/// As [`ste`].
pub fn sign(x: &Tensor, threads: Threads) -> Result<Tensor> {
    let sign = |x: f32| {
        if x > 0.0 {
            1.0
        } else if x < 0.0 {
            -1.0
        } else {
            x
        }
    };
    map_with_gradient(x, move |x| (sign(x), 1.0), threads)
}

const STE: &str = "ste";
const SCALED: &str = "ste_scaled";

struct Ste;

impl CustomOp2 for Ste {
    fn name(&self) -> &'static str {
        STE
    }

    fn cpu_fwd(
        &self,
        _x: &CpuStorage,
        _x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok(stored(floats(STE, y, y_layout)?.to_vec(), y_layout.dims()))
    }

    fn bwd(
        &self,
        _x: &Tensor,
        _y: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(grad.clone()), None))
    }
}

struct SteScaled {
    threads: Threads,
}

impl CustomOp3 for SteScaled {
    fn name(&self) -> &'static str {
        SCALED
    }

    fn cpu_fwd(
        &self,
        _x: &CpuStorage,
        _x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
        _derivative: &CpuStorage,
        _derivative_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok(stored(floats(SCALED, y, y_layout)?.to_vec(), y_layout.dims()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        _y: &Tensor,
        derivative: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (factors, grads) = (Floats::of(SCALED, derivative), Floats::of(SCALED, &grad));
        let mut dx = vec![0.0; x.elem_count()];
        elementwise::zip(&mut dx, grads.slice()?, factors.slice()?, |g, d| g * d, self.threads.count());
        Ok((Some(tensor_like(dx, x)?), None, None))
    }
}
