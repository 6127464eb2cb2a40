//! Integration tests of the design pipeline.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod configuring;
mod designing;
mod stages;
