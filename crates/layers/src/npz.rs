//! Arrays in an `.npz` archive, as NumPy and Keras scripts write them.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use tinsmith_data::{Array, Values, npz};
use tinsmith_foundation::ExpansionBudget;

use crate::error::{LayersError, Result};

/// Reads all arrays of the archive by name, as `f32` on the CPU. Scalars become arrays of one element. The arrays
/// together may have 64 times the size of the archive, or 16 MiB ([`ExpansionBudget`]).
///
/// # Errors
/// [`LayersError::Npz`] if the file cannot be read, holds non-numeric arrays or exceeds the bound.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let arrays = npz::read(path).map_err(|e| failed(path, &e))?;
    let length = std::fs::metadata(path).map_err(|e| failed(path, &e))?.len();
    // The reader has bounded the bytes in the archive. Narrow types grow once more as `f32`.
    let budget = ExpansionBudget::for_compressed(length);
    let mut tensors = BTreeMap::new();
    for (name, array) in arrays {
        let bytes = (array.values().len() as u64).saturating_mul(4);
        budget.claim(&name, bytes).map_err(|e| failed(path, &e))?;
        tensors.insert(name, tensor(&array, path)?);
    }
    Ok(tensors)
}

/// Writes an archive atomically. Equal tensors give equal bytes.
///
/// # Errors
/// [`LayersError::Npz`] if a tensor is not `f32` or the file cannot be written.
pub fn write(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let mut arrays = BTreeMap::new();
    for (name, tensor) in tensors {
        let values = tensor.flatten_all().and_then(|t| t.to_vec1()).map_err(|e| failed(path, &e))?;
        let array = Array::new(tensor.dims().to_vec(), Values::F32(values)).map_err(|e| failed(path, &e))?;
        arrays.insert(name.clone(), array);
    }
    npz::write(path, &arrays).map_err(|e| failed(path, &e))
}

fn tensor(array: &Array, path: &Path) -> Result<Tensor> {
    let values = array.values().to_f32().to_vec();
    Tensor::from_vec(values, array.shape(), &Device::Cpu).map_err(|e| failed(path, &e))
}

fn failed(path: &Path, reason: &dyn std::fmt::Display) -> LayersError {
    LayersError::Npz { path: path.to_owned(), reason: reason.to_string() }
}
