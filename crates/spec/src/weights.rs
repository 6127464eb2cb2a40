//! The weight tensors of each kind of layer: names, shapes, fans and quantizers, in Keras' order.

use crate::activation::Activation;
use crate::op::{Initializer, Op};
use crate::quantizer::Quantizer;

/// What part a weight tensor plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// Multiplies inputs; pruned and quantized.
    Kernel,
    /// Added to each output channel.
    Bias,
    /// Scale of a normalization.
    Gamma,
    /// Shift of a normalization.
    Beta,
    /// Moving mean of a batch normalization; not trained.
    MovingMean,
    /// Moving variance of a batch normalization; not trained.
    MovingVariance,
    /// Negative slope of a parametric rectifier.
    Slope,
}

impl Role {
    /// Whether an optimizer changes it.
    #[must_use]
    pub const fn is_trainable(self) -> bool {
        !matches!(self, Self::MovingMean | Self::MovingVariance)
    }
}

/// One weight tensor of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Its name in the layer: `kernel`, `bias`, `depthwise_kernel`, `gamma`, `moving_mean`, ...
    pub name: &'static str,
    /// Its part.
    pub role: Role,
    /// Its shape, Keras' layout.
    pub shape: Vec<usize>,
    /// Inputs and outputs that an initializer counts.
    pub fans: (usize, usize),
    /// How it starts.
    pub initializer: Initializer,
    /// Its quantizer, where it has one.
    pub quantizer: Option<Quantizer>,
}

impl Weight {
    /// Elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements; no valid layer has such a weight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn kernel(
    name: &'static str,
    shape: Vec<usize>,
    initializer: Initializer,
    quantizer: Option<Quantizer>,
) -> Weight {
    // Keras counts a kernel's fans from its last two axes and the product of the others.
    let rank = shape.len();
    let field: usize = shape[..rank.saturating_sub(2)].iter().product();
    let fans = if rank < 2 {
        (shape.iter().product(), shape.iter().product())
    } else {
        (shape[rank - 2] * field, shape[rank - 1] * field)
    };
    Weight { name, role: Role::Kernel, shape, fans, initializer, quantizer }
}

fn vector(
    name: &'static str,
    role: Role,
    shape: Vec<usize>,
    start: Initializer,
    quantizer: Option<Quantizer>,
) -> Weight {
    let n = shape.iter().product();
    Weight { name, role, shape, fans: (n, n), initializer: start, quantizer }
}

fn bias(used: bool, n: usize, quantizer: Option<Quantizer>) -> Option<Weight> {
    used.then(|| vector("bias", Role::Bias, vec![n], Initializer::Zeros, quantizer))
}

impl Op {
    /// The weight tensors of this kind for a first input of shape `input`, in Keras' order. Empty for kinds
    /// without weights and for shapes that do not fit.
    #[must_use]
    pub fn weights(&self, input: &[usize]) -> Vec<Weight> {
        let Some(&c) = input.last() else { return Vec::new() };
        match self {
            Self::Dense(d) => [
                Some(kernel("kernel", vec![c, d.units], d.kernel_initializer, d.kernel_quantizer)),
                bias(d.use_bias, d.units, d.bias_quantizer),
            ]
            .into_iter()
            .flatten()
            .collect(),
            Self::Conv1d(l) => {
                let shape = vec![l.kernel, c / l.groups.max(1), l.filters];
                with_bias(
                    kernel("kernel", shape, l.kernel_initializer, l.kernel_quantizer),
                    bias(l.use_bias, l.filters, l.bias_quantizer),
                )
            }
            Self::Conv2d(l) => {
                let shape = vec![l.kernel.height, l.kernel.width, c / l.groups.max(1), l.filters];
                with_bias(
                    kernel("kernel", shape, l.kernel_initializer, l.kernel_quantizer),
                    bias(l.use_bias, l.filters, l.bias_quantizer),
                )
            }
            Self::Conv2dTranspose(l) => {
                let shape = vec![l.kernel.height, l.kernel.width, l.filters, c];
                with_bias(
                    kernel("kernel", shape, l.kernel_initializer, l.kernel_quantizer),
                    bias(l.use_bias, l.filters, l.bias_quantizer),
                )
            }
            Self::DepthwiseConv1d(l) => {
                let shape = vec![l.kernel, c, l.depth_multiplier];
                let n = c * l.depth_multiplier;
                with_bias(
                    kernel("depthwise_kernel", shape, l.depthwise_initializer, l.depthwise_quantizer),
                    bias(l.use_bias, n, l.bias_quantizer),
                )
            }
            Self::DepthwiseConv2d(l) => {
                let shape = vec![l.kernel.height, l.kernel.width, c, l.depth_multiplier];
                let n = c * l.depth_multiplier;
                with_bias(
                    kernel("depthwise_kernel", shape, l.depthwise_initializer, l.depthwise_quantizer),
                    bias(l.use_bias, n, l.bias_quantizer),
                )
            }
            Self::SeparableConv1d(l) => {
                let depth = kernel(
                    "depthwise_kernel",
                    vec![l.kernel, c, l.depth_multiplier],
                    l.depthwise_initializer,
                    l.depthwise_quantizer,
                );
                let point = kernel(
                    "pointwise_kernel",
                    vec![1, c * l.depth_multiplier, l.filters],
                    l.pointwise_initializer,
                    l.pointwise_quantizer,
                );
                [Some(depth), Some(point), bias(l.use_bias, l.filters, l.bias_quantizer)]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Self::SeparableConv2d(l) => {
                let depth = kernel(
                    "depthwise_kernel",
                    vec![l.kernel.height, l.kernel.width, c, l.depth_multiplier],
                    l.depthwise_initializer,
                    l.depthwise_quantizer,
                );
                let point = kernel(
                    "pointwise_kernel",
                    vec![1, 1, c * l.depth_multiplier, l.filters],
                    l.pointwise_initializer,
                    l.pointwise_quantizer,
                );
                [Some(depth), Some(point), bias(l.use_bias, l.filters, l.bias_quantizer)]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Self::BatchNorm(l) => {
                let gamma = l
                    .scale
                    .then(|| vector("gamma", Role::Gamma, vec![c], Initializer::Ones, l.gamma_quantizer));
                let beta = l
                    .center
                    .then(|| vector("beta", Role::Beta, vec![c], Initializer::Zeros, l.beta_quantizer));
                let mean =
                    vector("moving_mean", Role::MovingMean, vec![c], Initializer::Zeros, l.mean_quantizer);
                let variance = vector(
                    "moving_variance",
                    Role::MovingVariance,
                    vec![c],
                    Initializer::Ones,
                    l.variance_quantizer,
                );
                [gamma, beta, Some(mean), Some(variance)].into_iter().flatten().collect()
            }
            Self::LayerNorm(l) => {
                let gamma = l.scale.then(|| vector("gamma", Role::Gamma, vec![c], Initializer::Ones, None));
                let beta = l.center.then(|| vector("beta", Role::Beta, vec![c], Initializer::Zeros, None));
                [gamma, beta].into_iter().flatten().collect()
            }
            Self::Activation(Activation::Prelu(prelu)) => {
                let shape = input
                    .iter()
                    .enumerate()
                    .map(|(i, &d)| if prelu.shared_axes.contains(&(i + 1)) { 1 } else { d });
                vec![vector("alpha", Role::Slope, shape.collect(), Initializer::Zeros, None)]
            }
            _ => Vec::new(),
        }
    }

    /// The activation fused into this kind of layer, or the layer's own where it is one.
    #[must_use]
    pub const fn activation(&self) -> Option<&Activation> {
        match self {
            Self::Activation(a) => Some(a),
            Self::Dense(l) => Some(&l.activation),
            Self::Conv1d(l) => Some(&l.activation),
            Self::Conv2d(l) => Some(&l.activation),
            Self::Conv2dTranspose(l) => Some(&l.activation),
            Self::DepthwiseConv1d(l) => Some(&l.activation),
            Self::DepthwiseConv2d(l) => Some(&l.activation),
            Self::SeparableConv1d(l) => Some(&l.activation),
            Self::SeparableConv2d(l) => Some(&l.activation),
            Self::MaxPool1d(l) | Self::AveragePool1d(l) => Some(&l.activation),
            Self::MaxPool2d(l) | Self::AveragePool2d(l) => Some(&l.activation),
            Self::GlobalMaxPool1d(l)
            | Self::GlobalMaxPool2d(l)
            | Self::GlobalAveragePool1d(l)
            | Self::GlobalAveragePool2d(l) => Some(&l.activation),
            _ => None,
        }
    }
}

fn with_bias(kernel: Weight, bias: Option<Weight>) -> Vec<Weight> {
    std::iter::once(kernel).chain(bias).collect()
}
