//! Stages that run alone: limits, folders, and YAML recipes.

use std::path::Path;

use tinsmith_autoq::AutoqConfig;
use tinsmith_foundation::{CancelToken, Silent};
use tinsmith_network::ModelSpec;
use tinsmith_study::Budget;
use tinsmith_trainer::{Loss, Rule, Schedule};
use tinsmith_workshop::{
    BenchOptions, ErrorKind, QuantizeStage, Session, TrainStage, TrainingOptions, Workbench, load_network,
    load_spec,
};

fn network() -> ModelSpec {
    let text = "layers: [{name: x, input: {shape: [8, 8, 1]}}, {name: f, flatten: {}}, {name: y, dense: {units: 10}}]";
    ModelSpec::parse(text, "network").unwrap()
}

fn options(epochs: u32) -> TrainingOptions {
    TrainingOptions { epochs: Some(epochs), ..TrainingOptions::default() }
}

fn bench() -> Workbench<'static> {
    let session = Session::new(&Silent, CancelToken::new());
    Workbench::open(&BenchOptions { jobs: 1, ..BenchOptions::default() }, &session).unwrap()
}

#[test]
fn a_trained_network_is_quantized_by_the_stages() {
    let dir = tempfile::tempdir().unwrap();
    let (bench, folder) = (bench(), dir.path().join("run"));
    let train = TrainStage {
        network: network(),
        training: options(1).from_scratch().unwrap(),
        start: None,
        checkpoint_steps: 0,
        folder: &folder,
    };
    assert!(!train.run(&bench).unwrap().is_unchanged);
    assert!(train.run(&bench).unwrap().is_unchanged);
    let other = TrainStage { training: options(2).from_scratch().unwrap(), ..train.clone() };
    let error = other.run(&bench).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("`epochs` was 1, now 2"), "{error}");

    let (weights, out) = (folder.join("weights.safetensors"), dir.path().join("quantize"));
    let quantize = QuantizeStage {
        config: AutoqConfig {
            trials: 2,
            budget: Budget { epochs: 1, ..Budget::default() },
            ..AutoqConfig::default()
        },
        weights: &weights,
        training: options(1).fine_tuning().unwrap(),
        folder: &out,
    };
    let outcome = quantize.run_alone(&bench).unwrap();
    assert_eq!(outcome.study.trials().len(), 2);
    assert_eq!(load_network(&out.join("weights.safetensors")).unwrap().spec().layers.len(), 3);
    assert!(load_spec(&out.join("spec.yaml")).is_ok());

    // Artifacts are stored relative to the journal, so a moved folder finds them.
    let journal = std::fs::read_to_string(out.join("journal.log")).unwrap();
    assert!(journal.contains("\"artifact\":\"weights/trial-00000.safetensors\""), "{journal}");
    let moved = dir.path().join("moved");
    std::fs::rename(&out, &moved).unwrap();
    let again = QuantizeStage { folder: &moved, ..quantize }.run_alone(&bench).unwrap();
    assert!(again.is_unchanged && again.weights.starts_with(&moved));
}

#[track_caller]
fn recipe(folder: &Path, text: &str) -> Result<tinsmith_trainer::TrainConfig, String> {
    let path = folder.join("t.yaml");
    std::fs::write(&path, text).unwrap();
    let options = TrainingOptions { file: Some(path), ..TrainingOptions::default() };
    options.from_scratch().map_err(|error| error.to_string())
}

#[test]
fn plain_words_name_variants_with_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let found =
        recipe(dir.path(), "schedule: cosine\nloss: mean_squared_error\noptimizer: {rule: sgd}\n").unwrap();
    assert_eq!(found.schedule, Schedule::Cosine { floor: 0.0 });
    assert_eq!(found.loss, Loss::MeanSquaredError {});
    assert_eq!(found.optimizer.rule, Rule::Sgd { momentum: 0.0, nesterov: false });
    let found = recipe(dir.path(), "schedule: constant\nloss: {huber: {delta: 2}}\naveraging: exponential\n")
        .unwrap();
    assert_eq!((found.schedule, found.loss), (Schedule::Constant, Loss::Huber { delta: 2.0 }));
    for (text, wanted) in [
        (
            "epochs: 3\nschedule: step\nbatch_size: 8\n",
            "t.yaml:2:11: `step` alone has a missing field `every`, want {step: {...}}",
        ),
        (
            "epochs: 3\nschedule: cosin\nbatch_size: 8\n",
            "t.yaml:2:11: unknown variant `cosin`, expected one of `constant`",
        ),
        ("optimizer: {rule: adamw}\n", "t.yaml:1:19: unknown variant `adamw`"),
        ("schedule: {cosine: {flor: 1}}\n", "t.yaml:1:21: unknown field `flor`"),
        ("loss: 3\n", "invalid type: integer `3`, expected a word"),
    ] {
        let error = recipe(dir.path(), text).unwrap_err();
        assert!(error.contains(wanted), "{text:?}: {error}");
    }
}
