//! Operations of layers: one struct per kind, with Keras' field names (in plain terms) and Keras' defaults. Quantizers
//! are optional fields of the layer they belong to.

mod arrangement;
mod family;
mod normalization;
mod omitted;
mod pooling;
mod weighted;

pub use arrangement::{
    Border1d, Border2d, Concat, DepthToSpace, Dropout, Flatten, Interpolation, Merge, Permute, Reshape,
    UpSampling1d, UpSampling2d,
};
pub use family::{Merging, OpFamily};
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

/// Distribution of initial weights. Variances and bounds are Keras'.
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
    /// All equal to this constant.
    Constant(f64),
    /// Normal with mean 0 and this deviation.
    RandomNormal(f64),
    /// Uniform between minus and plus this bound.
    RandomUniform(f64),
}

/// Generates, from one table of all kinds, the enum, the names, the families, the Keras classes and both directions of
/// the serialized form.
macro_rules! ops {
    ($( $(#[$doc:meta])* $variant:ident($config:ty): $family:ident = $name:literal / $class:literal $(/ $quantized:literal)?, )*) => {
        /// Operation of a layer.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Op { $( $(#[$doc])* $variant($config), )* }

        impl Op {
            /// Names of all kinds in specifications.
            pub const NAMES: &'static [&'static str] = &[$( $name, )*];

            /// Name of this kind in specifications.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name, )* }
            }

            /// Group of kinds that this one belongs to.
            #[must_use]
            pub const fn family(&self) -> OpFamily {
                match self { $( Self::$variant(_) => OpFamily::$family, )* }
            }

            /// The class in Keras 2.15; `Lambda` for kinds without a class.
            #[must_use]
            pub const fn keras_class(&self) -> &'static str {
                match self { $( Self::$variant(_) => $class, )* }
            }

            /// The class in QKeras 0.9.0, if it has one.
            #[must_use]
            pub const fn qkeras_class(&self) -> Option<&'static str> {
                match self { $( Self::$variant(_) => { let class = None; $( let _: Option<&str> = class; let class = Some($quantized); )? class } )* }
            }

            /// Reads the configuration of the kind called `name`; None for an unknown kind.
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
    /// Input of the network.
    Input(Input): Input = "input" / "InputLayer",
    /// Fully connected layer on the last axis.
    Dense(Dense): Product = "dense" / "Dense" / "QDense",
    /// Convolution over time.
    Conv1d(Conv1d): Product = "conv1d" / "Conv1D" / "QConv1D",
    /// Convolution over an image.
    Conv2d(Conv2d): Product = "conv2d" / "Conv2D" / "QConv2D",
    /// Transposed convolution over an image.
    Conv2dTranspose(Conv2dTranspose): Product = "conv2d_transpose" / "Conv2DTranspose" / "QConv2DTranspose",
    /// Depthwise convolution over time.
    DepthwiseConv1d(DepthwiseConv1d): Product = "depthwise_conv1d" / "DepthwiseConv1D",
    /// Depthwise convolution over an image.
    DepthwiseConv2d(DepthwiseConv2d): Product = "depthwise_conv2d" / "DepthwiseConv2D" / "QDepthwiseConv2D",
    /// Separable convolution over time: depthwise, then pointwise.
    SeparableConv1d(SeparableConv1d): Product = "separable_conv1d" / "SeparableConv1D" / "QSeparableConv1D",
    /// Separable convolution over an image: depthwise, then pointwise.
    SeparableConv2d(SeparableConv2d): Product = "separable_conv2d" / "SeparableConv2D" / "QSeparableConv2D",
    /// An activation function as a layer.
    Activation(Activation): Activation = "activation" / "Activation" / "QActivation",
    /// Batch normalization over the last axis.
    BatchNorm(BatchNorm): Normalization = "batch_norm" / "BatchNormalization" / "QBatchNormalization",
    /// Layer normalization over the last axis.
    LayerNorm(LayerNorm): Normalization = "layer_norm" / "LayerNormalization",
    /// `scale x + offset` with constants.
    Rescaling(Rescaling): Normalization = "rescaling" / "Rescaling",
    /// Maximum over windows of time.
    MaxPool1d(Pool1d): Pooling = "max_pool1d" / "MaxPooling1D",
    /// Maximum over windows of an image.
    MaxPool2d(Pool2d): Pooling = "max_pool2d" / "MaxPooling2D",
    /// Mean over windows of time.
    AveragePool1d(Pool1d): Pooling = "average_pool1d" / "AveragePooling1D",
    /// Mean over windows of an image.
    AveragePool2d(Pool2d): Pooling = "average_pool2d" / "AveragePooling2D" / "QAveragePooling2D",
    /// Maximum over all time steps.
    GlobalMaxPool1d(GlobalPool): Pooling = "global_max_pool1d" / "GlobalMaxPooling1D",
    /// Maximum over all pixels.
    GlobalMaxPool2d(GlobalPool): Pooling = "global_max_pool2d" / "GlobalMaxPooling2D",
    /// Mean over all time steps.
    GlobalAveragePool1d(GlobalPool): Pooling = "global_average_pool1d" / "GlobalAveragePooling1D",
    /// Mean over all pixels.
    GlobalAveragePool2d(GlobalPool): Pooling = "global_average_pool2d" / "GlobalAveragePooling2D" / "QGlobalAveragePooling2D",
    /// Merges all axes into one.
    Flatten(Flatten): Reordering = "flatten" / "Flatten",
    /// Changes the shape and keeps the order of the elements.
    Reshape(Reshape): Reordering = "reshape" / "Reshape",
    /// Transposes the axes.
    Permute(Permute): Reordering = "permute" / "Permute",
    /// Moves channels into blocks of pixels.
    DepthToSpace(DepthToSpace): Reordering = "depth_to_space" / "Lambda",
    /// Repeats each time step.
    UpSampling1d(UpSampling1d): Resizing = "up_sampling1d" / "UpSampling1D",
    /// Enlarges an image.
    UpSampling2d(UpSampling2d): Resizing = "up_sampling2d" / "UpSampling2D",
    /// Crops both ends of the time axis.
    Cropping1d(Border1d): Resizing = "cropping1d" / "Cropping1D",
    /// Crops an image's borders.
    Cropping2d(Border2d): Resizing = "cropping2d" / "Cropping2D",
    /// Pads both ends of the time axis with zeros.
    ZeroPadding1d(Border1d): Resizing = "zero_padding1d" / "ZeroPadding1D",
    /// Pads an image's borders with zeros.
    ZeroPadding2d(Border2d): Resizing = "zero_padding2d" / "ZeroPadding2D",
    /// Sum of all inputs.
    Add(Merge): Merge = "add" / "Add",
    /// First input minus second.
    Subtract(Merge): Merge = "subtract" / "Subtract",
    /// Product of all inputs.
    Multiply(Merge): Merge = "multiply" / "Multiply",
    /// Concatenates the inputs along an axis.
    Concat(Concat): Merge = "concat" / "Concatenate",
    /// Sets random elements to zero in training and scales the others up (inverted dropout).
    Dropout(Dropout): Noise = "dropout" / "Dropout",
    /// Sets random samples to zero in training and scales the others up (stochastic depth), for a residual branch.
    DropConnect(Dropout): Noise = "drop_connect" / "Dropout",
}

/// An input of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Shape of one sample, channels last: `[features]`, `[time, channels]`, `[height, width, channels]`.
    pub shape: Vec<usize>,
    /// Quantizer of the input values. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantizer: Option<Quantizer>,
}

/// A constant for all channels, or one for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PerChannel {
    /// One constant for all channels.
    All(f64),
    /// One for each index of the last axis.
    Each(Vec<f64>),
}

impl PerChannel {
    /// The constants as a list: one, or one for each channel.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        match self {
            Self::All(value) => std::slice::from_ref(value),
            Self::Each(values) => values,
        }
    }

    /// The constant of channel `channel`.
    #[must_use]
    pub fn of(&self, channel: usize) -> f64 {
        match self {
            Self::All(value) => *value,
            Self::Each(values) => values[channel],
        }
    }
}

/// `scale x + offset` with constants that training does not change, for example to bring pixels into 0..1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rescaling {
    /// The factor; one number or one for each channel (last axis).
    pub scale: PerChannel,
    /// Added after scaling; one number or one for each channel. Default 0.
    #[serde(default = "no_offset", skip_serializing_if = "is_no_offset")]
    pub offset: PerChannel,
}

fn no_offset() -> PerChannel {
    PerChannel::All(0.0)
}

fn is_no_offset(offset: &PerChannel) -> bool {
    *offset == no_offset()
}
