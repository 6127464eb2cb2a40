//! Integration tests of the Keras import and export.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod golden;
#[path = "../../../network/tests/it/kind_examples.rs"]
mod kind_examples;
#[path = "../../../network/tests/it/mutated.rs"]
mod mutated;
mod mutations;
mod reading;
