//! Construction of a weight layer of any family from the common parameters.

use tinsmith_network::{
    Activation, Elu, LeakyRelu, Op, Padding, Pair, Product, ProductKind, Quantizer, quantizer,
};

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
        let kind = family.product_kind();
        let axes = family.rank() - 1;
        let pair = |n| if axes == 2 { Pair::square(n) } else { Pair::new(1, n) };
        let size = if axes == 0 { Pair::ONE } else { pair(self.kernel) };
        let mut product =
            Product::new(kind, axes, channels, size).with_kernel_quantizer(self.kernel_quantizer);
        (product.use_bias, product.bias_quantizer) = (self.use_bias, self.bias_quantizer);
        if axes > 0 {
            (product.window.stride, product.window.padding) = (pair(self.stride), self.padding);
        }
        product.into_op(self.activation).expect("invariant: every family has a kind of layer")
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
pub(crate) fn is_weight_layer(op: &Op) -> bool {
    op.product().is_some_and(|product| product.kind != ProductKind::Transposed)
}
