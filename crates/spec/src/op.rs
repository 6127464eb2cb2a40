//! What a layer computes. One struct per kind, all fields with Keras' names (in the field's plain terms) and
//! Keras' defaults; quantizers are optional fields of the layer they belong to.

use schemars::JsonSchema;
use serde::de::MapAccess;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::quantizer::Quantizer;
use crate::window::{Padding, Pair};

/// How weights start. Variances and bounds are Keras'.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Initializer {
    /// Uniform, variance `2 / (fan_in + fan_out)`.
    #[default]
    GlorotUniform,
    /// Normal truncated at two deviations, variance `2 / (fan_in + fan_out)`.
    GlorotNormal,
    /// Uniform, variance `2 / fan_in`.
    HeUniform,
    /// Truncated normal, variance `2 / fan_in`.
    HeNormal,
    /// Uniform, variance `1 / fan_in`.
    LecunUniform,
    /// Truncated normal, variance `1 / fan_in`.
    LecunNormal,
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// All the same.
    Constant(f64),
    /// Normal with mean 0 and this deviation.
    RandomNormal(f64),
    /// Uniform between minus and plus this bound.
    RandomUniform(f64),
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde's skip_serializing_if wants")]
fn is_true(value: &bool) -> bool {
    *value
}

/// One table of all kinds: the enum, its names, and both directions of the serialised form.
macro_rules! ops {
    ($( $(#[$doc:meta])* $variant:ident($config:ty) = $name:literal, )*) => {
        /// What a layer computes.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Op { $( $(#[$doc])* $variant($config), )* }

        impl Op {
            /// The names of all kinds, as specifications write them.
            pub const NAMES: &'static [&'static str] = &[$( $name, )*];

            /// The name of this kind.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name, )* }
            }

            /// Reads the configuration of the kind called `name`; None where there is no such kind.
            pub(crate) fn read<'de, A: MapAccess<'de>>(name: &str, map: &mut A) -> Result<Option<Self>, A::Error> {
                match name {
                    $( $name => map.next_value::<$config>().map(|config| Some(Self::$variant(config))), )*
                    _ => Ok(None),
                }
            }

            pub(crate) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                match self { $( Self::$variant(config) => map.serialize_entry($name, config), )* }
            }

            pub(crate) fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)> {
                vec![$( ($name, generator.subschema_for::<$config>()), )*]
            }
        }
    };
}

ops! {
    /// Where data come in.
    Input(Input) = "input",
    /// Fully connected, on the last axis.
    Dense(Dense) = "dense",
    /// Convolution over time.
    Conv1d(Conv1d) = "conv1d",
    /// Convolution over an image.
    Conv2d(Conv2d) = "conv2d",
    /// Transposed convolution over an image.
    Conv2dTranspose(Conv2dTranspose) = "conv2d_transpose",
    /// Convolution over time, each channel by itself.
    DepthwiseConv1d(DepthwiseConv1d) = "depthwise_conv1d",
    /// Convolution over an image, each channel by itself.
    DepthwiseConv2d(DepthwiseConv2d) = "depthwise_conv2d",
    /// Depthwise, then pointwise, over time.
    SeparableConv1d(SeparableConv1d) = "separable_conv1d",
    /// Depthwise, then pointwise, over an image.
    SeparableConv2d(SeparableConv2d) = "separable_conv2d",
    /// An activation function as a layer.
    Activation(Activation) = "activation",
    /// Batch normalization over the last axis.
    BatchNorm(BatchNorm) = "batch_norm",
    /// Layer normalization over the last axis.
    LayerNorm(LayerNorm) = "layer_norm",
    /// Largest value in a window of time.
    MaxPool1d(Pool1d) = "max_pool1d",
    /// Largest value in a window of an image.
    MaxPool2d(Pool2d) = "max_pool2d",
    /// Mean of a window of time.
    AveragePool1d(Pool1d) = "average_pool1d",
    /// Mean of a window of an image.
    AveragePool2d(Pool2d) = "average_pool2d",
    /// Largest value over all time.
    GlobalMaxPool1d(GlobalPool) = "global_max_pool1d",
    /// Largest value over all of an image.
    GlobalMaxPool2d(GlobalPool) = "global_max_pool2d",
    /// Mean over all time.
    GlobalAveragePool1d(GlobalPool) = "global_average_pool1d",
    /// Mean over all of an image.
    GlobalAveragePool2d(GlobalPool) = "global_average_pool2d",
    /// All axes into one.
    Flatten(Flatten) = "flatten",
    /// The same elements in another shape.
    Reshape(Reshape) = "reshape",
    /// Axes in another order.
    Permute(Permute) = "permute",
    /// Channels to blocks of pixels.
    DepthToSpace(DepthToSpace) = "depth_to_space",
    /// Each step of time several times.
    UpSampling1d(UpSampling1d) = "up_sampling1d",
    /// Each pixel several times.
    UpSampling2d(UpSampling2d) = "up_sampling2d",
    /// Cuts off both ends of time.
    Cropping1d(Border1d) = "cropping1d",
    /// Cuts off an image's borders.
    Cropping2d(Border2d) = "cropping2d",
    /// Adds zeros at both ends of time.
    ZeroPadding1d(Border1d) = "zero_padding1d",
    /// Adds zeros at an image's borders.
    ZeroPadding2d(Border2d) = "zero_padding2d",
    /// Sum of all inputs.
    Add(Merge) = "add",
    /// First input minus second.
    Subtract(Merge) = "subtract",
    /// Product of all inputs.
    Multiply(Merge) = "multiply",
    /// Inputs side by side along an axis.
    Concat(Concat) = "concat",
    /// Elements set to zero at random in training, the others scaled up (inverted dropout).
    Dropout(Dropout) = "dropout",
    /// Whole samples set to zero at random in training, the others scaled up (stochastic depth), for a residual branch.
    DropConnect(Dropout) = "drop_connect",
}

/// An input of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Shape of one sample, channels last: `[features]`, `[time, channels]`, `[height, width, channels]`.
    pub shape: Vec<usize>,
    /// What input values are rounded to, if to anything. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantizer: Option<Quantizer>,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

fn pair_one() -> Pair {
    Pair::ONE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde's skip_serializing_if wants")]
fn is_one(value: &usize) -> bool {
    *value == 1
}

fn is_pair_one(value: &Pair) -> bool {
    *value == Pair::ONE
}

/// Fully connected on the last axis: `[.., in] -> [.., units]`; kernel `(in, units)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Output features.
    pub units: usize,
    /// Whether a bias is added. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Function of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// How the kernel starts. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kernel_initializer: Initializer,
}

impl Dense {
    /// With the given sizes and every option at its default.
    #[must_use]
    pub fn new(units: usize) -> Self {
        Self {
            units,
            use_bias: true,
            activation: Activation::Linear,
            kernel_quantizer: None,
            bias_quantizer: None,
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
    /// Steps between outputs. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stride: usize,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Distance between the kernel's taps; 1 means adjacent. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub dilation: usize,
    /// Groups of channels that do not see each other; divides input channels and filters. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// Whether a bias is added. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Function of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// How the kernel starts. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kernel_initializer: Initializer,
}

impl Conv1d {
    /// With the given sizes and every option at its default.
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
    /// Steps between outputs. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub stride: Pair,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Distance between the kernel's taps; 1 means adjacent. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub dilation: Pair,
    /// Groups of channels that do not see each other; divides input channels and filters. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// Whether a bias is added. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Function of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// How the kernel starts. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kernel_initializer: Initializer,
}

impl Conv2d {
    /// With the given sizes and every option at its default.
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
    /// Steps between outputs. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub stride: Pair,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Distance between the kernel's taps; 1 means adjacent. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub dilation: Pair,
    /// Whether a bias is added. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Function of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// How the kernel starts. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kernel_initializer: Initializer,
}

impl Conv2dTranspose {
    /// With the given sizes and every option at its default.
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
            kernel_initializer: Initializer::default(),
        }
    }
}

/// Each channel over time by itself: `[t, in] -> [t', in * multiplier]`; kernel `(kernel, in, multiplier)`, output channel `in * multiplier + j`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DepthwiseConv1d {
    /// Size of the kernel.
    pub kernel: usize,
    /// Steps between outputs. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stride: usize,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Distance between the kernel's taps; 1 means adjacent. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub dilation: usize,
    /// Output channels per input channel. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub depth_multiplier: usize,
    /// Whether a bias is added. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Function of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the depthwise kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depthwise_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// How the kernel starts. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depthwise_initializer: Initializer,
}

impl DepthwiseConv1d {
    /// With the given sizes and every option at its default.
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
            depthwise_initializer: Initializer::default(),
        }
    }
}

/// Each channel over an image by itself: `[h, w, in] -> [h', w', in * multiplier]`; kernel `(kh, kw, in, multiplier)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DepthwiseConv2d {
    /// Size of the kernel.
    pub kernel: Pair,
    /// Steps between outputs. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub stride: Pair,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Distance between the kernel's taps; 1 means adjacent. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub dilation: Pair,
    /// Output channels per input channel. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub depth_multiplier: usize,
    /// Whether a bias is added. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Function of the result. Default linear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Quantizer of the depthwise kernel. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depthwise_quantizer: Option<Quantizer>,
    /// Quantizer of the bias. Default none (float).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_quantizer: Option<Quantizer>,
    /// How the kernel starts. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depthwise_initializer: Initializer,
}

impl DepthwiseConv2d {
    /// With the given sizes and every option at its default.
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
            depthwise_initializer: Initializer::default(),
        }
    }
}

/// Depthwise over time, then pointwise: kernels `(kernel, in, multiplier)` and `(1, in * multiplier, filters)`, one bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeparableConv1d {
    /// Output channels.
    pub filters: usize,
    /// Size of the kernel.
    pub kernel: usize,
    /// Steps between outputs. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stride: usize,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Distance between the kernel's taps; 1 means adjacent. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub dilation: usize,
    /// Output channels per input channel. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub depth_multiplier: usize,
    /// Whether a bias is added. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Function of the result. Default linear.
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
    /// How the depthwise kernel starts. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depthwise_initializer: Initializer,
    /// How the pointwise kernel starts. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pointwise_initializer: Initializer,
}

impl SeparableConv1d {
    /// With the given sizes and every option at its default.
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
            depthwise_initializer: Initializer::default(),
            pointwise_initializer: Initializer::default(),
        }
    }
}

/// Depthwise over an image, then pointwise: kernels `(kh, kw, in, multiplier)` and `(1, 1, in * multiplier, filters)`, one bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeparableConv2d {
    /// Output channels.
    pub filters: usize,
    /// Size of the kernel.
    pub kernel: Pair,
    /// Steps between outputs. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub stride: Pair,
    /// Border rule. Default valid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Distance between the kernel's taps; 1 means adjacent. Default 1.
    #[serde(default = "pair_one", skip_serializing_if = "is_pair_one")]
    pub dilation: Pair,
    /// Output channels per input channel. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub depth_multiplier: usize,
    /// Whether a bias is added. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub use_bias: bool,
    /// Function of the result. Default linear.
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
    /// How the depthwise kernel starts. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depthwise_initializer: Initializer,
    /// How the pointwise kernel starts. Default Glorot uniform.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pointwise_initializer: Initializer,
}

impl SeparableConv2d {
    /// With the given sizes and every option at its default.
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
            depthwise_initializer: Initializer::default(),
            pointwise_initializer: Initializer::default(),
        }
    }
}

/// Batch normalization over the last axis: `gamma (x - mean) / sqrt(variance + epsilon) + beta`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchNorm {
    /// Weight of the old moving statistics at each step. Default 0.99.
    pub momentum: f64,
    /// Added to the variance. Default 0.001.
    pub epsilon: f64,
    /// Whether `beta` is learned. Default true.
    pub center: bool,
    /// Whether `gamma` is learned. Default true.
    pub scale: bool,
    /// Whether it is trained folded into the weights of the layer before it (which is then quantized after folding),
    /// as `QConv2DBatchnorm` of QKeras does. The layer before must be a dense, convolution or depthwise layer with a linear activation
    /// that feeds nothing else. Default false.
    pub fold: bool,
    /// Quantizer of gamma. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma_quantizer: Option<Quantizer>,
    /// Quantizer of beta. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta_quantizer: Option<Quantizer>,
    /// Quantizer of mean. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_quantizer: Option<Quantizer>,
    /// Quantizer of variance. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance_quantizer: Option<Quantizer>,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self {
            momentum: 0.99,
            epsilon: 1e-3,
            center: true,
            scale: true,
            fold: false,
            gamma_quantizer: None,
            beta_quantizer: None,
            mean_quantizer: None,
            variance_quantizer: None,
        }
    }
}

/// Layer normalization over the last axis of each sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LayerNorm {
    /// Added to the variance. Default 0.001.
    pub epsilon: f64,
    /// Whether `beta` is learned. Default true.
    pub center: bool,
    /// Whether `gamma` is learned. Default true.
    pub scale: bool,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self { epsilon: 1e-3, center: true, scale: true }
    }
}

/// Pooling over windows of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pool1d {
    /// Size of the window. Default 2.
    pub size: usize,
    /// Steps between windows. Default: the window's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// Border rule (valid or same). Default valid.
    #[serde(skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Quantizer of the result's mean factor, of average pooling only (`QAveragePooling2D`). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_quantizer: Option<Quantizer>,
    /// Function of the result. Default linear.
    #[serde(skip_serializing_if = "is_default")]
    pub activation: Activation,
}

impl Default for Pool1d {
    fn default() -> Self {
        Self {
            size: 2,
            stride: None,
            padding: Padding::Valid,
            average_quantizer: None,
            activation: Activation::Linear,
        }
    }
}

impl Pool1d {
    /// Windows of `size` side by side.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { size, ..Self::default() }
    }

    /// The stride in effect.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride.unwrap_or(self.size)
    }
}

/// Pooling over windows of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pool2d {
    /// Size of the window. Default 2.
    pub size: Pair,
    /// Steps between windows. Default: the window's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<Pair>,
    /// Border rule (valid or same). Default valid.
    #[serde(skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Quantizer of the result's mean factor, of average pooling only (`QAveragePooling2D`). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_quantizer: Option<Quantizer>,
    /// Function of the result. Default linear.
    #[serde(skip_serializing_if = "is_default")]
    pub activation: Activation,
}

impl Default for Pool2d {
    fn default() -> Self {
        Self {
            size: Pair::square(2),
            stride: None,
            padding: Padding::Valid,
            average_quantizer: None,
            activation: Activation::Linear,
        }
    }
}

impl Pool2d {
    /// Windows of `size` side by side.
    #[must_use]
    pub fn new(size: impl Into<Pair>) -> Self {
        Self { size: size.into(), ..Self::default() }
    }

    /// The stride in effect.
    #[must_use]
    pub fn stride(&self) -> Pair {
        self.stride.unwrap_or(self.size)
    }
}

/// Pooling over all positions: `[.., c] -> [c]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GlobalPool {
    /// Whether the pooled axes stay, with length 1. Default false.
    pub keep_dims: bool,
    /// Quantizer of the result's mean factor, of average pooling only (`QGlobalAveragePooling2D`). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_quantizer: Option<Quantizer>,
    /// Function of the result. Default linear.
    #[serde(skip_serializing_if = "is_default")]
    pub activation: Activation,
}

/// All axes into one, the last axis fastest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Flatten {}

/// Inputs of one shape (axes of length 1 stretch), combined element by element.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Merge {}

/// The same elements in another shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// The new shape of a sample; one entry may be -1 and takes what is left.
    pub shape: Vec<i64>,
}

/// Axes in another order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permute {
    /// For each output axis the input axis it comes from, from 1 (as in Keras).
    pub dims: Vec<usize>,
}

/// Channels to blocks of pixels: `[h, w, c] -> [h * block, w * block, c / block^2]` (TensorFlow's order).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DepthToSpace {
    /// Side of a block, at least 2.
    pub block: usize,
}

/// How new pixels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Copies of the nearest.
    #[default]
    Nearest,
    /// Bilinear, pixel centers at halves.
    Bilinear,
}

/// Each step of time repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpSampling1d {
    /// How often. Default 2.
    #[serde(default = "two")]
    pub size: usize,
}

/// Each pixel repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpSampling2d {
    /// How often, down and across. Default 2.
    #[serde(default = "pair_two")]
    pub size: Pair,
    /// How new pixels are made. Default nearest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub interpolation: Interpolation,
}

fn two() -> usize {
    2
}

fn pair_two() -> Pair {
    Pair::square(2)
}

/// Amounts cut from or added to both ends of time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Border1d {
    /// Before the start. Default 0.
    pub before: usize,
    /// After the end. Default 0.
    pub after: usize,
}

/// Amounts cut from or added to an image's borders.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Border2d {
    /// Above. Default 0.
    pub top: usize,
    /// Below. Default 0.
    pub bottom: usize,
    /// Left. Default 0.
    pub left: usize,
    /// Right. Default 0.
    pub right: usize,
}

/// Inputs side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concat {
    /// The axis (from 1, the batch being 0, or negative from the end, as in Keras). Default -1.
    #[serde(default = "last_axis")]
    pub axis: i64,
}

fn last_axis() -> i64 {
    -1
}

impl Default for Concat {
    fn default() -> Self {
        Self { axis: -1 }
    }
}

/// Random zeros in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Share that is set to zero, in [0, 1).
    pub rate: f64,
}
