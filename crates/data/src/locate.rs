//! From the name that a user gives to the place of a data set.

use std::path::Path;

use crate::error::{DataError, Result};
use crate::load::BUILTIN;

/// Resolves a data set's name: a built-in name stays as it is, an existing path becomes absolute, and any other name is looked
/// up in the folder `root`, for example `mnist` in `/data`.
///
/// The result can be stored: [`crate::load`] finds the same data from any working directory.
///
/// # Errors
/// [`DataError::UnknownName`] if the name is none of the three, [`DataError::Read`] if the path cannot be resolved.
pub fn locate(name_or_path: &str, root: Option<&Path>) -> Result<String> {
    if BUILTIN.contains(&name_or_path) {
        return Ok(name_or_path.to_owned());
    }
    let here = Path::new(name_or_path);
    let below_root = root.map(|root| root.join(name_or_path)).filter(|path| path.exists());
    let path = if here.exists() { Some(here) } else { below_root.as_deref() };
    let path =
        path.ok_or_else(|| DataError::UnknownName { name: name_or_path.to_owned(), known: BUILTIN })?;
    let path = path.canonicalize().map_err(DataError::read(path))?;
    Ok(path.display().to_string())
}
