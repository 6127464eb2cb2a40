//! Integration tests of the generator.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure is a test's way to speak")]

mod budgets;
mod corpora;
mod distributions;
mod drawing;
mod options;
mod structures;
