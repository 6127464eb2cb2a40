//! Reads the reference data from `tests/golden`, or from a folder of the same structure named by the environment
//! variable `TINSMITH_GOLDEN`.

use std::path::PathBuf;

use serde_json::Value;
use tinsmith_network::Quantizer;

/// A file of the reference data, below `quantizers/`.
pub(crate) fn read(file: &str) -> Value {
    let root = std::env::var_os("TINSMITH_GOLDEN")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")), PathBuf::from);
    let path = root.join("quantizers").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// One number; non-finite ones are written as texts.
pub(crate) fn number(value: &Value) -> f32 {
    match value.as_str() {
        Some("NaN") => f32::NAN,
        Some("Infinity") => f32::INFINITY,
        Some("-Infinity") => f32::NEG_INFINITY,
        _ => value.as_f64().unwrap_or_else(|| panic!("no number: {value}")) as f32,
    }
}

pub(crate) fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().map(|items| items.iter().map(number).collect()).unwrap_or_default()
}

/// The quantizer of a case, from the textual form of its constructor's arguments.
pub(crate) fn quantizer(case: &Value) -> Quantizer {
    let arguments: Vec<String> = case["kwargs"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| match value {
            Value::Bool(true) => format!("{name}=True"),
            Value::Bool(false) => format!("{name}=False"),
            Value::Null => format!("{name}=None"),
            Value::String(text) => format!("{name}='{text}'"),
            other => format!("{name}={other}"),
        })
        .collect();
    let text = format!("{}({})", case["class"].as_str().unwrap_or_default(), arguments.join(","));
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}
