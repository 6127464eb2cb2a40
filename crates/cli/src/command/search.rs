//! `tinsmith search`: architectures under hard limits.

use std::path::PathBuf;

use clap::Args;
use tinsmith_nas::SearchConfig;
use tinsmith_study::{Budget, Scores};
use tinsmith_workshop::{
    CandidateStage, GenerateOptions, SearchStage, TrainingOptions, Workbench, load_spec,
};

use crate::options::{BudgetArgs, DataArgs, JobsArgs, TrainingArgs};
use crate::output::{count, line, percent, table};
use crate::watch::Watch;

/// Arguments of `search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    training: TrainingArgs,
    /// Number of networks that are tried
    #[arg(long, value_name = "N", default_value_t = 40)]
    trials: u64,
    /// Networks to start from [default: random networks within the limits]
    #[arg(long, value_name = "SPEC", num_args = 1..)]
    from: Vec<PathBuf>,
    #[command(flatten)]
    jobs: JobsArgs,
    /// Folder of the search; trials in its journal are not repeated
    #[arg(long, value_name = "DIR", default_value = "search")]
    out: PathBuf,
    /// Hide progress
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(args: SearchArgs) -> anyhow::Result<()> {
    let training = TrainingOptions::from(args.training).from_scratch()?;
    let watch = Watch::new(args.quiet);
    let options = args.data.bench(args.jobs.jobs, args.budget.limits(), args.budget.target);
    let bench = Workbench::open(&options, &watch.session()?)?;
    bench.require_classes()?;
    let start = if args.from.is_empty() {
        CandidateStage { count: GenerateOptions::default().candidates }.run(&bench)?
    } else {
        args.from.iter().map(|path| Ok(load_spec(path)?)).collect::<anyhow::Result<_>>()?
    };
    let stage = SearchStage {
        config: SearchConfig {
            trials: args.trials,
            budget: Budget { epochs: training.epochs, ..Budget::default() },
            ..SearchConfig::default()
        },
        start,
        training,
        folder: &args.out,
    };
    let outcome = stage.run_alone(&bench)?;
    if outcome.is_unchanged {
        line(format!("{} holds this search, finished already", args.out.display()))?;
    }
    let score = |scores: &Scores, name: &str| scores.get(name).copied().unwrap_or(f64::NAN);
    let rows = outcome.study.pareto_front().into_iter().map(|trial| {
        vec![
            format!("trial-{:05}", trial.number),
            percent(score(&trial.scores, "val_accuracy")),
            count(score(&trial.scores, "params") as u64),
            count(score(&trial.scores, "macs") as u64),
            count(score(&trial.scores, "flash_bytes") as u64),
            count(score(&trial.scores, "ram_bytes") as u64),
        ]
    });
    line(format!("{} trials; the Pareto front of accuracy and flash:", outcome.study.trials().len()))?;
    table(&["network", "validation", "parameters", "MACs", "flash", "RAM"], rows.collect())?;
    line(format!("specifications in {}", args.out.join("front").display()))
}
