//! `tinsmith train`: one network, one run folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use tinsmith_foundation::{Grant, config, files};
use tinsmith_spec::ModelSpec;
use tinsmith_study::Decision;
use tinsmith_trainer::run::load_model;
use tinsmith_trainer::{Context, Epoch, Observe, Plan, Run, evaluate};

use super::{TrainingArgs, folder};
use crate::output::{line, percent};
use crate::watch::{Watch, cancel_on_signal};

/// Arguments of `train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The network's specification
    spec: PathBuf,
    #[command(flatten)]
    training: TrainingArgs,
    /// Weights to start from, a file that Tinsmith wrote
    #[arg(long, value_name = "FILE")]
    start: Option<PathBuf>,
    /// The run's folder; a finished run is only read [default: run]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result only
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let spec = ModelSpec::load(&args.spec)?;
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
    let run = Run::new(folder(args.out.as_ref(), "run"));
    let plan = Plan {
        spec,
        config: args.training.config()?,
        seed: args.training.seed(),
        start: args.start.clone(),
        attributes: BTreeMap::new(),
    };
    let mut grant = Grant::ONE;
    for found in args.training.scope().map(vec![()], |grant, ()| grant) {
        grant = found;
    }
    let context = Context { seed: plan.seed, grant, cancel: &cancel };
    let result = run.train(&plan, &parts.train, Some(&parts.validation), &context, &mut observe)?;
    progress.end("train", format!("kept epoch {}", result.history.kept));
    let normalizer = config::to_yaml("normalizer", &parts.normalizer)?;
    files::write_atomic(&run.folder().join("normalizer.yaml"), normalizer.as_bytes())?;
    let model = load_model(&run.weights())?;
    let test = evaluate(&model, &parts.test, plan.config.loss, grant)?;
    for (name, found) in [("validation", result.validation.as_ref()), ("test", Some(&test))] {
        if let Some(found) = found {
            let accuracy = found.accuracy().map(|a| format!(", accuracy {}", percent(a))).unwrap_or_default();
            line(format!("{name}: loss {:.4}{accuracy}", found.loss));
        }
    }
    line(format!("written to {}", run.folder().display()));
    Ok(())
}
