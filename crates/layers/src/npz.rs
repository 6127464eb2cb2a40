//! Arrays from an `.npz` archive, as NumPy and Keras scripts write them.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};

use crate::error::{LayersError, Result};

/// All arrays of the archive by name, as `f32` on the CPU.
///
/// # Errors
/// [`LayersError::Npz`] where the file cannot be read or holds arrays that are not numbers.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let failed = |e: candle_core::Error| LayersError::Npz { path: path.to_owned(), reason: e.to_string() };
    Tensor::read_npz(path)
        .map_err(failed)?
        .into_iter()
        .map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F32).map_err(failed)?)))
        .collect()
}
