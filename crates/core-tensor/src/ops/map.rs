//! Element-wise functions with custom gradients, from which quantizers are built.
//!
//! A function returns its value and its derivative together. The backward pass calls it again instead of storing
//! derivatives, because memory is the bottleneck of functions this short. The function must therefore return the same
//! result for the same arguments; randomness belongs in a tensor of its own (see [`ste_scaled`](super::ste_scaled)).
//! Loops over the function are compiled for each instruction set.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor};

use super::access::{Floats, check, floats, last_axis, stored, tensor_like};
use crate::error::{Result, shape_error};
use tinsmith_kernels::Threads;
use tinsmith_kernels::elementwise;

/// Applies `f` to every element, without a gradient: the result is detached.
///
/// # Errors
/// [`TensorError::DType`](crate::TensorError::DType) or [`TensorError::Shape`](crate::TensorError::Shape) if `x` is
/// not `f32` or is empty.
pub fn map<F>(x: &Tensor, f: F, threads: Threads) -> Result<Tensor>
where
    F: Fn(f32) -> f32 + Send + Sync + 'static,
{
    check("map", &[x])?;
    Ok(x.contiguous()?.detach().apply_op1_no_bwd(&Map { f: move |x| (f(x), 0.0), threads })?)
}

/// Applies `f(x) = (value, derivative)` to every element.
///
/// ```
/// use candle_core::{Device, Var};
/// use tinsmith_core_tensor::ops::map_with_gradient;
/// use tinsmith_kernels::Threads;
///
/// let x = Var::new(&[0.2_f32, 1.7], &Device::Cpu)?;
/// // Rounding, straight through within 0 to 1.
/// let f = |x: f32| (x.round_ties_even(), if (0.0..=1.0).contains(&x) { 1.0 } else { 0.0 });
/// let y = map_with_gradient(&x, f, Threads::ONE)?;
/// assert_eq!(y.to_vec1::<f32>()?, [0.0, 2.0]);
/// let gradients = y.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&x).ok_or("x has a gradient")?.to_vec1::<f32>()?, [1.0, 0.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`map`].
pub fn map_with_gradient<F>(x: &Tensor, f: F, threads: Threads) -> Result<Tensor>
where
    F: Fn(f32) -> (f32, f32) + Send + Sync + 'static,
{
    check("map_with_gradient", &[x])?;
    Ok(x.contiguous()?.apply_op1(Map { f, threads })?)
}

/// Applies `f(x, values[c]) = (value, derivative for x)` to every element; `c` is its index in the last axis. A
/// single value applies to all elements. Values are constants without a gradient.
///
/// # Errors
/// As [`map`], and [`TensorError::Shape`](crate::TensorError::Shape) if there is neither one value nor one per
/// channel.
pub fn map_channels_with_gradient<F>(x: &Tensor, values: Vec<f32>, f: F, threads: Threads) -> Result<Tensor>
where
    F: Fn(f32, f32) -> (f32, f32) + Send + Sync + 'static,
{
    const NAME: &str = "map_channels_with_gradient";
    check(NAME, &[x])?;
    let channels = last_axis(NAME, x)?;
    if values.len() != 1 && values.len() != channels {
        return Err(shape_error(NAME, &[x.dims(), &[values.len()]], format!("1 value or {channels}")));
    }
    Ok(x.contiguous()?.apply_op1(MapChannels { f, values, threads })?)
}

/// Applies `f(x, p[c]) = (value, derivative for x, derivative for p)` to every element; `c` is its index in the last
/// axis. The gradient for `p` is summed over the elements that share it. Learned step sizes, clips and bit widths use
/// this.
///
/// # Shapes
/// `x` (…, channels), `p` (channels) or a single element. Returns the shape of `x`.
///
/// # Errors
/// As [`map`], and [`TensorError::Shape`](crate::TensorError::Shape) if `p` has another size.
pub fn map_parameter_with_gradient<F>(x: &Tensor, p: &Tensor, f: F, threads: Threads) -> Result<Tensor>
where
    F: Fn(f32, f32) -> (f32, f32, f32) + Send + Sync + 'static,
{
    const NAME: &str = PARAMETER;
    check(NAME, &[x, p])?;
    let channels = last_axis(NAME, x)?;
    if p.elem_count() != 1 && p.dims() != [channels] {
        return Err(shape_error(NAME, &[x.dims(), p.dims()], format!("1 parameter or {channels}")));
    }
    Ok(x.contiguous()?.apply_op2(&p.contiguous()?, MapParameter { f, threads })?)
}

const MAP: &str = "map_with_gradient";
const CHANNELS: &str = "map_channels_with_gradient";
const PARAMETER: &str = "map_parameter_with_gradient";

struct Map<F> {
    f: F,
    threads: Threads,
}

impl<F: Fn(f32) -> (f32, f32) + Send + Sync> CustomOp1 for Map<F> {
    fn name(&self) -> &'static str {
        MAP
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = floats(MAP, x, layout)?;
        let mut out = vec![0.0; x.len()];
        elementwise::map(&mut out, x, |x| (self.f)(x).0, self.threads.count());
        Ok(stored(out, layout.dims()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (xs, dys) = (Floats::of(MAP, x), Floats::of(MAP, &dy));
        let mut dx = vec![0.0; x.elem_count()];
        elementwise::zip(
            &mut dx,
            dys.slice()?,
            xs.slice()?,
            |dy, x| dy * (self.f)(x).1,
            self.threads.count(),
        );
        tensor_like(dx, x).map(Some)
    }
}

struct MapChannels<F> {
    f: F,
    values: Vec<f32>,
    threads: Threads,
}

impl<F: Fn(f32, f32) -> (f32, f32) + Send + Sync> CustomOp1 for MapChannels<F> {
    fn name(&self) -> &'static str {
        CHANNELS
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = floats(CHANNELS, x, layout)?;
        let mut out = vec![0.0; x.len()];
        elementwise::map_channels(&mut out, x, &self.values, |x, v| (self.f)(x, v).0, self.threads.count());
        Ok(stored(out, layout.dims()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (xs, dys) = (Floats::of(CHANNELS, x), Floats::of(CHANNELS, &dy));
        let mut dx = vec![0.0; x.elem_count()];
        let f = |dy: f32, x: f32, v: f32| dy * (self.f)(x, v).1;
        elementwise::zip_channels(&mut dx, dys.slice()?, xs.slice()?, &self.values, f, self.threads.count());
        tensor_like(dx, x).map(Some)
    }
}

struct MapParameter<F> {
    f: F,
    threads: Threads,
}

impl<F: Fn(f32, f32) -> (f32, f32, f32) + Send + Sync> CustomOp2 for MapParameter<F> {
    fn name(&self) -> &'static str {
        PARAMETER
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        p: &CpuStorage,
        p_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (x, p) = (floats(PARAMETER, x, x_layout)?, floats(PARAMETER, p, p_layout)?);
        let mut out = vec![0.0; x.len()];
        elementwise::map_channels(&mut out, x, p, |x, p| (self.f)(x, p).0, self.threads.count());
        Ok(stored(out, x_layout.dims()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        p: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (xs, ps, dys) = (Floats::of(PARAMETER, x), Floats::of(PARAMETER, p), Floats::of(PARAMETER, &dy));
        let (x_values, p_values, dy_values) = (xs.slice()?, ps.slice()?, dys.slice()?);
        let threads = self.threads.count();
        let dx = if x.track_op() {
            let mut dx = vec![0.0; x_values.len()];
            let f = |dy: f32, x: f32, p: f32| dy * (self.f)(x, p).1;
            elementwise::zip_channels(&mut dx, dy_values, x_values, p_values, f, threads);
            Some(tensor_like(dx, x)?)
        } else {
            None
        };
        let dp = if p.track_op() {
            let mut dp = vec![0.0; p_values.len()];
            let f = |dy: f32, x: f32, p: f32| dy * (self.f)(x, p).2;
            elementwise::sum_channels(&mut dp, dy_values, x_values, p_values, f, threads);
            Some(tensor_like(dp, p)?)
        } else {
            None
        };
        Ok((dx, dp))
    }
}
