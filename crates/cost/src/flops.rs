//! Floating-point operations of one layer for one sample, by two conventions.
//!
//! | | own ([`flops`]) | keras-flops ([`keras_flops`]) |
//! | --- | --- | --- |
//! | multiply-accumulate | 2 | 2 |
//! | bias | 1 per output | 1 per output |
//! | batch norm that is not folded | 2 per element (scale and shift, known beforehand) | images: 2 per element and 6 per channel; else 2 per element and 6 per channel (5 without scale) |
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
//! | what only moves elements | 0 | 0 |
//!
//! The second is the `TensorFlow` profiler's count of the frozen inference graph at batch 1 with the registrations
//! of keras-flops 0.1.2. It is odd where it counts `relu` for nothing, a mean by its inputs, a reciprocal square
//! root as two, and a transposed convolution by its output divided by the stride; it is here so that figures can
//! be compared.

use tinsmith_network::op::{Interpolation, Op};
use tinsmith_network::{Activation, Role, Weight};

use crate::storage::product;

/// What the counts need of a layer beyond its kind.
pub(crate) struct Sizes<'a> {
    /// Shapes of its inputs.
    pub(crate) inputs: &'a [&'a [usize]],
    /// Shape of its output.
    pub(crate) output: &'a [usize],
    /// Its weights.
    pub(crate) weights: &'a [Weight],
    /// Multiply-accumulates.
    pub(crate) macs: u64,
}

impl Sizes<'_> {
    fn input_elements(&self) -> u64 {
        self.inputs.first().map_or(0, |shape| product(shape))
    }

    fn channels(&self) -> u64 {
        self.output.last().map_or(0, |&c| c as u64)
    }

    fn has_bias(&self) -> bool {
        self.weights.iter().any(|w| w.role == Role::Bias)
    }
}

fn window(op: &Op, sizes: &Sizes<'_>) -> u64 {
    match op {
        Op::MaxPool1d(p) | Op::AveragePool1d(p) => p.size as u64,
        Op::MaxPool2d(p) | Op::AveragePool2d(p) => product(&[p.size.height, p.size.width]),
        _ => sizes.input_elements() / sizes.channels().max(1),
    }
}

/// Own convention; see the module's table.
pub(crate) fn flops(op: &Op, sizes: &Sizes<'_>) -> u64 {
    let n = product(sizes.output);
    let per_element = match op {
        Op::BatchNorm(_) => 2,
        Op::LayerNorm(norm) => 5 + u64::from(norm.scale) + u64::from(norm.center),
        Op::MaxPool1d(_) | Op::MaxPool2d(_) | Op::GlobalMaxPool1d(_) | Op::GlobalMaxPool2d(_) => {
            window(op, sizes).saturating_sub(1)
        }
        Op::AveragePool1d(_)
        | Op::AveragePool2d(_)
        | Op::GlobalAveragePool1d(_)
        | Op::GlobalAveragePool2d(_) => window(op, sizes),
        Op::Add(_) | Op::Subtract(_) | Op::Multiply(_) => merged(sizes),
        Op::UpSampling2d(up) if up.interpolation == Interpolation::Bilinear => 7,
        _ => u64::from(sizes.has_bias()),
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

/// The convention of keras-flops; see the module's table.
pub(crate) fn keras_flops(op: &Op, sizes: &Sizes<'_>) -> u64 {
    let n = product(sizes.output);
    let c = sizes.channels();
    let body = match op {
        Op::BatchNorm(norm) => {
            let per_channel = if sizes.output.len() == 3 { 6 } else { 5 + u64::from(norm.scale) };
            n.saturating_mul(2).saturating_add(c.saturating_mul(per_channel))
        }
        Op::LayerNorm(norm) => {
            let per_element = 2 + u64::from(norm.scale) + u64::from(norm.center);
            n.saturating_mul(per_element).saturating_add((n / c.max(1)).saturating_mul(6))
        }
        Op::MaxPool1d(_) | Op::MaxPool2d(_) | Op::AveragePool1d(_) | Op::AveragePool2d(_) => {
            n.saturating_mul(window(op, sizes))
        }
        Op::GlobalAveragePool1d(_) | Op::GlobalAveragePool2d(_) => sizes.input_elements(),
        Op::Add(_) | Op::Subtract(_) | Op::Multiply(_) => n.saturating_mul(merged(sizes)),
        Op::Conv2dTranspose(l) => {
            let kernel = sizes.weights.first().map_or(0, |w| product(&w.shape));
            let positions = n / c.max(1);
            let stride = product(&[l.stride.height, l.stride.width]).max(1);
            let multiplications = positions.saturating_mul(kernel).saturating_mul(2) / stride;
            multiplications.saturating_add(if sizes.has_bias() { n } else { 0 })
        }
        _ => sizes.macs.saturating_mul(2).saturating_add(if sizes.has_bias() { n } else { 0 }),
    };
    let activation = match op.activation() {
        Some(Activation::HardSigmoid) => n.saturating_mul(4),
        Some(Activation::Hswish) => n.saturating_mul(3),
        Some(Activation::Clip(_)) => n.saturating_mul(2),
        Some(Activation::Softmax) => n.saturating_mul(5),
        Some(Activation::Prelu(_)) => {
            let slopes = sizes.weights.first().map_or(0, |w| product(&w.shape));
            n.saturating_mul(3).saturating_add(slopes)
        }
        _ => 0,
    };
    body.saturating_add(activation)
}
