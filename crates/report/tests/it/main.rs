//! What the charts and pages promise.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is wrong")]

mod charts;
mod network;
mod page;
mod random;
mod study;
mod xml;
