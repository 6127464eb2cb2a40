//! Integration tests of the public interface.

mod golden;
mod reference;
