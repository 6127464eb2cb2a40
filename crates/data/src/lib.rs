//! Data sets for small networks: readers, splits, batches, normalization.
