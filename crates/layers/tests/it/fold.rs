//! Folding batch normalizations for deployment.

use candle_core::{Device, Tensor};
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, Mode, Model, fold_batch_norms};

use crate::build::{input, model};
use crate::data::{self, values};
use crate::golden_models::load;

/// Sets statistics and scales of normalizations to other than their initial values.
fn stir(model: &Model) {
    let mut rng = Seed::new(21).rng();
    for param in model.params() {
        let positive = param.name().ends_with("moving_variance");
        let low = if positive { 0.3 } else { -0.8 };
        let data: Vec<f32> = (0..param.len()).map(|_| rng.uniform_in(low, 1.3) as f32).collect();
        param.set(&Tensor::from_vec(data, param.dims(), &Device::Cpu).expect("a tensor")).expect("a value");
    }
}

#[track_caller]
fn check(model: &Model, x: &Tensor, folded: &[&str], kept: usize) {
    let network = fold_batch_norms(model).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(network.folded, folded);
    assert_eq!(network.kept.len(), kept, "{:?}", network.kept);
    let small =
        Model::build(&network.spec, Seed::new(1), &BuildOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    small.set_weights(&network.weights, "the folded weights").unwrap_or_else(|e| panic!("{e}"));
    let (a, b) =
        (model.forward(x, Mode::Infer).expect("a run"), small.forward(x, Mode::Infer).expect("a run"));
    for (a, b) in values(&a).into_iter().zip(values(&b)) {
        assert!((a - b).abs() <= 1e-5 * (1.0 + a.abs()), "{a} and {b}");
    }
}

#[test]
fn outputs_stay_for_every_kind_that_folds() {
    let kinds: [(&[usize], &str); 8] = [
        (&[4], "dense: {units: 3, use_bias: false}"),
        (&[6, 2], "conv1d: {filters: 3, kernel: 3}"),
        (&[5, 5, 2], "conv2d: {filters: 3, kernel: 3, padding: same}"),
        (&[4, 4, 2], "conv2d_transpose: {filters: 3, kernel: 3, stride: 2}"),
        (&[6, 2], "depthwise_conv1d: {kernel: 3, depth_multiplier: 2}"),
        (&[5, 5, 2], "depthwise_conv2d: {kernel: 3, depth_multiplier: 2, use_bias: false}"),
        (&[6, 2], "separable_conv1d: {filters: 3, kernel: 3}"),
        (&[5, 5, 2], "separable_conv2d: {filters: 3, kernel: 3}"),
    ];
    for (shape, kind) in kinds {
        let model = model(&format!(
            "{{layers: [{{name: x, input: {{shape: {shape:?}}}}}, {{name: l, {kind}}}, {{name: n, batch_norm: {{}}}}, {{name: r, activation: relu}}]}}"
        ));
        stir(&model);
        check(&model, &input(&[&[3], shape].concat()), &["n"], 0);
    }
}

#[test]
fn branches_are_wired_anew_and_what_cannot_fold_stays() {
    let text = "
layers:
- {name: x, input: {shape: [6, 6, 2]}}
- {name: c1, conv2d: {filters: 4, kernel: 3, padding: same}}
- {name: n1, batch_norm: {scale: false}}
- {name: c2, conv2d: {filters: 4, kernel: 3, padding: same}}
- {name: n2, batch_norm: {center: false}}
- {name: a, inputs: [n1, n2], add: {}}
- {name: c3, conv2d: {filters: 4, kernel: 1, activation: relu}}
- {name: n3, batch_norm: {}}
- {name: c4, inputs: [n3], conv2d: {filters: 4, kernel: 1}}
- {name: n4, inputs: [c4], batch_norm: {}}
- {name: m, inputs: [c4, n4], add: {}}
";
    let model = model(text);
    stir(&model);
    check(&model, &input(&[2, 6, 6, 2]), &["n1", "n2"], 2);
}

#[test]
fn training_folded_with_quantizers_folds_to_equal_outputs() {
    let text = "
layers:
- {name: x, input: {shape: [6, 6, 2]}}
- {name: c, conv2d: {filters: 4, kernel: 3, kernel_quantizer: 'quantized_bits(6,1,1,alpha=1.0)', bias_quantizer: 'quantized_bits(8,2,1)'}}
- {name: n, batch_norm: {fold: true}}
- {name: q, activation: 'quantized_relu(6,2)'}
";
    let model = model(text);
    stir(&model);
    check(&model, &input(&[2, 6, 6, 2]), &["n"], 0);
}

#[test]
fn golden_models_fold_to_equal_outputs() {
    let mut count = 0;
    for folder in data::models() {
        let model = load(&folder);
        let x = data::tensor(&data::json(&folder.join("io.json"))["input"]);
        let network = fold_batch_norms(&model).unwrap_or_else(|e| panic!("{e}"));
        let names: Vec<&str> = network.folded.iter().map(String::as_str).collect();
        count += names.len();
        check(&model, &x, &names, network.kept.len());
    }
    println!("{count} batch normalizations folded");
}
