//! Pruning, sparse storage and execution.
