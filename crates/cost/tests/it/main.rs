//! Integration tests of the cost of networks.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod energy;
mod golden;
mod measures;
mod reference;
