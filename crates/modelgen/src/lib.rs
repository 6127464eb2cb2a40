//! Random and structured generation of network specifications.
