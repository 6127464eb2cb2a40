//! `tinsmith data`: describe a data set.

use std::path::PathBuf;

use clap::Args;

use crate::output::{line, text};

/// Arguments of `data`.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// A built-in data set, or a folder of IDX files
    #[arg(default_value = "digits8x8")]
    data: String,
    /// Write the first samples of every class as an SVG
    #[arg(long, value_name = "FILE")]
    contact_sheet: Option<PathBuf>,
}

pub(crate) fn run(args: &DataArgs) -> anyhow::Result<()> {
    let splits = tinsmith_data::load(&args.data)?;
    line("training part");
    text(&splits.train.describe().to_text());
    line("test part");
    text(&splits.test.describe().to_text());
    if let Some(path) = &args.contact_sheet {
        tinsmith_foundation::files::write_atomic(path, splits.train.contact_sheet(10).as_bytes())?;
        line(format!("contact sheet written to {}", path.display()));
    }
    Ok(())
}
