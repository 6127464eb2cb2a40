//! Reference data: the copy in `tests/golden`, or the directory named by `TINSMITH_GOLDEN`.

use std::path::PathBuf;

use serde_json::Value;

pub(crate) fn json(path: &str) -> Value {
    let directory = std::env::var_os("TINSMITH_GOLDEN")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from);
    let path = directory.join(path);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display())).unwrap();
    serde_json::from_str(&text).unwrap()
}
