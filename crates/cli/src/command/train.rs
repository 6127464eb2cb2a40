//! `tinsmith train`: one network, one run folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use tinsmith_data::Normalization;
use tinsmith_foundation::{Grant, config, files};
use tinsmith_network::ModelSpec;
use tinsmith_study::Decision;
use tinsmith_trainer::{
    Context, Epoch, Evaluation, KFold, Metric, Observe, Plan, Run, cross_validate, evaluate,
};
use tinsmith_trainer::{load_model, load_spec};

use super::{TrainingArgs, folder};
use crate::output::{line, percent};
use crate::watch::{Watch, cancel_on_signal};

/// Arguments of `train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The network's specification: YAML or JSON, or a model that Keras saved (.keras, .h5)
    spec: PathBuf,
    #[command(flatten)]
    training: TrainingArgs,
    /// Weights to start from: a file that Tinsmith wrote, or a model that Keras saved
    #[arg(long, value_name = "FILE")]
    start: Option<PathBuf>,
    /// Judge by so many folds of the training rows instead of training once; writes nothing
    #[arg(long, value_name = "N", conflicts_with_all = ["out", "checkpoint_steps"])]
    folds: Option<usize>,
    /// Write a checkpoint every so many steps, besides every 30 seconds
    #[arg(long, value_name = "N", default_value_t = 0)]
    checkpoint_steps: u64,
    /// The run's folder; a finished run is only read [default: run]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result only
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let spec = load_spec(&args.spec)?;
    if let Some(splits) = args.folds {
        return judge(args, spec, splits);
    }
    let parts = args.training.parts()?;
    let cancel = cancel_on_signal()?;
    let watch = Watch::new(args.quiet);
    let progress: &dyn tinsmith_foundation::Progress = &watch;
    progress.begin("train", Some(u64::from(args.training.epochs)));
    let mut observe = Observe(|epoch: &Epoch| {
        let accuracy = epoch.val_accuracy.map(|a| format!(", validation {}", percent(a))).unwrap_or_default();
        progress.step("train", u64::from(epoch.epoch), format!("loss {:.4}{accuracy}", epoch.loss));
        Decision::Continue
    });
    let run = Run::new(folder(args.out.as_ref(), "run"))
        .with_checkpoints(args.checkpoint_steps, CHECKPOINT_SECONDS);
    let plan = plan(args, spec)?;
    let grant = grant(args);
    let context = Context { seed: plan.seed, grant, cancel: &cancel };
    let result = run.train(&plan, &parts.train, Some(&parts.validation), &context, &mut observe)?;
    progress.end("train", format!("kept epoch {}", result.history.kept));
    let normalizer = config::to_yaml("normalizer", &parts.normalizer)?;
    files::write_atomic(&run.folder().join("normalizer.yaml"), normalizer.as_bytes())?;
    let model = load_model(&run.weights())?;
    let test = evaluate(&model, &parts.test, plan.config.loss, grant)?;
    for (name, found) in [("validation", result.validation.as_ref()), ("test", Some(&test))] {
        if let Some(found) = found {
            line(format!("{name}: {}", figures(found)));
        }
    }
    line(format!("written to {}", run.folder().display()));
    Ok(())
}

/// Seconds between the checkpoints of a run.
const CHECKPOINT_SECONDS: f64 = 30.0;

fn plan(args: &TrainArgs, spec: ModelSpec) -> anyhow::Result<Plan> {
    Ok(Plan {
        spec,
        config: args.training.config()?,
        seed: args.training.seed(),
        start: args.start.clone(),
        attributes: BTreeMap::new(),
    })
}

fn grant(args: &TrainArgs) -> Grant {
    args.training.scope().map(vec![()], |grant, ()| grant).pop().unwrap_or(Grant::ONE)
}

/// Loss, and accuracy or what stands for it, in a few words.
fn figures(found: &Evaluation) -> String {
    let accuracy = found.accuracy().map(|a| format!(", accuracy {}", percent(a)));
    let r2 = found.metric(Metric::R2).map(|r2| format!(", R2 {r2:.4}"));
    format!("loss {:.4}{}", found.loss, accuracy.or(r2).unwrap_or_default())
}

/// Cross-validation: each fold's figures, and their mean.
fn judge(args: &TrainArgs, spec: ModelSpec, splits: usize) -> anyhow::Result<()> {
    let data = super::data::load(&args.training.data)?.train;
    let plan = plan(args, spec)?;
    let cancel = cancel_on_signal()?;
    let context = Context { seed: plan.seed, grant: grant(args), cancel: &cancel };
    let folds = KFold { splits, normalization: Normalization::Auto, ..KFold::default() };
    let found = cross_validate(&plan, &data, &folds, &context)?;
    for fold in &found.folds {
        line(format!("fold {}: {}", fold.fold + 1, figures(&fold.evaluation)));
    }
    for metric in [Metric::Loss, Metric::Accuracy, Metric::F1Macro, Metric::R2] {
        if let Some((mean, deviation)) = found.mean_and_deviation(metric) {
            line(format!("{}: {mean:.4} ± {deviation:.4}", metric.name()));
        }
    }
    Ok(())
}
