//! `tinsmith quantize`: bit widths for a trained network.

use std::path::PathBuf;

use clap::Args;
use tinsmith_autoq::{AutoqConfig, BITS};
use tinsmith_study::{Budget, Scores};
use tinsmith_workshop::{QuantizeOptions, QuantizeStage, TrainingOptions, Workbench};

use crate::options::{BudgetArgs, DataArgs, FineTuningArgs, JobsArgs};
use crate::output::{count, line, percent, table};
use crate::watch::Watch;

/// Arguments of `quantize`.
#[derive(Debug, Args)]
pub(crate) struct QuantizeArgs {
    /// The trained network: a weight file that Tinsmith wrote, or a model that Keras saved (.keras, .h5)
    weights: PathBuf,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    training: FineTuningArgs,
    /// Number of bit-width assignments that are tried
    #[arg(long, value_name = "N", default_value_t = 24)]
    trials: u64,
    /// Bit widths that are tried
    #[arg(long, value_delimiter = ',', default_values_t = [2, 3, 4, 6, 8])]
    bits: Vec<u32>,
    #[command(flatten)]
    jobs: JobsArgs,
    /// Folder of the search; trials in its journal are not repeated
    #[arg(long, value_name = "DIR", default_value = "quantize")]
    out: PathBuf,
    /// Hide progress
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(args: QuantizeArgs) -> anyhow::Result<()> {
    let training = TrainingOptions::from(args.training).fine_tuning()?;
    let stage = QuantizeStage {
        config: AutoqConfig {
            trials: args.trials,
            bits: args.bits,
            budget: Budget { epochs: training.epochs, ..Budget::default() },
            goal: QuantizeOptions::default().goal,
            ..AutoqConfig::default()
        },
        weights: &args.weights,
        training,
        folder: &args.out,
    };
    let watch = Watch::new(args.quiet);
    let options = args.data.bench(args.jobs.jobs, args.budget.limits(), args.budget.target);
    let outcome = stage.run_alone(&Workbench::open(&options, &watch.session()?)?)?;
    if outcome.is_unchanged {
        line(format!("{} holds this search, finished already", args.out.display()))?;
    }
    let score = |scores: &Scores, name: &str| scores.get(name).copied().unwrap_or(f64::NAN);
    let rows = outcome.study.pareto_front().into_iter().map(|trial| {
        vec![
            format!("trial-{:05}", trial.number),
            percent(score(&trial.scores, "val_accuracy")),
            count(score(&trial.scores, BITS) as u64),
            count(score(&trial.scores, "flash_bytes") as u64),
        ]
    });
    table(&["network", "validation", "weight bits", "flash"], rows.collect())?;
    line(format!(
        "best: trial-{:05}, in {} and {}",
        outcome.best,
        args.out.join("spec.yaml").display(),
        args.out.join("weights.safetensors").display()
    ))
}
