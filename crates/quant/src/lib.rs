//! Quantizers with QKeras semantics, fixed-point formats and integer codes.
