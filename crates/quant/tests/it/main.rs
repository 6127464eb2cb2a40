//! Integration tests of the public interface.

mod candle;
mod codes;
mod golden;
mod random;
mod reference;
