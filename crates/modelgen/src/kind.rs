//! Named choices of a draw: layer kinds, activations, padding and pooling, with the names that key their weights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_network::ProductKind;

/// A family of weight layers, float or quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Fully connected.
    Dense,
    /// Convolution over time.
    Conv1d,
    /// Depthwise, then pointwise convolution over time.
    SeparableConv1d,
    /// Convolution of each channel over time.
    DepthwiseConv1d,
    /// Convolution over an image.
    Conv2d,
    /// Depthwise, then pointwise convolution over an image.
    SeparableConv2d,
    /// Convolution of each channel over an image.
    DepthwiseConv2d,
}

impl Family {
    /// All families, in the order of their discriminants.
    pub const ALL: [Self; 7] = [
        Self::Dense,
        Self::Conv1d,
        Self::SeparableConv1d,
        Self::DepthwiseConv1d,
        Self::Conv2d,
        Self::SeparableConv2d,
        Self::DepthwiseConv2d,
    ];

    /// Returns the number of input axes: 1 flat, 2 series, 3 image.
    #[must_use]
    pub const fn rank(self) -> usize {
        match self {
            Self::Dense => 1,
            Self::Conv1d | Self::SeparableConv1d | Self::DepthwiseConv1d => 2,
            Self::Conv2d | Self::SeparableConv2d | Self::DepthwiseConv2d => 3,
        }
    }

    /// Reports if each output channel stems from one input channel, which leaves no filters to draw.
    #[must_use]
    pub const fn is_depthwise(self) -> bool {
        matches!(self, Self::DepthwiseConv1d | Self::DepthwiseConv2d)
    }

    /// Returns the connection pattern of the family's layers.
    pub(crate) const fn product_kind(self) -> ProductKind {
        match self {
            Self::Dense => ProductKind::Dense,
            Self::Conv1d | Self::Conv2d => ProductKind::Convolution,
            Self::SeparableConv1d | Self::SeparableConv2d => ProductKind::Separable,
            Self::DepthwiseConv1d | Self::DepthwiseConv2d => ProductKind::Depthwise,
        }
    }

    /// Returns the name of the family's layers in specifications.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Conv1d => "conv1d",
            Self::SeparableConv1d => "separable_conv1d",
            Self::DepthwiseConv1d => "depthwise_conv1d",
            Self::Conv2d => "conv2d",
            Self::SeparableConv2d => "separable_conv2d",
            Self::DepthwiseConv2d => "depthwise_conv2d",
        }
    }
}

/// An enumeration of named values in a fixed order.
pub trait NamedChoice: Copy + Ord + 'static {
    /// All values in order.
    const ALL: &'static [Self];

    /// Returns the value's name in configurations.
    fn name(self) -> &'static str;
}

macro_rules! named {
    ($(#[$doc:meta])* $kind:ident { $( $(#[$vdoc:meta])* $variant:ident = $name:literal, )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum $kind { $( $(#[$vdoc])* #[serde(rename = $name)] $variant, )* }

        impl NamedChoice for $kind {
            const ALL: &'static [Self] = &[$( Self::$variant, )*];

            fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }
        }
    };
}

named! {
    /// A kind of weight layer, named after its Keras or QKeras class.
    LayerKind {
        /// Float convolution over time.
        Conv1d = "Conv1D",
        /// Quantized convolution over time.
        QConv1d = "QConv1D",
        /// Float convolution over an image.
        Conv2d = "Conv2D",
        /// Quantized convolution over an image.
        QConv2d = "QConv2D",
        /// Quantized fully connected.
        QDense = "QDense",
        /// Float fully connected.
        Dense = "Dense",
        /// Quantized separable convolution over an image.
        QSeparableConv2d = "QSeparableConv2D",
        /// Quantized depthwise convolution over an image.
        QDepthwiseConv2d = "QDepthwiseConv2D",
        /// Float separable convolution over an image.
        SeparableConv2d = "SeparableConv2D",
        /// Float depthwise convolution over an image.
        DepthwiseConv2d = "DepthwiseConv2D",
        /// Float separable convolution over time.
        SeparableConv1d = "SeparableConv1D",
        /// Quantized separable convolution over time.
        QSeparableConv1d = "QSeparableConv1D",
        /// Float depthwise convolution over time.
        DepthwiseConv1d = "DepthwiseConv1D",
        /// Quantized depthwise convolution over time.
        QDepthwiseConv1d = "QDepthwiseConv1D",
    }
}

impl LayerKind {
    /// Returns the family of the layer.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Dense | Self::QDense => Family::Dense,
            Self::Conv1d | Self::QConv1d => Family::Conv1d,
            Self::SeparableConv1d | Self::QSeparableConv1d => Family::SeparableConv1d,
            Self::DepthwiseConv1d | Self::QDepthwiseConv1d => Family::DepthwiseConv1d,
            Self::Conv2d | Self::QConv2d => Family::Conv2d,
            Self::SeparableConv2d | Self::QSeparableConv2d => Family::SeparableConv2d,
            Self::DepthwiseConv2d | Self::QDepthwiseConv2d => Family::DepthwiseConv2d,
        }
    }

    /// Reports if the weights are quantized.
    #[must_use]
    pub const fn is_quantized(self) -> bool {
        matches!(
            self,
            Self::QDense
                | Self::QConv1d
                | Self::QSeparableConv1d
                | Self::QDepthwiseConv1d
                | Self::QConv2d
                | Self::QSeparableConv2d
                | Self::QDepthwiseConv2d
        )
    }
}

named! {
    /// An activation function that a layer may get.
    ActivationKind {
        /// No activation: the layer stays linear.
        NoActivation = "no_activation",
        /// Rectifier.
        Relu = "relu",
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// Logistic sigmoid.
        Sigmoid = "sigmoid",
        /// Softmax over the last axis; float layers only.
        Softmax = "softmax",
        /// Rectifier capped at 6; float layers only.
        Relu6 = "relu6",
        /// Rectifier with slope 0.3 for negative inputs; float layers only.
        LeakyRelu = "leaky_relu",
        /// Exponential linear unit; float layers only.
        Elu = "elu",
        /// Piecewise linear sigmoid; float layers only.
        HardSigmoid = "hard_sigmoid",
        /// Hard swish.
        Hswish = "hswish",
    }
}

impl ActivationKind {
    /// Reports if the function has a quantized form.
    #[must_use]
    pub const fn is_quantizable(self) -> bool {
        matches!(self, Self::NoActivation | Self::Relu | Self::Tanh | Self::Sigmoid | Self::Hswish)
    }
}

named! {
    /// Padding of a convolution.
    PaddingKind {
        /// Zero padding; stride 1 keeps the size.
        Same = "same",
        /// No padding.
        Valid = "valid",
    }
}

named! {
    /// Reduction of a pooling window.
    PoolKind {
        /// Maximum.
        Max = "max",
        /// Mean.
        Average = "average",
    }
}
