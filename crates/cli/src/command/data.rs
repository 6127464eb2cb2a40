//! `tinsmith data`: describe a data set.

use std::path::{Path, PathBuf};

use clap::Args;
use tinsmith_data::Splits;

use crate::output::{line, text};

/// Arguments of `data`.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// A built-in data set, a folder of IDX or NPY files, an .npz archive, a .csv table, or the name of one of these in the
    /// folder `$TINSMITH_DATA`
    #[arg(default_value = "digits8x8")]
    data: String,
    /// Write the first samples of every class as an SVG
    #[arg(long, value_name = "FILE")]
    contact_sheet: Option<PathBuf>,
}

pub(crate) fn run(args: &DataArgs) -> anyhow::Result<()> {
    let splits = load(&args.data)?;
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

/// A data set by name or path; names are looked for in `$TINSMITH_DATA` too.
pub(crate) fn load(name: &str) -> anyhow::Result<Splits> {
    let root = std::env::var_os("TINSMITH_DATA");
    Ok(tinsmith_data::load_in(name, root.as_deref().map(Path::new))?)
}
