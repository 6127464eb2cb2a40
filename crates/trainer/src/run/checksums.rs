//! `SHA256SUMS`: digests of the files that a finished run consists of.
//!
//! The format is that of `sha256sum`, so `sha256sum --check SHA256SUMS` verifies a folder without Tinsmith. A folder
//! without the file (an older version wrote none) is read unverified.

use std::path::Path;

use tinsmith_foundation::files;

use crate::digest::sha256;
use crate::error::{Result, TrainError};

const NAME: &str = "SHA256SUMS";

/// Writes the digests of these contents, by file name.
pub(super) fn write(folder: &Path, contents: &[(&str, &[u8])]) -> Result<()> {
    let text: String = contents.iter().map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes))).collect();
    Ok(files::write_atomic(&folder.join(NAME), text.as_bytes())?)
}

/// Compares the files of a finished run with their digests.
///
/// # Errors
/// [`TrainError::Malformed`] names the file that is missing or differs.
pub(super) fn verify(folder: &Path) -> Result<()> {
    let path = folder.join(NAME);
    if !path.is_file() {
        return Ok(());
    }
    let malformed =
        |path: &Path, wanted, reason: String| TrainError::Malformed { path: path.to_owned(), wanted, reason };
    for (number, line) in files::read_text(&path)?.lines().enumerate() {
        let entry = line.split_once("  ").filter(|(digest, name)| {
            digest.len() == 64 && matches!(*name, "result.json" | "weights.safetensors")
        });
        let Some((digest, name)) = entry else {
            let reason = format!("line {} is no digest of a file of the run", number + 1);
            return Err(malformed(&path, "the checksums of a run", reason));
        };
        let file = folder.join(name);
        let bytes = std::fs::read(&file)
            .map_err(|error| malformed(&file, "a file of a finished run", error.to_string()))?;
        if sha256(&bytes) != digest {
            let reason =
                format!("its SHA-256 differs from {NAME}; restore it, or delete the folder to train again");
            return Err(malformed(&file, "as the run wrote it", reason));
        }
    }
    Ok(())
}
