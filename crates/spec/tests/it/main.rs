//! Integration tests of the specification.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod cost;
mod cost_energy;
mod cost_golden;
mod golden;
mod keras;
mod kinds;
mod learned;
mod mutations;
mod quantizer;
mod reading;
mod schema;
mod structure;
mod summary;
