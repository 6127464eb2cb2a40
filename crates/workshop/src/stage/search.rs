//! Stage 2: architectures. The best of the study are trained in full, and the best of those is the one that the later
//! stages make small.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tinsmith_fleet::{Member, Pool, PoolContext};
use tinsmith_nas::{ArchitectureSearch, SearchConfig};
use tinsmith_network::ModelSpec;
use tinsmith_study::{Ended, SearchRun, Study, Trial};
use tinsmith_trainer::{Callback, Plan, RunResult, Trainer, Undisturbed};

use crate::error::{Result, WorkshopError};
use crate::pipeline::Bench;

/// What the search found.
pub(crate) struct Found {
    pub(crate) study: Study<ModelSpec>,
    pub(crate) ended: Ended,
    /// The chosen network, float and dense.
    pub(crate) spec: ModelSpec,
    /// Its weights.
    pub(crate) weights: PathBuf,
}

pub(crate) fn run(bench: &Bench<'_>, candidates: Vec<ModelSpec>) -> Result<Found> {
    const STAGE: &str = "search";
    let stage = &bench.config.search;
    let budget = stage.budget.unwrap_or_default();
    let config = SearchConfig {
        trials: bench.config.trials,
        budget,
        time_limit_s: bench.time_limit_s(0.5),
        mutations: stage.mutations,
        evolution: stage.evolution.clone(),
        ..SearchConfig::default()
    };
    let search = ArchitectureSearch::new(config, candidates, bench.limits, bench.target.clone())?;
    let trainer =
        Trainer::new(bench.train.clone(), bench.validation.clone(), bench.config.training(budget.epochs));
    let (study, ended) = search.run(&SearchRun {
        journal: &bench.folder.search_journal(),
        seed: bench.seed.derive(STAGE, 0),
        evaluate: &trainer,
        scope: bench.scope,
        jobs: bench.scope.cores(),
        progress: bench.progress,
        cancel: bench.cancel.clone(),
    })?;
    let ended = bench.ended(ended)?;
    let (spec, weights) = choose(bench, &study)?;
    Ok(Found { study, ended, spec, weights })
}

/// Trains the best trials in full and returns the best of them.
fn choose(bench: &Bench<'_>, study: &Study<ModelSpec>) -> Result<(ModelSpec, PathBuf)> {
    const STAGE: &str = "finalists";
    let accuracy = |t: &Trial<ModelSpec>| t.scores.get("val_accuracy").copied().unwrap_or(0.0);
    let mut ranked: Vec<_> =
        study.trials().iter().filter(|t| t.is_feasible() && t.values.is_some()).collect();
    ranked.sort_by(|a, b| accuracy(b).total_cmp(&accuracy(a)).then(a.number.cmp(&b.number)));
    ranked.truncate(bench.config.search.finalists);
    let config = bench.config.training(bench.config.full_epochs());
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
    let fleet = Pool::new(bench.folder.finalists(), members.collect())?;
    let results = fleet
        .train(
            &bench.train,
            Some(&bench.validation),
            &PoolContext {
                scope: bench.scope,
                stage: STAGE,
                progress: bench.progress,
                cancel: &bench.cancel,
                callback: &|_| Ok(Box::new(Undisturbed) as Box<dyn Callback>),
            },
        )
        .map_err(|error| bench.stopped(error))?;
    let mut best: Option<(&Member, &RunResult)> = None;
    for (member, result) in fleet.members().iter().zip(&results) {
        if best.is_none_or(|(_, other)| result.is_better_than(other)) {
            best = Some((member, result));
        }
    }
    let Some((best, _)) = best else {
        let reasons = study.trials().iter().filter_map(|t| t.reason.as_deref()).take(3).collect::<Vec<_>>();
        return Err(WorkshopError::NoResult { stage: "search", reason: reasons.join("; ") });
    };
    Ok((best.plan.spec.clone(), fleet.run_of(best).weights()))
}
