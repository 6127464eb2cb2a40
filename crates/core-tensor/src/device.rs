//! Which device computes.

use candle_core::Device;

use crate::error::{Result, TensorError};

/// The device of this name: `cpu`, `cuda`, `cuda:1`, `metal` or `metal:1`. Our operations work on the CPU; on the others
/// candle's own do. `cuda` and `metal` need the feature of that name.
///
/// # Errors
/// [`TensorError::Device`] where the name is no device's, the feature is off or the machine has none.
pub fn select(name: &str) -> Result<Device> {
    let refuse = |reason: String| TensorError::Device { name: name.to_owned(), reason };
    let (kind, ordinal) = name.split_once(':').unwrap_or((name, "0"));
    let ordinal: usize =
        ordinal.parse().map_err(|_| refuse(format!("{ordinal:?} is no number of a device, want 0, 1, …")))?;
    let device = match kind {
        "cpu" if name == "cpu" => Ok(Device::Cpu),
        "cuda" => Device::new_cuda(ordinal),
        "metal" => Device::new_metal(ordinal),
        _ => return Err(refuse("want cpu, cuda, cuda:N, metal or metal:N".to_owned())),
    };
    device.map_err(|e| refuse(e.to_string()))
}
