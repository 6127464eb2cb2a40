//! Named tensors in [safetensors](https://github.com/huggingface/safetensors) files, with string metadata.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tinsmith_foundation::FoundationError;
use tinsmith_foundation::files::write_atomic;

use crate::error::{Result, TensorError, first_names};

/// Contents of a file.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// String metadata by key, such as format and versions.
    pub metadata: BTreeMap<String, String>,
}

impl Contents {
    /// Returns the tensor `name`, which must have this shape. `path` is used in error messages.
    ///
    /// # Errors
    /// [`TensorError::MissingTensor`] and [`TensorError::FileShape`].
    pub fn tensor(&self, path: &Path, name: &str, dims: &[usize]) -> Result<&Tensor> {
        let Some(tensor) = self.tensors.get(name) else {
            let known = first_names(self.tensors.keys().map(String::as_str));
            return Err(TensorError::MissingTensor { path: path.to_owned(), name: name.to_owned(), known });
        };
        if tensor.dims() != dims {
            return Err(TensorError::FileShape {
                path: path.to_owned(),
                name: name.to_owned(),
                got: tensor.dims().to_vec(),
                want: dims.to_vec(),
            });
        }
        Ok(tensor)
    }
}

/// Writes `tensors` (`f32`) and `metadata` atomically. Equal contents give equal bytes.
///
/// # Errors
/// [`TensorError::DType`] if a tensor is not `f32`, [`TensorError::Unwritable`] or [`TensorError::File`] if the file
/// cannot be written.
pub fn save(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let unwritable = |e: safetensors::SafeTensorError| TensorError::Unwritable {
        path: path.to_owned(),
        reason: e.to_string(),
    };
    let mut buffers = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        if tensor.dtype() != DType::F32 {
            return Err(TensorError::DType { op: "save", got: tensor.dtype(), want: "f32" });
        }
        let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        buffers.push((name.as_str(), tensor.dims().to_vec(), bytes));
    }
    let mut views = Vec::with_capacity(buffers.len());
    for (name, dims, bytes) in &buffers {
        views.push((*name, TensorView::new(Dtype::F32, dims.clone(), bytes).map_err(unwritable)?));
    }
    // The library's metadata map has random order, so metadata is inserted into the header below, sorted.
    let bytes = safetensors::serialize(views, None).map_err(unwritable)?;
    let bytes = with_metadata(&bytes, metadata);
    write_atomic(path, &bytes)?;
    Ok(())
}

/// Inserts metadata, sorted by key, into the header of a file without any.
fn with_metadata(bytes: &[u8], metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let (Some((length, rest)), false) = (bytes.split_first_chunk::<8>(), metadata.is_empty()) else {
        return bytes.to_vec();
    };
    let length = u64::from_le_bytes(*length) as usize;
    let (header, data) = rest.split_at(length.min(rest.len()));
    let entries: Vec<String> = metadata.iter().map(|(k, v)| format!("{}:{}", quoted(k), quoted(v))).collect();
    let body = String::from_utf8_lossy(header);
    let body = body.trim_end().trim_start_matches('{');
    let comma = if body.starts_with('}') { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{{{}}}{comma}{body}", entries.join(","));
    // Data starts at a multiple of eight bytes, as in the format's reference implementation.
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// Formats a JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Reads a file. Converts 16- and 64-bit floats to `f32`.
///
/// # Errors
/// [`TensorError::File`] if the file cannot be read, [`TensorError::Malformed`] if it is not valid safetensors or
/// holds tensors of other types.
pub fn load(path: &Path) -> Result<Contents> {
    let bytes =
        std::fs::read(path).map_err(|source| FoundationError::Read { path: path.to_owned(), source })?;
    read(path, &bytes)
}

/// Reads the bytes of a file. `path` is used in error messages.
///
/// # Errors
/// [`TensorError::Malformed`], as [`load`].
pub fn read(path: &Path, bytes: &[u8]) -> Result<Contents> {
    let malformed = |reason: String| TensorError::Malformed { path: path.to_owned(), reason };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| malformed(e.to_string()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| malformed(e.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let data = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => {
                data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            Dtype::F64 => {
                let wide = |b: &[u8]| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
                data.chunks_exact(8).map(|b| wide(b) as f32).collect()
            }
            Dtype::F16 | Dtype::BF16 => {
                let dtype = if view.dtype() == Dtype::F16 { DType::F16 } else { DType::BF16 };
                let narrow = Tensor::from_raw_buffer(data, dtype, view.shape(), &Device::Cpu)?;
                narrow.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?
            }
            other => return Err(malformed(format!("tensor {name:?} is {other:?}, want a float type"))),
        };
        tensors.insert(name.to_owned(), Tensor::from_vec(values, view.shape(), &Device::Cpu)?);
    }
    Ok(Contents { tensors, metadata })
}
