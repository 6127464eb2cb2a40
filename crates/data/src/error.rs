//! The error of this crate.

use std::path::{Path, PathBuf};

use tinsmith_foundation::{ConfigErrors, FoundationError};

/// Why a data set could not be read, split, normalized or batched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its format demands.
    #[error("{path}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The files of a folder do not make a data set.
    #[error("{path}: {reason}", path = path.display())]
    Layout {
        /// The folder, or the file in it that is wrong.
        path: PathBuf,
        /// What is missing or double, and what would be right.
        reason: String,
    },
    /// Neither a built-in data set nor something on disk.
    #[error("no data set `{name}`: it is no file or folder, and built in are {}", known.join(", "))]
    UnknownName {
        /// What was asked for.
        name: String,
        /// The built-in names.
        known: &'static [&'static str],
    },
    /// Two things that belong together have different sizes.
    #[error("{what}: got {got}, want {want}")]
    Count {
        /// What was counted.
        what: String,
        /// How many there are.
        got: usize,
        /// How many there should be.
        want: usize,
    },
    /// A data set does not have the sample shape that an operation needs.
    #[error("{what}: sample shape is {got:?}, want {want}")]
    Shape {
        /// The operation.
        what: &'static str,
        /// The shape there is.
        got: Vec<usize>,
        /// What would be right.
        want: String,
    },
    /// A label or a class index is outside the data set's classes.
    #[error("{what}: class {label} is not one of the {classes} classes (0..{classes})")]
    Class {
        /// Where it occurred.
        what: String,
        /// The class index.
        label: u32,
        /// How many classes there are.
        classes: usize,
    },
    /// An operation on classes was asked of a data set whose targets are arrays.
    #[error("{operation} needs class labels, but the targets of `{name}` are arrays")]
    NoClasses {
        /// The operation.
        operation: &'static str,
        /// The data set.
        name: String,
    },
    /// A group column that the data set does not have.
    #[error("no group column `{name}`: the data set has {}", listed(known))]
    UnknownGroup {
        /// The column asked for.
        name: String,
        /// The columns there are.
        known: Vec<String>,
    },
    /// A row outside the data set.
    #[error("row {row} is outside the data set of {rows} rows")]
    Row {
        /// The row asked for.
        row: usize,
        /// How many rows there are.
        rows: usize,
    },
    /// A split, a selection or a batch that cannot be made of these rows.
    #[error("cannot {operation}: {reason}")]
    Impossible {
        /// The operation.
        operation: &'static str,
        /// Why not, and what would be possible.
        reason: String,
    },
    /// A configuration has values that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A file could not be written.
    #[error(transparent)]
    Foundation(#[from] FoundationError),
}

/// A result whose error is [`DataError`].
pub type Result<T, E = DataError> = std::result::Result<T, E>;

impl DataError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Foundation(FoundationError::Write { path: path.to_owned(), source })
    }

    pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn layout(path: &Path, reason: impl Into<String>) -> Self {
        Self::Layout { path: path.to_owned(), reason: reason.into() }
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
