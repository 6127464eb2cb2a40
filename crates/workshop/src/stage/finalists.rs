//! The end of stage 2: the best trials of the search are trained in full, and the best of those is chosen.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tinsmith_trainer::{Member, Pool, PoolContext};
use tinsmith_network::ModelSpec;
use tinsmith_study::Trial;
use tinsmith_trainer::{Callback, Plan, RunResult, Undisturbed};

use crate::bench::Workbench;
use crate::error::{Result, WorkshopError};
use crate::folder::DesignFolder;
use crate::plan::DesignPlan;
use crate::stage::search::{SearchOutcome, reasons};

/// The chosen architecture, float and dense, and its weights.
pub(crate) struct ChosenNetwork {
    pub(crate) spec: ModelSpec,
    pub(crate) weights: PathBuf,
}

pub(crate) fn run(
    bench: &Workbench<'_>,
    plan: &DesignPlan,
    folder: &DesignFolder,
    found: &SearchOutcome,
) -> Result<ChosenNetwork> {
    const STAGE: &str = "finalists";
    let study = &found.study;
    let accuracy = |t: &Trial<ModelSpec>| t.scores.get("val_accuracy").copied().unwrap_or(0.0);
    let mut ranked: Vec<_> =
        study.trials().iter().filter(|t| t.is_feasible() && t.values.is_some()).collect();
    ranked.sort_by(|a, b| accuracy(b).total_cmp(&accuracy(a)).then(a.number.cmp(&b.number)));
    ranked.truncate(plan.search.finalists);
    let config = plan.training(plan.epochs);
    let members = ranked.iter().map(|trial| Member {
        name: format!("trial-{:05}", trial.number),
        plan: Plan {
            spec: ModelSpec { name: format!("trial-{:05}", trial.number), ..trial.candidate().clone() },
            config: config.clone(),
            seed: bench.seed.derive(STAGE, trial.number),
            start: None,
            attributes: BTreeMap::new(),
        },
    });
    let pool = Pool::new(folder.finalists(), members.collect())?;
    let context = PoolContext {
        scope: bench.scope,
        stage: STAGE,
        progress: bench.progress,
        cancel: &bench.cancel,
        callback: &|_| Ok(Box::new(Undisturbed) as Box<dyn Callback>),
    };
    let results = pool
        .train(&bench.data.train, Some(&bench.data.validation), &context)
        .map_err(|error| Workbench::stopped(error, folder.root()))?;
    let mut best: Option<(&Member, &RunResult)> = None;
    for (member, result) in pool.members().iter().zip(&results) {
        if best.is_none_or(|(_, other)| result.is_better_than(other)) {
            best = Some((member, result));
        }
    }
    let Some((best, _)) = best else {
        return Err(WorkshopError::NoResult { stage: "search", reason: reasons(study) });
    };
    Ok(ChosenNetwork { spec: best.plan.spec.clone(), weights: pool.run_of(best).weights() })
}
