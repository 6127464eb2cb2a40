//! Optuna's journal: studies and trials in a file of JSON lines that `optuna.load_study`, Optuna Dashboard
//! and Rustuna open. This module implements the format; `study::record` decides the content that a
//! [`crate::Study`] writes.
//!
//! Format: `optuna/storages/journal/_storage.py` and `optuna/distributions.py` of Optuna 5.0.0. One JSON
//! object per line. Ids are not stored but follow from the order of lines. A torn last line is not an error.

mod distribution;
mod replay;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tinsmith_foundation::files;

pub(crate) use self::distribution::{internal_value, to_distribution};

use crate::error::{Result, StudyError};
use crate::parameter::{Domain, Params};

/// User attribute that marks a study as written by this crate.
pub(crate) const MARK: &str = "tinsmith";

/// User attribute of a trial in a marked study: its number, which must equal its position.
pub(crate) const NUMBER: &str = "number";

/// Maximum length of an error's text, in characters. Errors quote parts of a line, which can be arbitrarily long.
const QUOTE_LIMIT: usize = 400;

fn cut(text: String) -> String {
    match text.char_indices().nth(QUOTE_LIMIT) {
        None => text,
        Some((end, _)) => format!("{}… ({} bytes in all)", &text[..end], text.len()),
    }
}

/// A journal, replayed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Journal {
    /// Studies that were not deleted, in order of creation.
    pub studies: Vec<JournalStudy>,
    /// Number of studies ever created, which is the id of the next one.
    pub created: u64,
}

/// A study of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalStudy {
    /// Id: the number of studies created before it.
    pub id: u64,
    /// Name.
    pub name: String,
    /// Direction of each objective: 0 not set, 1 minimize, 2 maximize.
    pub directions: Vec<u8>,
    /// Attributes set by users.
    pub user_attributes: BTreeMap<String, Value>,
    /// Attributes set by Optuna, for example `study:metric_names`.
    pub system_attributes: BTreeMap<String, Value>,
    /// Trials, by number.
    pub trials: Vec<JournalTrial>,
}

/// Progress of a trial. The numbers are those of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalState {
    /// In progress.
    Running = 0,
    /// Finished with values.
    Complete = 1,
    /// Stopped early.
    Pruned = 2,
    /// Ended without values.
    Failed = 3,
    /// Queued.
    Waiting = 4,
}

impl JournalState {
    /// Returns true if the trial can no longer change.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Failed)
    }
}

/// A trial of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalTrial {
    /// Id: the number of trials created before it in the whole file.
    pub id: u64,
    /// Number within its study.
    pub number: u64,
    /// Progress.
    pub state: JournalState,
    /// Objectives; a pruned trial has the latest reported value.
    pub values: Option<Vec<f64>>,
    /// The parameters.
    pub params: Params,
    /// Domains of the parameters.
    pub domains: BTreeMap<String, Domain>,
    /// Reported values by step.
    pub intermediate_values: BTreeMap<i64, f64>,
    /// Attributes set by users.
    pub user_attributes: BTreeMap<String, Value>,
    /// Attributes set by Optuna, for example `constraints`.
    pub system_attributes: BTreeMap<String, Value>,
    /// Start time.
    pub start: Option<String>,
    /// End time.
    pub complete: Option<String>,
}

impl JournalTrial {
    /// Returns the constraints, each <= 0 if satisfied; empty if there are none. Reads the list of Optuna 4,
    /// otherwise the single attributes of Optuna 5 in the order of their names.
    #[must_use]
    pub fn constraints(&self) -> Vec<f64> {
        if let Some(Value::Array(list)) = self.system_attributes.get("constraints") {
            return list.iter().filter_map(number).collect();
        }
        let named = self.system_attributes.iter().filter(|(key, _)| key.starts_with("constraints:"));
        named.filter_map(|(_, value)| number(value)).collect()
    }
}

impl Journal {
    /// Reads a journal, whichever program wrote it.
    ///
    /// # Errors
    /// [`StudyError::File`] if the file cannot be read, [`StudyError::Journal`] if a line other than the last
    /// is invalid.
    pub fn load(path: &Path) -> Result<Self> {
        Self::parse(&files::read_text(path)?, path)
    }

    /// Replays the text of a journal; `path` is quoted in errors.
    ///
    /// # Errors
    /// [`StudyError::Journal`] if a line other than the last is invalid.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        // A line without an end is still being written, or its writer was killed.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut replay = replay::Replay::default();
        for (i, line) in whole.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let fault =
                |reason| StudyError::Journal { path: path.to_owned(), line: i + 1, reason: cut(reason) };
            replay.apply(line).map_err(fault)?;
        }
        Ok(replay.finish())
    }

    /// Returns the study with this name.
    #[must_use]
    pub fn study(&self, name: &str) -> Option<&JournalStudy> {
        self.studies.iter().find(|s| s.name == name)
    }
}

/// Parses a number as written by Optuna (NaN and infinities as bare words, quoted before parsing) or by
/// Rustuna (as strings).
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => match s.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Quotes Python's `NaN`, `Infinity` and `-Infinity`, which are not JSON.
fn quote_literals(line: &str) -> std::borrow::Cow<'_, str> {
    if !line.contains("NaN") && !line.contains("Infinity") {
        return line.into();
    }
    let mut out = String::with_capacity(line.len() + 8);
    let mut rest = line;
    let mut quoted = false;
    while let Some(c) = rest.chars().next() {
        let literal = ["NaN", "Infinity", "-Infinity"].into_iter().find(|l| !quoted && rest.starts_with(l));
        let taken = if let Some(literal) = literal {
            out.push('"');
            out.push_str(literal);
            out.push('"');
            literal.len()
        } else if quoted && c == '\\' {
            let escaped = c.len_utf8() + rest[1..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..escaped]);
            escaped
        } else {
            quoted ^= c == '"';
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::quote_literals;

    #[test]
    fn literals_are_quoted_outside_strings() {
        for (line, expected) in [
            (r#"{"a":NaN,"b":[Infinity,-Infinity]}"#, r#"{"a":"NaN","b":["Infinity","-Infinity"]}"#),
            (r#"{"a":"NaN \" NaN","b":-1}"#, r#"{"a":"NaN \" NaN","b":-1}"#),
            (r#"{"NaN":"\\","ü":NaN}"#, r#"{"NaN":"\\","ü":"NaN"}"#),
        ] {
            assert_eq!(quote_literals(line), expected);
        }
    }
}
