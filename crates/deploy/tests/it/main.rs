//! Integration tests of the export.
#![expect(clippy::panic, clippy::print_stdout, reason = "a test says what is wrong and what it covered")]

mod compile;
mod export;
mod geometry;
mod golden;
mod integer;
mod networks;
