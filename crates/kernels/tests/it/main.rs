//! Tests of the public surface: kernels against naive loops on every instruction set.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy's exception for tests does not reach what they call"
)]

mod activation;
mod catalogue;
mod convolution;
mod dense;
mod epilogue;
mod optimizer;
mod pooling;
mod reference;
mod sinks;
