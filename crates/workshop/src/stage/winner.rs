//! Stage 5: the final trainings, several seeds of the winner and of its float baseline, and the only use of the test rows.

use std::collections::BTreeMap;

use tinsmith_cost::{Cost, Target};
use tinsmith_data::Dataset;
use tinsmith_foundation::{FoundationError, Grant};
use tinsmith_layers::Model;
use tinsmith_layers::load_model;
use tinsmith_network::ModelSpec;
use tinsmith_sparse::{GradualPruner, with_smallest_storage};
use tinsmith_trainer::{Callback, Confusion, Evaluation, Plan, RunResult, TrainError, Undisturbed, evaluate};
use tinsmith_trainer::{Member, Pool, PoolContext};

use crate::bench::Workbench;
use crate::error::{Result, WorkshopError};
use crate::figures::{Figures, LayerBits, layer_bits};
use crate::folder::DesignFolder;
use crate::identity::to_value;
use crate::plan::DesignPlan;
use crate::recipe::fine_tuning;
use crate::stage::finalists::ChosenNetwork;
use crate::stage::prune::PruneOutcome;
use crate::stage::quantize::QuantizeOutcome;

/// Figures and files of the final networks.
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

/// The final trainings of a design.
pub(crate) struct WinnerStage<'a> {
    pub(crate) plan: &'a DesignPlan,
    pub(crate) folder: &'a DesignFolder,
    pub(crate) chosen: &'a ChosenNetwork,
    pub(crate) quantized: &'a QuantizeOutcome,
    pub(crate) pruned: &'a PruneOutcome,
}

impl WinnerStage<'_> {
    pub(crate) fn run(&self, bench: &Workbench<'_>) -> Result<Trained> {
        // After all decisions are made, the validation rows may be trained on too.
        let all_rows =
            if self.plan.refit { Some(bench.data.normalizer.apply(&bench.splits.train)?) } else { None };
        let (baselines, winners) = self.pools(bench)?;
        let undisturbed = |_: &Member| Ok(Box::new(Undisturbed) as Box<dyn Callback>);
        let baseline_results = self.train(bench, all_rows.as_ref(), &baselines, "baseline", &undisturbed)?;
        let pruner = |member: &Member| -> Result<Box<dyn Callback>, TrainError> {
            let pruner = GradualPruner::new(self.pruned.config.clone(), member.plan.config.epochs)
                .map_err(|error| TrainError::Callback { reason: error.to_string() })?;
            Ok(Box::new(pruner))
        };
        let winner_results = self.train(bench, all_rows.as_ref(), &winners, "winner", &pruner)?;
        judge(bench, (&baselines, &baseline_results), (&winners, &winner_results))
    }

    /// The baselines from scratch, and the winners that start from them.
    fn pools(&self, bench: &Workbench<'_>) -> Result<(Pool, Pool)> {
        let (plan, folder) = (self.plan, self.folder);
        let training = plan.training(plan.epochs);
        let seed = |i: u64| bench.seed.derive("train", i);
        let baseline = |i: u64| Member {
            name: format!("baseline-{i}"),
            plan: Plan {
                spec: ModelSpec { name: "baseline".to_owned(), ..self.chosen.spec.clone() },
                config: training.clone(),
                seed: seed(i),
                start: None,
                attributes: BTreeMap::new(),
            },
        };
        let prune = to_value("pruning", &self.pruned.config)?;
        let winner = |i: u64| Member {
            name: format!("winner-{i}"),
            plan: Plan {
                spec: ModelSpec { name: "winner".to_owned(), ..self.quantized.spec.clone() },
                config: fine_tuning(training.clone()),
                seed: seed(i).derive("winner", 0),
                start: Some(folder.train().join(format!("baseline-{i}")).join("weights.safetensors")),
                attributes: BTreeMap::from([("prune".to_owned(), prune.clone())]),
            },
        };
        let baselines = Pool::new(folder.train(), (0..plan.seeds).map(baseline).collect())?;
        let winners = Pool::new(folder.train(), (0..plan.seeds).map(winner).collect())?;
        Ok((baselines, winners))
    }

    fn train(
        &self,
        bench: &Workbench<'_>,
        all_rows: Option<&Dataset>,
        pool: &Pool,
        stage: &str,
        callback: &MakeCallback<'_>,
    ) -> Result<Vec<RunResult>> {
        let (scope, progress, cancel) = (bench.scope, bench.progress, &bench.cancel);
        let context = PoolContext { scope, stage, progress, cancel, callback };
        let (train, validation) = match all_rows {
            Some(all) => (all, None),
            None => (&bench.data.train, Some(&bench.data.validation)),
        };
        pool.train(train, validation, &context).map_err(|error| Workbench::stopped(error, self.folder.root()))
    }
}

type MakeCallback<'a> = dyn Fn(&Member) -> Result<Box<dyn Callback>, TrainError> + Sync + 'a;

/// Evaluates the kept networks on the test rows. The run to ship is chosen before that, by validation or, if the validation
/// rows were trained on, by training loss.
fn judge(
    bench: &Workbench<'_>,
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
        return Err(WorkshopError::NoResult { stage: "train", reason: "`seeds` is 0".to_owned() });
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
    let confusion = winner_tests[best].confusion.clone();
    let confusion =
        confusion.expect("invariant: a design has classes, so its evaluations have a confusion matrix");
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

/// Returns the kept networks of a pool and their figures on the test rows.
fn test(bench: &Workbench<'_>, pool: &Pool) -> Result<(Vec<Model>, Vec<Evaluation>)> {
    let mut models = Vec::new();
    let mut tests = Vec::new();
    for member in pool.members() {
        let model = load_model(&pool.run_of(member).weights())?;
        tests.push(evaluate(&model, &bench.data.test, member.plan.config.loss, Grant::ONE)?);
        models.push(model);
    }
    Ok((models, tests))
}

/// Returns every epoch of every run, one line each, in the order of the runs.
fn metrics(pools: &[&Pool]) -> Result<String> {
    let mut lines = String::new();
    for pool in pools {
        for member in pool.members() {
            for epoch in pool.run_of(member).epochs()? {
                let mut line = serde_json::Map::from_iter([("run".to_owned(), member.name.clone().into())]);
                if let serde_json::Value::Object(fields) = to_value("epoch", &epoch)? {
                    line.extend(fields);
                }
                lines.push_str(&serde_json::Value::Object(line).to_string());
                lines.push('\n');
            }
        }
    }
    Ok(lines)
}
