//! Floating-point operations of one layer for one sample, by two conventions.
//!
//! | | own ([`flops`]) | keras-flops ([`keras_flops`]) |
//! | --- | --- | --- |
//! | multiply-accumulate | 2 | 2 |
//! | bias | 1 per output | 1 per output |
//! | batch normalization, not folded | 2 per element (precomputed scale and shift) | images: 2 per element and 6 per channel; else 2 per element and 6 per channel (5 without scale) |
//! | rescaling | 2 per element | 2 per element |
//! | layer norm | 5 per element, 1 more each for scale and shift | 2 per element and 6 per row (it runs as a fused batch norm), 1 more each for scale and shift |
//! | max pooling | window - 1 per output | window per output; global 0 |
//! | average pooling | window per output | window per output; global 1 per input |
//! | add, subtract, multiply | inputs - 1 per output | the same |
//! | relu | 1 | 0 |
//! | relu6, leaky relu, prelu, clip | 2 | 0, 0, 3, 2 |
//! | elu, sigmoid, tanh | 4 (an exponential counts 1) | 0 |
//! | hard sigmoid, hswish | 4, 5 | 4, 3 |
//! | softmax | 5 | 5 |
//! | quantizer | 4 (scale, round, two bounds) | 0 (that of the float network) |
//! | bilinear up-sampling | 7 per output | 0 |
//! | rearrangement of elements | 0 | 0 |
//!
//! The second convention is the `TensorFlow` profiler's count of the frozen inference graph at batch 1 with the
//! registrations of keras-flops 0.1.2. Its oddities are kept so that figures can be compared: `relu` counts nothing, a
//! mean counts its inputs, a reciprocal square root counts two, and a transposed convolution counts its output divided
//! by the stride.

use tinsmith_network::op::{Interpolation, Op};
use tinsmith_network::{Activation, Merging, Pooling, Product, ProductKind, Role, Weight};

use crate::storage::elements;

/// Sizes of a layer that the counts depend on.
pub(crate) struct Sizes<'a> {
    /// Shapes of the inputs.
    pub(crate) inputs: &'a [&'a [usize]],
    /// Shape of the output.
    pub(crate) output: &'a [usize],
    /// Weights.
    pub(crate) weights: &'a [Weight],
    /// Multiply-accumulates.
    pub(crate) macs: u64,
}

impl Sizes<'_> {
    fn input_elements(&self) -> u64 {
        self.inputs.first().map_or(0, |shape| elements(shape))
    }

    fn channels(&self) -> u64 {
        self.output.last().map_or(0, |&c| c as u64)
    }

    fn has_bias(&self) -> bool {
        self.weights.iter().any(|w| w.role == Role::Bias)
    }
}

/// Elements under one window of a pooling layer.
fn window(pooling: &Pooling<'_>, sizes: &Sizes<'_>) -> u64 {
    pooling.area(sizes.inputs.first().copied().unwrap_or_default())
}

/// FLOPs by our convention; see the module's table.
pub(crate) fn flops(op: &Op, sizes: &Sizes<'_>) -> u64 {
    let n = elements(sizes.output);
    let per_element = match op {
        Op::BatchNorm(_) | Op::Rescaling(_) => 2,
        Op::LayerNorm(norm) => 5 + u64::from(norm.scale) + u64::from(norm.center),
        _ if op.merging().is_some_and(Merging::is_elementwise) => merged(sizes),
        Op::UpSampling2d(up) if up.interpolation == Interpolation::Bilinear => 7,
        _ => match op.pooling() {
            Some(pooling) if pooling.takes_mean => window(&pooling, sizes),
            Some(pooling) => window(&pooling, sizes).saturating_sub(1),
            None => u64::from(sizes.has_bias()),
        },
    };
    let activation = match op.activation() {
        None | Some(Activation::Linear) => 0,
        Some(Activation::Relu) => 1,
        Some(Activation::Relu6 | Activation::LeakyRelu(_) | Activation::Prelu(_) | Activation::Clip(_)) => 2,
        Some(Activation::Hswish | Activation::Softmax) => 5,
        Some(_) => 4,
    };
    sizes.macs.saturating_mul(2).saturating_add(n.saturating_mul(per_element + activation))
}

fn merged(sizes: &Sizes<'_>) -> u64 {
    (sizes.inputs.len() as u64).saturating_sub(1)
}

/// FLOPs by the convention of keras-flops; see the module's table.
pub(crate) fn keras_flops(op: &Op, sizes: &Sizes<'_>) -> u64 {
    let n = elements(sizes.output);
    let c = sizes.channels();
    let bias = if sizes.has_bias() { n } else { 0 };
    let body = match op {
        Op::BatchNorm(norm) => {
            let per_channel = if sizes.output.len() == 3 { 6 } else { 5 + u64::from(norm.scale) };
            n.saturating_mul(2).saturating_add(c.saturating_mul(per_channel))
        }
        Op::LayerNorm(norm) => {
            let per_element = 2 + u64::from(norm.scale) + u64::from(norm.center);
            n.saturating_mul(per_element).saturating_add((n / c.max(1)).saturating_mul(6))
        }
        Op::Rescaling(_) => n.saturating_mul(2),
        _ if op.merging().is_some_and(Merging::is_elementwise) => n.saturating_mul(merged(sizes)),
        _ => match (op.pooling(), op.product()) {
            (Some(pooling), _) => match (pooling.window, pooling.takes_mean) {
                (Some(_), _) => n.saturating_mul(window(&pooling, sizes)),
                (None, true) => sizes.input_elements(),
                (None, false) => 0,
            },
            (_, Some(Product { kind: ProductKind::Transposed, window, .. })) => {
                let kernel = sizes.weights.first().map_or(0, |w| elements(&w.shape));
                let positions = n / c.max(1);
                let stride = elements(&[window.stride.height, window.stride.width]).max(1);
                (positions.saturating_mul(kernel).saturating_mul(2) / stride).saturating_add(bias)
            }
            _ => sizes.macs.saturating_mul(2).saturating_add(bias),
        },
    };
    let activation = match op.activation() {
        Some(Activation::HardSigmoid) => n.saturating_mul(4),
        Some(Activation::Hswish) => n.saturating_mul(3),
        Some(Activation::Clip(_)) => n.saturating_mul(2),
        Some(Activation::Softmax) => n.saturating_mul(5),
        Some(Activation::Prelu(_)) => {
            let slopes = sizes.weights.first().map_or(0, |w| elements(&w.shape));
            n.saturating_mul(3).saturating_add(slopes)
        }
        _ => 0,
    };
    body.saturating_add(activation)
}
