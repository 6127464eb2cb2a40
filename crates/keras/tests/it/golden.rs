//! Reference data: the copy in `tests/golden`, or the directory named by `TINSMITH_GOLDEN`.

use std::path::PathBuf;

use serde_json::Value;

fn directory() -> PathBuf {
    std::env::var_os("TINSMITH_GOLDEN")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from)
}

pub(crate) fn text(path: &str) -> String {
    let path = directory().join(path);
    std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display())).unwrap()
}

pub(crate) fn json(path: &str) -> Value {
    serde_json::from_str(&text(path)).unwrap()
}

/// Names of the reference models.
pub(crate) fn models() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory().join("models"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}
