//! Integration tests of event files.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod events;
