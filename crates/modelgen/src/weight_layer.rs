//! Construction of a weight layer of any family from the common parameters.

use tinsmith_network::{Activation, Elu, LeakyRelu, Op, Padding, Pair, Quantizer, op, quantizer};

use crate::kind::{ActivationKind, Family};

/// Parameters common to all weight layers. Every kernel of a layer gets the kernel quantizer.
pub(crate) struct WeightLayer {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: Padding,
    pub(crate) use_bias: bool,
    pub(crate) activation: Activation,
    pub(crate) kernel_quantizer: Option<Quantizer>,
    pub(crate) bias_quantizer: Option<Quantizer>,
}

impl WeightLayer {
    /// Returns the operation of `family` with `channels` outputs, ignored by depthwise layers.
    pub(crate) fn op(self, family: Family, channels: usize) -> Op {
        let Self { kernel, stride, padding, use_bias, activation, kernel_quantizer, bias_quantizer } = self;
        match family {
            Family::Dense => Op::Dense(op::Dense {
                use_bias,
                activation,
                kernel_quantizer,
                bias_quantizer,
                ..op::Dense::new(channels)
            }),
            Family::Conv1d => Op::Conv1d(op::Conv1d {
                stride,
                padding,
                use_bias,
                activation,
                kernel_quantizer,
                bias_quantizer,
                ..op::Conv1d::new(channels, kernel)
            }),
            Family::SeparableConv1d => Op::SeparableConv1d(op::SeparableConv1d {
                stride,
                padding,
                use_bias,
                activation,
                depthwise_quantizer: kernel_quantizer,
                pointwise_quantizer: kernel_quantizer,
                bias_quantizer,
                ..op::SeparableConv1d::new(channels, kernel)
            }),
            Family::DepthwiseConv1d => Op::DepthwiseConv1d(op::DepthwiseConv1d {
                stride,
                padding,
                use_bias,
                activation,
                depthwise_quantizer: kernel_quantizer,
                bias_quantizer,
                ..op::DepthwiseConv1d::new(kernel)
            }),
            Family::Conv2d => Op::Conv2d(op::Conv2d {
                stride: Pair::square(stride),
                padding,
                use_bias,
                activation,
                kernel_quantizer,
                bias_quantizer,
                ..op::Conv2d::new(channels, kernel)
            }),
            Family::SeparableConv2d => Op::SeparableConv2d(op::SeparableConv2d {
                stride: Pair::square(stride),
                padding,
                use_bias,
                activation,
                depthwise_quantizer: kernel_quantizer,
                pointwise_quantizer: kernel_quantizer,
                bias_quantizer,
                ..op::SeparableConv2d::new(channels, kernel)
            }),
            Family::DepthwiseConv2d => Op::DepthwiseConv2d(op::DepthwiseConv2d {
                stride: Pair::square(stride),
                padding,
                use_bias,
                activation,
                depthwise_quantizer: kernel_quantizer,
                bias_quantizer,
                ..op::DepthwiseConv2d::new(kernel)
            }),
        }
    }
}

impl ActivationKind {
    /// Returns the activation of a float layer.
    pub(crate) fn float(self) -> Activation {
        match self {
            Self::NoActivation => Activation::Linear,
            Self::Relu => Activation::Relu,
            Self::Tanh => Activation::Tanh,
            Self::Sigmoid => Activation::Sigmoid,
            Self::Softmax => Activation::Softmax,
            Self::Relu6 => Activation::Relu6,
            Self::LeakyRelu => Activation::LeakyRelu(LeakyRelu::default()),
            Self::Elu => Activation::Elu(Elu::default()),
            Self::HardSigmoid => Activation::HardSigmoid,
            Self::Hswish => Activation::Hswish,
        }
    }

    /// Returns the activation of a quantized layer with `bits` bits, `integer` of them integer bits; linear if there is
    /// no quantized form. QKeras' tanh and sigmoid have no integer bits.
    pub(crate) fn quantized(self, bits: u32, integer: i32) -> Activation {
        let quantizer = match self {
            Self::Relu => Quantizer::relu(bits, integer),
            Self::Tanh => quantizer::QuantizedTanh { bits, ..Default::default() }.into(),
            Self::Sigmoid => quantizer::QuantizedSigmoid { bits, ..Default::default() }.into(),
            Self::Hswish => {
                let integer = integer.min(bits as i32 - 1);
                quantizer::QuantizedHswish { bits, integer, ..Default::default() }.into()
            }
            _ => return Activation::Linear,
        };
        Activation::Quantized(quantizer)
    }
}

/// Reports if a layer counts as a weight layer.
pub(crate) const fn is_weight_layer(op: &Op) -> bool {
    matches!(
        op,
        Op::Dense(_)
            | Op::Conv1d(_)
            | Op::SeparableConv1d(_)
            | Op::DepthwiseConv1d(_)
            | Op::Conv2d(_)
            | Op::SeparableConv2d(_)
            | Op::DepthwiseConv2d(_)
    )
}
