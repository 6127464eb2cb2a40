//! Quantization search.
