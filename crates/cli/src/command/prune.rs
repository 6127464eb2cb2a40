//! `tinsmith prune`: zeros in a trained network, and fine-tuning.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use tinsmith_cost::Cost;
use tinsmith_foundation::Grant;
use tinsmith_kernels::Threads;
use tinsmith_sparse::{GradualPruner, PruneConfig, Scope, mask, with_smallest_storage};
use tinsmith_trainer::load_model;
use tinsmith_trainer::run::build;
use tinsmith_trainer::{Context, Plan, evaluate, fit};

use super::{BudgetArgs, TrainingArgs, folder};
use crate::output::{count, line, percent};
use crate::watch::cancel_on_signal;

/// Arguments of `prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// The trained network: a weight file that Tinsmith wrote, or a model that Keras saved (.keras, .h5)
    weights: PathBuf,
    /// Share of the weights that are zero at the end
    #[arg(long, default_value_t = 0.5)]
    sparsity: f64,
    /// Seek the smallest weights within each kernel, not among all
    #[arg(long)]
    per_layer: bool,
    /// Kernels that are left whole, by regular expression (`layer.kernel`)
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    exclude: Vec<String>,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    training: TrainingArgs,
    /// Folder of the pruned network [default: pruned]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &PruneArgs) -> anyhow::Result<()> {
    let config = PruneConfig {
        sparsity: args.sparsity,
        scope: if args.per_layer { Scope::Layer } else { Scope::Global },
        exclude: args.exclude.clone(),
        ..PruneConfig::default()
    };
    let before = load_model(&args.weights)?;
    let target = args.budget.target()?;
    let parts = args.training.parts()?;
    let plan = Plan {
        spec: before.spec().clone(),
        config: args.training.config()?,
        seed: args.training.seed(),
        start: Some(args.weights.clone()),
        attributes: BTreeMap::new(),
    };
    let mut model = build(&plan, Threads::ONE)?;
    let mut pruner = GradualPruner::new(config.clone(), plan.config.epochs)?;
    let cancel = cancel_on_signal()?;
    let context = Context { seed: plan.seed, grant: Grant::ONE, cancel: &cancel };
    fit(&mut model, &parts.train, Some(&parts.validation), &plan.config, &context, &mut pruner)?;
    let spec = with_smallest_storage(&model, &target)?;
    let folder = folder(args.out.as_ref(), "pruned");
    spec.save(&folder.join("spec.yaml"))?;
    model.save_weights(&folder.join("weights.safetensors"), &BTreeMap::new())?;
    let flash = |spec: &tinsmith_network::ModelSpec| -> anyhow::Result<u64> {
        Ok(Cost::of(spec, &target)?.total.flash_bytes)
    };
    let names = mask::prunable(&model, &config)?;
    line(format!(
        "{} of {} kernels' weights are zero",
        percent(mask::sparsity(&model, &names)?),
        names.len()
    ));
    line(format!("flash {} bytes, before {}", count(flash(&spec)?), count(flash(before.spec())?)));
    for (name, data) in [("validation", &parts.validation), ("test", &parts.test)] {
        let (old, new) = (
            evaluate(&before, data, plan.config.loss, Grant::ONE)?,
            evaluate(&model, data, plan.config.loss, Grant::ONE)?,
        );
        let accuracy =
            |e: &tinsmith_trainer::Evaluation| e.accuracy().map_or_else(|| "-".to_owned(), percent);
        line(format!("{name} accuracy {}, before {}", accuracy(&new), accuracy(&old)));
    }
    line(format!("written to {}", folder.display()));
    Ok(())
}
