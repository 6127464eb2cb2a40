//! Pruning during training: zeros stay, the sparsity is reached, a study sees its cost.

use tinsmith_cost::Target;
use tinsmith_data::{Dataset, Normalization, Normalizer};
use tinsmith_foundation::{CancelToken, Grant, Seed};
use tinsmith_sparse::{GradualPruner, PruneConfig, PruneTrainer, Scope, mask};
use tinsmith_study::{Budget, Decision, Evaluate, Request};
use tinsmith_trainer::{Context, OptimizerConfig, TrainConfig, fit};

use crate::{model, spec};

fn digits() -> (Dataset, Dataset) {
    let splits = tinsmith_data::load("digits8x8").unwrap();
    let data = splits.train.share(0.4, Seed::new(1)).unwrap();
    let (train, val) = data.holdout(0.25, Seed::new(2)).unwrap();
    let normalizer = Normalizer::fit(&train, Normalization::Auto).unwrap();
    (normalizer.apply(&train).unwrap(), normalizer.apply(&val).unwrap())
}

fn config(epochs: u32) -> TrainConfig {
    TrainConfig {
        epochs,
        batch_size: 32,
        optimizer: OptimizerConfig { learning_rate: 0.005, weight_decay: 0.01, ..OptimizerConfig::default() },
        ..TrainConfig::default()
    }
}

#[test]
fn zeros_stay_zero_under_the_optimizer() {
    let (train, val) = digits();
    let mut model = model();
    let prune = PruneConfig { sparsity: 0.7, scope: Scope::Global, ..PruneConfig::default() };
    let mut pruner = GradualPruner::new(prune.clone(), 6).unwrap();
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(3), grant: Grant::ONE, cancel: &cancel };
    let history = fit(&mut model, &train, Some(&val), &config(6), &context, &mut pruner).unwrap();
    assert!(history.kept >= 3, "kept epoch {} before the last pruning", history.kept);
    let names = mask::prunable(&model, &prune).unwrap();
    assert!((mask::sparsity(&model, &names).unwrap() - 0.7).abs() < 0.002);
    let accuracy = history.epochs.last().unwrap().val_accuracy.unwrap();
    assert!(accuracy > 0.7, "accuracy {accuracy}");
}

#[test]
fn a_study_sees_sparsity_and_flash() {
    let (train, validation) = digits();
    let dir = tempfile::tempdir().unwrap();
    let weights = dir.path().join("start.safetensors");
    let mut start = model();
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(3), grant: Grant::ONE, cancel: &cancel };
    fit(&mut start, &train, None, &config(4), &context, &mut tinsmith_trainer::Undisturbed).unwrap();
    start.save_weights(&weights, &std::collections::BTreeMap::new()).unwrap();
    let trainer = PruneTrainer {
        spec: spec(),
        weights,
        train,
        validation,
        config: config(2),
        target: Target::load("mcu-packed").unwrap(),
        artifacts: Some(dir.path().to_owned()),
    };
    let run = |sparsity: f64| {
        let candidate = PruneConfig { sparsity, ..PruneConfig::default() };
        let request = Request {
            candidate: &candidate,
            trial: 1,
            budget: Budget { epochs: 2, ..Budget::default() },
            seed: Seed::new(4),
            grant: Grant::ONE,
            resume: None,
            inherit: None,
            cancel: &cancel,
        };
        trainer.evaluate(request, &mut |_| Decision::Continue).unwrap()
    };
    let (few, many) = (run(0.2), run(0.9));
    assert!((few.scores["sparsity"] - 0.2).abs() < 0.01 && (many.scores["sparsity"] - 0.9).abs() < 0.01);
    assert!(many.scores["flash_bytes"] < few.scores["flash_bytes"]);
    assert!(few.scores["val_accuracy"] > 0.6, "{:?}", few.scores);
    assert!(many.artifact.unwrap().path.is_file());
}
