//! List of models on the command line: `classifier.small=10, deep=5, autoencoder.classical`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults, QUOTE_LIMIT, is_safe_file_name, quote};

/// A model's class and architecture: a folder, and a specification in it.
///
/// Both are names of files ([`is_safe_file_name`]) without a full stop; others are refused on reading.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "NameParts")]
pub struct ModelName {
    /// The group.
    pub class: String,
    /// The structure within the group.
    pub architecture: String,
}

/// A [`ModelName`] as it is written, unchecked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameParts {
    class: String,
    architecture: String,
}

impl TryFrom<NameParts> for ModelName {
    type Error = String;

    fn try_from(NameParts { class, architecture }: NameParts) -> Result<Self, String> {
        check_part(&class)?;
        check_part(&architecture)?;
        Ok(Self { class, architecture })
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.class, self.architecture)
    }
}

impl FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (class, architecture) =
            text.split_once('.').ok_or_else(|| format!("is `{text}`, want class.architecture"))?;
        check_part(class)?;
        check_part(architecture)?;
        Ok(Self { class: class.to_owned(), architecture: architecture.to_owned() })
    }
}

/// Refuses a word that is not safe as part of a file name and of a job name.
pub(crate) fn check_part(word: &str) -> Result<(), String> {
    if is_safe_file_name(word) && !word.contains('.') {
        return Ok(());
    }
    let word = quote(word, QUOTE_LIMIT);
    Err(format!("has `{word}`, want letters, digits, `-` and `_`, and no reserved name such as `con`"))
}

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCount {
    /// Class and architecture.
    pub name: ModelName,
    /// Number of networks of it per array element.
    pub count: u64,
}

/// A list of models with counts.
///
/// Entries are separated by commas; blanks are ignored. An entry is `class.architecture=count`. The count
/// defaults to 1, and the class to that of the previous entry.
///
/// ```
/// use tinsmith_fleet::ModelList;
/// let list: ModelList = "classifier.clu_one=10, chransynth=32, autoencoder.classical".parse().expect("a list");
/// let names: Vec<String> = list.0.iter().map(|m| format!("{} x {}", m.name, m.count)).collect();
/// assert_eq!(names, ["classifier.clu_one x 10", "classifier.chransynth x 32", "autoencoder.classical x 1"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelList(pub Vec<ModelCount>);

impl FromStr for ModelList {
    type Err = ConfigErrors;

    fn from_str(text: &str) -> Result<Self, ConfigErrors> {
        let mut faults = Faults::new();
        let mut list: Vec<ModelCount> = Vec::new();
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        for (i, entry) in plain.split(',').enumerate() {
            let before = list.last().map(|m| m.name.class.clone());
            match parse_entry(entry, before.as_deref()) {
                Ok(model) if list.iter().any(|m| m.name == model.name) => {
                    faults
                        .add(&format!("[{i}]"), format!("names {} again, want every model once", model.name));
                }
                Ok(model) => list.push(model),
                Err(message) => faults.add(&format!("[{i}]"), message),
            }
        }
        faults.into_result("--models")?;
        Ok(Self(list))
    }
}

fn parse_entry(entry: &str, class_before: Option<&str>) -> Result<ModelCount, String> {
    let (name, count) = entry.split_once('=').unwrap_or((entry, ""));
    let count = match count {
        "" => 1,
        digits => digits
            .parse()
            .ok()
            .filter(|&n| n > 0)
            .ok_or_else(|| format!("counts `{digits}`, want a number from 1"))?,
    };
    let name = match (name.contains('.'), class_before) {
        (true, _) => name.parse()?,
        (false, Some(class)) => format!("{class}.{name}").parse()?,
        (false, None) => return Err(format!("is `{entry}`, want class.architecture=count")),
    };
    Ok(ModelCount { name, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_fault(text: &str, wanted: &str) {
        let error = text.parse::<ModelList>().unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_place() {
        check_fault("small=3", "`[0]` is `small=3`, want class.architecture=count");
        check_fault("a.b=0", "`[0]` counts `0`");
        check_fault("a.b=3,a.b=4", "`[1]` names a.b again");
        check_fault("a.b=3,../x.c=4", "want letters, digits");
        check_fault("a.b,,c", "`[1]`");
        check_fault("a.b.c=1", "has `b.c`");
        check_fault("nul.a", "has `nul`");
    }

    #[test]
    fn names_that_leave_the_folder_are_refused_on_reading() {
        let read = |class: &str| {
            serde_json::from_value::<ModelName>(serde_json::json!({"class": class, "architecture": "a"}))
        };
        assert_eq!(read("mlp").unwrap().to_string(), "mlp.a");
        for class in ["..", "../../etc", "/etc", "C:\\x", "aux", ""] {
            let error = read(class).unwrap_err().to_string();
            assert!(error.contains("want letters, digits"), "{error}");
        }
    }
}
