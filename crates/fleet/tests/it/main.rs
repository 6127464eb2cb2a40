//! Integration tests of fleets.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod project;
