//! Integration tests of the public interface.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic, and says what it compared"
)]

mod candle;
mod codes;
mod golden;
mod learned;
mod random;
mod reference;
