//! Options for the targets and columns of a data set, shared by all commands that take one.

use clap::Args;
use tinsmith_data::{Missing, TableOptions, TargetChoice};

/// Options for the targets and columns of a data set.
#[derive(Debug, Clone, Args)]
pub struct TableArgs {
    /// Targets: auto, classes, values, samples (an autoencoder) or column:NAME [default: auto, decided by the data]
    #[arg(long, value_name = "KIND")]
    targets: Option<TargetChoice>,
    /// Column of the targets of a table [default: a column called label, class, target or y, otherwise the last]
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Columns of a table that are not used, separated by commas
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Group columns of a table, separated by commas; rows of equal value are never separated by a split
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    group: Vec<String>,
    /// Separator of the columns of a table, one character or `tab` [default: detected]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<char>,
    /// Decimal sign of a table, `.` or `,` [default: detected]
    #[arg(long, value_name = "SIGN")]
    decimal: Option<char>,
    /// The first line of a table holds column names (true) or data (false) [default: detected]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    header: Option<bool>,
    /// Missing values of a table: refuse, drop the row, or fill by the column's median [default: refuse]
    #[arg(long, value_name = "POLICY")]
    missing: Option<Missing>,
}

impl TableArgs {
    /// Returns the options as settings.
    #[must_use]
    pub fn options(&self) -> TableOptions {
        TableOptions {
            targets: self.targets.clone().unwrap_or_default(),
            label: self.label.clone(),
            target: Vec::new(),
            ignore: self.ignore.clone(),
            group: self.group.clone(),
            delimiter: self.delimiter,
            decimal: self.decimal,
            header: self.header,
            missing: self.missing,
        }
    }
}

/// [`TableArgs`], and several columns to predict together. Commands that need classes take [`TableArgs`] alone; their
/// `--target` is the hardware.
#[derive(Debug, Clone, Args)]
pub struct ValueTableArgs {
    #[command(flatten)]
    table: TableArgs,
    /// Columns of a table to predict together as values, separated by commas
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', conflicts_with = "label")]
    target: Vec<String>,
}

impl ValueTableArgs {
    /// Returns the options as settings.
    #[must_use]
    pub fn options(&self) -> TableOptions {
        TableOptions { target: self.target.clone(), ..self.table.options() }
    }
}

/// Parses one character, or `tab`.
fn delimiter(text: &str) -> Result<char, String> {
    let mut characters = text.chars();
    match (text, characters.next(), characters.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        (_, Some(sign), None) => Ok(sign),
        _ => Err("want one character or `tab`".to_owned()),
    }
}
