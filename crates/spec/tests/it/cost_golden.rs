//! Size measures of the reference models.

use serde_json::Value;
use tinsmith_spec::{Cost, Form, Graph, ModelSpec, Target, keras};

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
            keras::read_json(&golden::text(&format!("models/{name}/architecture.json")), &name).unwrap();
        let graph = spec.graph().unwrap();
        let hardware = golden::json(&format!("models/{name}/hardware.json"));
        Model { name, spec, graph, hardware }
    })
}

fn trained(model: &Model) -> Cost {
    Cost::in_form(&model.spec, &model.graph, &Target::builtin("float32").unwrap(), Form::Trained)
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
