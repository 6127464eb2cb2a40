//! Integration tests of the generator.

mod budgets;
mod drawing;
mod options;
