//! Keras' and QKeras' model JSON.

use serde_json::Value;
use tinsmith_spec::{ModelSpec, keras};

use crate::golden;

fn read(name: &str) -> ModelSpec {
    let text = golden::text(&format!("models/{name}/architecture.json"));
    keras::read_json(&text, name).unwrap()
}

#[test]
fn golden_models_architecture_shapes_and_parameters() {
    for name in golden::models() {
        let spec = read(&name);
        let graph = spec.graph().unwrap();
        let hardware: Value = golden::json(&format!("models/{name}/hardware.json"));
        for wanted in hardware["layers"].as_array().unwrap() {
            let layer = wanted["name"].as_str().unwrap();
            let i = spec.layers.iter().position(|l| l.name == layer).unwrap();
            let shape: Vec<usize> = serde_json::from_value(wanted["output_shape"].clone()).unwrap();
            assert_eq!(graph.shape(i), shape, "{name} {layer}");
            let input = graph.nodes[i].inputs.first().map_or(&[][..], |&k| graph.shape(k));
            let weights = spec.layers[i].op.weights(input);
            let all: usize = weights.iter().map(tinsmith_spec::Weight::len).sum();
            let trainable: usize =
                weights.iter().filter(|w| w.role.is_trainable()).map(tinsmith_spec::Weight::len).sum();
            assert_eq!(wanted["params"], all, "{name} {layer}");
            assert_eq!(wanted["trainable_params"], trainable, "{name} {layer}");
        }
    }
}
