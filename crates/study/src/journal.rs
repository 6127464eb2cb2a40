//! Optuna's journal: studies and trials in a file of JSON lines that `optuna.load_study`, Optuna Dashboard and
//! Rustuna open. This module is the format; what a [`crate::Study`] puts into it is `study::record`.
//!
//! Format: `optuna/storages/journal/_storage.py` and `optuna/distributions.py` of Optuna 5.0.0. One JSON object a
//! line; ids are not stored but follow from the order of the lines; a torn last line is no error.

mod distribution;
mod replay;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tinsmith_foundation::files;

pub(crate) use self::distribution::{internal_value, to_distribution};

use crate::error::{Result, StudyError};
use crate::parameter::{Domain, Params};

/// A journal, replayed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Journal {
    /// The studies that were not deleted, in order of creation.
    pub studies: Vec<JournalStudy>,
    /// How many studies were ever created: the id of the next one.
    pub created: u64,
}

/// A study of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalStudy {
    /// Its id: how many studies were created before it.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// For each objective: 0 not set, 1 minimize, 2 maximize.
    pub directions: Vec<u8>,
    /// What users stored with it.
    pub user_attributes: BTreeMap<String, Value>,
    /// What Optuna stored with it, for example `study:metric_names`.
    pub system_attributes: BTreeMap<String, Value>,
    /// Its trials by number.
    pub trials: Vec<JournalTrial>,
}

/// How far a trial of a journal has come. The numbers are the format's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalState {
    /// Begun.
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
    /// Whether nothing can be changed in the trial any more.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Failed)
    }
}

/// A trial of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalTrial {
    /// Its id: how many trials were created before it in the whole file.
    pub id: u64,
    /// Its number within its study.
    pub number: u64,
    /// How far it has come.
    pub state: JournalState,
    /// The objectives; a pruned trial has the value reported last.
    pub values: Option<Vec<f64>>,
    /// The parameters.
    pub params: Params,
    /// Their domains.
    pub domains: BTreeMap<String, Domain>,
    /// The reported value by step.
    pub intermediate_values: BTreeMap<i64, f64>,
    /// What users stored with it.
    pub user_attributes: BTreeMap<String, Value>,
    /// What Optuna stored with it, for example `constraints`.
    pub system_attributes: BTreeMap<String, Value>,
    /// When it began.
    pub start: Option<String>,
    /// When it ended.
    pub complete: Option<String>,
}

impl JournalTrial {
    /// Its constraints, each <= 0 where feasible; empty where there are none. The list of Optuna 4, or else the
    /// single ones of Optuna 5 in the order of their names.
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
    /// Reads a journal, whoever wrote it.
    ///
    /// # Errors
    /// [`StudyError::File`] where the file cannot be read, [`StudyError::Journal`] where a line other than the
    /// last is not of the format.
    pub fn load(path: &Path) -> Result<Self> {
        Self::parse(&files::read_text(path)?, path)
    }

    /// Replays the text of a journal; `path` names it in errors.
    ///
    /// # Errors
    /// [`StudyError::Journal`] where a line other than the last is not of the format.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        // A line without an end was being written when somebody looked or died.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut replay = replay::Replay::default();
        for (i, line) in whole.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let fault = |reason| StudyError::Journal { path: path.to_owned(), line: i + 1, reason };
            replay.apply(line).map_err(fault)?;
        }
        Ok(replay.finish())
    }

    /// The study of this name.
    #[must_use]
    pub fn study(&self, name: &str) -> Option<&JournalStudy> {
        self.studies.iter().find(|s| s.name == name)
    }
}

/// A number as Optuna (NaN and infinities as bare words, made strings before parsing) or Rustuna (strings) writes it.
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

/// Python's `NaN`, `Infinity` and `-Infinity`, which are not JSON, as strings.
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
