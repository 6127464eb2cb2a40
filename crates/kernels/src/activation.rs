//! Activation functions.

use super::elementwise::{map, zip};
use super::math::{exp, sigmoid, tanh};
use super::softmax::{softmax, softmax_gradient};

/// An activation function. Formulas and gradients at kinks follow tf.keras 2.15; NaN stays NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// `x`
    Linear,
    /// `max(x, 0)`; gradient 0 at 0.
    Relu,
    /// `min(max(x, 0), 6)`; gradient 0 at both ends.
    Relu6,
    /// Keras' `ReLU` layer with all options: `min(x, max_value)` above `threshold`, otherwise `slope (x -
    /// threshold)`.
    BoundedRelu {
        /// Slope below the threshold.
        slope: f32,
        /// Upper bound; infinity for none.
        max_value: f32,
        /// Threshold below which the output is `slope (x - threshold)`.
        threshold: f32,
    },
    /// `x` above 0, otherwise `slope x`.
    LeakyRelu {
        /// Slope below 0.
        slope: f32,
    },
    /// `x` above 0, otherwise `alpha (e^x - 1)`.
    Elu {
        /// Negative of the limit for very negative inputs.
        alpha: f32,
    },
    /// `1.0507009873554805 elu(x, 1.6732632423543772)`
    Selu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `clip(0.2 x + 0.5, 0, 1)`, as in Keras 2.
    HardSigmoid,
    /// `x clip(x + 3, 0, 6) / 6`
    HardSwish,
    /// `x sigmoid(x)`
    Swish,
    /// `ln(1 + e^x)`
    Softplus,
    /// `x / (1 + |x|)`
    Softsign,
    /// `e^x`
    Exponential,
    /// `x (1 + erf(x / sqrt 2)) / 2`
    Gelu,
    /// `e^x / sum e^x` over the last axis.
    Softmax,
}

const SELU_SCALE: f32 = 1.050_701;
const SELU_ALPHA: f32 = 1.673_263_2;

/// Computes `out = activation(x)`. `channels` is the size of the last axis, which only softmax uses.
pub fn activate(out: &mut [f32], x: &[f32], kind: Activation, channels: usize, threads: usize) {
    match kind {
        Activation::Linear => out.copy_from_slice(x),
        Activation::Relu => map(out, x, |x| if x <= 0.0 { 0.0 } else { x }, threads),
        Activation::Relu6 => map(out, x, |x| clip(x, 0.0, 6.0), threads),
        Activation::BoundedRelu { slope, max_value, threshold } => {
            let f = move |x: f32| {
                let above = if x > max_value { max_value } else { x };
                if x <= threshold { slope * (x - threshold) } else { above }
            };
            map(out, x, f, threads);
        }
        Activation::LeakyRelu { slope } => map(out, x, |x| if x <= 0.0 { slope * x } else { x }, threads),
        Activation::Elu { alpha } => map(out, x, |x| elu(x, alpha), threads),
        Activation::Selu => map(out, x, |x| SELU_SCALE * elu(x, SELU_ALPHA), threads),
        Activation::Tanh => map(out, x, tanh, threads),
        Activation::Sigmoid => map(out, x, sigmoid, threads),
        Activation::HardSigmoid => map(out, x, |x| clip(0.2 * x + 0.5, 0.0, 1.0), threads),
        Activation::HardSwish => map(out, x, |x| x * clip(x + 3.0, 0.0, 6.0) * (1.0 / 6.0), threads),
        Activation::Swish => map(out, x, |x| x * sigmoid(x), threads),
        Activation::Softplus => {
            map(out, x, |x| (-x.abs()).exp().ln_1p() + if x <= 0.0 { 0.0 } else { x }, threads);
        }
        Activation::Softsign => map(out, x, |x| x / (1.0 + x.abs()), threads),
        Activation::Exponential => map(out, x, exp, threads),
        Activation::Gelu => {
            map(out, x, |x| 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)), threads);
        }
        Activation::Softmax => softmax(out, x, channels, threads),
    }
}

/// Gradient of [`activate`] with respect to its input, from `dy`, the input `x` and the output `y`.
pub fn activation_gradient(
    dx: &mut [f32],
    dy: &[f32],
    (x, y): (&[f32], &[f32]),
    kind: Activation,
    channels: usize,
    threads: usize,
) {
    match kind {
        Activation::Linear => dx.copy_from_slice(dy),
        Activation::Relu => zip(dx, dy, x, |g, x| if x <= 0.0 { 0.0 } else { g }, threads),
        Activation::Relu6 => zip(dx, dy, x, |g, x| if (x <= 0.0) | (x >= 6.0) { 0.0 } else { g }, threads),
        Activation::BoundedRelu { slope, max_value, threshold } => {
            let f = move |g: f32, x: f32| {
                let above = if x > max_value { 0.0 } else { g };
                if x <= threshold { slope * g } else { above }
            };
            zip(dx, dy, x, f, threads);
        }
        Activation::LeakyRelu { slope } => {
            zip(dx, dy, x, |g, x| if x <= 0.0 { slope * g } else { g }, threads);
        }
        Activation::Elu { alpha } => {
            zip(dx, dy, y, |g, y| if y < 0.0 { g * (y + alpha) } else { g }, threads);
        }
        Activation::Selu => {
            let f = |g: f32, y: f32| g * if y < 0.0 { y + SELU_SCALE * SELU_ALPHA } else { SELU_SCALE };
            zip(dx, dy, y, f, threads);
        }
        Activation::Tanh => zip(dx, dy, y, |g, y| g * (1.0 - y * y), threads),
        Activation::Sigmoid => zip(dx, dy, y, |g, y| g * (y * (1.0 - y)), threads),
        Activation::HardSigmoid => {
            let f = |g: f32, x: f32| {
                let v = 0.2 * x + 0.5;
                if (0.0..=1.0).contains(&v) { 0.2 * g } else { 0.0 }
            };
            zip(dx, dy, x, f, threads);
        }
        Activation::HardSwish => {
            let f = |g: f32, x: f32| {
                let inner = if (x > -3.0) & (x < 3.0) { x } else { 0.0 };
                g * ((clip(x + 3.0, 0.0, 6.0) + inner) * (1.0 / 6.0))
            };
            zip(dx, dy, x, f, threads);
        }
        Activation::Swish => {
            let f = |g: f32, x: f32| {
                let s = sigmoid(x);
                g * (s * (1.0 + x * (1.0 - s)))
            };
            zip(dx, dy, x, f, threads);
        }
        Activation::Softplus => zip(dx, dy, x, |g, x| g * sigmoid(x), threads),
        Activation::Softsign => {
            let f = |g: f32, x: f32| {
                let d = 1.0 + x.abs();
                g / (d * d)
            };
            zip(dx, dy, x, f, threads);
        }
        Activation::Exponential => zip(dx, dy, y, |g, y| g * y, threads),
        Activation::Gelu => {
            let f = |g: f32, x: f32| {
                let cumulative = 0.5 * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2));
                // The constant is 1 / sqrt(2 pi).
                g * (cumulative + x * exp(-0.5 * x * x) * 0.398_942_3)
            };
            zip(dx, dy, x, f, threads);
        }
        Activation::Softmax => softmax_gradient(dx, dy, y, channels, threads),
    }
}

/// Clips `x` to an interval; NaN stays NaN.
#[inline(always)]
fn clip(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

#[inline(always)]
fn elu(x: f32, alpha: f32) -> f32 {
    // Near 0, `e^x - 1` would lose digits; three terms of the series are accurate there.
    let below = if x > -0.01 { x * (1.0 + x * (0.5 + x * (1.0 / 6.0))) } else { exp(x) - 1.0 };
    if x <= 0.0 { alpha * below } else { x }
}
