//! Files of lines, appended to by processes that may be killed at any time.

use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tinsmith_foundation::files::LineLog;

use crate::error::{FleetError, Result};

/// Appends a value to a file of JSON lines.
pub(crate) fn append<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let line = serde_json::to_string(value).map_err(|e| FleetError::usage(e.to_string()))?;
    let (mut log, _) = LineLog::open(path)?;
    Ok(log.append(&[line])?)
}

/// Reads a file of JSON lines; empty if it does not exist.
///
/// # Errors
/// [`FleetError::Malformed`] with the line's number, as [`read_with`].
pub(crate) fn read<T: DeserializeOwned>(path: &Path, wanted: &'static str) -> Result<Vec<T>> {
    read_with(path, wanted, |line| serde_json::from_str(line).map_err(|e| e.to_string()))
}

/// Reads a file of lines with `parse`; empty if it does not exist. A last line without an end belongs to a process that
/// was killed while writing it, and is skipped.
///
/// # Errors
/// [`FleetError::Malformed`] with the number of the first line that `parse` refuses.
pub(crate) fn read_with<T>(
    path: &Path,
    wanted: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FleetError::read(path)(source)),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .split('\n')
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| {
            parse(line).map_err(|reason| FleetError::malformed_line(path, wanted, i + 1, &reason))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_skipped_and_any_other_is_refused_by_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("numbers.jsonl");
        assert_eq!(read::<u64>(&path, "numbers").unwrap(), [0; 0]);
        std::fs::write(&path, "1\n2\n3").unwrap();
        assert_eq!(read::<u64>(&path, "numbers").unwrap(), [1, 2]);
        std::fs::write(&path, "1\nx\n3\n").unwrap();
        let error = read::<u64>(&path, "numbers").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        std::fs::write(&path, format!("1\n\"{}\"\n", "x".repeat(300_000))).unwrap();
        let error = read::<u64>(&path, "numbers").unwrap_err().to_string();
        assert!(error.len() < 1000, "{} bytes", error.len());
    }
}
