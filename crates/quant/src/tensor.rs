//! Quantizers as candle operations.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};

use crate::error::Result;
use crate::operator::{Mode, QuantizerOp};

/// A quantizer on candle's graph. Derivatives are recomputed from the input in the backward pass, so none are kept.
struct StraightThrough {
    op: QuantizerOp,
    mode: Mode,
}

impl QuantizerOp {
    /// Quantizes a tensor; its gradient is the straight-through one.
    ///
    /// # Shapes
    /// Any, of a floating type. Types other than f32 are converted to f32 and back. Tensors on other devices are
    /// computed on the CPU.
    ///
    /// # Errors
    /// Those of [`apply_slice`](Self::apply_slice), and candle's errors for the tensor.
    pub fn apply(&self, xs: &Tensor, mode: Mode) -> Result<Tensor> {
        if xs.dtype() != DType::F32 {
            return Ok(self.apply(&xs.to_dtype(DType::F32)?, mode)?.to_dtype(xs.dtype())?);
        }
        if !xs.device().is_cpu() {
            return self.apply_from_afar(xs, mode);
        }
        let op = StraightThrough { op: *self, mode };
        Ok(if xs.track_op() {
            xs.contiguous()?.apply_op1(op)?
        } else {
            xs.contiguous()?.apply_op1_no_bwd(&op)?
        })
    }

    /// Combines values and derivatives computed on the CPU so that candle's own operations have this gradient.
    fn apply_from_afar(&self, xs: &Tensor, mode: Mode) -> Result<Tensor> {
        let dims = xs.dims();
        let values = xs.flatten_all()?.to_vec1::<f32>()?;
        let (mut out, mut slopes) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        self.apply_slice(&values, dims, &mut out, Some(&mut slopes), mode)?;
        let out = Tensor::from_vec(out, dims, xs.device())?;
        if !xs.track_op() {
            return Ok(out);
        }
        let linear = (xs * Tensor::from_vec(slopes, dims, xs.device())?)?;
        Ok((&out + (&linear - linear.detach())?)?)
    }
}

impl CustomOp1 for StraightThrough {
    fn name(&self) -> &'static str {
        self.op.quantizer().kind()
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let xs = contiguous(storage.as_slice::<f32>()?, layout)?;
        let mut out = vec![0.0; xs.len()];
        self.op
            .apply_slice(xs, layout.dims(), &mut out, None, self.mode)
            .map_err(candle_core::Error::wrap)?;
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        if self.op.is_gradient_one(self.mode) {
            return Ok(Some(grad.clone()));
        }
        let mut grads = grad.flatten_all()?.to_vec1::<f32>()?;
        with_slice(arg, |xs| self.op.pull_back_slice(xs, arg.dims(), &mut grads, self.mode))?;
        Tensor::from_vec(grads, arg.dims(), grad.device()).map(Some)
    }
}

/// Calls `f` with the elements of a tensor on the CPU.
fn with_slice(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<()>) -> candle_core::Result<()> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else {
        candle_core::bail!("want a tensor on the CPU, got one on {:?}", tensor.device());
    };
    f(contiguous(storage.as_slice::<f32>()?, layout)?).map_err(candle_core::Error::wrap)
}

/// Calls `f` with the elements of two tensors on the CPU.
pub(crate) fn with_slices(
    a: &Tensor,
    b: &Tensor,
    f: impl FnOnce(&[f32], &[f32]) -> Result<()>,
) -> candle_core::Result<()> {
    let b = b.flatten_all()?.to_vec1::<f32>()?;
    with_slice(a, |a| f(a, &b))
}

/// The elements of a contiguous storage.
pub(crate) fn contiguous<'a>(data: &'a [f32], layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&data[start..end]),
        None => candle_core::bail!("want a contiguous tensor, got strides {:?}", layout.stride()),
    }
}
