//! Gradients of every kind of layer against finite differences.

use candle_core::{Device, Tensor, Var};
use tinsmith_foundation::Seed;
use tinsmith_layers::{Mode, Model};

use crate::build::{input, model};
use crate::data::values;

/// Layer kinds with the input shape of each test.
const CASES: &[(&[usize], &str)] = &[
    (&[3], "dense: {units: 4, activation: tanh}"),
    (&[5, 3], "dense: {units: 2, activation: sigmoid}"),
    (&[7, 3], "conv1d: {filters: 2, kernel: 3, padding: causal, dilation: 2}"),
    (&[7, 4], "conv1d: {filters: 4, kernel: 2, stride: 2, groups: 2, activation: hswish}"),
    (
        &[5, 6, 2],
        "conv2d: {filters: 3, kernel: [2, 3], stride: [2, 1], padding: same, activation: {elu: {}}}",
    ),
    (&[4, 3, 2], "conv2d_transpose: {filters: 3, kernel: 3, stride: 2, padding: same}"),
    (&[4, 3, 2], "conv2d_transpose: {filters: 2, kernel: [2, 3], stride: [1, 2]}"),
    (&[6, 2], "depthwise_conv1d: {kernel: 3, depth_multiplier: 2}"),
    (&[5, 5, 2], "depthwise_conv2d: {kernel: 3, padding: same, stride: 2}"),
    (&[6, 2], "separable_conv1d: {filters: 3, kernel: 3}"),
    (&[5, 5, 2], "separable_conv2d: {filters: 3, kernel: 3, depth_multiplier: 2}"),
    (&[4], "activation: {leaky_relu: {alpha: 0.2}}"),
    (&[4, 3], "activation: {prelu: {shared_axes: [1]}}"),
    (&[4], "activation: softmax"),
    (&[4], "activation: {clip: {min: -0.4, max: 0.3}}"),
    (&[3], "batch_norm: {}"),
    (&[4, 3], "batch_norm: {scale: false}"),
    (&[3, 3, 2], "batch_norm: {center: false}"),
    (&[5], "layer_norm: {}"),
    (&[6, 2], "max_pool1d: {size: 2}"),
    (&[5, 5, 2], "max_pool2d: {size: 3, stride: 2, padding: same}"),
    (&[6, 2], "average_pool1d: {size: 3, stride: 1, padding: same}"),
    (&[5, 5, 2], "average_pool2d: {size: 2, activation: tanh}"),
    (&[6, 2], "global_max_pool1d: {}"),
    (&[3, 4, 2], "global_max_pool2d: {keep_dims: true}"),
    (&[6, 2], "global_average_pool1d: {keep_dims: true}"),
    (&[3, 4, 2], "global_average_pool2d: {}"),
    (&[2, 3, 2], "flatten: {}"),
    (&[2, 6], "reshape: {shape: [3, -1]}"),
    (&[2, 3, 4], "permute: {dims: [3, 1, 2]}"),
    (&[2, 3, 8], "depth_to_space: {block: 2}"),
    (&[3, 2], "up_sampling1d: {size: 3}"),
    (&[2, 3, 2], "up_sampling2d: {size: [2, 3]}"),
    (&[3, 2, 2], "up_sampling2d: {size: 2, interpolation: bilinear}"),
    (&[6, 2], "cropping1d: {before: 1, after: 2}"),
    (&[5, 5, 2], "cropping2d: {top: 1, right: 2}"),
    (&[3, 2], "zero_padding1d: {before: 1}"),
    (&[3, 2, 2], "zero_padding2d: {top: 1, left: 2, right: 1}"),
];

fn loss(model: &Model, x: &Tensor, weights: &Tensor) -> Tensor {
    let out = model.forward(x, Mode::Train { seed: Seed::new(5) }).unwrap_or_else(|e| panic!("{e}"));
    let weights = weights.narrow(0, 0, out.elem_count()).expect("enough weights");
    (out.flatten_all().expect("a vector") * weights).and_then(|p| p.sum_all()).expect("a sum")
}

/// Gradient of a weighted sum of outputs by `x` and by every trainable parameter.
#[track_caller]
fn check(model: &Model, shape: &[usize], what: &str) {
    let x = Var::from_tensor(&input(&[&[3], shape].concat())).expect("a variable");
    let weights = input(&[2000]);
    let gradients = loss(model, &x, &weights).backward().unwrap_or_else(|e| panic!("{what}: {e}"));
    let params = model.params().updatable().map(|p| (p.name().to_owned(), p.var().clone()));
    for (name, var) in std::iter::once(("input".to_owned(), x.clone())).chain(params) {
        let gradient = gradients.get(var.as_tensor()).unwrap_or_else(|| panic!("{what}: none for {name}"));
        let (gradient, start) = (values(gradient), values(&var));
        for (i, &g) in gradient.iter().enumerate() {
            let at = |value: f32| {
                let mut moved = start.clone();
                moved[i] = value;
                let moved = Tensor::from_vec(moved, var.dims(), &Device::Cpu).expect("a tensor");
                var.set(&moved).expect("a value");
                f64::from(loss(model, &x, &weights).to_scalar::<f32>().expect("a number"))
            };
            let step = 4e-3;
            let slope = ((at(start[i] + step) - at(start[i] - step)) / f64::from(2.0 * step)) as f32;
            // The tolerance is coarse because of kinks within the step and 32-bit sums; a wrong formula is farther
            // off.
            assert!((slope - g).abs() < 0.02 * (1.0 + g.abs()), "{what}: {name}[{i}] is {g}, want {slope}");
        }
        var.set(&Tensor::from_vec(start, var.dims(), &Device::Cpu).expect("a tensor")).expect("a value");
    }
}

#[test]
fn every_kind_has_the_gradient_of_its_output() {
    for (shape, kind) in CASES {
        let model =
            model(&format!("{{layers: [{{name: x, input: {{shape: {shape:?}}}}}, {{name: l, {kind}}}]}}"));
        check(&model, shape, kind);
    }
}

#[test]
fn merges_have_gradients_for_all_inputs() {
    for kind in ["add", "subtract", "multiply", "concat"] {
        let model = model(&format!(
            "{{layers: [{{name: x, input: {{shape: [2, 3]}}}}, {{name: a, dense: {{units: 3}}}},
              {{name: b, inputs: [x], dense: {{units: 3}}}}, {{name: m, inputs: [a, b], {kind}: {{}}}}]}}"
        ));
        check(&model, &[2, 3], kind);
    }
}

#[test]
fn a_folded_normalization_has_the_gradient_of_its_output() {
    for linear in ["dense: {units: 3}", "dense: {units: 2, use_bias: false}"] {
        let model = model(&format!(
            "{{layers: [{{name: x, input: {{shape: [4]}}}}, {{name: d, {linear}}}, {{name: n, batch_norm: {{fold: true, momentum: 1.0}}}}]}}"
        ));
        check(&model, &[4], linear);
    }
}

#[test]
fn training_folded_without_quantizers_is_batch_normalization() {
    let text = |fold: bool| {
        format!(
            "{{layers: [{{name: x, input: {{shape: [5, 5, 2]}}}}, {{name: c, conv2d: {{filters: 3, kernel: 3}}}},
              {{name: d, depthwise_conv2d: {{kernel: 2, depth_multiplier: 2}}}}, {{name: n, batch_norm: {{fold: {fold}}}}}]}}"
        )
    };
    let (plain, folded) = (model(&text(false)), model(&text(true)));
    let x = input(&[4, 5, 5, 2]);
    for mode in [Mode::Train { seed: Seed::new(1) }, Mode::Infer] {
        let a = values(&plain.forward(&x, mode).expect("a run"));
        let b = values(&folded.forward(&x, mode).expect("a run"));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{mode:?}");
    }
    for (a, b) in plain.params().iter().zip(folded.params()) {
        let close = a.values().expect("values").into_iter().zip(b.values().expect("values"));
        assert!(close.into_iter().all(|(a, b)| (a - b).abs() < 1e-6), "{}", a.name());
    }
}
