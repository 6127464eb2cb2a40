//! Tests of the public surface: operations against finite differences.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy's exception for tests does not reach what they call"
)]

mod activation;
mod convolution;
mod dense;
mod gradient;
mod initializers;
mod loss;
mod maps;
mod normalization;
mod params;
mod pooling;
mod reference;
mod refusals;
mod threads;
mod weight_files;
