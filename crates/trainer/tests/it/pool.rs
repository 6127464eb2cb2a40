//! Pools: one folder per run, resumed after an interruption, equal results for any number of cores.

use std::collections::BTreeMap;
use std::path::Path;

use tinsmith_data::{Dataset, Normalization, Normalizer};
use tinsmith_foundation::{CancelToken, Seed, Silent, WorkerScope};
use tinsmith_network::ModelSpec;
use tinsmith_trainer::{
    Callback, Member, OptimizerConfig, Plan, Pool, PoolContext, Result, TrainConfig, TrainError, Undisturbed,
};

const MLP: &str = "
layers:
  - {name: x, input: {shape: [8, 8, 1]}}
  - {name: f, flatten: {}}
  - {name: h, dense: {units: 24, activation: relu}}
  - {name: y, dense: {units: 10}}
";

fn spec() -> ModelSpec {
    ModelSpec::parse(MLP, "mlp").unwrap()
}

/// A training and a validation split of the digits, small enough for a quick test.
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
        optimizer: OptimizerConfig { learning_rate: 0.005, ..OptimizerConfig::default() },
        ..TrainConfig::default()
    }
}

fn pool(folder: &Path) -> Pool {
    let member = |i: u64| Member {
        name: format!("run-{i}"),
        plan: Plan {
            spec: spec(),
            config: config(2),
            seed: Seed::new(1).derive("run", i),
            start: None,
            attributes: BTreeMap::new(),
        },
    };
    Pool::new(folder, (0..3).map(member).collect()).unwrap()
}

fn train(pool: &Pool, cores: usize) -> Result<Vec<f64>> {
    let (train, val) = digits();
    let context = PoolContext {
        scope: WorkerScope::new(cores),
        stage: "train",
        progress: &Silent,
        cancel: &CancelToken::new(),
        callback: &|_| Ok(Box::new(Undisturbed) as Box<dyn Callback>),
    };
    Ok(pool
        .train(&train, Some(&val), &context)?
        .iter()
        .filter_map(|r| Some(r.validation.as_ref()?.loss))
        .collect())
}

fn bytes(pool: &Pool) -> Vec<Vec<u8>> {
    let files = ["spec.yaml", "run.yaml", "metrics.jsonl", "weights.safetensors", "result.json"];
    let folders = pool.members().iter().map(|m| pool.run_of(m).folder().to_owned());
    folders.flat_map(|f| files.map(|name| std::fs::read(f.join(name)).unwrap())).collect()
}

#[test]
fn an_interrupted_pool_ends_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let whole = pool(&dir.path().join("whole"));
    let losses = train(&whole, 2).unwrap();
    assert_ne!(losses[0], losses[1]);

    let broken = pool(&dir.path().join("broken"));
    train(&broken, 1).unwrap();
    // As after a kill: one run lacks its result and has a torn line, another has not begun.
    let first = broken.run_of(&broken.members()[0]);
    std::fs::remove_file(first.folder().join("result.json")).unwrap();
    std::fs::write(first.folder().join("metrics.jsonl"), "{\"epoch\":1,\"lear").unwrap();
    std::fs::remove_dir_all(broken.run_of(&broken.members()[1]).folder()).unwrap();
    assert_eq!(train(&broken, 2).unwrap(), losses);
    assert_eq!(bytes(&broken), bytes(&whole));
    assert_eq!(broken.run_of(&broken.members()[0]).epochs().unwrap().len(), 2);
}

#[test]
fn a_folder_of_another_run_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    train(&pool(dir.path()), 1).unwrap();
    let mut members = pool(dir.path()).members().to_vec();
    members[2].plan.config.epochs = 5;
    let error = train(&Pool::new(dir.path(), members).unwrap(), 1).unwrap_err();
    assert!(matches!(error, TrainError::OtherRun { what: "configuration", .. }), "{error}");
}

#[test]
fn names_are_safe_and_unique() {
    let mut members = pool(Path::new("x")).members().to_vec();
    members[1].name = "../up".to_owned();
    members[2].name = "run-0".to_owned();
    let error = Pool::new("x", members).unwrap_err().to_string();
    assert!(
        error.contains("`members[1].name` is `../up`") && error.contains("`run-0` is used twice"),
        "{error}"
    );
}
