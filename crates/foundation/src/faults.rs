//! Faults of a configuration: a path, a position in the text, a message. All faults of one text form one error.

use std::fmt;

/// A place in a text, both coordinates counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

/// One wrong value of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Path of the value, such as `layers[2].conv2d.kernel`; empty if the fault concerns the whole text.
    pub path: String,
    /// Position of the value, if the configuration came from a text.
    pub position: Option<Position>,
    /// The fault and the values that would be accepted.
    pub message: String,
}

/// Collector of faults during validation; [`Faults::within`] completes the paths.
#[derive(Debug, Default)]
pub struct Faults {
    prefix: String,
    found: Vec<Fault>,
}

impl Faults {
    /// An empty collector.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that the value at `path`, relative to the current prefix, is wrong. The message continues the path:
    /// "is 40, want 1..=32".
    pub fn add(&mut self, path: &str, message: impl Into<String>) {
        let path = join(&self.prefix, path);
        self.found.push(Fault { path, position: None, message: message.into() });
    }

    /// Runs `check` with all its paths below `path`.
    pub fn within(&mut self, path: &str, check: impl FnOnce(&mut Self)) {
        let longer = join(&self.prefix, path);
        let shorter = std::mem::replace(&mut self.prefix, longer);
        check(self);
        self.prefix = shorter;
    }

    /// Returns true if no fault was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Returns all recorded faults as one error that names `origin`.
    ///
    /// # Errors
    /// [`ConfigErrors`] if at least one fault was recorded.
    pub fn into_result(self, origin: &str) -> Result<(), ConfigErrors> {
        if self.found.is_empty() {
            return Ok(());
        }
        Err(ConfigErrors { origin: origin.to_owned(), faults: self.found })
    }
}

fn join(prefix: &str, path: &str) -> String {
    match (prefix.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => prefix.to_owned(),
        _ if path.starts_with('[') => format!("{prefix}{path}"),
        _ => format!("{prefix}.{path}"),
    }
}

/// All faults of one configuration, displayed one per line as `origin:line:column: path message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// Name of the text: a file name, or a word such as `specification`.
    pub origin: String,
    /// The faults, at least one.
    pub faults: Vec<Fault>,
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.origin)?;
            if let Some(Position { line, column }) = fault.position {
                write!(f, ":{line}:{column}")?;
            }
            if fault.path.is_empty() {
                write!(f, ": {}", fault.message)?;
            } else {
                write!(f, ": `{}` {}", fault.path, fault.message)?;
            }
        }
        Ok(())
    }
}
