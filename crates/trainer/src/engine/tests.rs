//! Every engine takes Keras' steps, and honors masks.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tinsmith_foundation::Seed;
use tinsmith_keras::read_json;
use tinsmith_layers::{BuildOptions, Model, npz};
use tinsmith_network::ModelSpec;

use super::{Engine, TrainStep, Update, start};
use crate::config::TrainConfig;
use crate::loss::Targets;
use crate::optimizer::{OptimizerConfig, Rule};

fn folders() -> Vec<PathBuf> {
    let root = std::env::var_os("TINSMITH_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from);
    let mut found: Vec<PathBuf> = std::fs::read_dir(root.join("models"))
        .expect("models")
        .map(|e| e.expect("an entry").path())
        .collect();
    found.sort();
    found
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}

fn config(recorded: &Value) -> TrainConfig {
    let number = |key: &str| recorded[key].as_f64().unwrap_or(0.0);
    let rule = if recorded["beta_1"].is_number() {
        Rule::ADAM
    } else {
        Rule::Sgd { momentum: number("momentum"), nesterov: recorded["nesterov"].as_bool().unwrap_or(false) }
    };
    let learning_rate = number("learning_rate");
    TrainConfig {
        optimizer: OptimizerConfig { rule, learning_rate, ..OptimizerConfig::default() },
        ..TrainConfig::default()
    }
}

/// Steps `0..count` of eight rows each; returns the losses.
fn train(model: &Model, engine: &mut dyn Engine, x: &[f32], y: &[f32], rate: f64, count: usize) -> Vec<f64> {
    let (width, classes) = (x.len() / 40, y.len() / 40);
    let step = |i: usize| {
        let step = TrainStep {
            samples: &x[i * 8 * width..(i + 1) * 8 * width],
            rows: 8,
            targets: Targets::Arrays(&y[i * 8 * classes..(i + 1) * 8 * classes]),
            soft: None,
            weights: &[],
            seed: Seed::new(7).derive("step", i as u64),
            divisor: 8,
            update: Some(Update { learning_rate: rate, number: i as u64 + 1 }),
        };
        engine.step(model, &step).expect("a step") / 8.0
    };
    (0..count).map(step).collect()
}

#[test]
fn golden_steps_are_kerass() {
    let mut met = 0;
    for folder in folders() {
        let io: Value = serde_json::from_str(&text(&folder.join("io.json"))).expect("json");
        if io["train"]["constraints"].as_object().is_some_and(|found| !found.is_empty()) {
            // Keras clips these weights after each step, which a specification does not say.
            println!("{}: has constraints", folder.display());
            continue;
        }
        let arrays = npz::read(&folder.join("train.npz")).expect("an archive");
        let values = |name: &str| -> Vec<f32> {
            arrays[name].flatten_all().and_then(|t| t.to_vec1()).expect("values")
        };
        let (x, y) = (values("X"), values("Y"));
        let spec = read_json(&text(&folder.join("architecture.json")), "architecture").expect("a network");
        for (name, recorded) in io["train"]["optimizers"].as_object().expect("optimizers") {
            let model = Model::build(&spec, Seed::new(1), &BuildOptions::default()).expect("a model");
            model.load_weights(&folder.join("weights.npz")).expect("weights");
            let config = config(&recorded["config"]);
            let mut engine = start(&model, &config, config.batch_size).expect("an engine");
            let losses = train(&model, engine.as_mut(), &x, &y, config.optimizer.learning_rate, 5);
            for (found, expected) in losses.iter().zip(recorded["losses"].as_array().expect("losses")) {
                let expected = expected.as_f64().expect("a loss");
                assert!((found - expected).abs() < 1e-4 * (1.0 + expected), "{name}: {found} for {expected}");
            }
            engine.leave(&model).expect("weights");
            for (key, theirs) in &arrays {
                let Some(param) = key.strip_prefix(&format!("after5/{name}/")) else { continue };
                let ours = model.param_called(param).expect("a parameter").values().expect("values");
                let theirs: Vec<f32> = theirs.flatten_all().and_then(|t| t.to_vec1()).expect("values");
                for (a, b) in ours.iter().zip(theirs) {
                    assert!((a - b).abs() < 1e-3 * (1.0 + b.abs()), "{name} {key}: {a} for {b}");
                }
            }
            met += 1;
        }
    }
    println!("{met} trajectories met");
    assert!(met >= 8, "{met}");
}

const NETWORK: &str = "
layers:
  - {name: x, input: {shape: [4]}}
  - {name: h, dense: {units: 6, activation: tanh}}
  - {name: y, dense: {units: 3}}
";

#[test]
fn masks_hold_under_every_rule() {
    let spec = ModelSpec::parse(NETWORK, "network").expect("a network");
    let x: Vec<f32> = (0..160).map(|i| ((i * 37 % 23) as f32 - 11.0) / 11.0).collect();
    let y: Vec<f32> = (0..120).map(|i| f32::from(u8::from(i % 3 == i / 3 % 3))).collect();
    let (b1, b2, epsilon) = (0.9, 0.999, 1e-7);
    for rule in [
        Rule::Sgd { momentum: 0.9, nesterov: false },
        Rule::Sgd { momentum: 0.9, nesterov: true },
        Rule::Adam { beta_1: b1, beta_2: b2, epsilon, amsgrad: true },
        Rule::Rmsprop { rho: 0.9, momentum: 0.5, epsilon },
        Rule::Adagrad { initial_accumulator: 0.1, epsilon },
        Rule::Adadelta { rho: 0.95, epsilon },
        Rule::Adamax { beta_1: b1, beta_2: b2, epsilon },
        Rule::Nadam { beta_1: b1, beta_2: b2, epsilon },
        Rule::Lion { beta_1: b1, beta_2: 0.99 },
    ] {
        let mut model = Model::build(&spec, Seed::new(1), &BuildOptions::default()).expect("a model");
        let optimizer =
            OptimizerConfig { rule, weight_decay: 0.1, l1: 0.01, l2: 0.01, ..OptimizerConfig::default() };
        let config = TrainConfig { optimizer, ..TrainConfig::default() };
        let mut engine = start(&model, &config, config.batch_size).expect("an engine");
        // Momentum first, then the masks: what is pruned or held must not drift on.
        train(&model, engine.as_mut(), &x, &y, 0.05, 3);
        engine.leave(&model).expect("weights");
        let mask = |every: usize| {
            let values: Vec<f32> = (0..24).map(|i| f32::from(u8::from(i % every != 0))).collect();
            candle_core::Tensor::from_vec(values, (4, 6), model.device()).expect("a mask")
        };
        let (prune, hold) = (mask(2), mask(3));
        let kernel = model.params_mut().get_mut("h.kernel").expect("a kernel");
        kernel.set_prune_mask(Some(prune)).expect("a mask");
        kernel.set_update_mask(Some(hold)).expect("a mask");
        let before = kernel.values().expect("values");
        engine.enter(&model).expect("masks");
        let moments = &engine.moments()["h.kernel"];
        assert!(moments.chunks(24).all(|slot| slot.iter().step_by(2).all(|&m| m == 0.0)), "{rule:?}");
        train(&model, engine.as_mut(), &x, &y, 0.05, 5);
        engine.leave(&model).expect("weights");
        let after = model.params().get("h.kernel").expect("a kernel").values().expect("values");
        for (i, (before, after)) in before.iter().zip(&after).enumerate() {
            match (i % 2, i % 3) {
                (0, _) => assert_eq!(*after, 0.0, "{rule:?}: {i} is pruned"),
                (_, 0) => assert_eq!(before, after, "{rule:?}: {i} is held"),
                _ => assert_ne!(before, after, "{rule:?}: {i} is free"),
            }
        }
    }
}
