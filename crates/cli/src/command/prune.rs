//! `tinsmith prune`: zeros in a trained network, and fine-tuning.

use std::path::PathBuf;

use clap::Args;
use tinsmith_sparse::{PruneConfig, Scope};
use tinsmith_study::Budget;
use tinsmith_trainer::Evaluation;
use tinsmith_workshop::{PruneOptions, PruneStage, TrainingOptions, Workbench, load_network};

use crate::options::{BudgetArgs, DataArgs, FineTuningArgs, JobsArgs};
use crate::output::{count, line, percent};
use crate::watch::Watch;

/// Arguments of `prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// The trained network: a weight file that Tinsmith wrote, or a model that Keras saved (.keras, .h5)
    weights: PathBuf,
    /// Fraction of weights that are zero at the end. Of several, separated by commas, the one with the best trade of flash
    /// for accuracy is kept
    #[arg(long, value_delimiter = ',', default_value = "0.5")]
    sparsity: Vec<f64>,
    /// Rank weights within each kernel, not among all
    #[arg(long)]
    per_layer: bool,
    /// Kernels that are not pruned, by regular expression (`layer.kernel`)
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    exclude: Vec<String>,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    training: FineTuningArgs,
    #[command(flatten)]
    jobs: JobsArgs,
    /// Folder of the pruned network
    #[arg(long, value_name = "DIR", default_value = "pruned")]
    out: PathBuf,
    /// Hide progress
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(args: PruneArgs) -> anyhow::Result<()> {
    let training = TrainingOptions::from(args.training).fine_tuning()?;
    let scope = if args.per_layer { Scope::Layer } else { Scope::Global };
    let candidate =
        |&sparsity| PruneConfig { sparsity, scope, exclude: args.exclude.clone(), ..PruneConfig::default() };
    let stage = PruneStage {
        candidates: args.sparsity.iter().map(candidate).collect(),
        budget: Budget { epochs: training.epochs, ..Budget::default() },
        goal: PruneOptions::default().goal,
        time_limit_s: None,
        network: load_network(&args.weights)?.spec().clone(),
        weights: args.weights,
        training,
        folder: &args.out,
    };
    let watch = Watch::new(args.quiet);
    let options = args.data.bench(args.jobs.jobs, args.budget.limits(), args.budget.target);
    let pruned = stage.run_alone(&Workbench::open(&options, &watch.session()?)?)?;
    if pruned.outcome.is_unchanged {
        line(format!("{} holds this pruning, finished already", args.out.display()))?;
    }
    line(format!("{} of the weights of {} kernels are zero", percent(pruned.sparsity), pruned.kernels))?;
    let [before, after] = pruned.flash;
    line(format!("flash {} bytes, before {}", count(after), count(before)))?;
    for (name, [before, after]) in [("validation", &pruned.validation), ("test", &pruned.test)] {
        let accuracy = |e: &Evaluation| e.accuracy().map_or_else(|| "-".to_owned(), percent);
        line(format!("{name} accuracy {}, before {}", accuracy(after), accuracy(before)))?;
    }
    line(format!("written to {}", args.out.display()))
}
