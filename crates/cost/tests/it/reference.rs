//! Size measures of the reference models.

use std::collections::BTreeMap;

use serde_json::Value;
use tinsmith_cost::autoqkeras::bits::{Bits, BitsConfig};
use tinsmith_cost::autoqkeras::{float_twin, keras_class};
use tinsmith_cost::{Cost, CostBasis, Target};
use tinsmith_network::{Graph, ModelSpec};

use crate::golden;

struct Model {
    name: String,
    spec: ModelSpec,
    graph: Graph,
    hardware: Value,
}

fn models() -> impl Iterator<Item = Model> {
    golden::models().into_iter().map(|name| {
        let spec =
            tinsmith_keras::read_json(&golden::text(&format!("models/{name}/architecture.json")), &name)
                .unwrap();
        let graph = spec.graph().unwrap();
        let hardware = golden::json(&format!("models/{name}/hardware.json"));
        Model { name, spec, graph, hardware }
    })
}

fn trained(model: &Model) -> Cost {
    Cost::on_basis(&model.spec, &model.graph, &Target::builtin("float32").unwrap(), CostBasis::Trained)
}

#[test]
fn golden_hardware_layers_and_largest_activation() {
    for model in models() {
        let cost = trained(&model);
        let name = &model.name;
        for wanted in model.hardware["layers"].as_array().unwrap() {
            let layer = cost.layers.iter().find(|l| wanted["name"] == l.name).unwrap();
            assert_eq!(wanted["output_shape"], serde_json::json!(layer.shape), "{name} {}", layer.name);
            assert_eq!(wanted["params"], layer.cost.params, "{name} {}", layer.name);
            assert_eq!(wanted["trainable_params"], layer.cost.trainable_params, "{name} {}", layer.name);
            assert_eq!(wanted["macs"], layer.cost.macs, "{name} {}", layer.name);
        }
        assert_eq!(model.hardware["total_params"], cost.total.params, "{name}");
        assert_eq!(model.hardware["trainable_params"], cost.total.trainable_params, "{name}");
        assert_eq!(model.hardware["total_macs"], cost.total.macs, "{name}");
        let largest = &model.hardware["largest_activation"];
        for (which, ours) in
            [("including_input", cost.largest_with_input), ("excluding_input", cost.largest_activation)]
        {
            assert_eq!(largest[which]["elements"], ours.elements, "{name} {which}");
            assert_eq!(largest[which]["layer"], cost.layers[ours.layer].name, "{name} {which}");
        }
        let inputs: Vec<usize> = model.graph.inputs.clone();
        let outputs: u64 = (0..cost.layers.len())
            .filter(|i| !inputs.contains(i))
            .map(|i| cost.layers[i].shape.iter().product::<usize>() as u64)
            .sum();
        assert_eq!(largest["sum_of_outputs_excluding_input"], outputs, "{name}");
    }
}

#[test]
fn golden_hardware_keras_flops() {
    for model in models() {
        let cost = trained(&model);
        let hardware = &model.hardware;
        let reference =
            hardware.get("flops_float_twin").filter(|v| v.is_object()).unwrap_or(&hardware["flops_model"]);
        assert_eq!(reference["keras_flops_total"], cost.total.keras_flops, "{}", model.name);
        for layer in &cost.layers {
            let path = format!("/{}/", layer.name);
            let wanted: u64 = reference["per_node"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|node| node[0].as_str().unwrap().contains(&path))
                .map(|node| node[2].as_u64().unwrap())
                .sum();
            assert_eq!(wanted, layer.cost.keras_flops, "{} {}", model.name, layer.name);
        }
    }
}

/// Layers whose class our kinds do not tell.
fn classes(model: &Model) -> BTreeMap<String, String> {
    let layers = model.hardware["layers"].as_array().unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    layers.iter().filter(|l| l["class"] == "ReLU").map(|l| (text(&l["name"]), text(&l["class"]))).collect()
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1e-9)
}

#[test]
fn golden_hardware_forgiving_bits() {
    for model in models() {
        for class in model.hardware["layers"].as_array().unwrap() {
            let layer = model.spec.layer(class["name"].as_str().unwrap()).unwrap();
            let expected = class["class"].as_str().unwrap();
            assert!(expected == "ReLU" || keras_class(layer) == expected, "{expected} {layer:?}");
        }
        let twin = float_twin(&model.spec);
        let has_input =
            model.hardware["layers"].as_array().unwrap().iter().any(|l| l["class"] == "InputLayer");
        for case in model.hardware["forgiving_bits"].as_array().unwrap() {
            let number = |key: &str| u32::try_from(case[key].as_u64().unwrap()).unwrap();
            let config = BitsConfig {
                input_bits: number("input_bits"),
                output_bits: number("output_bits"),
                ref_bits: number("ref_bits"),
                config: serde_json::from_value(case["config"].clone()).unwrap(),
                classes: classes(&model),
                counts_input: has_input,
            };
            let reference = Bits::of(&twin, &model.graph, &config);
            let trial = Bits::of(&model.spec, &model.graph, &config);
            for (which, bits) in [("reference", &reference), ("trial", &trial)] {
                for (i, layer) in model.spec.layers.iter().enumerate() {
                    if let Some(wanted) = case[format!("{which}_layers")].get(&layer.name) {
                        let got = serde_json::to_value(bits.layers[i]).unwrap();
                        assert_eq!(*wanted, got, "{} {which} {} {config:?}", model.name, layer.name);
                    }
                }
                assert_eq!(case[format!("{which}_p")], bits.parameters, "{} {config:?}", model.name);
                assert_eq!(case[format!("{which}_a")], bits.activations, "{} {config:?}", model.name);
            }
            assert_eq!(case["trial_size"].as_f64(), Some(trial.total as f64));
            let forgiving: tinsmith_cost::ForgivingFactor = serde_json::from_value(serde_json::json!({
                "delta_p": case["delta_p"], "delta_n": case["delta_n"], "rate": case["rate"], "stress": case["stress"],
            }))
            .unwrap();
            assert_eq!(case["reference_size"].as_f64(), Some(reference.total as f64 * forgiving.stress));
            // The reference takes the logarithm of the rate in single precision.
            let delta = forgiving.delta(reference.total as f64, trial.total as f64);
            assert!(close(delta, case["delta"].as_f64().unwrap(), 1e-6), "{delta} {}", case["delta"]);
        }
    }
}
