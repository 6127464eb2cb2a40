//! `tinsmith train`: one network, one run folder.

use std::path::PathBuf;

use clap::Args;
use tinsmith_fleet::ValueTableArgs;
use tinsmith_network::ModelSpec;
use tinsmith_trainer::{Evaluation, Metric, TrainConfig};
use tinsmith_workshop::{BenchOptions, FoldStage, TrainStage, TrainingOptions, Workbench, load_spec};

use crate::options::TrainingArgs;
use crate::output::{line, percent};
use crate::watch::Watch;

/// Arguments of `train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The network's specification: YAML or JSON, or a model that Keras saved (.keras, .h5)
    spec: PathBuf,
    /// A built-in data set, a folder of IDX or NPY files, an .npz archive, a table (.csv, .tsv, also with .gz), or the name
    /// of one of these in the folder `$TINSMITH_DATA`
    #[arg(long, default_value = "digits8x8")]
    data: String,
    #[command(flatten)]
    table: ValueTableArgs,
    /// Fraction of training rows held out for validation; 0 trains on all rows and keeps the last weights
    #[arg(long, default_value_t = 0.2)]
    validation: f64,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    training: TrainingArgs,
    /// Number of threads of the training; 0 means one per core. Results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Weights to start from: a file that Tinsmith wrote, or a model that Keras saved
    #[arg(long, value_name = "FILE")]
    start: Option<PathBuf>,
    /// Judge by cross-validation over so many folds of the training rows instead of training once; writes nothing
    #[arg(long, value_name = "N", conflicts_with_all = ["out", "checkpoint_steps", "validation"])]
    folds: Option<usize>,
    /// Write a checkpoint every so many steps, besides one every 30 seconds; 0 means none
    #[arg(long, value_name = "N", default_value_t = 0)]
    checkpoint_steps: u64,
    /// Folder of the run
    #[arg(long, value_name = "DIR", default_value = "run")]
    out: PathBuf,
    /// Hide progress
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(args: TrainArgs) -> anyhow::Result<()> {
    let network = load_spec(&args.spec)?;
    let training = TrainingOptions::from(args.training);
    training.from_scratch()?;
    let watch = Watch::new(args.quiet);
    let options = BenchOptions {
        data: args.data,
        table: args.table.options(),
        validation: args.validation,
        seed: args.seed,
        jobs: args.threads,
        ..BenchOptions::default()
    };
    let bench = Workbench::open(&options, &watch.session()?)?;
    let training = training.from_scratch_on(&bench.data.train)?;
    if let Some(folds) = args.folds {
        return judge(network, training, args.start, folds, &bench);
    }
    let stage = TrainStage {
        network,
        training,
        start: args.start,
        checkpoint_steps: args.checkpoint_steps,
        folder: &args.out,
    };
    let outcome = stage.run(&bench)?;
    if outcome.is_unchanged {
        line(format!("{} holds this training, finished already", args.out.display()))?;
    }
    for (name, found) in [("validation", outcome.result.validation.as_ref()), ("test", Some(&outcome.test))] {
        if let Some(found) = found {
            line(format!("{name}: {}", figures(found)))?;
        }
    }
    line(format!("written to {}", args.out.display()))
}

/// Formats the loss, and the accuracy or its counterpart for real-valued targets.
fn figures(found: &Evaluation) -> String {
    let accuracy = found.accuracy().map(|a| format!(", accuracy {}", percent(a)));
    let r2 = found.metric(Metric::R2).map(|r2| format!(", R2 {r2:.4}"));
    format!("loss {:.4}{}", found.loss, accuracy.or(r2).unwrap_or_default())
}

/// Prints the figures of each fold, and their mean.
fn judge(
    network: ModelSpec,
    training: TrainConfig,
    start: Option<PathBuf>,
    folds: usize,
    bench: &Workbench<'_>,
) -> anyhow::Result<()> {
    let found = FoldStage { network, training, start, folds }.run(bench)?;
    for fold in &found.folds {
        line(format!("fold {}: {}", fold.fold + 1, figures(&fold.evaluation)))?;
    }
    for metric in [Metric::Loss, Metric::Accuracy, Metric::F1Macro, Metric::R2] {
        if let Some((mean, deviation)) = found.mean_and_deviation(metric) {
            line(format!("{}: {mean:.4} ± {deviation:.4}", metric.name()))?;
        }
    }
    Ok(())
}
