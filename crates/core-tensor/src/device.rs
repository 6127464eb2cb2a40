//! Selection of a device by name.

use candle_core::Device;

use crate::error::{Result, TensorError};

/// Selects a device by name: `cpu`, `cuda`, `cuda:1`, `metal` or `metal:1`. The operations of this crate work on the
/// CPU only; on other devices candle's own operations are available. `cuda` and `metal` need the feature of that
/// name.
///
/// # Errors
/// [`TensorError::Device`] if the name is unknown, the feature is disabled or the machine has no such device.
pub fn select(name: &str) -> Result<Device> {
    let refuse = |reason: String| TensorError::Device { name: name.to_owned(), reason };
    let (kind, ordinal) = name.split_once(':').unwrap_or((name, "0"));
    let ordinal: usize =
        ordinal.parse().map_err(|_| refuse(format!("{ordinal:?} is not a device number, want 0, 1, …")))?;
    let device = match kind {
        "cpu" if name == "cpu" => Ok(Device::Cpu),
        "cuda" => Device::new_cuda(ordinal),
        "metal" => Device::new_metal(ordinal),
        _ => return Err(refuse("want cpu, cuda, cuda:N, metal or metal:N".to_owned())),
    };
    device.map_err(|e| refuse(e.to_string()))
}
