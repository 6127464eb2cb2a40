//! Integration tests of the foundation.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod config;
mod files;
