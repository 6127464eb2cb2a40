//! Gradients and training steps of Keras and QKeras.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use serde_json::Value;
use tinsmith_core_tensor::ops;
use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_layers::{Mode, Model};
use tinsmith_network::Quantizer;

use crate::data::{self, Score};
use crate::golden_models::load;

struct Training {
    model: Model,
    arrays: BTreeMap<String, Tensor>,
    io: Value,
}

impl Training {
    fn load(folder: &Path) -> Self {
        Self {
            model: load(folder),
            arrays: data::npz(&folder.join("train.npz")),
            io: data::json(&folder.join("io.json")),
        }
    }

    /// Loss and gradients of batch number `step`.
    fn step(&self, step: usize) -> (f32, GradStore) {
        let rows = |name: &str| {
            let all = &self.arrays[name];
            all.narrow(0, step * 8, 8).and_then(|t| t.contiguous()).expect("eight rows")
        };
        let mode = Mode::Train { seed: Seed::new(7).derive("step", step as u64) };
        let logits = self.model.forward_logits(&rows("X"), mode).unwrap_or_else(|e| panic!("{e}"));
        let loss = ops::softmax_cross_entropy(&logits, &rows("Y"), 0.0, Threads::ONE).expect("a loss");
        (loss.to_scalar().expect("a number"), loss.backward().expect("gradients"))
    }

    fn compare(&self, score: &mut Score, prefix: &str, tolerance: f32) {
        for (key, theirs) in &self.arrays {
            if let Some(name) = key.strip_prefix(prefix) {
                let Some(param) = self.model.param_called(name) else {
                    assert!(name.ends_with("/iteration"), "{key}");
                    continue;
                };
                score.compare(key, param.tensor(), theirs, tolerance);
            }
        }
    }
}

/// The optimizers of the golden data, one element at a time.
struct Optimizer {
    name: String,
    rate: f32,
    momentum: f32,
    moments: BTreeMap<String, (Vec<f32>, Vec<f32>)>,
    steps: i32,
}

impl Optimizer {
    fn new(name: &str, config: &Value) -> Self {
        let number = |key: &str| config[key].as_f64().unwrap_or(0.0) as f32;
        Self {
            name: name.to_owned(),
            rate: number("learning_rate"),
            momentum: number("momentum"),
            moments: BTreeMap::new(),
            steps: 0,
        }
    }

    fn update(&mut self, model: &Model, gradients: &GradStore, constraints: &BTreeMap<String, (f32, f32)>) {
        self.steps += 1;
        for param in model.params().updatable() {
            let Some(gradient) = gradients.get(param.tensor()) else { continue };
            let (mut w, g) = (param.values().expect("values"), data::values(gradient));
            let fresh = || (vec![0.0; w.len()], vec![0.0; w.len()]);
            let (m, v) = self.moments.entry(param.name().to_owned()).or_insert_with(fresh);
            for i in 0..w.len() {
                w[i] += if self.name == "adam" {
                    m[i] = 0.9 * m[i] + 0.1 * g[i];
                    v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
                    let correction =
                        (1.0 - 0.999_f32.powi(self.steps)).sqrt() / (1.0 - 0.9_f32.powi(self.steps));
                    -self.rate * correction * m[i] / (v[i].sqrt() + 1e-7)
                } else {
                    m[i] = self.momentum * m[i] - self.rate * g[i];
                    if self.name == "sgd_nesterov" { self.momentum * m[i] - self.rate * g[i] } else { m[i] }
                };
            }
            if let Some((low, high)) = constraints.get(param.name()) {
                w.iter_mut().for_each(|w| *w = w.clamp(*low, *high));
            }
            let w = Tensor::from_vec(w, param.dims(), model.device()).expect("a tensor");
            param.set(&w).expect("a value");
        }
    }
}

fn constraints(training: &Training) -> BTreeMap<String, (f32, f32)> {
    let found = training.io["train"]["constraints"].as_object().cloned().unwrap_or_default();
    found
        .iter()
        .filter_map(|(key, clip)| {
            let bound = |name: &str| clip[name].as_f64().map(|v| v as f32);
            let param = training.model.param_called(key)?;
            Some((param.name().to_owned(), (bound("min_value")?, bound("max_value")?)))
        })
        .collect()
}

#[test]
fn golden_gradients() {
    for folder in data::models() {
        let training = Training::load(&folder);
        let (loss, gradients) = training.step(0);
        let expected = training.io["train"]["loss_first_batch"].as_f64().expect("a loss") as f32;
        assert!(
            (loss - expected).abs() < 1e-4 * (1.0 + expected),
            "{}: {loss}, want {expected}",
            folder.display()
        );
        let (mut score, mut count) = (Score::default(), 0);
        for (key, theirs) in &training.arrays {
            let Some(name) = key.strip_prefix("grad/") else { continue };
            let param = training.model.param_called(name).expect("a parameter");
            let ours = gradients.get(param.tensor()).unwrap_or_else(|| panic!("no gradient for {name}"));
            score.compare(key, ours, theirs, 1e-4);
            count += 1;
        }
        let all = training.model.params().updatable().count();
        println!("{}: gradients of {count} of {all} trainable weights", folder.display());
        score.check(&folder.display().to_string());
    }
}

/// In a quantized network with sums on the grid, many values lie exactly at the kink of a rectifier (a sum of
/// branches that is 0). QKeras computes `x + (q - x)` in `float32`, off the grid by the last digit, and that digit
/// decides its gradient; ours follows the exact value. Noise of 1e-7 on the sums of `qresnet` moves its loss after
/// two steps by up to 2e-2. From such a step on the two trainings diverge and are compared with this tolerance.
const AFTER_FORK: f32 = 3e-2;

#[test]
fn golden_training_steps() {
    for folder in data::models() {
        let optimizers = data::json(&folder.join("io.json"))["train"]["optimizers"].clone();
        for (name, recorded) in optimizers.as_object().expect("optimizers") {
            let training = Training::load(&folder);
            let yaml = training.model.spec().to_yaml().expect("yaml");
            let is_quantized = Quantizer::KINDS.iter().any(|kind| yaml.contains(&format!("{kind}(")));
            let bounds = constraints(&training);
            let mut optimizer = Optimizer::new(name, &recorded["config"]);
            let what = format!("{} {name}", folder.display());
            let (mut score, mut fork) = (Score::default(), None);
            let losses = recorded["losses"].as_array().expect("losses");
            for (step, expected) in losses.iter().enumerate() {
                let (loss, gradients) = training.step(step);
                let expected = expected.as_f64().expect("a loss") as f32;
                let distance = (loss - expected).abs() / (1.0 + expected);
                if distance > 1e-4 && is_quantized {
                    fork = fork.or(Some(step));
                }
                let tolerance = if fork.is_some() { AFTER_FORK } else { 1e-4 };
                assert!(distance < tolerance, "{what}, step {step}: {loss}, want {expected}");
                optimizer.update(&training.model, &gradients, &bounds);
                if step == 0 {
                    training.compare(&mut score, &format!("after1/{name}/"), 1e-4);
                }
            }
            if let Some(step) = fork {
                assert!(step > 0, "{what}: the first loss is another");
                println!("{what}: parts at step {step}");
            }
            training.compare(
                &mut score,
                &format!("after5/{name}/"),
                if fork.is_some() { AFTER_FORK } else { 1e-3 },
            );
            score.check(&what);
        }
    }
}
