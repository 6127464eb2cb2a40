//! Reading and checking configurations.

use tinsmith_foundation::{Seed, config};
use tinsmith_modelgen::{
    CorpusConfig, DefaultKinds, GeneratorConfig, LayerKind, ModelGenerator, Probs, Scope, SizeGrid, SizeLaw,
    Weights,
};

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

/// One key of `probs` leaves the others at their defaults.
#[test]
fn absent_weights_keep_their_defaults() {
    let family = read("probs: {padding: {same: 1}}").unwrap();
    assert_eq!(family.probs.activations, GeneratorConfig::default().probs.activations);
    assert_eq!(family.probs.activations, Probs::default().activations);
}

#[test]
fn faults_come_all_at_once_with_their_places() {
    let text = "dense_lb: 33\ndense_ub: 60\nbias_rate: 1.5\nprobs:\n  padding: [1, 2, 3]\n  activations: {relu: -1}\n";
    let error = read(text).unwrap_err();
    for part in [
        "family.yaml:2:11: `dense_ub` is 60, but 33..=60 does not contain a power of two",
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
fn every_layer_that_can_be_drawn_needs_one_that_can_follow() {
    let float_only = Probs { start_layers: Weights::of([(LayerKind::Dense, 1.0)]), ..Probs::default() };
    let config = GeneratorConfig { probs: float_only, ..GeneratorConfig::default() };
    let error = ModelGenerator::new(config).unwrap_err().to_string();
    assert!(error.contains("`probs.start_layers` leaves no quantized layer to start with"), "{error}");
    let error = read("{input: [16, 3], q_chance: 0, probs: {start_layers: {Conv2D: 1}}}").unwrap_err();
    assert!(error.contains("leaves no float layer to start with for an input with 2 axes"), "{error}");
    let error = read("{classes: 3, layers_blacklist: [Dense]}").unwrap_err();
    assert!(
        error.contains("`classes` needs a dense head, but layers_blacklist contains the float dense layer")
    );
    let error = read("probs: {dense_layers: {Conv2D: 1}}").unwrap_err();
    assert!(error.contains("gives a weight to Conv2D, which is not one of dense_layers"), "{error}");
}

/// The properties of an object in a schema, by path.
fn properties<'s>(schema: &'s serde_json::Value, of: &str) -> Vec<&'s str> {
    let object = schema.pointer(of).and_then(|o| o["properties"].as_object());
    object.unwrap_or_else(|| panic!("no object at {of}")).keys().map(String::as_str).collect()
}

#[test]
fn schemas_name_every_option_and_every_choice() {
    let schema = serde_json::to_value(schemars::schema_for!(CorpusConfig)).unwrap();
    // Unset options are not written, so set them.
    let family = GeneratorConfig::for_task(&[8, 8, 1], 10);
    let stored = serde_json::to_value(CorpusConfig { family, ..CorpusConfig::default() }).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(properties(&schema, ""), keys(&stored));
    assert_eq!(properties(&schema, "/$defs/GeneratorConfig"), keys(&stored["family"]));
    assert_eq!(properties(&schema, "/$defs/Probs"), keys(&stored["family"]["probs"]));
    let padding = schema.pointer("/$defs/Probs/properties/padding").unwrap();
    assert_eq!(properties(padding, "/anyOf/0"), ["same", "valid"]);
    assert!(schema.pointer("/$defs/LayerKind").unwrap().to_string().contains("QSeparableConv2D"));
}

type Change = fn(&mut GeneratorConfig);

/// Weights that differ from the default of `time_layers`.
const SERIES: [(LayerKind, f64); 3] =
    [(LayerKind::Conv1d, 1.0), (LayerKind::QConv1d, 1.0), (LayerKind::SeparableConv1d, 1.0)];

/// A change of every option except `max_tries`, which bounds a corpus and takes no part in a draw.
const CHANGES: [(&str, Change); 46] = [
    ("activ_bit_width", |c| c.activ_bit_width = 5.into()),
    ("activ_int_width", |c| c.activ_int_width = 2),
    ("activation_rate", |c| c.activation_rate = 0.6),
    ("batch_norm_chance", |c| c.batch_norm_chance = 0.4),
    ("bias_bit_width", |c| c.bias_bit_width = 5.into()),
    ("bias_int_width", |c| c.bias_int_width = 2),
    ("bias_rate", |c| c.bias_rate = 0.6),
    ("branch_chance", |c| c.branch_chance = 0.4),
    ("classes", |c| c.classes = Some(9)),
    ("conv_filters_lb", |c| c.conv_filters_lb = 5),
    ("conv_filters_ub", |c| c.conv_filters_ub = 32),
    ("conv_flatten_limit", |c| c.conv_flatten_limit = 30),
    ("conv_init_size_lb", |c| c.conv_init_size_lb = 64),
    ("conv_init_size_ub", |c| c.conv_init_size_ub = 64),
    ("conv_kernel_lb", |c| c.conv_kernel_lb = 2),
    ("conv_kernel_ub", |c| c.conv_kernel_ub = 5),
    ("conv_stride_lb", |c| c.conv_stride_lb = 2),
    ("conv_stride_ub", |c| c.conv_stride_ub = 2),
    ("default_kinds", |c| c.default_kinds = DefaultKinds::All),
    ("dense_lb", |c| c.dense_lb = 64),
    ("dense_ub", |c| c.dense_ub = 512),
    ("dropout_chance", |c| c.dropout_chance = 0.6),
    ("dropout_rate", |c| c.dropout_rate = 0.2),
    ("flatten_chance", |c| c.flatten_chance = 0.4),
    ("global_pooling_chance", |c| c.global_pooling_chance = 0.4),
    ("input", |c| c.input = Some(vec![20, 3])),
    ("layers_blacklist", |c| c.layers_blacklist = vec![LayerKind::Conv1d]),
    ("max_layer_count", |c| c.max_layer_count = 7),
    ("min_layer_count", |c| c.min_layer_count = 4),
    ("pooling_chance", |c| c.pooling_chance = 0.4),
    ("probs.activations", |c| c.probs.activations = Weights::List(vec![1.0, 0.0, 1.0, 0.0])),
    ("probs.conv_layers", |c| c.probs.conv_layers = Weights::List(vec![1.0, 0.0, 1.0, 0.0])),
    ("probs.dense_layers", |c| c.probs.dense_layers = Weights::List(vec![0.0, 1.0])),
    ("probs.padding", |c| c.probs.padding = Weights::List(vec![1.0, 2.0])),
    ("probs.pooling", |c| c.probs.pooling = Weights::List(vec![1.0, 2.0])),
    ("probs.start_layers", |c| c.probs.start_layers = Weights::List(vec![1.0; 8])),
    ("probs.time_layers", |c| c.probs.time_layers = Weights::of(SERIES)),
    ("q_chance", |c| c.q_chance = 0.4),
    ("q_scope", |c| c.q_scope = Scope::Layer),
    ("residual_chance", |c| c.residual_chance = 0.4),
    ("size_grid", |c| c.size_grid = SizeGrid::MultiplesOf(4)),
    ("size_law", |c| c.size_law = SizeLaw::LogUniform),
    ("time_lb", |c| c.time_lb = 64),
    ("time_ub", |c| c.time_ub = 64),
    ("weight_bit_width", |c| c.weight_bit_width = 5.into()),
    ("weight_int_width", |c| c.weight_int_width = 2),
];

#[test]
fn every_option_has_an_effect() {
    let draws = |config: &GeneratorConfig| {
        let generator = ModelGenerator::new(config.clone()).unwrap();
        (0..100).map(|seed| generator.draw_any(Seed::new(seed)).unwrap()).collect::<Vec<_>>()
    };
    let base = GeneratorConfig {
        batch_norm_chance: 0.3,
        residual_chance: 0.3,
        branch_chance: 0.3,
        global_pooling_chance: 0.3,
        probs: Probs {
            // Without a float dense layer, so that float networks can stay convolutional.
            start_layers: Weights::List(vec![1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]),
            ..GeneratorConfig::default().probs
        },
        ..GeneratorConfig::default()
    };
    let drawn = draws(&base);
    for (name, change) in CHANGES {
        let mut config = base.clone();
        change(&mut config);
        assert!(draws(&config) != drawn, "{name} changes nothing");
    }
    let stored = serde_json::to_value(GeneratorConfig::for_task(&[8, 8, 1], 10)).unwrap();
    let below = |key: &str, value: &serde_json::Value| match value {
        serde_json::Value::Object(map) if key == "probs" => {
            map.keys().map(|k| format!("probs.{k}")).collect()
        }
        _ => vec![key.to_owned()],
    };
    let mut all: Vec<String> = stored.as_object().unwrap().iter().flat_map(|(k, v)| below(k, v)).collect();
    all.retain(|name| name != "max_tries");
    let mut named: Vec<&str> = CHANGES.iter().map(|(name, _)| *name).collect();
    named.sort_unstable();
    assert_eq!(named, all);
}
