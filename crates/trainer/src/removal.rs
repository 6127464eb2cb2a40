//! Removal of files that need not exist.

use std::io::ErrorKind;
use std::path::Path;

use tinsmith_foundation::FoundationError;

use crate::error::Result;

/// Removes a file; succeeds if it does not exist.
pub(crate) fn remove_if_present(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(FoundationError::Write { path: path.to_owned(), source }.into())
        }
        _ => Ok(()),
    }
}
