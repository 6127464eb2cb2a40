//! Block sizes of weight gradients.

/// Samples that are summed in registers at a time: the operands of a tile stay in the first-level cache.
pub(super) const SAMPLES: usize = 256;

/// Rows of a weight gradient whose inputs stay in the first-level cache.
pub(super) const SLAB_ROWS: usize = 56;
