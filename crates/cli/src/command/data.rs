//! `tinsmith data`: a description of a data set.

use std::path::PathBuf;

use clap::Args;
use tinsmith_data::{Normalization, Normalizer};
use tinsmith_fleet::ValueTableArgs;
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
    #[command(flatten)]
    table: ValueTableArgs,
    /// Write the first samples of every class as an SVG
    #[arg(long, value_name = "FILE")]
    contact_sheet: Option<PathBuf>,
}

pub(crate) fn run(args: &DataArgs) -> anyhow::Result<()> {
    let splits = Watch::Quiet.session()?.load_data_with(&args.data, &args.table.options())?;
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
