//! Stage 4: how much of the quantized network may go.

use tinsmith_cost::Cost;
use tinsmith_foundation::Seed;
use tinsmith_sparse::{PruneConfig, PruneTrainer, Scope};
use tinsmith_study::{Ended, Objective, Runner, Sequence, Study, StudyConfig, Trial};

use crate::error::{Result, WorkshopError};
use crate::pipeline::Bench;
use crate::stage::quantize::{Quantized, fine_tuning};

/// What the trials of pruning found.
pub(crate) struct Pruned {
    pub(crate) study: Study<PruneConfig>,
    pub(crate) ended: Ended,
    pub(crate) config: PruneConfig,
}

pub(crate) fn run(bench: &Bench<'_>, quantized: &Quantized) -> Result<Pruned> {
    const STAGE: &str = "prune";
    let stage = &bench.config.prune;
    let budget = stage.budget.unwrap_or_default();
    let candidates: Vec<PruneConfig> = stage
        .sparsities
        .iter()
        .map(|&sparsity| PruneConfig { sparsity, scope: Scope::Global, ..PruneConfig::default() })
        .collect();
    let seed: Seed = bench.seed.derive(STAGE, 0);
    let config = StudyConfig {
        name: STAGE.to_owned(),
        seed: seed.value(),
        trials: candidates.len() as u64,
        time_limit_s: bench.time_limit_s(0.2),
        objectives: vec![Objective::maximize("val_accuracy"), Objective::minimize("flash_bytes")],
        report: Some("val_accuracy".to_owned()),
        budget,
        ..StudyConfig::default()
    };
    let trainer = PruneTrainer {
        spec: quantized.spec.clone(),
        weights: quantized.weights.clone(),
        train: bench.train.clone(),
        validation: bench.validation.clone(),
        config: fine_tuning(bench.config.training(budget.epochs)),
        target: bench.target.clone(),
        artifacts: None,
    };
    let proposer = Sequence::new(candidates);
    let runner = Runner {
        scope: bench.scope,
        jobs: bench.scope.cores(),
        progress: bench.progress,
        cancel: bench.cancel.clone(),
        ..Runner::new(&proposer, &trainer)
    };
    let mut study = Study::open(config, &bench.folder.prune_journal())?;
    let ended = bench.ended(study.run(&runner)?)?;
    let reference = Cost::of(&quantized.spec, &bench.target)?.total.flash_bytes as f64;
    let score = |t: &Trial<PruneConfig>| {
        let found = |name: &str| t.scores.get(name).copied().unwrap_or(f64::NAN);
        stage.goal.score(found("val_accuracy"), true, reference, found("flash_bytes"))
    };
    let best = study
        .trials()
        .iter()
        .filter(|t| t.values.is_some() && score(t).is_finite())
        .max_by(|a, b| score(a).total_cmp(&score(b)).then(b.number.cmp(&a.number)));
    let reason = || study.trials().iter().filter_map(|t| t.reason.clone()).next().unwrap_or_default();
    let config = best
        .map(|t| t.candidate().clone())
        .ok_or_else(|| WorkshopError::NoResult { stage: STAGE, reason: reason() })?;
    Ok(Pruned { study, ended, config })
}
