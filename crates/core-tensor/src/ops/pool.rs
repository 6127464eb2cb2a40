//! Pooling as operations.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use super::access::{Floats, check, floats, stored, tensor_like};
use crate::error::{Result, shape_error};
use tinsmith_kernels::Threads;
use tinsmith_kernels::epilogue::GradientSink;
use tinsmith_kernels::pool::{
    PoolShape, average_pool, average_pool_gradient_into, max_pool, max_pool_gradient_into,
};
use tinsmith_kernels::{Pool1dGeometry, Pool2dGeometry};

/// Two-dimensional max pooling. Padding counts as minus infinity; the gradient goes to the first maximum of each
/// window.
///
/// # Shapes
/// `x` (batch, height, width, channels). Returns (batch, height', width', channels).
///
/// # Errors
/// [`TensorError::Shape`](crate::TensorError::Shape) or [`TensorError::DType`](crate::TensorError::DType) if the
/// arguments do not fit.
pub fn max_pool2d(x: &Tensor, geometry: &Pool2dGeometry, threads: Threads) -> Result<Tensor> {
    pool2d("max_pool2d", Kind::Max, x, geometry, threads)
}

/// Two-dimensional average pooling over the elements of each window; padding does not count.
///
/// # Shapes
/// As [`max_pool2d`].
///
/// # Errors
/// As [`max_pool2d`].
pub fn average_pool2d(x: &Tensor, geometry: &Pool2dGeometry, threads: Threads) -> Result<Tensor> {
    pool2d("average_pool2d", Kind::Average, x, geometry, threads)
}

/// One-dimensional max pooling.
///
/// # Shapes
/// `x` (batch, length, channels). Returns (batch, length', channels).
///
/// # Errors
/// As [`max_pool2d`].
pub fn max_pool1d(x: &Tensor, geometry: &Pool1dGeometry, threads: Threads) -> Result<Tensor> {
    pool1d("max_pool1d", Kind::Max, x, geometry, threads)
}

/// One-dimensional average pooling over the elements of each window; padding does not count.
///
/// # Shapes
/// As [`max_pool1d`].
///
/// # Errors
/// As [`max_pool2d`].
pub fn average_pool1d(x: &Tensor, geometry: &Pool1dGeometry, threads: Threads) -> Result<Tensor> {
    pool1d("average_pool1d", Kind::Average, x, geometry, threads)
}

/// Average over all positions.
///
/// # Shapes
/// `x` (batch, …, channels) of rank 3 or more. Returns (batch, channels).
///
/// # Errors
/// As [`max_pool2d`].
pub fn global_average_pool(x: &Tensor, threads: Threads) -> Result<Tensor> {
    global("global_average_pool", Kind::Average, x, threads)
}

/// Maximum over all positions.
///
/// # Shapes
/// As [`global_average_pool`].
///
/// # Errors
/// As [`max_pool2d`].
pub fn global_max_pool(x: &Tensor, threads: Threads) -> Result<Tensor> {
    global("global_max_pool", Kind::Max, x, threads)
}

#[derive(Clone, Copy)]
enum Kind {
    Max,
    Average,
}

fn pool2d(
    name: &'static str,
    kind: Kind,
    x: &Tensor,
    geometry: &Pool2dGeometry,
    threads: Threads,
) -> Result<Tensor> {
    let shape = geometry.resolve(name, x.dims())?;
    apply(name, kind, x, shape, vec![shape.batch, shape.out_h, shape.out_w, shape.channels], threads)
}

fn pool1d(
    name: &'static str,
    kind: Kind,
    x: &Tensor,
    geometry: &Pool1dGeometry,
    threads: Threads,
) -> Result<Tensor> {
    let &[n, l, c] = x.dims() else {
        return Err(shape_error(name, &[x.dims()], "input (batch, length, channels)"));
    };
    let shape = Pool2dGeometry::from(*geometry).resolve(name, &[n, 1, l, c])?;
    apply(name, kind, x, shape, vec![shape.batch, shape.out_w, shape.channels], threads)
}

fn global(name: &'static str, kind: Kind, x: &Tensor, threads: Threads) -> Result<Tensor> {
    let &[n, ref positions @ .., c] = x.dims() else {
        return Err(shape_error(name, &[x.dims()], "input (batch, positions, channels)"));
    };
    if positions.is_empty() {
        return Err(shape_error(name, &[x.dims()], "input (batch, positions, channels)"));
    }
    let l = positions.iter().product();
    let shape = Pool2dGeometry::new((1, l)).resolve(name, &[n, 1, l, c])?;
    apply(name, kind, x, shape, vec![n, c], threads)
}

fn apply(
    name: &'static str,
    kind: Kind,
    x: &Tensor,
    shape: PoolShape,
    dims: Vec<usize>,
    threads: Threads,
) -> Result<Tensor> {
    check(name, &[x])?;
    let keep = x.track_op();
    let op = Pool { name, kind, shape, dims, threads, keep, taps: OnceLock::new() };
    Ok(x.contiguous()?.apply_op1(op)?)
}

struct Pool {
    name: &'static str,
    kind: Kind,
    shape: PoolShape,
    dims: Vec<usize>,
    threads: Threads,
    /// Keeps the positions of the maxima for the backward pass.
    keep: bool,
    /// Position of each window's maximum.
    taps: OnceLock<Vec<u8>>,
}

impl CustomOp1 for Pool {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = floats(self.name, x, layout)?;
        let mut out = vec![0.0; self.shape.output_len()];
        match self.kind {
            Kind::Average => average_pool(&mut out, x, &self.shape, self.threads.count()),
            Kind::Max => {
                let mut taps = vec![0; if self.keep { self.shape.taps_len() } else { 0 }];
                max_pool(&mut out, &mut taps, x, &self.shape, self.threads.count());
                self.taps.get_or_init(|| taps);
            }
        }
        Ok(stored(out, &self.dims))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let dys = Floats::of(self.name, &dy);
        let mut dx = vec![0.0; x.elem_count()];
        let sink = GradientSink::default();
        match (self.kind, self.taps.get()) {
            (Kind::Average, _) => {
                average_pool_gradient_into(&mut dx, dys.slice()?, sink, &self.shape, self.threads.count());
            }
            (Kind::Max, Some(taps)) => {
                max_pool_gradient_into(&mut dx, dys.slice()?, taps, sink, &self.shape, self.threads.count());
            }
            (Kind::Max, None) => return Err(candle_core::Error::BackwardNotSupported { op: self.name }),
        }
        tensor_like(dx, x).map(Some)
    }
}
