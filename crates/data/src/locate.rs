//! From the name that a user gives to the place of a data set.

use std::path::{Path, PathBuf};

use crate::error::{DataError, Result};

/// Names of the built-in data sets.
pub const BUILTIN: &[&str] = &["digits8x8"];

/// Resolves a data set's name: a built-in name stays as it is, an existing path becomes absolute, and any other name is looked
/// up in the folder `root`, for example `mnist` in `/data`.
///
/// The result can be stored: [`crate::load()`] finds the same data from any working directory.
///
/// # Errors
/// [`DataError::UnknownName`] if the name is none of the three, [`DataError::Read`] if the path cannot be resolved.
pub fn locate(name_or_path: &str, root: Option<&Path>) -> Result<String> {
    let Some(path) = find(name_or_path, root)? else { return Ok(name_or_path.to_owned()) };
    let path = path.canonicalize().map_err(DataError::read(&path))?;
    Ok(path.display().to_string())
}

/// Returns the path of a data set, or none for a built-in one. A path in the working directory comes before one below `root`.
pub(crate) fn find(name_or_path: &str, root: Option<&Path>) -> Result<Option<PathBuf>> {
    if BUILTIN.contains(&name_or_path) {
        return Ok(None);
    }
    let here = PathBuf::from(name_or_path);
    if here.exists() {
        return Ok(Some(here));
    }
    match root.map(|root| root.join(name_or_path)).filter(|path| path.exists()) {
        Some(path) => Ok(Some(path)),
        None => Err(DataError::UnknownName { name: name_or_path.to_owned(), known: BUILTIN }),
    }
}
