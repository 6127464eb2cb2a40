//! SHA-256 digests as lowercase hexadecimal digits.

use std::path::Path;

use sha2::{Digest, Sha256};
use tinsmith_foundation::FoundationError;

use crate::error::Result;

/// Returns the digest of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns the digest of a file's content.
pub(crate) fn sha256_of_file(path: &Path) -> Result<String> {
    let bytes =
        std::fs::read(path).map_err(|source| FoundationError::Read { path: path.to_owned(), source })?;
    Ok(sha256(&bytes))
}

/// Formats a digest.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
