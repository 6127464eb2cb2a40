//! Keras' and QKeras' model JSON.

use serde_json::{Value, json};
use tinsmith_network::op::{Initializer, PerChannel, Rescaling};
use tinsmith_network::{Activation, LeakyRelu, ModelSpec, Op};

use crate::golden;

const LEARNED: &str = "
name: learned
layers:
  - {name: x, input: {shape: [8, 8, 3]}}
  - {name: c, conv2d: {filters: 4, kernel: 3, kernel_quantizer: 'learned_step(4,axis=-1)', activation: pact(4)}}
  - {name: d, depthwise_conv2d: {kernel: 3, depthwise_quantizer: learned_bits(6.0), bias_quantizer: learned_step(8)}}
  - {name: s, separable_conv2d: {filters: 5, kernel: 2, depthwise_quantizer: learned_step(3),
      pointwise_quantizer: \"learned_bits(4.0,per='channel')\", activation: 'learned_step(6,signed=False)'}}
  - {name: f, flatten: {}}
  - {name: a, activation: \"learned_bits(5.0,per='tensor')\"}
  - {name: y, dense: {units: 3, kernel_quantizer: 'learned_step(4,axis=-1)', activation: softmax}}
";

fn read(name: &str) -> ModelSpec {
    let text = golden::text(&format!("models/{name}/architecture.json"));
    tinsmith_keras::read_json(&text, name).unwrap()
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
            let all: usize = weights.iter().map(tinsmith_network::Weight::len).sum();
            let trainable: usize =
                weights.iter().filter(|w| w.role.is_trainable()).map(tinsmith_network::Weight::len).sum();
            assert_eq!(wanted["params"], all, "{name} {layer}");
            assert_eq!(wanted["trainable_params"], trainable, "{name} {layer}");
        }
    }
}

#[test]
fn golden_models_architecture_written_and_read_again() {
    for name in golden::models() {
        let spec = read(&name);
        let text = tinsmith_keras::write_json(&spec).unwrap();
        assert_eq!(tinsmith_keras::read_json(&text, &name).unwrap(), spec, "{text}");
    }
}

/// Settings that have no counterpart here and are refused, by class and by what the message says of them.
const REFUSED: [(&str, &str); 8] = [
    ("Activation", "`selu`"),
    ("Activation", "`softplus`"),
    ("Activation", "`softsign`"),
    ("Activation", "`exponential`"),
    ("Activation", "`swish`"),
    ("Activation", "`gelu`"),
    ("ReLU", "threshold` is 0.2"),
    ("QActivation", "`smooth_sigmoid`"),
];

#[test]
fn golden_layers_shapes_and_weights() {
    let mut refused = Vec::new();
    for file in ["layers/keras_layers.json", "layers/qkeras_layers.json"] {
        let cases = golden::json(file);
        for case in cases["cases"].as_array().unwrap() {
            if case.get("error").is_some() {
                continue;
            }
            let class = case["class"].as_str().unwrap();
            let mut shape = case["input"]["shape"].clone();
            shape[0] = Value::Null;
            let model = json!({ "class_name": "Sequential", "config": { "name": "m", "layers": [
                { "class_name": "InputLayer", "config": { "batch_input_shape": shape, "name": "x" } },
                { "class_name": class, "config": case["config"] },
            ] } });
            let spec = match tinsmith_keras::read_json(&model.to_string(), class) {
                Ok(spec) => spec,
                Err(error) => {
                    let error = error.to_string();
                    let known = REFUSED.iter().position(|(c, part)| *c == class && error.contains(part));
                    refused.push(known.unwrap_or_else(|| panic!("{}: {error}", case["kwargs"])));
                    continue;
                }
            };
            let graph = spec.graph().unwrap();
            let place = format!("{class} {}", case["kwargs"]);
            let wanted = &case["output_shape"].as_array().unwrap()[1..];
            assert_eq!(json!(graph.shape(spec.layers.len() - 1)), json!(wanted), "{place}");
            let mut weights = Vec::new();
            for (layer, node) in spec.layers.iter().zip(&graph.nodes) {
                let input = node.inputs.first().map_or(&[][..], |&k| graph.shape(k));
                weights.extend(layer.op.weights(input).into_iter().map(|w| (w.name.to_owned(), w.shape)));
            }
            let mut wanted: Vec<(String, Vec<usize>)> = case["weights"]
                .as_array()
                .unwrap()
                .iter()
                .map(|w| {
                    let shape = serde_json::from_value(w["shape"].clone()).unwrap();
                    (w["name"].as_str().unwrap().to_owned(), shape)
                })
                // A counter of training steps, not a weight.
                .filter(|(name, _)| name != "iteration")
                .collect();
            weights.sort();
            wanted.sort();
            assert_eq!(weights, wanted, "{place}");
            let again = tinsmith_keras::write_json(&spec).unwrap();
            assert_eq!(tinsmith_keras::read_json(&again, class).unwrap(), spec, "{place}");
        }
    }
    refused.sort_unstable();
    refused.dedup();
    assert_eq!(refused.len(), REFUSED.len());
}

#[track_caller]
fn refuses(model: &Value, parts: &[&str]) {
    let text = serde_json::to_string_pretty(model).unwrap();
    let error = tinsmith_keras::read_json(&text, "m.json").unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{error}");
    }
}

fn sequential(layers: &Value) -> Value {
    json!({ "class_name": "Sequential", "config": { "name": "m", "layers": layers } })
}

fn input(shape: &[usize]) -> Value {
    let axes: Vec<Value> = std::iter::once(Value::Null).chain(shape.iter().map(|&d| json!(d))).collect();
    json!({ "class_name": "InputLayer", "config": { "batch_input_shape": axes, "name": "x" } })
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    let layer = |class: &str, config: Value| {
        sequential(&json!([input(&[8, 2]), { "class_name": class, "config": config }]))
    };
    refuses(
        &layer("LSTM", json!({"name": "l", "units": 3})),
        &["m.json:", "config.layers[1].class_name` is `LSTM`"],
    );
    refuses(
        &layer("Dense", json!({"name": "l", "units": 3, "lora_rank": 4})),
        &["layers[1].config.lora_rank` is 4; Dense"],
    );
    refuses(&layer("Dense", json!({"name": "l"})), &["config.layers[1].config.units` is missing"]);
    refuses(&layer("Dense", json!({"name": "l", "units": "3"})), &["units` is \"3\", want a whole number"]);
    refuses(
        &layer("Dense", json!({"name": "l", "units": 3, "activation": "gelu"})),
        &["activation` is `gelu`"],
    );
    refuses(
        &layer("Dense", json!({"name": "l", "units": 3, "dtype": "float16"})),
        &["dtype` is \"float16\""],
    );
    refuses(
        &layer("Dense", json!({"name": "l", "units": 3, "kernel_initializer": "orthogonal"})),
        &["kernel_initializer` is \"orthogonal\", want GlorotUniform"],
    );
    refuses(
        &layer(
            "Dense",
            json!({"name": "l", "units": 3, "kernel_constraint": {"class_name": "MaxNorm", "config": {}}}),
        ),
        &["kernel_constraint` is `MaxNorm`"],
    );
    refuses(
        &layer("QDense", json!({"name": "l", "units": 3, "kernel_quantizer": "quantized_bits(4,foo=1)"})),
        &["kernel_quantizer` is no quantizer", "no parameter `foo`"],
    );
    refuses(
        &layer(
            "Conv1D",
            json!({"name": "l", "filters": 3, "kernel_size": [9], "data_format": "channels_first"}),
        ),
        &["data_format` is \"channels_first\""],
    );
    refuses(
        &layer("Conv1D", json!({"name": "l", "filters": 3, "kernel_size": [9]})),
        &["config.layers[1]` read as `conv1d.kernel`, spans 9 elements"],
    );
    refuses(
        &layer("BatchNormalization", json!({"name": "l", "axis": [1]})),
        &["config.axis` is 1, want the last axis, 2"],
    );
    refuses(
        &layer(
            "BatchNormalization",
            json!({"name": "l", "axis": -1, "renorm": true, "renorm_momentum": 0.9}),
        ),
        &["config.renorm` is true, want false"],
    );
    refuses(
        &json!({"class_name": "Sub", "config": {"layers": []}}),
        &["is `Sub`, want Sequential or Functional"],
    );
    refuses(&json!([]), &["is [], want a map"]);
    let error = tinsmith_keras::read_json("{\n \"class_name\": ", "m.json").unwrap_err().to_string();
    assert!(error.starts_with("m.json:2:"), "{error}");
}

#[test]
fn a_layer_that_is_called_twice_is_refused() {
    let node = |name: &str| json!([[name, 0, 0, {}]]);
    let model = json!({ "class_name": "Functional", "config": { "name": "m", "layers": [
        { "class_name": "InputLayer", "config": { "batch_input_shape": [null, 4], "name": "a" }, "inbound_nodes": [] },
        { "class_name": "Dense", "config": { "name": "d", "units": 4 }, "inbound_nodes": [node("a"), node("d")] },
    ], "input_layers": [["a", 0, 0]], "output_layers": [["d", 1, 0]] } });
    refuses(&model, &["layers[1].inbound_nodes` has 2 entries: a layer that is used more than once"]);
}

#[test]
fn the_form_of_keras_3_is_read() {
    let tensor = |name: &str| {
        json!({ "class_name": "__keras_tensor__",
                "config": { "shape": [null, 4], "dtype": "float32", "keras_history": [name, 0, 0] } })
    };
    let dtype = json!({ "module": "keras", "class_name": "DTypePolicy", "config": { "name": "float32" }, "registered_name": null });
    let model = json!({ "module": "keras", "class_name": "Functional", "config": { "name": "m", "trainable": true, "layers": [
        { "module": "keras.layers", "class_name": "InputLayer", "name": "a",
          "config": { "batch_shape": [null, 4], "dtype": "float32", "sparse": false, "name": "a" }, "inbound_nodes": [] },
        { "module": "keras.layers", "class_name": "Dense", "name": "d",
          "config": { "name": "d", "units": 4, "activation": "relu", "dtype": dtype, "quantization_config": null },
          "inbound_nodes": [{ "args": [tensor("a")], "kwargs": {} }] },
        { "module": "keras.layers", "class_name": "LeakyReLU", "name": "l",
          "config": { "name": "l", "negative_slope": 0.1 }, "inbound_nodes": [{ "args": [tensor("d")], "kwargs": {} }] },
        { "module": "keras.layers", "class_name": "Add", "name": "s", "config": { "name": "s" },
          "inbound_nodes": [{ "args": [[tensor("l"), tensor("a")]], "kwargs": {} }] },
    ], "input_layers": [["a", 0, 0]], "output_layers": ["s", 0, 0] } });
    let spec = tinsmith_keras::read_json(&model.to_string(), "config.json").unwrap();
    let graph = spec.graph().unwrap();
    assert_eq!(graph.nodes[3].inputs, [2, 0]);
    assert_eq!(graph.outputs, [3]);
    assert_eq!(spec.layers[2].op, Op::Activation(Activation::LeakyRelu(LeakyRelu { alpha: 0.1 })));
}

/// Architectures that Keras 3.15 saved, in an archive and in a legacy HDF5 file: names, what the README of the files says
/// of their parameters, output shape, layers.
const SAVED: [(&str, [&str; 2], usize, usize, &str); 4] = [
    (
        "digits_mlp",
        [include_str!("../saved/digits_mlp.keras.json"), include_str!("../saved/digits_mlp.h5.json")],
        2_410,
        10,
        "input dense dense",
    ),
    (
        "letter_mlp",
        [include_str!("../saved/letter_mlp.keras.json"), include_str!("../saved/letter_mlp.h5.json")],
        5_082,
        26,
        "input dense dense dense dense",
    ),
    (
        "mnist_cnn",
        [include_str!("../saved/mnist_cnn.keras.json"), include_str!("../saved/mnist_cnn.h5.json")],
        9_170,
        10,
        "input conv2d batch_norm activation max_pool2d conv2d batch_norm activation max_pool2d flatten dense",
    ),
    (
        "watch_cnn1d",
        [include_str!("../saved/watch_cnn1d.keras.json"), include_str!("../saved/watch_cnn1d.h5.json")],
        6_591,
        7,
        "input batch_norm conv1d batch_norm activation conv1d batch_norm activation conv1d activation \
         global_average_pool1d dense",
    ),
];

#[test]
fn models_that_keras_3_saved_are_read_from_archives_and_from_legacy_files() {
    for (name, texts, params, outputs, kinds) in SAVED {
        let specs = texts.map(|text| tinsmith_keras::read_json(text, name).unwrap());
        assert_eq!(specs[0].layers, specs[1].layers, "{name}");
        let graph = specs[0].graph().unwrap();
        let found: Vec<&str> = specs[0].layers.iter().map(|l| l.op.name()).collect();
        assert_eq!(found.join(" "), kinds, "{name}");
        assert_eq!(graph.shape(graph.outputs[0]), [outputs], "{name}");
        let summary = specs[0].summary().unwrap();
        assert_eq!(summary.trainable_params() + summary.non_trainable_params(), params, "{name}");
        let again = tinsmith_keras::write_json(&specs[0]).unwrap();
        let mut again = tinsmith_keras::read_json(&again, name).unwrap();
        assert_eq!(again.structural_hash().unwrap(), specs[0].structural_hash().unwrap(), "{name}");
        if specs[0].layers[0].name == "input" {
            assert_eq!(again.layers[0].name, "input_1", "{name}");
            again.layers[0].name = "input".to_owned();
        }
        assert_eq!(again, specs[0], "{name}");
    }
}

#[test]
fn whose_words_a_model_speaks_is_told_by_its_version_or_else_by_its_layers() {
    let model = |version: Option<&str>, shape: &str| {
        let mut model = sequential(&json!([
            { "class_name": "InputLayer", "config": { shape: [null, 4], "name": "x" } },
            { "class_name": "Dense", "config": { "name": "d", "units": 2, "activation": "hard_sigmoid" } },
        ]));
        // Archives of Keras 2 have it too.
        model["module"] = json!("keras");
        if let Some(version) = version {
            model["keras_version"] = json!(version);
        }
        tinsmith_keras::read_json(&model.to_string(), "m").map_err(|e| e.to_string())
    };
    assert!(model(None, "batch_input_shape").is_ok());
    assert!(model(Some("2.15.0"), "batch_shape").is_ok());
    for third in [model(None, "batch_shape"), model(Some("3.15.1"), "batch_shape")] {
        assert!(third.unwrap_err().contains("is Keras 3's `hard_sigmoid`"));
    }
}

#[test]
fn a_folded_layer_becomes_convolution_normalization_and_activation() {
    let config = json!({
        "name": "c", "filters": 2, "kernel_size": [3, 3], "kernel_quantizer": "quantized_bits(4,0)",
        "activation": "quantized_relu(4)", "folding_mode": "batch_stats_folding",
    });
    let model =
        sequential(&json!([input(&[6, 6, 1]), { "class_name": "QConv2DBatchnorm", "config": config },
        { "class_name": "Flatten", "config": { "name": "f" } }]));
    let spec = tinsmith_keras::read_json(&model.to_string(), "m").unwrap();
    let names: Vec<&str> = spec.layers.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["x", "c", "c_batch_norm", "c_activation", "f"]);
    let Op::Conv2d(conv) = &spec.layers[1].op else { panic!("{:?}", spec.layers[1]) };
    assert_eq!(conv.kernel_quantizer, Some("quantized_bits(4,0,1,alpha='auto_po2')".parse().unwrap()));
    assert!(conv.activation.is_linear());
    assert!(matches!(&spec.layers[2].op, Op::BatchNorm(norm) if norm.fold));
}

#[test]
fn kinds_without_a_class_are_refused_by_name() {
    let refuse = |layer: &str, part: &str| {
        let yaml = format!("layers:\n- {{name: x, input: {{shape: [4, 4, 4]}}}}\n- {{name: l, {layer}}}\n");
        let spec = ModelSpec::parse(&yaml, "m").unwrap();
        let error = tinsmith_keras::write_json(&spec).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("(layer `l`)"), "{error}");
    };
    refuse(
        "drop_connect: {rate: 0.1}",
        "`layers[1].drop_connect` is drop_connect, which Keras 2.15 has no layer for",
    );
    refuse("depth_to_space: {block: 2}", "is depth_to_space");
    refuse("activation: hswish", "is hswish, which Keras 2.15 and QKeras 0.9.0 have no layer for");
    refuse("dense: {units: 3, activation: hswish}", "has the activation hswish");
    refuse("max_pool2d: {activation: relu}", "has an activation or a quantizer");
}

#[test]
fn an_imported_network_keeps_its_hash() {
    // Stored results hang on this value: it changes only with the format's version.
    let hash = read("resnet").structural_hash().unwrap();
    assert_eq!(hash.to_string(), "9155f1af457fd518ab49d53a3b7814a4");
}

#[test]
fn learned_quantizers_are_refused_by_name() {
    let spec = ModelSpec::parse(LEARNED, "m").unwrap();
    let message = tinsmith_keras::write_json(&spec).unwrap_err().to_string();
    for expected in [
        "`layers[1].conv2d` has the kernel_quantizer learned_step, which Keras 2.15 and QKeras 0.9.0 have no class for \
         (layer `c`)",
        "has the depthwise_quantizer learned_bits",
        "has the activation learned_bits",
    ] {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn initial_biases_are_kept() {
    let text = sequential(&json!([
        input(&[4]),
        { "class_name": "Dense", "config": { "name": "d", "units": 2, "bias_initializer": "lecun_uniform" } },
    ]))
    .to_string();
    let spec = tinsmith_keras::read_json(&text, "m").unwrap();
    let Op::Dense(dense) = &spec.layers[1].op else { panic!("{:?}", spec.layers[1]) };
    assert_eq!(dense.bias_initializer, Initializer::LecunUniform);
    let again = tinsmith_keras::read_json(&tinsmith_keras::write_json(&spec).unwrap(), "m").unwrap();
    assert_eq!(again.layers, spec.layers);
}

#[test]
fn rescaling_and_normalization_by_constants_become_a_rescaling() {
    let read = |class: &str, config: Value| {
        let mut config = config;
        config["name"] = json!("r");
        let layers = json!([input(&[6, 2]), { "class_name": class, "config": config }]);
        tinsmith_keras::read_json(&sequential(&layers).to_string(), "m").map_err(|e| e.to_string())
    };
    let found = read("Rescaling", json!({ "scale": 0.25, "offset": [1.0, -1.0] })).unwrap();
    let expected = Rescaling { scale: PerChannel::All(0.25), offset: PerChannel::Each(vec![1.0, -1.0]) };
    assert_eq!(found.layers[1].op, Op::Rescaling(expected));
    let again = tinsmith_keras::read_json(&tinsmith_keras::write_json(&found).unwrap(), "m").unwrap();
    assert_eq!(again.layers, found.layers);

    let constants = json!({ "axis": [-1], "mean": [[[2.0, 4.0]]], "variance": [[[4.0, 16.0]]] });
    let found = read("Normalization", constants).unwrap();
    let expected =
        Rescaling { scale: PerChannel::Each(vec![0.5, 0.25]), offset: PerChannel::Each(vec![-1.0, -1.0]) };
    assert_eq!(found.layers[1].op, Op::Rescaling(expected));

    let adapted = read("Normalization", json!({ "axis": [-1], "mean": null, "variance": null }));
    assert!(adapted.unwrap_err().contains("were adapted to data and are weights"));
    let wrong = read("Rescaling", json!({ "scale": [1.0, 2.0, 3.0], "offset": 0.0 })).unwrap_err();
    assert!(wrong.contains("has 3 numbers, want one, or one for each of 2 channels"), "{wrong}");
}

/// A model inside another: its layers have its name before theirs.
#[test]
fn nested_models_are_inlined() {
    let dense = |name: &str, units: usize, inbound: Value| {
        json!({ "class_name": "Dense", "name": name, "config": { "name": name, "units": units },
                "inbound_nodes": inbound })
    };
    let input_layer = |name: &str| {
        json!({ "class_name": "InputLayer", "name": name, "inbound_nodes": [],
                "config": { "name": name, "batch_input_shape": [null, 12] } })
    };
    let backbone = json!({
        "class_name": "Functional", "name": "backbone", "inbound_nodes": [[["x", 0, 0, {}]]],
        "config": {
            "name": "backbone",
            "layers": [
                input_layer("inner"),
                dense("a", 6, json!([[["inner", 0, 0, {}]]])),
                dense("b", 6, json!([[["inner", 0, 0, {}]]])),
                { "class_name": "Add", "name": "sum", "config": { "name": "sum" },
                  "inbound_nodes": [[["a", 0, 0, {}], ["b", 0, 0, {}]]] },
            ],
            "input_layers": [["inner", 0, 0]], "output_layers": [["sum", 0, 0]],
        },
    });
    // The model's own definition is node 0, so that its first use is node 1.
    let model = json!({
        "class_name": "Functional",
        "config": {
            "name": "outer",
            "layers": [input_layer("x"), backbone, dense("a", 3, json!([[["backbone", 1, 0, {}]]]))],
            "input_layers": [["x", 0, 0]], "output_layers": [["a", 0, 0]],
        },
    });
    let spec = tinsmith_keras::read_json(&model.to_string(), "m").unwrap();
    let names: Vec<&str> = spec.layers.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["x", "backbone_a", "backbone_b", "backbone_sum", "a"]);
    assert_eq!(spec.layers[2].inputs, ["x"]);
    assert_eq!(spec.layers[3].inputs, ["backbone_a", "backbone_b"]);
    let graph = spec.graph().unwrap();
    assert_eq!(graph.nodes[4].inputs, [3]);

    let inner = json!([input(&[12]), dense("a", 6, Value::Null), dense("b", 4, Value::Null)]);
    let layers = json!([
        { "class_name": "Sequential", "config": { "name": "backbone", "layers": inner } },
        dense("a", 3, Value::Null),
    ]);
    let spec = tinsmith_keras::read_json(&sequential(&layers).to_string(), "m").unwrap();
    let names: Vec<&str> = spec.layers.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["backbone_input", "backbone_a", "backbone_b", "a"]);
}

#[test]
fn an_input_layer_called_input_is_written_under_a_free_name() {
    let yaml = |input: &str| {
        format!(
            "layers:
             - {{name: {input}, input: {{shape: [4]}}}}
             - {{name: input_1, dense: {{units: 4}}}}
             - {{name: sum, inputs: [{input}, input_1], add: {{}}}}"
        )
    };
    let spec = ModelSpec::parse(&yaml("input"), "test").unwrap();
    let written = tinsmith_keras::to_value(&spec).unwrap();
    let config = &written["config"];
    assert_eq!(config["layers"][0]["name"], "input_2");
    assert_eq!(config["layers"][0]["config"]["name"], "input_2");
    assert_eq!(config["layers"][1]["inbound_nodes"], json!([[["input_2", 0, 0, {}]]]));
    assert_eq!(config["layers"][2]["inbound_nodes"], json!([[["input_2", 0, 0, {}], ["input_1", 0, 0, {}]]]));
    assert_eq!(config["input_layers"], json!([["input_2", 0, 0]]));
    assert_eq!(config["output_layers"], json!([["sum", 0, 0]]));

    let read = tinsmith_keras::read_json(&written.to_string(), "test").unwrap();
    assert_eq!(read.structural_hash().unwrap(), spec.structural_hash().unwrap());
    let other = ModelSpec::parse(&yaml("x"), "test").unwrap();
    assert_eq!(tinsmith_keras::to_value(&other).unwrap()["config"]["layers"][0]["name"], "x");
}
