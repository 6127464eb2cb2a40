//! Edge-case shapes: sizes of one, odd channel counts, kernels larger than their input, empty batches.

use candle_core::{DType, Device, Tensor};
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, Mode, Model};
use tinsmith_network::ModelSpec;

use crate::build::input;
use crate::data::values;

fn network(shape: &[usize], layer: &str) -> Result<Model, String> {
    let yaml = format!("{{layers: [{{name: x, input: {{shape: {shape:?}}}}}, {{name: l, {layer}}}]}}");
    let spec = ModelSpec::parse(&yaml, "test").map_err(|e| e.to_string())?;
    Model::build(&spec, Seed::new(3), &BuildOptions::default()).map_err(|e| e.to_string())
}

/// Runs and trains a layer on batches of one and three samples, and checks the output shape.
#[track_caller]
fn runs(shape: &[usize], layer: &str) {
    let model = network(shape, layer).unwrap_or_else(|e| panic!("{layer} on {shape:?}: {e}"));
    for batch in [1, 3] {
        let x = input(&[&[batch], shape].concat());
        let want = [&[batch], model.graph().shape(1)].concat();
        for mode in [Mode::Infer, Mode::Train { seed: Seed::new(1) }] {
            let y = model.forward(&x, mode).unwrap_or_else(|e| panic!("{layer} on {shape:?}: {e}"));
            assert_eq!(y.dims(), want, "{layer} on {shape:?}");
            assert!(values(&y).iter().all(|v| v.is_finite()), "{layer} on {shape:?}");
            if mode.is_training() && model.params().updatable().count() > 0 {
                let gradients = y.sum_all().and_then(|s| s.backward()).expect("gradients");
                for param in model.params().updatable() {
                    let gradient =
                        gradients.get(param.tensor()).unwrap_or_else(|| panic!("{layer}: {}", param.name()));
                    assert!(
                        values(gradient).iter().all(|v| v.is_finite()),
                        "{layer} on {shape:?}: {}",
                        param.name()
                    );
                }
            }
        }
    }
}

#[track_caller]
fn refused(shape: &[usize], layer: &str, why: &str) {
    let error = network(shape, layer).err().unwrap_or_else(|| panic!("{layer} on {shape:?} was built"));
    assert!(error.contains(why), "{layer} on {shape:?}: {error}");
}

#[test]
fn sizes_of_one_are_right() {
    for (shape, layer) in [
        (&[1][..], "dense: {units: 1}"),
        (&[1, 1], "conv1d: {filters: 1, kernel: 1}"),
        (&[1, 1], "conv1d: {filters: 1, kernel: 5, padding: causal, dilation: 3}"),
        (&[1, 1, 1], "conv2d: {filters: 1, kernel: 1}"),
        (&[1, 1, 1], "conv2d: {filters: 1, kernel: 7, padding: same, stride: 4}"),
        (&[1, 1, 1], "depthwise_conv2d: {kernel: 3, padding: same}"),
        (&[1, 1, 1], "conv2d_transpose: {filters: 1, kernel: 1, stride: 3}"),
        (&[1, 1, 1], "separable_conv2d: {filters: 1, kernel: 1}"),
        (&[1, 1, 1], "max_pool2d: {size: 1}"),
        (&[1, 1, 1], "average_pool2d: {size: 3, padding: same}"),
        (&[1, 1], "global_average_pool1d: {}"),
        (&[1, 1, 1], "global_max_pool2d: {keep_dims: true}"),
        (&[1], "batch_norm: {}"),
        (&[1], "layer_norm: {}"),
        (&[1, 1, 1], "flatten: {}"),
        (&[1, 1, 1], "up_sampling2d: {size: 1, interpolation: bilinear}"),
        (&[1], "activation: softmax"),
        (&[1, 1], "activation: {prelu: {}}"),
        (&[1], "dropout: {rate: 0.5}"),
        (
            &[1],
            "dense: {units: 1, kernel_quantizer: 'quantized_bits(4,0)', activation: 'quantized_relu(2,0)'}",
        ),
        (&[1], "dense: {units: 1, kernel_quantizer: 'ternary()', bias_quantizer: binary}"),
    ] {
        runs(shape, layer);
    }
}

#[test]
fn odd_channel_counts_are_right() {
    for channels in [1, 3, 5, 7, 9, 13, 17, 31, 33] {
        runs(&[channels], &format!("dense: {{units: {}}}", channels + 2));
        runs(&[3, 3, channels], "depthwise_conv2d: {kernel: 3, padding: same}");
        runs(&[4, 3, channels], &format!("conv2d: {{filters: {channels}, kernel: 2, activation: relu}}"));
        runs(&[5, channels], "separable_conv1d: {filters: 3, kernel: 3}");
        runs(&[3, 3, channels], "batch_norm: {}");
        runs(&[3, 3, channels], "average_pool2d: {size: 2, stride: 1, padding: same}");
    }
    runs(&[5, 6], "conv1d: {filters: 9, kernel: 3, groups: 3}");
    refused(&[5, 7], "conv1d: {filters: 9, kernel: 3, groups: 3}", "groups");
}

/// A kernel that extends beyond both ends sees each element once: the sum of products is that of the elements alone.
#[test]
fn kernels_larger_than_the_input_are_right_with_padding() {
    for (shape, layer) in [
        (&[3, 2][..], "conv1d: {filters: 2, kernel: 9, padding: same}"),
        (&[3, 2], "conv1d: {filters: 2, kernel: 4, padding: causal, dilation: 3}"),
        (&[2, 3, 2], "conv2d: {filters: 3, kernel: [7, 5], padding: same, stride: 2}"),
        (&[2, 2, 2], "depthwise_conv2d: {kernel: 6, padding: same, dilation: 2}"),
        (&[2, 3, 2], "max_pool2d: {size: 5, padding: same}"),
        (&[2, 3, 2], "average_pool2d: {size: 5, padding: same}"),
        (&[2, 2, 2], "separable_conv2d: {filters: 2, kernel: 5, padding: same}"),
        (&[2, 2, 1], "conv2d_transpose: {filters: 1, kernel: 5, stride: 1, padding: same}"),
    ] {
        runs(shape, layer);
    }
    let model =
        network(&[2, 1], "conv1d: {filters: 1, kernel: 7, padding: same, use_bias: false}").expect("a model");
    let kernel: Vec<f32> = (1..=7).map(|v| v as f32).collect();
    let kernel = Tensor::from_vec(kernel, (7, 1, 1), &Device::Cpu).expect("a kernel");
    model.params().set("l.kernel", &kernel).expect("a value");
    let x = Tensor::from_slice(&[10.0_f32, 100.0], (1, 2, 1), &Device::Cpu).expect("an input");
    // Three zeros before: the element itself meets tap 4, its right neighbor tap 5, its left one tap 3.
    assert_eq!(values(&model.forward(&x, Mode::Infer).expect("a run")), [40.0 + 500.0, 30.0 + 400.0]);
    let model = network(&[2, 3, 1], "average_pool2d: {size: 9, padding: same}").expect("a model");
    let mean: f32 = values(&input(&[1, 2, 3, 1])).iter().sum::<f32>() / 6.0;
    let got = values(&model.forward(&input(&[1, 2, 3, 1]), Mode::Infer).expect("a run"));
    assert!(got.len() == 1 && (got[0] - mean).abs() < 1e-6, "{got:?}, want {mean}");
}

#[test]
fn what_has_no_result_is_refused_when_it_is_built() {
    for (shape, layer, why) in [
        (&[3, 2][..], "conv1d: {filters: 2, kernel: 4}", "kernel"),
        (&[2, 3, 2], "conv2d: {filters: 2, kernel: 3}", "kernel"),
        (&[3, 3, 2], "conv2d: {filters: 2, kernel: 2, dilation: 3}", "kernel"),
        (&[2, 2, 2], "max_pool2d: {size: 3}", "window"),
        (&[4], "dense: {units: 0}", "units"),
        (&[4, 1], "conv1d: {filters: 0, kernel: 1}", "filters"),
        (&[4, 1], "conv1d: {filters: 1, kernel: 0}", "kernel"),
        (&[4, 1], "conv1d: {filters: 1, kernel: 1, stride: 0}", "stride"),
        (&[4, 4, 1], "max_pool2d: {size: 0}", "size"),
        (&[4, 1], "cropping1d: {before: 2, after: 2}", "crop"),
        (&[4], "reshape: {shape: [3, -1]}", "reshape"),
        (&[0], "dense: {units: 1}", "0"),
        (&[3, 0, 1], "flatten: {}", "0"),
        (&[], "dense: {units: 1}", ""),
    ] {
        refused(shape, layer, why);
    }
}

#[test]
fn an_empty_batch_is_refused() {
    let model = network(&[3], "dense: {units: 2}").expect("a model");
    let nothing = Tensor::zeros((0, 3), DType::F32, &Device::Cpu).expect("a tensor");
    for mode in [Mode::Infer, Mode::Train { seed: Seed::new(1) }] {
        let error = model.forward(&nothing, mode).expect_err("no sample").to_string();
        assert!(error.contains("has shape [0, 3]"), "{error}");
    }
}
