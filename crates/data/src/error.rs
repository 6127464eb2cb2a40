//! The error of this crate.

use std::path::{Path, PathBuf};

use tinsmith_foundation::{ConfigErrors, FoundationError};

/// Failure to read, split, normalize or batch a data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file violates its format.
    #[error("{path}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The fault and the accepted form.
        reason: String,
    },
    /// The files of a folder do not make a data set.
    #[error("{path}: {reason}", path = path.display())]
    Layout {
        /// The folder, or the wrong file in it.
        path: PathBuf,
        /// The missing or ambiguous file or column, and the accepted form.
        reason: String,
    },
    /// A name that is neither a built-in data set nor a file or folder.
    #[error("no data set `{name}`: it is no file or folder; built in: {}", known.join(", "))]
    UnknownName {
        /// The name.
        name: String,
        /// The built-in names.
        known: &'static [&'static str],
    },
    /// Two things that belong together have different sizes.
    #[error("{what}: got {got}, want {want}")]
    Count {
        /// The counted items.
        what: String,
        /// Their number.
        got: usize,
        /// The required number.
        want: usize,
    },
    /// A data set does not have the sample shape that an operation needs.
    #[error("{what}: sample shape is {got:?}, want {want}")]
    Shape {
        /// The operation.
        what: &'static str,
        /// The given shape.
        got: Vec<usize>,
        /// The required shape.
        want: String,
    },
    /// A label or a class index is outside the data set's classes.
    #[error("{what}: class {label} is not one of the {classes} classes (0..{classes})")]
    Class {
        /// Place of the label.
        what: String,
        /// The class index.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// An operation on classes for a data set without class labels.
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
        /// The requested column.
        name: String,
        /// Existing columns.
        known: Vec<String>,
    },
    /// A row outside the data set.
    #[error("row {row} is outside the data set of {rows} rows")]
    Row {
        /// The requested row.
        row: usize,
        /// Number of rows.
        rows: usize,
    },
    /// A split, selection, batch or conversion that these data do not allow.
    #[error("cannot {operation}: {reason}")]
    Impossible {
        /// The operation.
        operation: &'static str,
        /// The reason, and the possible alternatives.
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
