//! Access to the elements of tensors, and checks that all operations share.

use candle_core::{CpuStorage, DType, Device, Layout, Shape, Storage, StorageRef, Tensor};

use crate::error::{Result, TensorError, shape_error};

/// The elements of a contiguous `f32` tensor.
pub(crate) fn floats<'a>(
    op: &'static str,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> candle_core::Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(data), Some((from, to))) => Ok(&data[from..to]),
        (_, None) => Err(candle_core::Error::RequiresContiguous { op }.bt()),
        (other, _) => Err(wrong_type(op, storage_type(other))),
    }
}

fn storage_type(storage: &CpuStorage) -> DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

fn wrong_type(op: &'static str, got: DType) -> candle_core::Error {
    candle_core::Error::wrap(TensorError::DType { op, got, want: "f32" })
}

/// A read guard on the elements of a contiguous `f32` tensor.
pub(crate) struct Floats<'a> {
    op: &'static str,
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Floats<'a> {
    pub(crate) fn of(op: &'static str, tensor: &'a Tensor) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        Self { op, storage, layout }
    }

    pub(crate) fn slice(&self) -> candle_core::Result<&[f32]> {
        match &*self.storage {
            Storage::Cpu(storage) => floats(self.op, storage, self.layout),
            _ => Err(candle_core::Error::wrap(not_on_cpu(self.op, self.storage.device().location()))),
        }
    }
}

fn not_on_cpu(op: &'static str, place: candle_core::DeviceLocation) -> TensorError {
    TensorError::Device { name: format!("{place:?}"), reason: format!("{op} works on the CPU only") }
}

/// Checks that all tensors are `f32`, on the CPU and not empty.
pub(crate) fn check(op: &'static str, tensors: &[&Tensor]) -> Result<()> {
    for tensor in tensors {
        if tensor.dtype() != DType::F32 {
            return Err(TensorError::DType { op, got: tensor.dtype(), want: "f32" });
        }
        if !tensor.device().is_cpu() {
            return Err(not_on_cpu(op, tensor.device().location()));
        }
        if tensor.elem_count() == 0 {
            let shapes: Vec<&[usize]> = tensors.iter().map(|t| t.dims()).collect();
            return Err(shape_error(op, &shapes, "no dimension of size 0"));
        }
    }
    Ok(())
}

/// Size of the last axis. Fails for tensors of rank 0.
pub(crate) fn last_axis(op: &'static str, x: &Tensor) -> Result<usize> {
    match x.dims().last() {
        Some(&n) => Ok(n),
        None => Err(shape_error(op, &[&[]], "at least one axis")),
    }
}

/// Checks that `values` hold one number per element of the last axis of `x`. Returns the size of that axis.
pub(crate) fn check_channels(op: &'static str, x: &Tensor, values: &[&Tensor]) -> Result<usize> {
    let channels = last_axis(op, x)?;
    if values.iter().any(|v| v.dims() != [channels]) {
        let mut shapes = vec![x.dims()];
        shapes.extend(values.iter().map(|v| v.dims()));
        return Err(shape_error(op, &shapes, format!("one value for each of {channels} channels")));
    }
    Ok(channels)
}

/// The return value of an operation's forward pass.
pub(crate) fn stored(data: Vec<f32>, dims: &[usize]) -> (CpuStorage, Shape) {
    (CpuStorage::F32(data), Shape::from_dims(dims))
}

/// A gradient with the shape of `like`.
pub(crate) fn tensor_like(data: Vec<f32>, like: &Tensor) -> candle_core::Result<Tensor> {
    Tensor::from_vec(data, like.shape(), &Device::Cpu)
}
