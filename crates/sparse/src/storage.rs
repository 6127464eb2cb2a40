//! How the weights of a pruned network are shipped.

use tinsmith_cost::{Cost, Target};
use tinsmith_layers::Model;
use tinsmith_network::{ModelSpec, Storage};

use crate::error::Result;

/// The network's specification with the facts of its weights: how many of each kernel are not zero, and the storage
/// (dense, bitmap or CSR) that takes the fewest bytes of flash on `target`; dense where nothing is gained.
///
/// # Errors
/// [`crate::SparseError::Layers`] and [`crate::SparseError::Spec`] where the network cannot be read or costed.
pub fn with_smallest_storage(model: &Model, target: &Target) -> Result<ModelSpec> {
    let mut spec = model.facts()?;
    let mut smallest = Cost::of(&spec, target)?.total.flash_bytes;
    for layer in 0..spec.layers.len() {
        for fact in 0..spec.layers[layer].facts.len() {
            // Each weight's bytes are its own, so that one after the other finds the best of all.
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
