//! `tinsmith search`: architectures under hard limits.

use std::path::PathBuf;

use clap::Args;
use tinsmith_modelgen::{GeneratorConfig, ModelGenerator};
use tinsmith_nas::{ArchitectureSearch, SearchConfig};
use tinsmith_network::ModelSpec;
use tinsmith_study::{Budget, SearchRun};
use tinsmith_trainer::Trainer;

use super::{BudgetArgs, TrainingArgs, folder};
use crate::output::{count, line, percent, table};
use crate::watch::{Watch, cancel_on_signal};

/// Arguments of `search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    training: TrainingArgs,
    /// Networks that are tried
    #[arg(long, default_value_t = 40)]
    trials: u64,
    /// Networks to start from; without any, random ones that fit are drawn
    #[arg(long, value_name = "SPEC", num_args = 1..)]
    from: Vec<PathBuf>,
    /// The search's folder; what its journal holds is not tried again [default: search]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result only
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(args: &SearchArgs) -> anyhow::Result<()> {
    let parts = args.training.parts()?;
    let (limits, target) = (args.budget.limits(), args.budget.target()?);
    let seed = args.training.seed();
    let mut start = args.from.iter().map(|path| ModelSpec::load(path)).collect::<Result<Vec<_>, _>>()?;
    if start.is_empty() {
        let config = GeneratorConfig::for_task(parts.train.sample_shape(), parts.train.class_count());
        start = ModelGenerator::new(config)?.candidates(64, seed.derive("generate", 0), &limits, &target)?;
    }
    let config = SearchConfig {
        trials: args.trials,
        budget: Budget { epochs: args.training.epochs, ..Budget::default() },
        ..SearchConfig::default()
    };
    let folder = folder(args.out.as_ref(), "search");
    let search = ArchitectureSearch::new(config, start, limits, target)?;
    let trainer = Trainer::new(parts.train, parts.validation, args.training.config()?)
        .keeping_weights_in(folder.join("weights"));
    let watch = Watch::new(args.quiet);
    let scope = args.training.scope();
    let (study, _) = search.run(&SearchRun {
        journal: &folder.join("journal.log"),
        seed: seed.derive("search", 0),
        evaluate: &trainer,
        scope,
        jobs: scope.cores(),
        progress: &watch,
        cancel: cancel_on_signal()?,
    })?;
    let front = study.pareto_front();
    let found = |scores: &tinsmith_study::Scores, name: &str| scores.get(name).copied().unwrap_or(0.0);
    for trial in &front {
        trial.candidate().save(&folder.join("front").join(format!("trial-{:05}.yaml", trial.number)))?;
    }
    let rows = front.iter().map(|trial| {
        vec![
            format!("trial-{:05}", trial.number),
            percent(found(&trial.scores, "val_accuracy")),
            count(found(&trial.scores, "params") as u64),
            count(found(&trial.scores, "macs") as u64),
            count(found(&trial.scores, "flash_bytes") as u64),
            count(found(&trial.scores, "ram_bytes") as u64),
        ]
    });
    line(format!("{} trials; those that no other beats in accuracy and flash:", study.trials().len()));
    table(&["network", "validation", "parameters", "MACs", "flash", "RAM"], rows.collect());
    line(format!("specifications in {}", folder.join("front").display()));
    Ok(())
}
