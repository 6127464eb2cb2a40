//! Trajectories of parameters under fixed gradients, against Keras.

use serde_json::Value;
use tinsmith_trainer::{OptimizerConfig, Rule};

use crate::{floats, golden};

fn config(case: &Value) -> Option<OptimizerConfig> {
    let config = &case["config"];
    let number = |key: &str| config[key].as_f64().unwrap_or(0.0);
    let flag = |key: &str| config[key].as_bool().unwrap_or(false);
    let rule = match case["optimizer"].as_str().unwrap() {
        "SGD" => Rule::Sgd { momentum: number("momentum"), nesterov: flag("nesterov") },
        "Adam" | "AdamW" => Rule::Adam {
            beta_1: number("beta_1"),
            beta_2: number("beta_2"),
            epsilon: number("epsilon"),
            amsgrad: flag("amsgrad"),
        },
        "RMSprop" => {
            Rule::Rmsprop { rho: number("rho"), momentum: number("momentum"), epsilon: number("epsilon") }
        }
        "Adagrad" => Rule::Adagrad {
            initial_accumulator: number("initial_accumulator_value"),
            epsilon: number("epsilon"),
        },
        "Adadelta" => Rule::Adadelta { rho: number("rho"), epsilon: number("epsilon") },
        "Adamax" => {
            Rule::Adamax { beta_1: number("beta_1"), beta_2: number("beta_2"), epsilon: number("epsilon") }
        }
        "Nadam" => {
            Rule::Nadam { beta_1: number("beta_1"), beta_2: number("beta_2"), epsilon: number("epsilon") }
        }
        "Lion" => Rule::Lion { beta_1: number("beta_1"), beta_2: number("beta_2") },
        _ => return None,
    };
    Some(OptimizerConfig {
        rule,
        learning_rate: number("learning_rate"),
        weight_decay: number("weight_decay"),
        clip_norm: number("clipnorm"),
        global_clip_norm: number("global_clipnorm"),
        clip_value: number("clipvalue"),
        ..OptimizerConfig::default()
    })
}

#[test]
fn golden_trajectories_are_kerass() {
    let file = golden("init/optimizers.json");
    let start: Vec<f32> = floats(&file["start"]["data"]).iter().map(|&v| v as f32).collect();
    let gradients = floats(&file["gradients"]["data"]);
    let mut met = 0;
    let mut not_offered = Vec::new();
    for case in file["cases"].as_array().unwrap() {
        let Some(config) = config(case) else {
            not_offered.push(case["optimizer"].as_str().unwrap());
            continue;
        };
        let mut w = start.clone();
        let mut state = vec![config.rule.start(); config.rule.slots() * w.len()];
        for (t, expected) in case["trajectory"].as_array().unwrap().iter().enumerate() {
            let mut g: Vec<f32> = gradients[t * 6..(t + 1) * 6].iter().map(|&v| v as f32).collect();
            config.step(config.learning_rate, t as u64 + 1, 1.0, &mut w, &mut g, &mut state);
            for (found, expected) in w.iter().zip(floats(expected)) {
                let off = (f64::from(*found) - expected).abs();
                assert!(off <= 1e-5 * expected.abs().max(1e-2), "{case}: step {t}: {found} for {expected}");
            }
        }
        met += 1;
    }
    println!("{met} trajectories met; not offered: {not_offered:?}");
    assert!(met >= 16, "{met} of the file's trajectories ran");
}
