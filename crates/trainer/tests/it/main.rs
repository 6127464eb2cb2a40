//! Integration tests of the trainer.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod fitting;
mod folds;
mod metrics;
mod optimizers;
mod options;
mod pool;
mod resume;
mod runs;
mod schedules;

use std::path::PathBuf;

/// A reference file: of the folder in `TINSMITH_GOLDEN` where that is set, else of this crate.
fn golden(path: &str) -> serde_json::Value {
    let root = std::env::var_os("TINSMITH_GOLDEN")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")), PathBuf::from);
    let text = std::fs::read_to_string(root.join(path)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn floats(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}
