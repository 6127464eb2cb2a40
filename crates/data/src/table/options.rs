//! Settings of a table: columns, separators, missing values. They come from options and from a YAML file beside the
//! table.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use tinsmith_foundation::{Faults, config};

use crate::error::{DataError, Result};
use crate::gzip::is_gzip_name;
use crate::targets::TargetChoice;

/// Settings of a table. A setting that is absent is decided from the file, as the front page of
/// [`table`](mod@crate::table) documents.
///
/// ```
/// use tinsmith_data::{Missing, TableOptions};
/// use tinsmith_foundation::config;
///
/// let text = "label: species\nignore: [note]\ngroup: subject\nmissing: drop\n";
/// let options: TableOptions = config::from_str(text, "t.yaml", TableOptions::check).unwrap();
/// assert_eq!((options.group, options.missing), (vec!["subject".to_owned()], Some(Missing::Drop)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TableOptions {
    /// Kind of the targets: `auto`, `classes`, `values`, `samples` or `column:NAME`. Default `auto`.
    pub targets: TargetChoice,
    /// The column of the targets. Default: see the front page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Several columns of values to predict together, in this order; instead of `label`.
    #[serde(deserialize_with = "names", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany")]
    pub target: Vec<String>,
    /// Columns that are not used.
    #[serde(deserialize_with = "names", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany")]
    pub ignore: Vec<String>,
    /// Group columns. A column `subjects` is one in any case.
    #[serde(deserialize_with = "names", alias = "groups", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany")]
    pub group: Vec<String>,
    /// Separator of the columns, one ASCII character. Default: the one that the first lines agree on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Decimal sign, `.` or `,`. Default: `,` if numbers are written so and it is not the separator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal: Option<char>,
    /// True if the first line holds column names, false if it holds data. Default: decided by its cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// Treatment of missing values. Default `refuse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

/// Treatment of missing values: empty cells, `NA`, `N/A`, `NaN`, `null`, `none`, `?`, `-`, and infinite numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// An error that names line and column.
    #[default]
    Refuse,
    /// The row is left out.
    Drop,
    /// The column's median, for text its most frequent value. Rows without a target are left out.
    Fill,
}

impl std::str::FromStr for Missing {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "drop" => Ok(Self::Drop),
            "fill" => Ok(Self::Fill),
            _ => Err(format!("is `{text}`, want refuse, drop or fill")),
        }
    }
}

/// A name or a list of names.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<String>, D::Error> {
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(name) => vec![name],
        OneOrMany::Many(names) => names,
    })
}

impl TableOptions {
    /// Records settings that cannot be used.
    pub fn check(&self, faults: &mut Faults) {
        if let Some(sign) = self.delimiter.filter(|sign| !sign.is_ascii() || sign.is_ascii_alphanumeric()) {
            faults.add(
                "delimiter",
                format!("is `{sign}`, want one ASCII character that is no letter or digit"),
            );
        }
        if let Some(sign) = self.decimal.filter(|sign| !matches!(sign, '.' | ',')) {
            faults.add("decimal", format!("is `{sign}`, want `.` or `,`"));
        }
        if self.decimal.is_some() && self.decimal == self.delimiter {
            faults.add("decimal", "is the delimiter too, want two different characters");
        }
        if self.label.is_some() && !self.target.is_empty() {
            faults.add("target", "is given beside `label`, want one of them");
        }
        if matches!(self.targets, TargetChoice::Column(_))
            && (self.label.is_some() || !self.target.is_empty())
        {
            faults.add("targets", "names a column beside `label` or `target`, want one of them");
        }
    }

    /// Takes the settings of `file` for all that these leave open: options go before the file.
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        let names_target = |o: &Self| {
            o.label.is_some() || !o.target.is_empty() || matches!(o.targets, TargetChoice::Column(_))
        };
        let list = |own: Vec<String>, other: Vec<String>| if own.is_empty() { other } else { own };
        // `label`, `target` and `targets: column:NAME` name the same thing, so one of them replaces them all.
        let (label, target, file_targets) = if names_target(&self) {
            let kind = if matches!(file.targets, TargetChoice::Column(_)) {
                TargetChoice::Auto
            } else {
                file.targets
            };
            (self.label, self.target, kind)
        } else {
            (file.label, file.target, file.targets)
        };
        Self {
            targets: if self.targets == TargetChoice::Auto { file_targets } else { self.targets },
            label,
            target,
            ignore: list(self.ignore, file.ignore),
            group: list(self.group, file.group),
            delimiter: self.delimiter.or(file.delimiter),
            decimal: self.decimal.or(file.decimal),
            header: self.header.or(file.header),
            missing: self.missing.or(file.missing),
        }
    }

    /// Adds the settings of the YAML file beside `table` (`t.yaml` beside `t.csv` or `t.csv.gz`), if there is one.
    ///
    /// # Errors
    /// [`DataError::Foundation`](crate::DataError::Foundation) if that file cannot be read or has settings that cannot
    /// be used; [`DataError::Config`](crate::DataError::Config) for settings of this value.
    pub fn with_file_beside(self, table: &Path) -> Result<Self> {
        let path = settings_path(table);
        let merged = if path.is_file() { self.over(config::load(&path, Self::check)?) } else { self };
        let mut faults = Faults::new();
        merged.check(&mut faults);
        faults.into_result("table options")?;
        Ok(merged)
    }

    /// Refuses settings of tables for `data`, which is none.
    pub(crate) fn require_no_table_settings(&self, data: &str) -> Result<()> {
        let settings = self.table_settings();
        if settings.is_empty() {
            return Ok(());
        }
        let reason = format!("`{data}` is no table, so it cannot be read with {}", settings.join(", "));
        Err(DataError::Impossible { operation: "apply settings of tables", reason })
    }

    /// Names of the settings that only tables have and that are set here.
    fn table_settings(&self) -> Vec<&'static str> {
        let set = [
            ("label", self.label.is_some()),
            ("target", !self.target.is_empty()),
            ("ignore", !self.ignore.is_empty()),
            ("group", !self.group.is_empty()),
            ("delimiter", self.delimiter.is_some()),
            ("decimal", self.decimal.is_some()),
            ("header", self.header.is_some()),
            ("missing", self.missing.is_some()),
        ];
        set.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }
}

/// `t.yaml` for `t.csv`, `t.tsv` and `t.csv.gz`.
fn settings_path(table: &Path) -> PathBuf {
    let plain = if is_gzip_name(table) { table.with_extension("") } else { table.to_owned() };
    plain.with_extension("yaml")
}
