//! `tinsmith predict`: predictions of a trained network, row by row.

use std::path::PathBuf;

use clap::Args;
use tinsmith_workshop::{predict_rows, write_output};

use crate::options::{InferenceArgs, PartChoice};
use crate::output::{count, line};
use crate::watch::Watch;

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    inference: InferenceArgs,
    /// Rows to predict
    #[arg(long, value_enum, default_value_t = PartChoice::All)]
    part: PartChoice,
    /// CSV file of the predictions: row, prediction, probability of the class, and target if known
    #[arg(long, value_name = "FILE", default_value = "predictions.csv")]
    out: PathBuf,
}

pub(crate) fn run(args: PredictArgs) -> anyhow::Result<()> {
    let found = predict_rows(&args.inference.input(args.part), &Watch::Quiet.session()?)?;
    if let Some(path) = &found.normalizer {
        line(format!("normalized by {}", path.display()))?;
    }
    write_output(&args.out, found.csv.as_bytes())?;
    line(format!("{} predictions written to {}", count(found.rows as u64), args.out.display()))
}
