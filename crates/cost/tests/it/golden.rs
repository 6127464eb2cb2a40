//! Reference data: figures in `tests/golden`, models beside the Keras import, or both in the directory named by
//! `TINSMITH_GOLDEN`.

use std::path::PathBuf;

use serde_json::Value;

fn path(relative: &str) -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    match std::env::var_os("TINSMITH_GOLDEN") {
        Some(directory) => PathBuf::from(directory).join(relative),
        None if relative.starts_with("models") => own.join("../../../keras/tests/golden").join(relative),
        None => own.join(relative),
    }
}

pub(crate) fn text(relative: &str) -> String {
    let path = path(relative);
    std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display())).unwrap()
}

pub(crate) fn json(relative: &str) -> Value {
    serde_json::from_str(&text(relative)).unwrap()
}

/// Names of the reference models.
pub(crate) fn models() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path("models"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}
