//! Stage 5: the winner, several times from seeds of their own, beside the baseline that it came from; then, once, the
//! test part.

use std::collections::BTreeMap;

use tinsmith_cost::{Cost, Target};
use tinsmith_fleet::{Member, Pool, PoolContext};
use tinsmith_foundation::{FoundationError, Grant};
use tinsmith_layers::Model;
use tinsmith_network::ModelSpec;
use tinsmith_sparse::{GradualPruner, with_smallest_storage};
use tinsmith_layers::load_model;
use tinsmith_trainer::{Callback, Confusion, Evaluation, Plan, RunResult, TrainError, Undisturbed, evaluate};

use crate::error::{Result, WorkshopError};
use crate::pipeline::Bench;
use crate::result::{Figures, LayerBits, layer_bits};
use crate::stage::prune::Pruned;
use crate::stage::quantize::{Quantized, fine_tuning};
use crate::stage::search::Found;

/// The final networks.
pub(crate) struct Trained {
    pub(crate) baseline: Figures,
    pub(crate) winner: Figures,
    pub(crate) run: String,
    pub(crate) spec: ModelSpec,
    pub(crate) weights: Vec<u8>,
    pub(crate) metrics: String,
    pub(crate) layers: Vec<LayerBits>,
    pub(crate) confusion: Confusion,
}

pub(crate) fn run(
    bench: &Bench<'_>,
    found: &Found,
    quantized: &Quantized,
    pruned: &Pruned,
) -> Result<Trained> {
    let training = bench.config.training(bench.config.full_epochs());
    let seed = |i: u64| bench.seed.derive("train", i);
    let baseline = |i: u64| Member {
        name: format!("baseline-{i}"),
        plan: Plan {
            spec: ModelSpec { name: "baseline".to_owned(), ..found.spec.clone() },
            config: training.clone(),
            seed: seed(i),
            start: None,
            attributes: BTreeMap::new(),
        },
    };
    let baselines = Pool::new(bench.folder.train(), (0..bench.config.seeds).map(baseline).collect())?;
    let undisturbed = |_: &Member| Ok(Box::new(Undisturbed) as Box<dyn Callback>);
    let baseline_results = train(bench, &baselines, "baseline", &undisturbed)?;

    let prune = serde_json::to_value(&pruned.config).unwrap_or_default();
    let winner = |i: u64| Member {
        name: format!("winner-{i}"),
        plan: Plan {
            spec: ModelSpec { name: "winner".to_owned(), ..quantized.spec.clone() },
            config: fine_tuning(training.clone()),
            seed: seed(i).derive("winner", 0),
            start: Some(bench.folder.train().join(format!("baseline-{i}")).join("weights.safetensors")),
            attributes: BTreeMap::from([("prune".to_owned(), prune.clone())]),
        },
    };
    let winners = Pool::new(bench.folder.train(), (0..bench.config.seeds).map(winner).collect())?;
    let pruner = |member: &Member| -> Result<Box<dyn Callback>, TrainError> {
        let pruner = GradualPruner::new(pruned.config.clone(), member.plan.config.epochs)
            .map_err(|error| TrainError::Callback { reason: error.to_string() })?;
        Ok(Box::new(pruner))
    };
    let winner_results = train(bench, &winners, "winner", &pruner)?;
    judge(bench, (&baselines, &baseline_results), (&winners, &winner_results))
}

type MakeCallback<'a> = dyn Fn(&Member) -> Result<Box<dyn Callback>, TrainError> + Sync + 'a;

fn train(
    bench: &Bench<'_>,
    fleet: &Pool,
    stage: &str,
    callback: &MakeCallback<'_>,
) -> Result<Vec<RunResult>> {
    let context =
        PoolContext { scope: bench.scope, stage, progress: bench.progress, cancel: &bench.cancel, callback };
    let (train, validation) = match &bench.refit {
        Some(all) => (all, None),
        None => (&bench.train, Some(&bench.validation)),
    };
    fleet.train(train, validation, &context).map_err(|error| bench.stopped(error))
}

/// Looks at the test part, once; which run is the winner is decided before that, by the validation part or, where that
/// was trained on at last, by the training loss.
fn judge(
    bench: &Bench<'_>,
    (baselines, baseline_results): (&Pool, &[RunResult]),
    (winners, winner_results): (&Pool, &[RunResult]),
) -> Result<Trained> {
    let mut best: Option<usize> = None;
    for (i, result) in winner_results.iter().enumerate() {
        if best.is_none_or(|other| result.is_better_than(&winner_results[other])) {
            best = Some(i);
        }
    }
    let Some(best) = best else {
        return Err(WorkshopError::NoResult { stage: "train", reason: "no seeds were asked for".to_owned() });
    };
    let accuracy =
        |results: &[RunResult]| results.iter().filter_map(|r| r.validation.as_ref()?.accuracy()).collect();
    let (_, baseline_tests) = test(bench, baselines)?;
    let (models, winner_tests) = test(bench, winners)?;
    let spec = with_smallest_storage(&models[best], &bench.target)?;
    let cost = Cost::of(&spec, &bench.target)?;
    let violations: Vec<String> = bench.limits.check(&cost).iter().map(ToString::to_string).collect();
    if !violations.is_empty() {
        return Err(WorkshopError::NoResult { stage: "train", reason: violations.join(", ") });
    }
    let float = Target::load("float32")?;
    let float_spec = &baselines.members()[best].plan.spec;
    let tests = |tests: &[Evaluation]| tests.iter().filter_map(Evaluation::accuracy).collect();
    let member = &winners.members()[best];
    let path = winners.run_of(member).weights();
    let weights = std::fs::read(&path).map_err(|source| FoundationError::Read { path, source })?;
    let confusion = winner_tests[best].confusion.clone().unwrap_or_else(|| Confusion::new(0));
    Ok(Trained {
        baseline: Figures::new(float_spec, &float, accuracy(baseline_results), tests(&baseline_tests))?,
        winner: Figures::new(&spec, &bench.target, accuracy(winner_results), tests(&winner_tests))?,
        run: member.name.clone(),
        layers: layer_bits(&spec, &spec.graph()?, &bench.target),
        metrics: metrics(&[baselines, winners])?,
        spec,
        weights,
        confusion,
    })
}

/// The kept networks of a fleet, and how they do on the test part.
fn test(bench: &Bench<'_>, fleet: &Pool) -> Result<(Vec<Model>, Vec<Evaluation>)> {
    let mut models = Vec::new();
    let mut tests = Vec::new();
    for member in fleet.members() {
        let model = load_model(&fleet.run_of(member).weights())?;
        tests.push(evaluate(&model, &bench.test, member.plan.config.loss, Grant::ONE)?);
        models.push(model);
    }
    Ok((models, tests))
}

/// Every epoch of every run, one line each, in the order of the runs.
fn metrics(fleets: &[&Pool]) -> Result<String> {
    let mut lines = String::new();
    for fleet in fleets {
        for member in fleet.members() {
            for epoch in fleet.run_of(member).epochs()? {
                let mut line = serde_json::json!({ "run": member.name });
                if let (Some(line), Ok(serde_json::Value::Object(fields))) =
                    (line.as_object_mut(), serde_json::to_value(&epoch))
                {
                    line.extend(fields);
                }
                lines.push_str(&line.to_string());
                lines.push('\n');
            }
        }
    }
    Ok(lines)
}
