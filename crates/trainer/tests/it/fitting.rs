//! Training: learning, determinism, cancellation, refused input.

use tinsmith_data::{Dataset, Normalization, Normalizer};
use tinsmith_foundation::{CancelToken, Grant, Seed};
use tinsmith_layers::{BuildOptions, Model};
use tinsmith_network::ModelSpec;
use tinsmith_study::{Budget, Decision, Evaluate, EvaluateError, Request};
use tinsmith_trainer::{
    Context, EarlyStopping, Epoch, Observe, OptimizerConfig, Stopped, TrainConfig, TrainError, Trainer,
    Undisturbed, evaluate, fit,
};

pub(crate) const MLP: &str = "
layers:
  - {name: x, input: {shape: [8, 8, 1]}}
  - {name: f, flatten: {}}
  - {name: h, dense: {units: 24, activation: relu}}
  - {name: y, dense: {units: 10}}
";

pub(crate) fn spec() -> ModelSpec {
    ModelSpec::parse(MLP, "mlp").unwrap()
}

/// Training and validation split of the digits, small enough for a quick test.
pub(crate) fn digits() -> (Dataset, Dataset) {
    let splits = tinsmith_data::load("digits8x8").unwrap();
    let data = splits.train.share(0.4, Seed::new(1)).unwrap();
    let (train, val) = data.holdout(0.25, Seed::new(2)).unwrap();
    let normalizer = Normalizer::fit(&train, Normalization::Auto).unwrap();
    (normalizer.apply(&train).unwrap(), normalizer.apply(&val).unwrap())
}

pub(crate) fn config(epochs: u32) -> TrainConfig {
    TrainConfig {
        epochs,
        batch_size: 32,
        optimizer: OptimizerConfig { learning_rate: 0.005, ..OptimizerConfig::default() },
        ..TrainConfig::default()
    }
}

fn model() -> Model {
    Model::build(&spec(), Seed::new(3), &BuildOptions::default()).unwrap()
}

fn run(config: &TrainConfig, threads: usize) -> (Vec<Epoch>, Vec<f32>, Stopped) {
    let (train, val) = digits();
    let mut model = model();
    let cancel = CancelToken::new();
    let mut grant = Grant::ONE;
    tinsmith_foundation::WorkerScope::new(threads)
        .map(vec![()], |g, ()| g)
        .into_iter()
        .for_each(|g| grant = g);
    let context = Context { seed: Seed::new(4), grant, cancel: &cancel };
    let history = fit(&mut model, &train, Some(&val), config, &context, &mut Undisturbed).unwrap();
    let weights = model.params().iter().flat_map(|p| p.values().unwrap()).collect();
    (history.epochs, weights, history.stopped)
}

#[test]
fn digits_are_learned_and_the_same_again() {
    let config = config(8);
    let (epochs, weights, stopped) = run(&config, 1);
    assert_eq!(stopped, Stopped::Finished);
    assert_eq!(epochs.len(), 8);
    let accuracy = epochs.last().unwrap().val_accuracy.unwrap();
    assert!(accuracy > 0.85, "accuracy {accuracy}");
    for threads in [1, 2] {
        let (again, same, _) = run(&config, threads);
        assert_eq!(again, epochs);
        assert_eq!(same, weights);
    }
}

#[test]
fn the_best_epoch_is_kept() {
    let (train, val) = digits();
    let mut model = model();
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(4), grant: Grant::ONE, cancel: &cancel };
    let config = TrainConfig {
        early_stopping: EarlyStopping { patience: 3, ..EarlyStopping::default() },
        optimizer: OptimizerConfig { learning_rate: 0.03, ..OptimizerConfig::default() },
        ..config(60)
    };
    let history = fit(&mut model, &train, Some(&val), &config, &context, &mut Undisturbed).unwrap();
    assert_eq!(history.stopped, Stopped::Early);
    assert_eq!(history.epochs.len() as u32, history.kept + 3);
    let best = history.epochs.iter().filter_map(|e| e.val_loss).fold(f64::INFINITY, f64::min);
    let kept = evaluate(&model, &val, config.loss, Grant::ONE).unwrap();
    assert!((kept.loss - best).abs() < 1e-9, "{} for {best}", kept.loss);
}

#[test]
fn a_training_stops_when_told() {
    let (train, val) = digits();
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(4), grant: Grant::ONE, cancel: &cancel };
    let mut observer = Observe(|e: &Epoch| if e.epoch == 2 { Decision::Stop } else { Decision::Continue });
    let mut observed = model();
    let history = fit(&mut observed, &train, Some(&val), &config(9), &context, &mut observer).unwrap();
    assert_eq!((history.epochs.len(), history.stopped), (2, Stopped::Observer));
    cancel.cancel();
    let error = fit(&mut observed, &train, None, &config(9), &context, &mut Undisturbed).unwrap_err();
    assert!(matches!(error, TrainError::Cancelled { epoch: 1 }), "{error}");
}

#[test]
fn a_loss_beyond_bounds_leaves_the_last_good_weights() {
    let (train, _) = digits();
    let mut model = model();
    let before = model.params().iter().flat_map(|p| p.values().unwrap()).collect::<Vec<f32>>();
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(4), grant: Grant::ONE, cancel: &cancel };
    let config = TrainConfig {
        optimizer: OptimizerConfig {
            rule: tinsmith_trainer::Rule::Sgd { momentum: 0.0, nesterov: false },
            learning_rate: 1e30,
            ..OptimizerConfig::default()
        },
        ..config(3)
    };
    let error = fit(&mut model, &train, None, &config, &context, &mut Undisturbed).unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { epoch: 1, .. }), "{error}");
    let after = model.params().iter().flat_map(|p| p.values().unwrap()).collect::<Vec<f32>>();
    assert_eq!(before, after);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (train, _) = digits();
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(4), grant: Grant::ONE, cancel: &cancel };
    for (from, to, message) in [
        ("[8, 8, 1]", "[8, 9, 1]", "the network takes samples of shape [8, 9, 1], the data set `digits8x8"),
        ("units: 10", "units: 9", "the network puts out [9], the data set `digits8x8"),
    ] {
        let spec = ModelSpec::parse(&MLP.replace(from, to), "mlp").unwrap();
        let mut model = Model::build(&spec, Seed::new(3), &BuildOptions::default()).unwrap();
        let error =
            fit(&mut model, &train, None, &config(1), &context, &mut Undisturbed).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    let config = TrainConfig { epochs: 0, ..config(1) };
    let error = fit(&mut model(), &train, None, &config, &context, &mut Undisturbed).unwrap_err().to_string();
    assert_eq!(error, "training configuration: `epochs` is 0, want at least 1");
}

#[test]
fn candidates_are_scored_by_folds_and_from_weights() {
    let (train, val) = digits();
    let dir = tempfile::tempdir().unwrap();
    let trainer = Trainer::new(train, val, config(1)).keeping_weights_in(dir.path());
    let (spec, cancel) = (spec(), CancelToken::new());
    let request = |epochs, folds| Request {
        candidate: &spec,
        trial: 7,
        budget: Budget { epochs, folds, share: 1.0 },
        seed: Seed::new(5),
        grant: Grant::ONE,
        resume: None,
        inherit: None,
        cancel: &cancel,
    };
    let mut steps = Vec::new();
    let first = trainer
        .evaluate(request(3, 1), &mut |r| {
            steps.push(r.step);
            Decision::Continue
        })
        .unwrap();
    assert_eq!(steps, [1, 2, 3]);
    let artifact = first.artifact.unwrap();
    assert!(artifact.path.ends_with("trial-00007.safetensors"));
    let folds = trainer.evaluate(request(2, 3), &mut |_| Decision::Continue).unwrap();
    assert!(folds.scores["val_accuracy"] > 0.3, "{folds:?}");
    // One epoch on inherited weights is better than one on new ones.
    let quick = trainer.evaluate(request(1, 1), &mut |_| Decision::Continue).unwrap();
    let warm = Request { inherit: Some(&artifact), ..request(1, 1) };
    let warm = trainer.evaluate(warm, &mut |_| Decision::Continue).unwrap();
    assert!(warm.scores["val_loss"] < quick.scores["val_loss"]);
    cancel.cancel();
    let error = trainer.evaluate(request(1, 1), &mut |_| Decision::Continue).unwrap_err();
    assert!(matches!(error, EvaluateError::Cancelled));
}
