//! Golden files and comparisons.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::Value;

/// The folder of golden data: that in the environment, else the crate's own.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("TINSMITH_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from)
}

pub(crate) fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The folders of golden models.
pub(crate) fn models() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root().join("models"))
        .expect("a folder of models")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("architecture.json").exists())
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn number(value: &Value) -> f32 {
    match value {
        Value::String(s) if s == "NaN" => f32::NAN,
        Value::String(s) if s == "Infinity" => f32::INFINITY,
        Value::String(s) if s == "-Infinity" => f32::NEG_INFINITY,
        other => other.as_f64().expect("a number") as f32,
    }
}

pub(crate) fn tensor(array: &Value) -> Tensor {
    let shape: Vec<usize> = array["shape"]
        .as_array()
        .expect("a shape")
        .iter()
        .map(|d| d.as_u64().expect("a size") as usize)
        .collect();
    let data: Vec<f32> = array["data"].as_array().expect("data").iter().map(number).collect();
    Tensor::from_vec(data, shape, &Device::Cpu).expect("data of its shape")
}

pub(crate) fn npz(path: &Path) -> BTreeMap<String, Tensor> {
    tinsmith_layers::npz::read(path).expect("an archive")
}

pub(crate) fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().and_then(|t| t.to_vec1()).expect("values")
}

/// Error of computed values against golden ones.
#[derive(Debug, Default, Clone)]
pub(crate) struct Score {
    pub(crate) elements: usize,
    /// Elements beyond the tolerance.
    pub(crate) off: usize,
    /// The largest `|a - b| / (1 + |b|)` of the others.
    pub(crate) worst: f32,
    pub(crate) places: Vec<String>,
}

impl Score {
    pub(crate) fn compare(&mut self, what: &str, ours: &Tensor, theirs: &Tensor, tolerance: f32) {
        assert_eq!(ours.dims(), theirs.dims(), "{what}");
        let before = self.off;
        let mut worst = 0.0_f32;
        for (a, b) in values(ours).into_iter().zip(values(theirs)) {
            self.elements += 1;
            let distance = (a - b).abs() / (1.0 + b.abs());
            if distance <= tolerance {
                self.worst = self.worst.max(distance);
            } else if !(a.is_nan() && b.is_nan()) && a != b {
                self.off += 1;
                worst = worst.max(distance);
            }
        }
        if self.off > before {
            self.places.push(format!("{what}: {} off, by up to {worst:e}", self.off - before));
        }
    }

    /// At most one element in ten thousand may be off by one level.
    #[track_caller]
    pub(crate) fn check(&self, file: &str) {
        println!(
            "{file}: {} elements, {} on other levels, else within {:.1e}",
            self.elements, self.off, self.worst
        );
        assert!(self.elements > 0, "{file}: nothing was compared");
        assert!(self.off * 10_000 <= self.elements, "{file}: {:#?}", self.places);
    }
}
