//! Integration tests of the foundation.

mod config;
mod files;
