//! `tinsmith quantize`: quantizers for a trained network.

use std::path::PathBuf;

use clap::Args;
use tinsmith_autoq::{AutoqConfig, BITS, QuantizationSearch};
use tinsmith_study::{Budget, SearchRun};
use tinsmith_trainer::Trainer;
use tinsmith_trainer::load_model;
use tinsmith_workshop::activation_ranges;

use super::{BudgetArgs, TrainingArgs, folder};
use crate::output::{count, line, percent, table};
use crate::watch::{Watch, cancel_on_signal};

/// Arguments of `quantize`.
#[derive(Debug, Args)]
pub(crate) struct QuantizeArgs {
    /// The trained network: a weight file that Tinsmith wrote, or a model that Keras saved (.keras, .h5)
    weights: PathBuf,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    training: TrainingArgs,
    /// Assignments of widths that are tried
    #[arg(long, default_value_t = 24)]
    trials: u64,
    /// Widths that are tried, in bits
    #[arg(long, value_delimiter = ',', default_values_t = [2, 3, 4, 6, 8])]
    bits: Vec<u32>,
    /// The search's folder; what its journal holds is not tried again [default: quantize]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result only
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(args: &QuantizeArgs) -> anyhow::Result<()> {
    let model = load_model(&args.weights)?;
    let parts = args.training.parts()?;
    let config = AutoqConfig {
        trials: args.trials,
        bits: args.bits.clone(),
        budget: Budget { epochs: args.training.epochs, ..Budget::default() },
        ..AutoqConfig::default()
    };
    let ranges = activation_ranges(&model, &parts.train)?;
    let (limits, target) = (args.budget.limits(), args.budget.target()?);
    let search = QuantizationSearch::new(config, model.spec().clone(), ranges, limits, target)?;
    let folder = folder(args.out.as_ref(), "quantize");
    let trainer = Trainer::new(parts.train, parts.validation, args.training.config()?)
        .starting_from(&args.weights)
        .keeping_weights_in(folder.join("weights"));
    let watch = Watch::new(args.quiet);
    let scope = args.training.scope();
    let (study, _) = search.run(&SearchRun {
        journal: &folder.join("journal.log"),
        seed: args.training.seed().derive("quantize", 0),
        evaluate: &trainer,
        scope,
        jobs: scope.cores(),
        progress: &watch,
        cancel: cancel_on_signal()?,
    })?;
    let score = |scores: &tinsmith_study::Scores, name: &str| scores.get(name).copied().unwrap_or(0.0);
    let rows = study.pareto_front().into_iter().map(|trial| {
        vec![
            format!("trial-{:05}", trial.number),
            percent(score(&trial.scores, "val_accuracy")),
            count(score(&trial.scores, BITS) as u64),
            count(score(&trial.scores, "flash_bytes") as u64),
        ]
    });
    table(&["network", "validation", "weight bits", "flash"], rows.collect());
    let best =
        search.best(&study).ok_or_else(|| anyhow::anyhow!("no trial kept the budget and came to a score"))?;
    search.apply(best.candidate())?.save(&folder.join("spec.yaml"))?;
    line(format!(
        "best: trial-{:05}; its specification is {}",
        best.number,
        folder.join("spec.yaml").display()
    ));
    Ok(())
}
