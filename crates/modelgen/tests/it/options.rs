//! Reading and checking configurations.

use tinsmith_foundation::config;
use tinsmith_modelgen::{BatchConfig, GeneratorConfig, LayerKind, ModelGenerator, Probs, Weights};

fn read(text: &str) -> Result<GeneratorConfig, String> {
    config::from_str(text, "family.yaml", GeneratorConfig::check).map_err(|e| e.to_string())
}

#[test]
fn defaults_are_valid_and_survive_a_round_trip() {
    let text = config::to_yaml("family", &GeneratorConfig::default()).unwrap();
    assert_eq!(read(&text).unwrap(), GeneratorConfig::default());
    let task = GeneratorConfig::for_task(&[128, 6], 5);
    assert_eq!(read(&config::to_json("family", &task).unwrap()).unwrap(), task);
    assert_eq!(read("{}").unwrap(), GeneratorConfig::default());
}

#[test]
fn faults_come_all_at_once_with_their_places() {
    let text = "dense_lb: 33\ndense_ub: 60\nbias_rate: 1.5\nprobs:\n  padding: [1, 2, 3]\n  activations: {relu: -1}\n";
    let error = read(text).unwrap_err();
    for part in [
        "family.yaml:2:11: `dense_ub` is 60, but 33..=60 does not hold a power of two",
        "family.yaml:3:12: `bias_rate` is 1.5, want a probability, 0 to 1",
        "family.yaml:5:12: `probs.padding` has 3 weights, want 2 for [same, valid]",
        "`probs.activations` gives relu the weight -1, want 0 or more",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(read("dense_up: 3").unwrap_err().contains("dense_up"));
}

#[test]
fn lists_name_their_order_when_their_length_is_off() {
    let start = |list: &str, q: f64| {
        read(&format!("{{q_chance: {q}, probs: {{start_layers: {list}}}}}")).map(|c| c.probs.start_layers)
    };
    assert!(start("[1, 1, 1]", 0.0).is_ok());
    assert!(start("[1, 1, 1, 1, 1]", 1.0).is_ok());
    assert!(start("[1, 1, 1, 1, 1, 1, 1, 1]", 0.5).is_ok());
    assert!(start("[1, 1]", 0.0).unwrap_err().contains("has 2 weights, want 3 for [Conv1D, Conv2D, Dense]"));
    assert!(
        start("[1, 1, 1]", 1.0)
            .unwrap_err()
            .contains("want 5 for [QConv1D, QConv2D, QDense, QSeparableConv2D, QDepthwiseConv2D]")
    );
    assert!(read("probs: {activations: [1, 1, 1]}").unwrap_err().contains(
        "want 4 for [relu, tanh, sigmoid, softmax] or 5 for [no_activation, relu, tanh, sigmoid, softmax]"
    ));
}

#[test]
fn what_can_come_up_must_have_something_to_go_on_with() {
    let float_only = Probs { start_layers: Weights::of([(LayerKind::Dense, 1.0)]), ..Probs::default() };
    let config = GeneratorConfig { probs: float_only, ..GeneratorConfig::default() };
    let error = ModelGenerator::new(config).unwrap_err().to_string();
    assert!(error.contains("`probs.start_layers` leaves no quantized layer to start with"), "{error}");
    let error = read("{input: [16, 3], q_chance: 0, probs: {start_layers: {Conv2D: 1}}}").unwrap_err();
    assert!(error.contains("leaves no float layer to start with for an input with 2 axes"), "{error}");
    let error = read("{classes: 3, layers_blacklist: [Dense]}").unwrap_err();
    assert!(error.contains("`classes` wants a dense head, but layers_blacklist has the float dense layer"));
    let error = read("probs: {dense_layers: {Conv2D: 1}}").unwrap_err();
    assert!(error.contains("gives Conv2D a weight, which is no layer of dense_layers"), "{error}");
}

/// The properties of an object in a schema, by path.
fn properties<'s>(schema: &'s serde_json::Value, of: &str) -> Vec<&'s str> {
    let object = schema.pointer(of).and_then(|o| o["properties"].as_object());
    object.unwrap_or_else(|| panic!("no object at {of}")).keys().map(String::as_str).collect()
}

#[test]
fn schemas_name_every_option_and_every_choice() {
    let schema = serde_json::to_value(schemars::schema_for!(BatchConfig)).unwrap();
    // Options that are not set are not written, so they are set here.
    let family = GeneratorConfig::for_task(&[8, 8, 1], 10);
    let stored = serde_json::to_value(BatchConfig { family, ..BatchConfig::default() }).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(properties(&schema, ""), keys(&stored));
    assert_eq!(properties(&schema, "/$defs/GeneratorConfig"), keys(&stored["family"]));
    assert_eq!(properties(&schema, "/$defs/Probs"), keys(&stored["family"]["probs"]));
    let padding = schema.pointer("/$defs/Probs/properties/padding").unwrap();
    assert_eq!(properties(padding, "/anyOf/0"), ["same", "valid"]);
    assert!(schema.pointer("/$defs/LayerKind").unwrap().to_string().contains("QSeparableConv2D"));
}
