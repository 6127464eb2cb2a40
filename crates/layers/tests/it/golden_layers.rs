//! Every layer class of Keras and QKeras: outputs in inference.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tinsmith_foundation::Seed;
use tinsmith_keras::read_json;
use tinsmith_layers::{BuildOptions, Mode, Model};

use crate::data::{self, Score};

/// Layers without a form in the specification, each with the reason found in the case's configuration.
const REFUSED: [(&str, &str); 9] = [
    ("Activation", "selu"),
    ("Activation", "softplus"),
    ("Activation", "softsign"),
    ("Activation", "exponential"),
    ("Activation", "swish"),
    ("Activation", "gelu"),
    ("ReLU", "\"threshold\":0.2"),
    ("QActivation", "hard_sigmoid"),
    ("QActivation", "smooth_sigmoid"),
];

fn model_of(case: &Value) -> Result<Model, String> {
    let shape = case["input"]["shape"].as_array().expect("a shape");
    let mut batch_shape = vec![Value::Null];
    batch_shape.extend_from_slice(&shape[1..]);
    let document = json!({"class_name": "Sequential", "config": {"name": "case", "layers": [
        {"class_name": "InputLayer", "config": {"batch_input_shape": batch_shape, "name": "input_of_case"}},
        {"class_name": case["class"], "config": case["config"]},
    ]}});
    let spec = read_json(&document.to_string(), "case").map_err(|e| e.to_string())?;
    Model::build(&spec, Seed::new(1), &BuildOptions::default()).map_err(|e| e.to_string())
}

fn run(file: &str) {
    let document = data::json(&data::root().join("layers").join(file));
    let mut coverage: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut score, mut refused) = (Score::default(), Vec::new());
    for case in document["cases"].as_array().expect("cases") {
        if case.get("error").is_some() {
            continue;
        }
        let class = case["class"].as_str().expect("a class").to_owned();
        let what = format!("case {} {class} {}", case["id"], case["kwargs"]);
        let count = coverage.entry(class.clone()).or_default();
        count.1 += 1;
        let model = match model_of(case) {
            Ok(model) => model,
            Err(reason) => {
                let config = case["config"].to_string();
                let is_known = REFUSED.iter().any(|(c, text)| *c == class && config.contains(text));
                assert!(is_known, "{what}: {reason}");
                refused.push(format!("{what}: {}", reason.lines().last().unwrap_or_default()));
                continue;
            }
        };
        let mut set = 0;
        for weight in case["weights"].as_array().expect("weights") {
            let name = weight["name"].as_str().expect("a name");
            let param = model.params().iter().find(|p| p.name().ends_with(&format!(".{name}")));
            if let Some(param) = param {
                param.set(&data::tensor(weight)).expect("a value of its shape");
                set += 1;
            } else {
                assert_eq!(name, "iteration", "{what}");
            }
        }
        assert_eq!(set, model.params().len(), "{what}");
        let output = model.forward(&data::tensor(&case["input"]), Mode::Infer);
        let output = output.unwrap_or_else(|e| panic!("{what}: {e}"));
        score.compare(&what, &output, &data::tensor(&case["output"]), 1e-5);
        count.0 += 1;
    }
    for (class, (done, all)) in &coverage {
        println!("{file}: {class}: {done} of {all} cases");
    }
    for reason in &refused {
        println!("{file}: refused: {reason}");
    }
    score.check(file);
}

#[test]
fn golden_keras_layers() {
    run("keras_layers.json");
}

#[test]
fn golden_qkeras_layers() {
    run("qkeras_layers.json");
}
