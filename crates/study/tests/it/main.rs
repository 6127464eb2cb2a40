//! Integration tests of the study crate, one binary.

#[cfg(test)]
mod closed_form;
#[cfg(test)]
mod designs;
#[cfg(test)]
mod fronts;
#[cfg(test)]
mod hyperband;
#[cfg(test)]
mod interchange;
#[cfg(test)]
mod parameters;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod search;

/// Reads a golden file, from `TINSMITH_GOLDEN` if that has this crate's folder, otherwise from the tests' own
/// folder.
#[cfg(test)]
fn golden(folder: &str) -> Vec<std::path::PathBuf> {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let other = std::env::var_os("TINSMITH_GOLDEN").map(|root| std::path::PathBuf::from(root).join(folder));
    let folder = other.filter(|path| path.is_dir()).unwrap_or(own);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}
