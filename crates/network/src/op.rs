//! What a layer computes. One struct per kind, all fields with Keras' names (in the field's plain terms) and
//! Keras' defaults; quantizers are optional fields of the layer they belong to.

mod arrangement;
mod normalization;
mod omitted;
mod pooling;
mod weighted;

pub use arrangement::{
    Border1d, Border2d, Concat, DepthToSpace, Dropout, Flatten, Interpolation, Merge, Permute, Reshape,
    UpSampling1d, UpSampling2d,
};
pub use normalization::{BatchNorm, LayerNorm};
pub use pooling::{GlobalPool, Pool1d, Pool2d};
pub use weighted::{
    Conv1d, Conv2d, Conv2dTranspose, Dense, DepthwiseConv1d, DepthwiseConv2d, SeparableConv1d,
    SeparableConv2d,
};

use schemars::JsonSchema;
use serde::de::MapAccess;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::quantizer::Quantizer;

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
