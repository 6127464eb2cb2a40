//! A small network for each kind of layer and each activation.

use tinsmith_network::ModelSpec;

/// A minimal layer of each kind, its input's shape, and its output's.
pub(crate) const KINDS: &[(&str, &str, &[usize], &[usize])] = &[
    ("input", "input: {shape: [3, 2], quantizer: 'quantized_bits(8,0)'}", &[], &[3, 2]),
    ("dense", "dense: {units: 3}", &[4], &[3]),
    ("conv1d", "conv1d: {filters: 4, kernel: 3, stride: 2, padding: causal, groups: 2}", &[9, 2], &[5, 4]),
    ("conv2d", "conv2d: {filters: 4, kernel: [3, 1], dilation: 2}", &[8, 8, 2], &[4, 8, 4]),
    ("conv2d_transpose", "conv2d_transpose: {filters: 2, kernel: 3, stride: 2}", &[3, 4, 1], &[7, 9, 2]),
    ("depthwise_conv1d", "depthwise_conv1d: {kernel: 3, depth_multiplier: 2}", &[8, 3], &[6, 6]),
    ("depthwise_conv2d", "depthwise_conv2d: {kernel: 3, padding: same}", &[8, 8, 3], &[8, 8, 3]),
    ("separable_conv1d", "separable_conv1d: {filters: 5, kernel: 3}", &[8, 3], &[6, 5]),
    ("separable_conv2d", "separable_conv2d: {filters: 5, kernel: 3, stride: 2}", &[9, 9, 3], &[4, 4, 5]),
    ("activation", "activation: relu", &[4], &[4]),
    ("batch_norm", "batch_norm: {}", &[5, 4], &[5, 4]),
    ("layer_norm", "layer_norm: {epsilon: 1.0e-5}", &[4], &[4]),
    ("rescaling", "rescaling: {scale: [0.5, 2.0], offset: -1.0}", &[5, 2], &[5, 2]),
    ("max_pool1d", "max_pool1d: {}", &[9, 2], &[4, 2]),
    ("max_pool2d", "max_pool2d: {size: 3, stride: 2, padding: same}", &[7, 8, 2], &[4, 4, 2]),
    ("average_pool1d", "average_pool1d: {size: 3}", &[9, 2], &[3, 2]),
    ("average_pool2d", "average_pool2d: {average_quantizer: 'quantized_bits(4,0)'}", &[8, 6, 2], &[4, 3, 2]),
    ("global_max_pool1d", "global_max_pool1d: {}", &[9, 2], &[2]),
    ("global_max_pool2d", "global_max_pool2d: {keep_dims: true}", &[9, 8, 2], &[1, 1, 2]),
    ("global_average_pool1d", "global_average_pool1d: {}", &[9, 2], &[2]),
    ("global_average_pool2d", "global_average_pool2d: {activation: relu}", &[9, 8, 2], &[2]),
    ("flatten", "flatten: {}", &[3, 4, 2], &[24]),
    ("reshape", "reshape: {shape: [-1, 6]}", &[3, 4, 2], &[4, 6]),
    ("permute", "permute: {dims: [2, 1]}", &[3, 4], &[4, 3]),
    ("depth_to_space", "depth_to_space: {block: 2}", &[3, 4, 8], &[6, 8, 2]),
    ("up_sampling1d", "up_sampling1d: {}", &[3, 4], &[6, 4]),
    ("up_sampling2d", "up_sampling2d: {size: [1, 3], interpolation: bilinear}", &[3, 4, 1], &[3, 12, 1]),
    ("cropping1d", "cropping1d: {before: 1}", &[3, 4], &[2, 4]),
    ("cropping2d", "cropping2d: {top: 1, right: 2}", &[3, 4, 1], &[2, 2, 1]),
    ("zero_padding1d", "zero_padding1d: {after: 3}", &[3, 4], &[6, 4]),
    ("zero_padding2d", "zero_padding2d: {bottom: 1, left: 2}", &[3, 4, 1], &[4, 6, 1]),
    ("add", "inputs: [x, x], add: {}", &[3, 4], &[3, 4]),
    ("subtract", "inputs: [x, x], subtract: {}", &[3, 4], &[3, 4]),
    ("multiply", "inputs: [x, x], multiply: {}", &[3, 4], &[3, 4]),
    ("concat", "inputs: [x, x], concat: {axis: 1}", &[3, 4], &[6, 4]),
    ("dropout", "dropout: {rate: 0.5}", &[4], &[4]),
    ("drop_connect", "drop_connect: {rate: 0.1}", &[4], &[4]),
];

/// Further activations, alone.
const ACTIVATIONS: &[&str] = &[
    "linear",
    "relu6",
    "{leaky_relu: {alpha: 0.1}}",
    "{elu: {alpha: 0.5}}",
    "{prelu: {shared_axes: [1]}}",
    "tanh",
    "sigmoid",
    "hard_sigmoid",
    "hswish",
    "softmax",
    "{clip: {min: -1, max: 1}}",
    "quantized_tanh(4)",
];

pub(crate) fn text(layer: &str, input: &[usize]) -> String {
    let x = if input.is_empty() {
        String::new()
    } else {
        format!("- {{name: x, input: {{shape: {input:?}}}}}\n")
    };
    format!("layers:\n{x}- {{name: l, {layer}}}\n")
}

/// A network with each kind of layer and each activation.
pub(crate) fn all() -> Vec<(&'static str, ModelSpec)> {
    let parse = |layer: &str, input: &[usize]| ModelSpec::parse(&text(layer, input), layer).unwrap();
    let kinds = KINDS.iter().map(|(kind, layer, input, _)| (*kind, parse(layer, input)));
    kinds.chain(ACTIVATIONS.iter().map(|a| (*a, parse(&format!("activation: {a}"), &[3, 4])))).collect()
}
