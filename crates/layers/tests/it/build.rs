//! Building from specifications, and the refusals of forward passes.

use candle_core::{Device, Tensor};
use tinsmith_core_tensor::Param;
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, LayersError, Mode, Model};
use tinsmith_network::ModelSpec;

use crate::data::values;

pub(crate) fn model(yaml: &str) -> Model {
    let spec = ModelSpec::parse(yaml, "test").unwrap_or_else(|e| panic!("{e}"));
    Model::build(&spec, Seed::new(3), &BuildOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// Numbers from -1 to 1 without a pattern.
pub(crate) fn input(shape: &[usize]) -> Tensor {
    let mut rng = Seed::new(11).rng();
    let data: Vec<f32> = (0..shape.iter().product()).map(|_| rng.uniform_in(-1.0, 1.0) as f32).collect();
    Tensor::from_vec(data, shape, &Device::Cpu).expect("a tensor")
}

const BRANCHES: &str = "
layers:
- {name: x, input: {shape: [6, 6, 2]}}
- {name: side, input: {shape: [4]}}
- {name: c, inputs: [x], conv2d: {filters: 4, kernel: 3, padding: same, activation: relu}}
- {name: up, inputs: [side], dense: {units: 4}}
- {name: r, inputs: [up], reshape: {shape: [1, 1, 4]}}
- {name: sum, inputs: [c, r], add: {}}
- {name: joined, inputs: [sum, c], concat: {}}
- {name: g, global_average_pool2d: {}}
- {name: a, inputs: [g], dense: {units: 3, activation: softmax}}
- {name: b, inputs: [g], dense: {units: 2}}
outputs: [a, b]
";

#[test]
fn several_inputs_and_outputs() {
    let model = model(BRANCHES);
    let (x, side) = (input(&[2, 6, 6, 2]), input(&[2, 4]));
    let outputs = model.forward_many(&[&x, &side], Mode::Infer, false).expect("outputs");
    assert_eq!((outputs[0].dims(), outputs[1].dims()), ([2, 3].as_slice(), [2, 2].as_slice()));
    let row: f32 = values(&outputs[0])[..3].iter().sum();
    assert!((row - 1.0).abs() < 1e-5);
    let logits = model.forward_many(&[&x, &side], Mode::Infer, true).expect("logits");
    assert_ne!(values(&logits[0]), values(&outputs[0]));
    assert_eq!(values(&logits[1]), values(&outputs[1]));

    let all = model.activations_of(&[&x, &side], Mode::Infer).expect("activations");
    assert_eq!(all.iter().count(), model.spec().layers.len());
    assert_eq!(all.find("joined").expect("a layer").dims(), [2, 6, 6, 8]);
    assert!(all.find("nobody").is_none());

    assert!(matches!(model.forward(&x, Mode::Infer), Err(LayersError::InputCount { want: 2, got: 1, .. })));
    let wrong = model.forward_many(&[&side, &x], Mode::Infer, false);
    assert!(wrong.expect_err("shapes").to_string().contains("input `x` has shape [2, 4]"));
}

#[test]
fn one_output_cannot_be_asked_of_two() {
    let model = model(
        "{layers: [{name: x, input: {shape: [3]}}, {name: a, dense: {units: 2}}, {name: b, dense: {units: 2}}], outputs: [a, b]}",
    );
    let error = model.forward(&input(&[1, 3]), Mode::Infer).expect_err("two outputs");
    assert_eq!(
        error.to_string(),
        "the network has 2 outputs (a, b), request all of them with `forward_many`"
    );
}

#[test]
fn the_seed_decides_each_weight_by_its_name() {
    let short = model("{layers: [{name: x, input: {shape: [3]}}, {name: a, dense: {units: 2}}]}");
    let long = model(
        "{layers: [{name: x, input: {shape: [3]}}, {name: z, dense: {units: 3}}, {name: a, dense: {units: 2}}]}",
    );
    let kernel = |m: &Model| m.params().get("a.kernel").and_then(Param::values).expect("values");
    assert_eq!(kernel(&short), kernel(&long));
    let spec = short.spec().clone();
    let other = Model::build(&spec, Seed::new(4), &BuildOptions::default()).expect("a model");
    assert_ne!(kernel(&short), kernel(&other));
}

#[test]
fn frozen_parameters_and_statistics_get_no_gradient() {
    let mut model = model(
        "{layers: [{name: x, input: {shape: [3]}}, {name: a, dense: {units: 4}}, {name: n, batch_norm: {}}, {name: b, dense: {units: 2}}]}",
    );
    model.params_mut().get_mut("a.kernel").expect("a kernel").set_frozen(true);
    let before = model.params().get("n.moving_mean").and_then(Param::values).expect("values");
    let out = model.forward(&input(&[5, 3]), Mode::Train { seed: Seed::new(1) }).expect("a run");
    let gradients = out.sum_all().and_then(|s| s.backward()).expect("gradients");
    let has = |name: &str| gradients.get(model.params().get(name).expect("a parameter").tensor()).is_some();
    assert!(!has("a.kernel") && !has("n.moving_mean") && !has("n.moving_variance"));
    assert!(has("a.bias") && has("n.gamma") && has("b.kernel"));
    assert_ne!(before, model.params().get("n.moving_mean").and_then(Param::values).expect("values"));
    let inferred = model.forward(&input(&[5, 3]), Mode::Infer).expect("a run");
    assert!(!inferred.track_op());
}

#[test]
fn randomness_hangs_on_the_step_seed_alone() {
    let model = model(
        "{layers: [{name: x, input: {shape: [50]}}, {name: d, dropout: {rate: 0.4}}, {name: c, drop_connect: {rate: 0.5}}]}",
    );
    let x = Tensor::ones((40, 50), candle_core::DType::F32, &Device::Cpu).expect("ones");
    let run = |seed| values(&model.forward(&x, Mode::Train { seed: Seed::new(seed) }).expect("a run"));
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    let mean: f32 = run(1).iter().sum::<f32>() / 2000.0;
    assert!((mean - 1.0).abs() < 0.4, "{mean}");
    let rows: Vec<bool> = run(1).chunks(50).map(|row| row.iter().any(|&v| v != 0.0)).collect();
    assert!(rows.contains(&true) && rows.contains(&false));
    assert_eq!(values(&model.forward(&x, Mode::Infer).expect("a run")), values(&x));
}

#[test]
fn a_copy_on_a_device_has_equal_weights_of_its_own() {
    let model = model(BRANCHES);
    let copy = model.to_device(&Device::Cpu).expect("a copy");
    for (a, b) in model.params().iter().zip(copy.params()) {
        assert_eq!(a.values().expect("values"), b.values().expect("values"));
    }
    let zero = Tensor::zeros((8, 3), candle_core::DType::F32, &Device::Cpu).expect("zeros");
    copy.params().set("a.kernel", &zero).expect("a value");
    assert!(model.params().get("a.kernel").and_then(Param::nonzeros).expect("a count") > 0);
}

#[test]
fn the_summary_counts_zeros() {
    let mut model = model("{layers: [{name: x, input: {shape: [2]}}, {name: a, dense: {units: 2}}]}");
    let mask = Tensor::new(&[[1.0_f32, 0.0], [0.0, 0.0]], &Device::Cpu).expect("a mask");
    model.params_mut().get_mut("a.kernel").expect("a kernel").set_prune_mask(Some(mask)).expect("a mask");
    let summary = model.summary().expect("a summary");
    assert!(summary.lines().any(|l| l.split_whitespace().eq(["a", "dense", "2", "6", "1"])), "{summary}");
    let facts = model.facts().expect("facts");
    assert_eq!(facts.layers[1].facts[0].non_zeros, Some(1));
}

#[test]
fn quantizers_that_draw_do_so_in_training_alone() {
    let model = model(
        "{layers: [{name: x, input: {shape: [6]}}, {name: a, dense: {units: 40, kernel_quantizer: 'stochastic_ternary(alpha=1.0)', activation: 'quantized_relu(3,1,use_stochastic_rounding=True)'}}]}",
    );
    let x = input(&[8, 6]);
    let train = |seed| values(&model.forward(&x, Mode::Train { seed: Seed::new(seed) }).expect("a run"));
    let infer = || values(&model.forward(&x, Mode::Infer).expect("a run"));
    assert_eq!(train(1), train(1));
    assert_ne!(train(1), train(2));
    assert_eq!(infer(), infer());
    assert!(train(3).iter().all(|v| (v * 4.0).fract() == 0.0 && (0.0..2.0).contains(v)));
}

#[test]
fn the_first_number_that_is_none_is_found() {
    let model = model(
        "{layers: [{name: x, input: {shape: [2]}}, {name: a, dense: {units: 2}}, {name: e, dense: {units: 2, activation: {elu: {}}}},
          {name: n, batch_norm: {}}, {name: b, dense: {units: 2}}]}",
    );
    let x = input(&[3, 2]);
    let find = |x: &Tensor| model.first_non_finite(&[x], None).expect("a run").map(|found| found.to_string());
    assert_eq!(find(&x), None);
    let nan = Tensor::from_vec(vec![0.0_f32, f32::NAN, 1.0, 2.0], (2, 2), &Device::Cpu).expect("a tensor");
    assert_eq!(find(&nan).expect("a fault"), "what is fed to layer `x` has NaN");
    let set = |name: &str, value: f32| {
        let param = model.params().get(name).expect("a parameter");
        param.set(&Tensor::full(value, param.dims(), &Device::Cpu).expect("a tensor")).expect("a value");
    };
    set("b.bias", f32::NEG_INFINITY);
    assert_eq!(find(&x).expect("a fault"), "weight `bias` of layer `b` has -inf");
    // Sums of finite numbers that overflow.
    set("a.kernel", f32::MAX);
    let ones = Tensor::ones((1, 2), candle_core::DType::F32, &Device::Cpu).expect("ones");
    assert_eq!(find(&ones).expect("a fault"), "layer `a` puts out inf for finite inputs and weights");
    set("a.kernel", 1.0);
    set("b.bias", 0.0);
    assert_eq!(find(&ones), None);

    // A loss with an infinite gradient at 0: backward reaches the last layer first.
    let zeros = Tensor::zeros((2, 2), candle_core::DType::F32, &Device::Cpu).expect("zeros");
    let out = model.forward(&zeros, Mode::Train { seed: Seed::new(1) }).expect("a run");
    let loss = (out * f64::from(f32::MAX)).and_then(|t| t * 10.0).and_then(|t| t.sum_all()).expect("a sum");
    let gradients = loss.backward().expect("gradients");
    let found = model.first_non_finite(&[&zeros], Some(&gradients)).expect("a run").expect("a fault");
    assert_eq!(found.layer, "b");
    assert!(matches!(found.place, tinsmith_layers::Place::Gradient(_)), "{found}");
}
