//! Dense layers and convolutions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Initializer;
use super::omitted::{is_default, is_one, is_pair_one, is_true, is_zeros, one, pair_one, yes, zeros};
use crate::activation::Activation;
use crate::quantizer::Quantizer;
use crate::window::{Padding, Pair};

/// Fully connected layer on the last axis: `[.., in] -> [.., units]`; kernel `(in, units)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Output features.
    pub units: usize,
    /// Adds a bias to each output channel. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Activation of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// Distribution of the bias' initial values. Default zeros.
    #[serde(default = "zeros", skip_serializing_if = "is_zeros")]
    pub bias_initializer: Initializer,
    /// Distribution of the kernel's initial values. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kernel_initializer: Initializer,
}

impl Dense {
    /// Creates the layer with every option at its default.
    #[must_use]
    pub fn new(units: usize) -> Self {
        Self {
            units,
            use_bias: true,
            activation: Activation::Linear,
            kernel_quantizer: None,
            bias_quantizer: None,
            bias_initializer: Initializer::Zeros,
            kernel_initializer: Initializer::default(),
        }
    }
}

/// Convolution over time: `[t, in] -> [t', filters]`; kernel `(kernel, in / groups, filters)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conv1d {
    /// Output channels.
    pub filters: usize,
    /// Size of the kernel.
    pub kernel: usize,
    /// Stride, in input elements. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stride: usize,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Dilation: distance between the kernel's taps, 1 for adjacent. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub dilation: usize,
    /// Groups of channels that are convolved independently; divides input channels and filters. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// Adds a bias to each output channel. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Activation of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// Distribution of the bias' initial values. Default zeros.
    #[serde(default = "zeros", skip_serializing_if = "is_zeros")]
    pub bias_initializer: Initializer,
    /// Distribution of the kernel's initial values. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kernel_initializer: Initializer,
}

impl Conv1d {
    /// Creates the layer with every option at its default.
    #[must_use]
    pub fn new(filters: usize, kernel: usize) -> Self {
        Self {
            filters,
            kernel,
            stride: 1,
            padding: Padding::Valid,
            dilation: 1,
            groups: 1,
            use_bias: true,
            activation: Activation::Linear,
            kernel_quantizer: None,
            bias_quantizer: None,
            bias_initializer: Initializer::Zeros,
            kernel_initializer: Initializer::default(),
        }
    }
}

/// Convolution over an image: `[h, w, in] -> [h', w', filters]`; kernel `(kh, kw, in / groups, filters)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Output channels.
    pub filters: usize,
    /// Size of the kernel.
    pub kernel: Pair,
    /// Stride, in input elements. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub stride: Pair,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Dilation: distance between the kernel's taps, 1 for adjacent. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub dilation: Pair,
    /// Groups of channels that are convolved independently; divides input channels and filters. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// Adds a bias to each output channel. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Activation of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// Distribution of the bias' initial values. Default zeros.
    #[serde(default = "zeros", skip_serializing_if = "is_zeros")]
    pub bias_initializer: Initializer,
    /// Distribution of the kernel's initial values. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kernel_initializer: Initializer,
}

impl Conv2d {
    /// Creates the layer with every option at its default.
    #[must_use]
    pub fn new(filters: usize, kernel: impl Into<Pair>) -> Self {
        Self {
            filters,
            kernel: kernel.into(),
            stride: Pair::ONE,
            padding: Padding::Valid,
            dilation: Pair::ONE,
            groups: 1,
            use_bias: true,
            activation: Activation::Linear,
            kernel_quantizer: None,
            bias_quantizer: None,
            bias_initializer: Initializer::Zeros,
            kernel_initializer: Initializer::default(),
        }
    }
}

/// Transposed convolution: `[h, w, in] -> [h', w', filters]`; kernel `(kh, kw, filters, in)`, as in Keras.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conv2dTranspose {
    /// Output channels.
    pub filters: usize,
    /// Size of the kernel.
    pub kernel: Pair,
    /// Stride, in input elements. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub stride: Pair,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Dilation: distance between the kernel's taps, 1 for adjacent. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub dilation: Pair,
    /// Adds a bias to each output channel. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Activation of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// Distribution of the bias' initial values. Default zeros.
    #[serde(default = "zeros", skip_serializing_if = "is_zeros")]
    pub bias_initializer: Initializer,
    /// Distribution of the kernel's initial values. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kernel_initializer: Initializer,
}

impl Conv2dTranspose {
    /// Creates the layer with every option at its default.
    #[must_use]
    pub fn new(filters: usize, kernel: impl Into<Pair>) -> Self {
        Self {
            filters,
            kernel: kernel.into(),
            stride: Pair::ONE,
            padding: Padding::Valid,
            dilation: Pair::ONE,
            use_bias: true,
            activation: Activation::Linear,
            kernel_quantizer: None,
            bias_quantizer: None,
            bias_initializer: Initializer::Zeros,
            kernel_initializer: Initializer::default(),
        }
    }
}

/// Depthwise convolution over time: `[t, in] -> [t', in * multiplier]`; kernel `(kernel, in, multiplier)`, output channel `in * multiplier + j`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DepthwiseConv1d {
    /// Size of the kernel.
    pub kernel: usize,
    /// Stride, in input elements. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stride: usize,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Dilation: distance between the kernel's taps, 1 for adjacent. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub dilation: usize,
    /// Output channels per input channel. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub depth_multiplier: usize,
    /// Adds a bias to each output channel. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Activation of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the depthwise kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depthwise_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// Distribution of the bias' initial values. Default zeros.
    #[serde(default = "zeros", skip_serializing_if = "is_zeros")]
    pub bias_initializer: Initializer,
    /// Distribution of the kernel's initial values. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depthwise_initializer: Initializer,
}

impl DepthwiseConv1d {
    /// Creates the layer with every option at its default.
    #[must_use]
    pub fn new(kernel: usize) -> Self {
        Self {
            kernel,
            stride: 1,
            padding: Padding::Valid,
            dilation: 1,
            depth_multiplier: 1,
            use_bias: true,
            activation: Activation::Linear,
            depthwise_quantizer: None,
            bias_quantizer: None,
            bias_initializer: Initializer::Zeros,
            depthwise_initializer: Initializer::default(),
        }
    }
}

/// Depthwise convolution over an image: `[h, w, in] -> [h', w', in * multiplier]`; kernel `(kh, kw, in, multiplier)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DepthwiseConv2d {
    /// Size of the kernel.
    pub kernel: Pair,
    /// Stride, in input elements. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub stride: Pair,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Dilation: distance between the kernel's taps, 1 for adjacent. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub dilation: Pair,
    /// Output channels per input channel. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub depth_multiplier: usize,
    /// Adds a bias to each output channel. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Activation of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the depthwise kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depthwise_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// Distribution of the bias' initial values. Default zeros.
    #[serde(default = "zeros", skip_serializing_if = "is_zeros")]
    pub bias_initializer: Initializer,
    /// Distribution of the kernel's initial values. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depthwise_initializer: Initializer,
}

impl DepthwiseConv2d {
    /// Creates the layer with every option at its default.
    #[must_use]
    pub fn new(kernel: impl Into<Pair>) -> Self {
        Self {
            kernel: kernel.into(),
            stride: Pair::ONE,
            padding: Padding::Valid,
            dilation: Pair::ONE,
            depth_multiplier: 1,
            use_bias: true,
            activation: Activation::Linear,
            depthwise_quantizer: None,
            bias_quantizer: None,
            bias_initializer: Initializer::Zeros,
            depthwise_initializer: Initializer::default(),
        }
    }
}

/// Separable convolution over time, depthwise then pointwise: kernels `(kernel, in, multiplier)` and `(1, in * multiplier, filters)`, one bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeparableConv1d {
    /// Output channels.
    pub filters: usize,
    /// Size of the kernel.
    pub kernel: usize,
    /// Stride, in input elements. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stride: usize,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Dilation: distance between the kernel's taps, 1 for adjacent. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub dilation: usize,
    /// Output channels per input channel. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub depth_multiplier: usize,
    /// Adds a bias to each output channel. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Activation of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the depthwise kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depthwise_quantizer: Option<Quantizer>,
    /// Quantizer of the pointwise kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointwise_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// Distribution of the bias' initial values. Default zeros.
    #[serde(default = "zeros", skip_serializing_if = "is_zeros")]
    pub bias_initializer: Initializer,
    /// Distribution of the depthwise kernel's initial values. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depthwise_initializer: Initializer,
    /// Distribution of the pointwise kernel's initial values. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pointwise_initializer: Initializer,
}

impl SeparableConv1d {
    /// Creates the layer with every option at its default.
    #[must_use]
    pub fn new(filters: usize, kernel: usize) -> Self {
        Self {
            filters,
            kernel,
            stride: 1,
            padding: Padding::Valid,
            dilation: 1,
            depth_multiplier: 1,
            use_bias: true,
            activation: Activation::Linear,
            depthwise_quantizer: None,
            pointwise_quantizer: None,
            bias_quantizer: None,
            bias_initializer: Initializer::Zeros,
            depthwise_initializer: Initializer::default(),
            pointwise_initializer: Initializer::default(),
        }
    }
}

/// Separable convolution over an image, depthwise then pointwise: kernels `(kh, kw, in, multiplier)` and `(1, 1, in * multiplier, filters)`, one bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeparableConv2d {
    /// Output channels.
    pub filters: usize,
    /// Size of the kernel.
    pub kernel: Pair,
    /// Stride, in input elements. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub stride: Pair,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Dilation: distance between the kernel's taps, 1 for adjacent. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub dilation: Pair,
    /// Output channels per input channel. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub depth_multiplier: usize,
    /// Adds a bias to each output channel. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Activation of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the depthwise kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depthwise_quantizer: Option<Quantizer>,
    /// Quantizer of the pointwise kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointwise_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// Distribution of the bias' initial values. Default zeros.
    #[serde(default = "zeros", skip_serializing_if = "is_zeros")]
    pub bias_initializer: Initializer,
    /// Distribution of the depthwise kernel's initial values. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depthwise_initializer: Initializer,
    /// Distribution of the pointwise kernel's initial values. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pointwise_initializer: Initializer,
}

impl SeparableConv2d {
    /// Creates the layer with every option at its default.
    #[must_use]
    pub fn new(filters: usize, kernel: impl Into<Pair>) -> Self {
        Self {
            filters,
            kernel: kernel.into(),
            stride: Pair::ONE,
            padding: Padding::Valid,
            dilation: Pair::ONE,
            depth_multiplier: 1,
            use_bias: true,
            activation: Activation::Linear,
            depthwise_quantizer: None,
            pointwise_quantizer: None,
            bias_quantizer: None,
            bias_initializer: Initializer::Zeros,
            depthwise_initializer: Initializer::default(),
            pointwise_initializer: Initializer::default(),
        }
    }
}
