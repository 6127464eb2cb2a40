//! Guarantees of the charts and pages.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod charts;
mod network;
mod page;
mod random;
mod study;
mod xml;
