//! `tinsmith fleet`: many runs side by side, on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use tinsmith_fleet::{Member, Pool, PoolContext};
use tinsmith_foundation::Silent;
use tinsmith_spec::ModelSpec;
use tinsmith_trainer::metric::mean_and_deviation;
use tinsmith_trainer::{Callback, Plan, Undisturbed};

use super::{TrainingArgs, folder};
use crate::output::{line, percent, table};
use crate::watch::{Watch, cancel_on_signal};

/// Arguments of `fleet`.
#[derive(Debug, Args)]
pub(crate) struct FleetArgs {
    /// Specifications of the networks, each trained `--array` times
    #[arg(required = true)]
    specs: Vec<PathBuf>,
    /// How often each network is trained, each time from a seed of its own
    #[arg(long, default_value_t = 3, value_name = "N")]
    array: u64,
    #[command(flatten)]
    training: TrainingArgs,
    /// The fleet's folder; finished runs are not trained again [default: fleet]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result only
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn run(args: &FleetArgs) -> anyhow::Result<()> {
    let mut members = Vec::new();
    for path in &args.specs {
        let spec = ModelSpec::load(path)?;
        let stem =
            path.file_stem().map_or_else(|| "network".to_owned(), |s| s.to_string_lossy().into_owned());
        for i in 0..args.array {
            members.push(Member {
                name: format!("{stem}-{i}"),
                plan: Plan {
                    spec: spec.clone(),
                    config: args.training.config()?,
                    seed: args.training.seed().derive(&stem, i),
                    start: None,
                    attributes: BTreeMap::new(),
                },
            });
        }
    }
    let parts = args.training.parts()?;
    let cancel = cancel_on_signal()?;
    let watch = Watch::new(args.quiet);
    let fleet = Pool::new(folder(args.out.as_ref(), "fleet"), members)?;
    let results = fleet.train(
        &parts.train,
        Some(&parts.validation),
        &PoolContext {
            scope: args.training.scope(),
            stage: "fleet",
            progress: if args.quiet { &Silent } else { &watch },
            cancel: &cancel,
            callback: &|_| Ok(Box::new(Undisturbed) as Box<dyn Callback>),
        },
    )?;
    let per_spec = results.chunks(usize::try_from(args.array)?.max(1));
    let rows = args.specs.iter().zip(per_spec).map(|(path, results)| {
        let found: Vec<_> = results.iter().filter_map(|r| r.validation.as_ref()).collect();
        let losses: Vec<f64> = found.iter().map(|e| e.loss).collect();
        let accuracies: Vec<f64> = found.iter().filter_map(|e| e.accuracy()).collect();
        let (loss, _) = mean_and_deviation(&losses);
        let (accuracy, deviation) = mean_and_deviation(&accuracies);
        vec![
            name_of(path),
            results.len().to_string(),
            format!("{loss:.4}"),
            format!("{} ± {:.2}", percent(accuracy), 100.0 * deviation),
        ]
    });
    table(&["network", "runs", "validation loss", "validation accuracy"], rows.collect());
    line(format!("written to {}", fleet.folder().display()));
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned())
}
