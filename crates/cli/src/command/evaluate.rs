//! `tinsmith evaluate`: figures of a trained network on a data set.

use std::path::PathBuf;

use clap::Args;
use tinsmith_foundation::config;
use tinsmith_workshop::{EvaluationReport, evaluate_network, write_output};

use crate::options::{InferenceArgs, PartChoice};
use crate::output::{count, line, percent, table};
use crate::watch::Watch;

/// Largest number of classes whose confusion matrix is printed.
const MOST_CLASSES: usize = 20;

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    #[command(flatten)]
    inference: InferenceArgs,
    /// Rows to measure on
    #[arg(long, value_enum, default_value_t = PartChoice::Test)]
    part: PartChoice,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: EvaluateArgs) -> anyhow::Result<()> {
    let watch = Watch::Quiet;
    let report = evaluate_network(&args.inference.input(args.part), &watch.session()?)?;
    show(&report)?;
    if let Some(path) = &args.json {
        write_output(path, config::to_json("evaluation", &report)?.as_bytes())?;
        line(format!("written to {}", path.display()))?;
    }
    Ok(())
}

fn show(report: &EvaluationReport) -> anyhow::Result<()> {
    line(format!("{}, {} rows", report.data, count(report.rows as u64)))?;
    if let Some(path) = &report.normalizer {
        line(format!("normalized by {}", path.display()))?;
    }
    line(format!("loss {:.4} ({})", report.loss, report.loss_name))?;
    if let (Some(accuracy), Some(balanced)) = (report.accuracy, report.balanced_accuracy) {
        line(format!("accuracy {}, balanced accuracy {}", percent(accuracy), percent(balanced)))?;
    }
    if let (Some(rmse), Some(mae), Some(r2)) = (report.rmse, report.mae, report.r2) {
        line(format!("RMSE {rmse:.4}, MAE {mae:.4}, R2 {r2:.4}"))?;
    }
    if report.classes.is_empty() {
        return Ok(());
    }
    let rows = report.classes.iter().map(|class| {
        let figures = [class.precision, class.recall, class.f1].map(percent);
        [vec![class.class.clone()], figures.to_vec(), vec![count(class.support)]].concat()
    });
    table(&["class", "precision", "recall", "F1", "rows"], rows.collect())?;
    if report.classes.len() > MOST_CLASSES {
        return line("confusion matrix: see --json");
    }
    let names = report.classes.iter().map(|class| class.class.as_str());
    let header: Vec<&str> = std::iter::once("true \\ predicted").chain(names.clone()).collect();
    let rows = names.zip(&report.confusion).map(|(name, counts)| {
        std::iter::once(name.to_owned()).chain(counts.iter().map(|&n| count(n))).collect()
    });
    table(&header, rows.collect())
}
