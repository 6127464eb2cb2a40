//! Networks to ship.

use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, Model};
use tinsmith_network::ModelSpec;

/// A model of `layers` in YAML, its biases and statistics not 0 and 1.
pub(crate) fn model(layers: &str) -> Model {
    with_noise(&ModelSpec::parse(layers, "test").unwrap_or_else(|e| panic!("{e}")))
}

/// A model with weights that are not the initial ones.
pub(crate) fn with_noise(spec: &ModelSpec) -> Model {
    let model = Model::build(spec, Seed::new(3), &BuildOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    for param in model.params() {
        let mut rng = Seed::new(4).derive(param.name(), 0).rng();
        let mut values = param.values().expect("values");
        let weight = param.name().rsplit('.').next().unwrap_or_default();
        for v in &mut values {
            let noise = rng.normal() as f32;
            match weight {
                "bias" | "beta" | "moving_mean" => *v += 0.2 * noise,
                "gamma" => *v += 0.1 * noise,
                "moving_variance" => *v += 0.5 * noise.abs(),
                _ => {}
            }
        }
        let shape = param.dims().to_vec();
        let tensor =
            candle_core::Tensor::from_vec(values, shape, &candle_core::Device::Cpu).expect("a tensor");
        param.set(&tensor).expect("a set parameter");
    }
    model
}

/// Float networks of every kind that is shipped.
pub(crate) const FLOAT: &[(&str, &str)] = &[
    (
        "image",
        "layers:
- {name: x, input: {shape: [9, 7, 3]}}
- {name: c1, conv2d: {filters: 4, kernel: [3, 2], padding: same, stride: 2}}
- {name: n1, batch_norm: {}}
- {name: a1, activation: relu}
- {name: c2, conv2d: {filters: 6, kernel: 2, groups: 2, dilation: [2, 1], padding: same, use_bias: false}}
- {name: n2, batch_norm: {}}
- {name: a2, activation: hswish}
- {name: d1, depthwise_conv2d: {kernel: 3, padding: same, depth_multiplier: 2, activation: relu6}}
- {name: s1, separable_conv2d: {filters: 5, kernel: 3, padding: same, activation: tanh}}
- {name: p1, max_pool2d: {size: 2, padding: same}}
- {name: drop, dropout: {rate: 0.5}}
- {name: f, flatten: {}}
- {name: out, dense: {units: 4, activation: softmax}}
",
    ),
    (
        "rescaled",
        "layers:
- {name: x, input: {shape: [9, 7, 3]}}
- {name: r0, rescaling: {scale: [0.5, 2.0, -1.0], offset: 0.25}}
- {name: c1, conv2d: {filters: 4, kernel: 3, stride: 2, activation: relu}}
- {name: r1, rescaling: {scale: 0.125}}
- {name: f, flatten: {}}
- {name: out, dense: {units: 4}}
",
    ),
    (
        "time",
        "layers:
- {name: x, input: {shape: [24, 3]}}
- {name: c1, conv1d: {filters: 4, kernel: 3, padding: causal, dilation: 2, activation: {clip: {min: -0.5, max: 1.5}}}}
- {name: p0, average_pool1d: {size: 3, stride: 2, padding: same}}
- {name: d1, depthwise_conv1d: {kernel: 3, padding: valid}}
- {name: a1, activation: sigmoid}
- {name: s1, separable_conv1d: {filters: 6, kernel: 3, padding: same, stride: 2, activation: {leaky_relu: {alpha: 0.1}}}}
- {name: p1, max_pool1d: {size: 2}}
- {name: g, global_average_pool1d: {}}
- {name: h, dense: {units: 5, activation: hard_sigmoid}}
- {name: out, dense: {units: 2, activation: {elu: {alpha: 0.7}}}}
",
    ),
    (
        "graph",
        "layers:
- {name: x, input: {shape: [6, 6, 2]}}
- {name: n0, batch_norm: {}}
- {name: c1, conv2d: {filters: 4, kernel: 3, padding: same, activation: relu}}
- {name: c2, inputs: [c1], conv2d: {filters: 4, kernel: 1}}
- {name: c3, inputs: [c1], conv2d: {filters: 4, kernel: 3, padding: same}}
- {name: sum, inputs: [c1, c2, c3], add: {}}
- {name: less, inputs: [sum, c2], subtract: {}}
- {name: times, inputs: [less, c3], multiply: {}}
- {name: a1, activation: relu}
- {name: wide, inputs: [a1, c1], concat: {}}
- {name: tall, inputs: [wide, wide], concat: {axis: 1}}
- {name: p, average_pool2d: {size: 2}}
- {name: g1, inputs: [p], global_max_pool2d: {}}
- {name: g2, inputs: [p], global_average_pool2d: {}}
- {name: both, inputs: [g1, g2], concat: {}}
- {name: r, reshape: {shape: [4, 4]}}
- {name: d, dense: {units: 3, activation: relu}}
- {name: rr, reshape: {shape: [12]}}
- {name: out, dense: {units: 2}}
",
    ),
];

/// Quantized networks; all but the last have scales that are powers of two.
pub(crate) const QUANTIZED: &[(&str, &str)] = &[
    (
        "fixed",
        "layers:
- {name: x, input: {shape: [8, 8, 2], quantizer: 'quantized_bits(8,2,alpha=1.0)'}}
- {name: c1, conv2d: {filters: 6, kernel: 3, kernel_quantizer: 'quantized_bits(4,0,alpha=1.0)', bias_quantizer: 'quantized_bits(8,3,alpha=1.0)'}}
- {name: a1, activation: 'quantized_relu(6,2)'}
- {name: p1, max_pool2d: {}}
- {name: c2, conv2d: {filters: 4, kernel: 2, kernel_quantizer: 'quantized_bits(3,0,alpha=1.0)', bias_quantizer: 'quantized_bits(8,3,alpha=1.0)', activation: 'quantized_bits(7,2,alpha=1.0)'}}
- {name: f, flatten: {}}
- {name: out, dense: {units: 3, kernel_quantizer: 'quantized_bits(5,0,alpha=1.0)', bias_quantizer: 'quantized_bits(8,3,alpha=1.0)'}}
",
    ),
    (
        "few bits",
        "layers:
- {name: x, input: {shape: [12, 3], quantizer: 'quantized_bits(6,2,alpha=1.0)'}}
- {name: c1, conv1d: {filters: 6, kernel: 3, padding: causal, kernel_quantizer: 'ternary(alpha=1.0)', use_bias: false, activation: 'quantized_relu(3,3)'}}
- {name: c2, conv1d: {filters: 6, kernel: 3, groups: 3, padding: same, kernel_quantizer: 'binary(alpha=1.0)', bias_quantizer: 'quantized_bits(6,3,alpha=1.0)', activation: 'quantized_bits(5,4,alpha=1.0)'}}
- {name: d1, depthwise_conv1d: {kernel: 2, depthwise_quantizer: 'quantized_po2(4)', bias_quantizer: 'quantized_bits(6,3,alpha=1.0)', activation: 'quantized_tanh(5)'}}
- {name: s1, separable_conv1d: {filters: 4, kernel: 3, depthwise_quantizer: 'quantized_bits(3,0,alpha=1.0)', pointwise_quantizer: 'quantized_bits(7,0,alpha=1.0)', activation: 'quantized_sigmoid(6)'}}
- {name: f, flatten: {}}
- {name: h, dense: {units: 6, kernel_quantizer: 'quantized_bits(2,0,alpha=1.0)', bias_quantizer: 'quantized_po2(4)', activation: 'ternary(alpha=1.0)'}}
- {name: out, dense: {units: 3, kernel_quantizer: 'binary(alpha=0.5)', bias_quantizer: 'quantized_bits(6,3,alpha=1.0)', activation: 'quantized_hswish(6,2)'}}
",
    ),
    (
        "residual",
        "layers:
- {name: x, input: {shape: [6, 6, 2], quantizer: 'quantized_bits(6,2,alpha=1.0)'}}
- {name: c1, conv2d: {filters: 4, kernel: 3, padding: same, kernel_quantizer: 'quantized_bits(4,0)', bias_quantizer: 'quantized_bits(8,2,alpha=1.0)', activation: 'quantized_relu(4,2)'}}
- {name: c2, conv2d: {filters: 4, kernel: 3, padding: same, kernel_quantizer: 'quantized_bits(4,0)', bias_quantizer: 'quantized_bits(8,2,alpha=1.0)', activation: 'quantized_bits(6,2,alpha=1.0)'}}
- {name: sum, inputs: [c1, c2], add: {}}
- {name: a, activation: 'quantized_relu(5,2)'}
- {name: p, average_pool2d: {size: 2, activation: 'quantized_bits(7,2,alpha=1.0)'}}
- {name: g, global_average_pool2d: {average_quantizer: 'quantized_bits(8,0,alpha=1.0)', activation: 'quantized_relu(6,1)'}}
- {name: out, dense: {units: 3, kernel_quantizer: 'quantized_bits(6,0,alpha=1.0)', bias_quantizer: 'quantized_bits(8,2,alpha=1.0)'}}
",
    ),
    (
        "chosen scales",
        "layers:
- {name: x, input: {shape: [10], quantizer: 'quantized_bits(8,2,alpha=1.0)'}}
- {name: h1, dense: {units: 12, kernel_quantizer: \"quantized_bits(4,0,alpha='auto')\", bias_quantizer: 'quantized_bits(8,2,alpha=1.0)', activation: 'quantized_relu(6,2)'}}
- {name: h2, dense: {units: 12, kernel_quantizer: \"ternary(alpha='auto')\", bias_quantizer: 'quantized_bits(8,2,alpha=1.0)', activation: 'quantized_relu(6,2)'}}
- {name: out, dense: {units: 3, kernel_quantizer: \"binary(alpha='auto')\", bias_quantizer: 'quantized_bits(8,2,alpha=1.0)'}}
",
    ),
];
