//! `tinsmith data`: a description of a data set.

use std::path::PathBuf;

use clap::Args;
use tinsmith_data::{Missing, Normalization, Normalizer, TableOptions, TargetChoice};
use tinsmith_foundation::files;

use crate::output::{line, text};
use crate::watch::Watch;

/// Arguments of `data`.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// A built-in data set, a folder of IDX or NPY files, an .npz archive, a table (.csv, .tsv, also with .gz), or the name
    /// of one of these in the folder `$TINSMITH_DATA`
    #[arg(default_value = "digits8x8")]
    data: String,
    /// Targets: auto, classes, values, samples (an autoencoder) or column:NAME
    #[arg(long, value_name = "KIND")]
    targets: Option<TargetChoice>,
    /// Column of the targets of a table
    #[arg(long, value_name = "COLUMN", conflicts_with = "target")]
    label: Option<String>,
    /// Columns of a table to predict together as values, separated by commas
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    target: Vec<String>,
    /// Columns of a table that are not used, separated by commas
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Group columns of a table, separated by commas; rows of equal value are never separated by a split
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    group: Vec<String>,
    /// Separator of the columns of a table, one character or `tab`; detected by default
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<char>,
    /// Decimal sign of a table, `.` or `,`; detected by default
    #[arg(long, value_name = "SIGN")]
    decimal: Option<char>,
    /// The first line of a table holds column names (true) or data (false); detected by default
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    header: Option<bool>,
    /// Missing values of a table: refuse (default), drop the row, or fill by the column's median
    #[arg(long, value_name = "POLICY")]
    missing: Option<Missing>,
    /// Write the first samples of every class as an SVG
    #[arg(long, value_name = "FILE")]
    contact_sheet: Option<PathBuf>,
}

impl DataArgs {
    fn options(&self) -> TableOptions {
        TableOptions {
            targets: self.targets.clone().unwrap_or_default(),
            label: self.label.clone(),
            target: self.target.clone(),
            ignore: self.ignore.clone(),
            group: self.group.clone(),
            delimiter: self.delimiter,
            decimal: self.decimal,
            header: self.header,
            missing: self.missing,
        }
    }
}

pub(crate) fn run(args: &DataArgs) -> anyhow::Result<()> {
    let splits = Watch::Quiet.session()?.load_data_with(&args.data, &args.options())?;
    let notes = splits.train.notes().to_text();
    if !notes.is_empty() {
        line("reading")?;
        text(&notes)?;
    }
    for warning in splits.warnings() {
        line(format!("warning    {warning}"))?;
    }
    line("training rows")?;
    text(&splits.train.describe().to_text())?;
    line(format!("normalized {}", Normalizer::fit(&splits.train, Normalization::Auto)?.summary()))?;
    line("test rows")?;
    text(&splits.test.describe().to_text())?;
    if let Some(path) = &args.contact_sheet {
        files::write_atomic(path, splits.train.contact_sheet(10).as_bytes())?;
        line(format!("contact sheet written to {}", path.display()))?;
    }
    Ok(())
}

/// One character, or `tab` for a tabulator.
fn delimiter(text: &str) -> Result<char, String> {
    let mut characters = text.chars();
    match (text, characters.next(), characters.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        (_, Some(sign), None) => Ok(sign),
        _ => Err("want one character or `tab`".to_owned()),
    }
}
