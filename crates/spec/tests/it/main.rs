//! Integration tests of the specification.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod golden;
mod keras;
mod reading;
