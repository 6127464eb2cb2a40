//! Integration tests of the generator.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod budgets;
mod corpora;
mod distributions;
mod drawing;
mod options;
mod space_filling;
