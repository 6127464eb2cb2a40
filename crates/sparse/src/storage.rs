//! Choice of the storage of pruned weights.

use tinsmith_cost::{Cost, Target};
use tinsmith_layers::Model;
use tinsmith_network::{ModelSpec, Storage};

use crate::error::Result;

/// Returns the specification with the facts of its weights: non-zeros of each kernel, and the storage (dense, bitmap
/// or CSR) with the fewest bytes of flash on `target`; dense if the others gain nothing.
///
/// # Errors
/// [`crate::SparseError::Layers`] and [`crate::SparseError::Spec`] if the network cannot be read or costed.
pub fn with_smallest_storage(model: &Model, target: &Target) -> Result<ModelSpec> {
    let mut spec = model.facts()?;
    let mut smallest = Cost::of(&spec, target)?.total.flash_bytes;
    for layer in 0..spec.layers.len() {
        for fact in 0..spec.layers[layer].facts.len() {
            // The bytes of a weight depend on its own storage only, so a greedy choice per weight is optimal.
            for storage in [Storage::Bitmap, Storage::Csr] {
                let before = std::mem::replace(&mut spec.layers[layer].facts[fact].storage, storage);
                let flash = Cost::of(&spec, target)?.total.flash_bytes;
                if flash < smallest {
                    smallest = flash;
                } else {
                    spec.layers[layer].facts[fact].storage = before;
                }
            }
        }
    }
    Ok(spec)
}
