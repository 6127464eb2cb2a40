//! The record of the work that a folder holds, so that no command continues or overwrites work of another kind.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tinsmith_data::{Splits, TableOptions};
use tinsmith_foundation::{ConfigErrors, Fault, FoundationError, config, files};

use crate::error::{Result, WorkshopError};

/// Name of the file that identifies the work in a folder.
pub const WORK_RECORD: &str = "work.json";

/// Differences that an error lists.
const LISTED: usize = 4;

/// Command, data and settings that the results in a folder depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkRecord {
    schema: u32,
    pub(crate) command: String,
    /// Name of the data set, for people; data are compared by checksum.
    pub(crate) data: String,
    pub(crate) data_checksum: String,
    settings: Value,
}

/// State of a folder that was claimed for some work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It was empty or did not exist.
    New,
    /// It holds a part or all of the same work.
    Same,
}

impl WorkRecord {
    pub(crate) fn new(command: &str, splits: &Splits, settings: Value) -> Self {
        Self {
            schema: 1,
            command: command.to_owned(),
            data: splits.train.name().to_owned(),
            data_checksum: splits.checksum(),
            settings,
        }
    }

    /// Checks that `folder` is empty or holds this work, without writing anything.
    pub(crate) fn check(&self, folder: &Path) -> Result<Claim> {
        let path = folder.join(WORK_RECORD);
        if !path.is_file() {
            refuse_other_files(folder, WORK_RECORD)?;
            return Ok(Claim::New);
        }
        let found: Self = read_json(&path)?;
        let differences = self.differences(&found)?;
        if differences.is_empty() {
            return Ok(Claim::Same);
        }
        Err(WorkshopError::OtherWork { path: folder.to_owned(), differences })
    }

    /// As [`Self::check`], and writes the record into a new folder.
    pub(crate) fn claim(&self, folder: &Path) -> Result<Claim> {
        let claim = self.check(folder)?;
        if claim == Claim::New {
            files::write_atomic(&folder.join(WORK_RECORD), config::to_json("record", self)?.as_bytes())?;
        }
        Ok(claim)
    }

    /// Names every setting that differs from the record `found` in the folder.
    fn differences(&self, found: &Self) -> Result<String> {
        if self.command != found.command {
            return Ok(format!("it was written by `{}`, not `{}`", found.command, self.command));
        }
        let mut differences = Vec::new();
        if self.data_checksum != found.data_checksum {
            differences.push(format!(
                "the data were `{}` with checksum {}, now `{}` with {}",
                found.data,
                short(&found.data_checksum),
                self.data,
                short(&self.data_checksum)
            ));
        }
        differences.extend(setting_differences(&found.settings, &as_stored(&self.settings)?));
        Ok(listed(differences))
    }
}

/// Reads a JSON file that this program wrote.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = files::read_text(path)?;
    serde_json::from_str(&text).map_err(|error| {
        let fault = Fault { path: String::new(), position: None, message: error.to_string() };
        ConfigErrors { origin: path.display().to_string(), faults: vec![fault] }.into()
    })
}

/// Returns a value as it comes back from a file: numbers may change in their last digit on the way.
pub(crate) fn as_stored(value: &Value) -> Result<Value> {
    let back = serde_json::from_str(&value.to_string());
    Ok(back.map_err(|e| FoundationError::Serialize { what: "settings", reason: e.to_string() })?)
}

/// Names every leaf in which two settings differ, as `limits.flash was 1024, now 2048`.
pub(crate) fn setting_differences(then: &Value, now: &Value) -> Vec<String> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten("", then, &mut before);
    flatten("", now, &mut after);
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let shown =
        |value: Option<&&Value>| value.map_or_else(|| "not set".to_owned(), |v| short(&v.to_string()));
    let differs = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differs
        .map(|name| format!("`{name}` was {}, now {}", shown(before.get(name)), shown(after.get(name))))
        .collect()
}

/// Joins the first differences into one sentence.
pub(crate) fn listed(mut differences: Vec<String>) -> String {
    let more = differences.len().saturating_sub(LISTED);
    differences.truncate(LISTED);
    let mut text = differences.join(", ");
    if more > 0 {
        text.push_str(&format!(", and {more} more"));
    }
    text
}

/// Refuses a folder that has entries.
pub(crate) fn refuse_other_files(folder: &Path, record: &'static str) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    if names.is_empty() {
        return Ok(());
    }
    Err(WorkshopError::Occupied { path: folder.to_owned(), files: listed(names), record })
}

/// Writes an output file that a user named. Returns false if it holds the same bytes already.
///
/// # Errors
/// [`WorkshopError::FileExists`] if it exists and holds anything else, [`WorkshopError::File`] if it cannot be written.
pub fn write_output(path: &Path, bytes: &[u8]) -> Result<bool> {
    match std::fs::read(path) {
        Ok(found) if found == bytes => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            files::write_atomic(path, bytes)?;
            Ok(true)
        }
        Ok(_) => {
            let reason = "holds something else".to_owned();
            Err(WorkshopError::FileExists { path: path.to_owned(), reason })
        }
        Err(source) => Err(FoundationError::Read { path: path.to_owned(), source }.into()),
    }
}

/// Returns the SHA-256 of a file's bytes as hexadecimal text.
pub(crate) fn checksum(path: &Path) -> Result<String> {
    let bytes =
        std::fs::read(path).map_err(|source| FoundationError::Read { path: path.to_owned(), source })?;
    Ok(Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect())
}

/// Returns the options of a data set that differ from their defaults; none if all are defaults, so that records without
/// options stay as they are.
pub(crate) fn table_settings(options: &TableOptions) -> Result<Option<Value>> {
    let mut settings = to_value("table", options)?;
    if let Some(fields) = settings.as_object_mut() {
        fields.retain(|key, value| key != "targets" || value != "auto");
    }
    Ok(Some(settings).filter(|settings| settings.as_object().is_none_or(|fields| !fields.is_empty())))
}

/// Returns a value as JSON, for records of settings.
pub(crate) fn to_value<T: Serialize>(what: &'static str, value: &T) -> Result<Value> {
    let value = serde_json::to_value(value);
    Ok(value.map_err(|e| FoundationError::Serialize { what, reason: e.to_string() })?)
}

fn flatten<'v>(name: &str, value: &'v Value, out: &mut BTreeMap<String, &'v Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, out);
            }
        }
        // Limits that are not set are left out or null, depending on the type.
        Value::Null => {}
        _ => {
            out.insert(name.to_owned(), value);
        }
    }
}

/// Cuts a long value.
fn short(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let head: String = text.chars().take(MOST).collect();
    format!("{head}...")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_by_path() {
        let then = json!({"limits": {"flash": 1024}, "training": {"epochs": 2}, "weights": "a"});
        let now = json!({"limits": {"flash": 2048, "ram": 9}, "training": {"epochs": 2}, "weights": "a"});
        assert_eq!(
            setting_differences(&then, &now),
            ["`limits.flash` was 1024, now 2048", "`limits.ram` was not set, now 9"]
        );
        assert!(setting_differences(&now, &now).is_empty());
    }
}
