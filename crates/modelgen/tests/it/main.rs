//! Integration tests of the generator.

mod drawing;
mod options;
