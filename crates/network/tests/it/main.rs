//! Integration tests of network specifications.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod golden;
mod kind_examples;
mod kinds;
mod learned;
mod mutated;
mod mutations;
mod quantizer;
mod reading;
mod schema;
mod structure;
mod summary;
mod views;
