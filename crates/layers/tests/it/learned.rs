//! Networks with learned quantizers: parameters, gradients, both engines, files.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use tinsmith_core_tensor::Params;
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, Inherited, Mode, Model};
use tinsmith_network::quantizer::LearnedQuantizer;
use tinsmith_network::{ModelSpec, Storage, WeightFacts};
use tinsmith_quant::{LearnedBits, LearnedStep, Pact};

use crate::build::input;
use crate::data::values;
use crate::plan::compare_spec;

fn model(layers: &str) -> Model {
    let spec =
        ModelSpec::parse(&format!("layers:\n{layers}"), "test").unwrap_or_else(|e| panic!("{e}\n{layers}"));
    Model::build(&spec, Seed::new(3), &BuildOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn of(params: &Params, name: &str) -> Vec<f32> {
    params.get(name).and_then(tinsmith_core_tensor::Param::values).unwrap_or_else(|e| panic!("{e}"))
}

fn set(model: &Model, name: &str, new: &[f32]) {
    let dims = model.params().get(name).expect("a parameter").dims().to_vec();
    let tensor = Tensor::from_slice(new, dims, &Device::Cpu).expect("a tensor");
    model.params().set(name, &tensor).expect("a value");
}

/// Every layer kind that accepts one, with every learned quantizer.
const NETWORKS: &[(&str, &str)] = &[
    (
        "learned steps of dense layers, per channel and per tensor",
        "- {name: x, input: {shape: [7]}}
- {name: a, dense: {units: 9, kernel_quantizer: 'learned_step(4,axis=-1)', activation: 'learned_step(4,signed=False)'}}
- {name: b, dense: {units: 5, kernel_quantizer: learned_step(3), bias_quantizer: learned_step(8), activation: relu}}
- {name: c, dense: {units: 3, kernel_quantizer: 'quantized_bits(4,0,alpha=1.0)', activation: softmax}}",
    ),
    (
        "a rectifier whose end is learned, over convolutions",
        "- {name: x, input: {shape: [9, 8, 3]}}
- {name: a, conv2d: {filters: 5, kernel: 3, kernel_quantizer: 'learned_step(4,axis=-1)', activation: 'pact(4,1.5)'}}
- {name: d, depthwise_conv2d: {kernel: 3, padding: same, depthwise_quantizer: learned_step(4)}}
- {name: r, activation: 'pact(3,1.0)'}
- {name: p, max_pool2d: {size: 2}}
- {name: f, flatten: {}}
- {name: y, dense: {units: 4}}",
    ),
    (
        "learned widths, each weight and each channel its own",
        "- {name: x, input: {shape: [8, 4]}}
- {name: a, conv1d: {filters: 6, kernel: 3, kernel_quantizer: learned_bits(3.0), activation: relu}}
- {name: q, activation: \"learned_bits(3.0,per='channel')\"}
- {name: s, separable_conv1d: {filters: 5, kernel: 3, depthwise_quantizer: learned_bits(2.0),
    pointwise_quantizer: \"learned_bits(3.0,per='channel')\", activation: \"learned_bits(4.0,'tensor')\"}}
- {name: g, global_average_pool1d: {activation: 'learned_step(6)'}}
- {name: y, dense: {units: 3, kernel_quantizer: learned_bits(3.0)}}",
    ),
    (
        "a normalization folded into a layer with learned steps",
        "- {name: x, input: {shape: [8, 8, 2]}}
- {name: a, conv2d: {filters: 4, kernel: 3, kernel_quantizer: 'learned_step(4,axis=-1)'}}
- {name: n, batch_norm: {fold: true}}
- {name: r, activation: 'pact(4)'}
- {name: y, conv2d: {filters: 2, kernel: 2}}",
    ),
];

#[test]
fn learned_quantizers_are_the_same_in_both_engines() {
    for (what, layers) in NETWORKS {
        compare_spec(what, layers);
    }
}

#[test]
fn learned_parameters_begin_as_their_sources_say() {
    let model = model(NETWORKS[0].1);
    let kernel = of(model.params(), "a.kernel");
    let step = LearnedStep::new(4, true, Some(1)).expect("a quantizer");
    assert_eq!(of(model.params(), "a.kernel_step"), step.initial_steps(&kernel, &[7, 9]).expect("steps"));
    // For a rectified standard normal variable: half of 2 (2 / pi)^(1/2) / 15^(1/2).
    let expected = (2.0 / std::f32::consts::PI / 15.0).sqrt();
    assert!((of(model.params(), "a.activation_step")[0] - expected).abs() < 1e-6);
    // Biases are initially 0, so the largest of 128 levels is 1.
    assert_eq!(of(model.params(), "b.bias_step"), [1.0 / 128.0]);
    assert!(model.params().iter().all(tinsmith_core_tensor::Param::takes_updates));
    let model = self::model(NETWORKS[2].1);
    assert_eq!(of(model.params(), "a.kernel_fractional_bits"), [3.0; 72]);
    // A plan built from the specification alone has the same initial values.
    let options = tinsmith_layers::plan::PlanOptions { rows: 2, ..<_>::default() };
    let plan = tinsmith_layers::plan::Plan::compile(model.spec(), Seed::new(3), &options).expect("a plan");
    for param in model.params() {
        assert_eq!(plan.block_values(param.name()).expect("a block"), of(model.params(), param.name()));
    }
}

#[test]
fn steps_of_activations_begin_where_a_batch_says() {
    let model = model(
        "- {name: x, input: {shape: [7]}}
- {name: a, dense: {units: 9, activation: 'learned_step(4,signed=False)'}}
- {name: n, batch_norm: {}}
- {name: s, activation: 'learned_step(3,axis=-1)'}
- {name: b, dense: {units: 5, kernel_quantizer: learned_step(4), activation: 'learned_step(4)'}}
- {name: p, activation: 'pact(4,1.5)'}",
    );
    let x = (input(&[6, 7]) * 30.0).expect("a batch");
    let before = model.state().expect("values");
    let mode = Mode::Train { seed: Seed::new(5) };
    assert!(model.is_uncalibrated().expect("steps"));
    // The second step size is set beforehand, as if it had been trained.
    set(&model, "b.activation_step", &[0.75]);
    assert_eq!(model.calibrate(&x, mode).expect("steps"), 2);
    assert!(!model.is_uncalibrated().expect("steps"));
    assert_eq!(of(model.params(), "b.activation_step"), [0.75]);

    // Computed by hand: the rectified outputs of `a`, and those normalized by the batch.
    let (kernel, shape) = (of(model.params(), "a.kernel"), (6, 9));
    let kernel = Tensor::from_vec(kernel, (7, 9), &Device::Cpu).expect("a kernel");
    let v = x.matmul(&kernel).and_then(|v| v.relu()).expect("outputs");
    let rows: Vec<Vec<f32>> = v.to_vec2().expect("rows");
    let mean = rows.iter().flatten().sum::<f32>() / (shape.0 * shape.1) as f32;
    close(of(model.params(), "a.activation_step")[0], 2.0 * mean / 15.0_f32.sqrt(), "a");
    for (c, found) in of(model.params(), "s.activation_step").into_iter().enumerate() {
        let column: Vec<f32> = rows.iter().map(|row| row[c]).collect();
        let mean = column.iter().sum::<f32>() / 6.0;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 6.0;
        let sum: f32 = column.iter().map(|v| ((v - mean) / (variance + 1e-3).sqrt()).abs()).sum();
        // If a channel is 0 for all samples its largest level is 1.
        let expected = if sum > 1e-6 { 2.0 * sum / 6.0 / 3.0_f32.sqrt() } else { 0.25 };
        close(found, expected, "s");
    }
    // Nothing else changed.
    for (name, value) in before.values().iter().filter(|(name, _)| !name.ends_with("activation_step")) {
        let value = value.flatten_all().and_then(|v| v.to_vec1::<f32>()).expect("values");
        assert_eq!(of(model.params(), name), value, "{name}");
    }
    // Without learned step sizes there is nothing to set, and frozen ones stay.
    assert_eq!(two_layers("", "relu").calibrate(&input(&[2, 4]), Mode::Infer).expect("none"), 0);
    let mut frozen = two_layers("", "'learned_step(4)'");
    for param in frozen.params_mut().iter_mut() {
        param.set_frozen(true);
    }
    assert_eq!(frozen.calibrate(&input(&[2, 4]), Mode::Infer).expect("none"), 0);
}

/// A weighted sum of the outputs, in training.
fn loss(model: &Model, x: &Tensor) -> Tensor {
    let out = model.forward(x, Mode::Train { seed: Seed::new(5) }).unwrap_or_else(|e| panic!("{e}"));
    let weights = input(&[1000]).narrow(0, 0, out.elem_count()).expect("enough weights");
    (out.flatten_all().expect("a vector") * weights).and_then(|p| p.sum_all()).expect("a sum")
}

/// Slope of the loss by element `i` of a parameter, by finite differences.
fn slope(model: &Model, x: &Tensor, name: &str, i: usize, step: f32) -> f32 {
    let start = of(model.params(), name);
    let at = |value: f32| {
        let mut moved = start.clone();
        moved[i] = value;
        set(model, name, &moved);
        f64::from(loss(model, x).to_scalar::<f32>().expect("a number"))
    };
    let slope = (at(start[i] + step) - at(start[i] - step)) / f64::from(2.0 * step);
    set(model, name, &start);
    slope as f32
}

fn close(found: f32, expected: f32, what: &str) {
    assert!((found - expected).abs() < 0.01 * (1.0 + expected.abs()), "{what}: {found} for {expected}");
}

fn two_layers(kernel: &str, activation: &str) -> Model {
    model(&format!(
        "- {{name: x, input: {{shape: [4]}}}}
- {{name: h, dense: {{units: 6{kernel}, activation: {activation}}}}}
- {{name: y, dense: {{units: 3, activation: tanh}}}}"
    ))
}

/// With this many levels rounding is far finer than the differences, so gradients are those of the clipping alone.
#[test]
fn gradients_through_fine_learned_levels_are_finite_differences() {
    let x = input(&[5, 4]);
    let cases = [
        ("", "'pact(20,0.3)'"),
        ("", "'learned_step(20,signed=False)'"),
        (", kernel_quantizer: learned_bits(20.0)", "relu"),
    ];
    for (kernel, activation) in cases {
        let model = two_layers(kernel, activation);
        if activation.contains("step") {
            set(&model, "h.activation_step", &[0.3 / 1_048_575.0]);
        }
        let gradients = loss(&model, &x).backward().expect("gradients");
        for name in ["h.kernel", "h.bias", "y.kernel"] {
            let param = model.params().get(name).expect("a parameter");
            let gradient = values(gradients.get(param.tensor()).expect("a gradient"));
            for (i, &g) in gradient.iter().enumerate() {
                close(g, slope(&model, &x, name, i, 2e-3), &format!("{activation}: {name}[{i}]"));
            }
        }
        if activation.contains("pact") {
            let upper = model.params().get("h.activation_upper").expect("a parameter");
            let gradient = values(gradients.get(upper.tensor()).expect("a gradient"));
            assert!(gradient[0].abs() > 0.05, "values are clipped: {gradient:?}");
            close(gradient[0], slope(&model, &x, "h.activation_upper", 0, 2e-3), "upper end");
        }
    }
}

/// If every weight is clipped, the derivative by a step size is exact; LSQ divides it by the square root of its
/// number of weights times the levels.
#[test]
fn gradients_of_learned_steps_are_finite_differences_where_weights_are_clipped() {
    let x = input(&[5, 4]);
    let model = two_layers(", kernel_quantizer: learned_step(3)", "tanh");
    let kernel: Vec<f32> = of(model.params(), "h.kernel").iter().map(|w| w.signum() * 0.9).collect();
    set(&model, "h.kernel", &kernel);
    set(&model, "h.kernel_step", &[0.1]);
    let step = model.params().get("h.kernel_step").expect("a parameter");
    let gradient =
        values(loss(&model, &x).backward().expect("gradients").get(step.tensor()).expect("a gradient"));
    let expected = slope(&model, &x, "h.kernel_step", 0, 1e-3) / (24.0_f32 * 3.0).sqrt();
    assert!(expected.abs() > 0.01, "{expected}");
    close(gradient[0], expected, "step");
}

/// The gradient by the quantized weights is that of a network with these weights; the rest follows the source.
#[test]
fn gradients_of_coarse_learned_levels_follow_from_those_of_the_levels() {
    let x = input(&[5, 4]);
    let LearnedQuantizer::LearnedBits(settings) = "learned_bits(2.0)".parse().expect("a quantizer") else {
        panic!("another kind")
    };
    let (bits, step) = (
        LearnedBits::new(&settings).expect("a quantizer"),
        LearnedStep::new(3, true, None).expect("a quantizer"),
    );
    for kind in ["learned_bits(2.0)", "learned_step(3)"] {
        let model = two_layers(&format!(", kernel_quantizer: {kind}"), "tanh");
        let kernel = of(model.params(), "h.kernel");
        let is_step = kind.contains("step");
        let name = if is_step { "h.kernel_step" } else { "h.kernel_fractional_bits" };
        let learned = of(model.params(), name);
        let mut levels = vec![0.0; 24];
        if is_step {
            step.apply_slice(&kernel, &[4, 6], &learned, &mut levels).expect("levels");
        } else {
            bits.apply_slice(&kernel, &[4, 6], &learned, &mut levels).expect("levels");
        }
        let plain = two_layers("", "tanh");
        for param in plain.params() {
            set(&plain, param.name(), &of(model.params(), param.name()));
        }
        set(&plain, "h.kernel", &levels);
        let mut by_levels: Vec<f32> = (0..24).map(|i| slope(&plain, &x, "h.kernel", i, 4e-3)).collect();
        let expected = if is_step {
            let mut steps = [0.0];
            step.pull_back_slice(&kernel, &[4, 6], &learned, &mut by_levels, &mut steps).expect("gradients");
            steps.to_vec()
        } else {
            bits.pull_back_slice(&kernel, &[4, 6], &learned, &by_levels).expect("gradients")
        };
        let gradients = loss(&model, &x).backward().expect("gradients");
        let gradient = |name: &str| {
            let param = model.params().get(name).expect("a parameter");
            values(gradients.get(param.tensor()).unwrap_or_else(|| panic!("no gradient of {name}")))
        };
        for (name, expected) in [(name, expected), ("h.kernel", by_levels)] {
            for (found, expected) in gradient(name).into_iter().zip(expected) {
                close(found, expected, name);
            }
        }
    }
}

#[test]
fn what_training_carries_below_zero_still_acts() {
    let x = input(&[5, 4]);
    let model = two_layers(", kernel_quantizer: learned_step(3)", "pact(4)");
    set(&model, "h.kernel_step", &[-0.5]);
    set(&model, "h.activation_upper", &[-1.0]);
    let gradients = loss(&model, &x).backward().expect("gradients");
    for name in ["h.kernel_step", "h.activation_upper"] {
        let param = model.params().get(name).expect("a parameter");
        assert!(values(gradients.get(param.tensor()).expect("a gradient"))[0].is_finite());
    }
    assert!(Pact::new(4).expect("a quantizer").apply_slice(&[1.0], -1.0, &mut [0.0]).is_err());
}

#[test]
fn learned_parameters_come_back_from_files() {
    let folder = tempfile::tempdir().expect("a folder");
    for (_, layers) in &NETWORKS[..3] {
        let saved = model(layers);
        for param in saved.params() {
            let moved: Vec<f32> = of(saved.params(), param.name()).iter().map(|v| v * 1.25 + 0.01).collect();
            set(&saved, param.name(), &moved);
        }
        for file in ["weights.safetensors", "weights.npz"] {
            let path = folder.path().join(file);
            saved.save_weights(&path, &BTreeMap::new()).expect("a file");
            let read = Model::build(saved.spec(), Seed::new(8), &BuildOptions::default()).expect("a model");
            read.load_weights(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
            for param in saved.params() {
                assert_eq!(
                    of(read.params(), param.name()),
                    of(saved.params(), param.name()),
                    "{file} {}",
                    param.name()
                );
            }
        }
        let refused = saved.save_weights(&folder.path().join("weights.keras"), &BTreeMap::new());
        let message = refused.expect_err("Keras has no such class").to_string();
        assert!(message.contains("learned_"), "{message}");
    }
}

#[test]
fn what_was_learned_is_inherited_where_the_quantizer_is_the_same() {
    let learned = "- {name: x, input: {shape: [4]}}
- {name: h, dense: {units: 6, kernel_quantizer: 'learned_step(4,axis=-1)', activation: pact(4)}}
- {name: y, dense: {units: 3, kernel_quantizer: learned_bits(3.0)}}";
    let old = model(learned);
    set(&old, "h.kernel_step", &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
    set(&old, "h.activation_upper", &[2.5]);
    set(&old, "y.kernel_fractional_bits", &[2.0; 18]);
    let take = |layers: &str| {
        let spec = ModelSpec::parse(&format!("layers:\n{layers}"), "test").expect("a network");
        let new = Model::build(&spec, Seed::new(9), &BuildOptions::default()).expect("a model");
        let report = new.inherit(&old).expect("weights");
        (new, report)
    };
    let (new, report) = take(learned);
    assert!(report.params.iter().all(|(_, what)| *what == Inherited::Whole), "{report:?}");
    assert_eq!(of(new.params(), "h.activation_upper"), [2.5]);
    assert_eq!(of(new.params(), "y.kernel_fractional_bits"), [2.0; 18]);
    // More units: each repetition has the step size of its original, and the network computes the same.
    let (wider, _) =
        take(&learned.replace("units: 6", "units: 9").replace("learned_bits(3.0)", "learned_bits(18.0)"));
    let steps = of(wider.params(), "h.kernel_step");
    assert_eq!(steps[..6], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
    assert!(steps[6..].iter().all(|step| steps[..6].contains(step)), "{steps:?}");
    // Another bit width: step sizes are initialized from the inherited weights.
    let (other, _) = take(&learned.replace("learned_step(4", "learned_step(6"));
    let asked = LearnedStep::new(6, true, Some(1)).expect("a quantizer");
    let kernel = of(old.params(), "h.kernel");
    assert_eq!(of(other.params(), "h.kernel"), kernel);
    assert_eq!(of(other.params(), "h.kernel_step"), asked.initial_steps(&kernel, &[4, 6]).expect("steps"));
}

#[test]
fn facts_and_summary_tell_learned_widths() {
    let model = model(
        "- {name: x, input: {shape: [2]}}
- {name: y, dense: {units: 2, use_bias: false, kernel_quantizer: learned_bits(2.0)}}",
    );
    set(&model, "y.kernel", &[0.75, -0.2, 0.05, 1.9]);
    set(&model, "y.kernel_fractional_bits", &[2.0, 2.0, 2.0, 3.0]);
    // 0.75 takes two bits, -0.25 none before and one behind its first: two of four; 0 none; 1.875 four: and signs.
    let facts = model.facts().expect("facts");
    let expected = WeightFacts {
        weight: "kernel".to_owned(),
        non_zeros: Some(3),
        storage: Storage::Dense,
        total_bits: Some((2 + 1) + (1 + 1) + (4 + 1)),
    };
    assert_eq!(facts.layers[1].facts, [expected]);
    let summary = model.summary().expect("a summary");
    assert!(summary.ends_with("y.kernel: 2.50 bits a weight\n"), "{summary}");
}
