//! AutoQKeras' two measures of size, bits ([`bits`]) and energy ([`energy`]), figure for figure, so that
//! searches can be compared with it and its settings carried over. They follow odd rules, which stand in the
//! modules; the measures of this crate's own are those of [`crate::Cost`].
//!
//! Source: the behavior of QKeras 0.9.0 (`autoqkeras.forgiving_metrics`, `qtools`).

pub mod bits;
pub mod energy;
pub mod estimate;
pub mod operators;
pub mod widths;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_network::{Activation, Layer, ModelSpec, Op, Quantizer};

/// How much worse a network may score for being smaller.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Forgiving {
    /// Percent gained for each factor `rate` by which the trial is smaller than the reference.
    pub delta_p: f64,
    /// Percent lost for each factor `rate` by which it is larger.
    pub delta_n: f64,
    /// The factor.
    pub rate: f64,
    /// Factor on the reference's size; below 1 it asks for more.
    pub stress: f64,
}

impl Default for Forgiving {
    fn default() -> Self {
        Self { delta_p: 8.0, delta_n: 8.0, rate: 2.0, stress: 1.0 }
    }
}

impl Forgiving {
    /// `(delta_p if trial < reference else delta_n) / 100 * ln(reference * stress / trial) / ln(rate)`, where
    /// a comparison is made with the stressed reference too. AutoQKeras multiplies its metric by `1 + delta`.
    /// 0 where a size is not positive.
    #[must_use]
    pub fn delta(&self, reference: f64, trial: f64) -> f64 {
        let reference = reference * self.stress;
        if !(reference > 0.0 && trial > 0.0) {
            return 0.0;
        }
        let percent = if trial < reference { self.delta_p } else { self.delta_n };
        percent / 100.0 * (reference / trial).ln() / self.rate.ln()
    }
}

/// The Keras or QKeras class that a layer corresponds to. What differs from it (a `ReLU` layer, which is not
/// an `Activation` with `relu`; a folded layer) is said by name in the configurations of the measures.
#[must_use]
pub fn keras_class(layer: &Layer) -> &'static str {
    let quantized = layer.op.weights(&[1, 1, 1]).iter().any(|w| w.quantizer.is_some())
        || layer.op.activation().is_some_and(|a| a.quantizer().is_some());
    let average_is_quantized = match &layer.op {
        Op::AveragePool2d(p) => p.average_quantizer.is_some(),
        Op::GlobalAveragePool2d(p) => p.average_quantizer.is_some(),
        _ => false,
    };
    match (&layer.op, quantized || average_is_quantized) {
        (Op::Input(_), _) => "InputLayer",
        (Op::Dense(_), false) => "Dense",
        (Op::Dense(_), true) => "QDense",
        (Op::Conv1d(_), false) => "Conv1D",
        (Op::Conv1d(_), true) => "QConv1D",
        (Op::Conv2d(_), false) => "Conv2D",
        (Op::Conv2d(_), true) => "QConv2D",
        (Op::Conv2dTranspose(_), false) => "Conv2DTranspose",
        (Op::Conv2dTranspose(_), true) => "QConv2DTranspose",
        (Op::DepthwiseConv1d(_), _) => "DepthwiseConv1D",
        (Op::DepthwiseConv2d(_), false) => "DepthwiseConv2D",
        (Op::DepthwiseConv2d(_), true) => "QDepthwiseConv2D",
        (Op::SeparableConv1d(_), false) => "SeparableConv1D",
        (Op::SeparableConv1d(_), true) => "QSeparableConv1D",
        (Op::SeparableConv2d(_), false) => "SeparableConv2D",
        (Op::SeparableConv2d(_), true) => "QSeparableConv2D",
        (Op::Activation(Activation::Quantized(_)), _) => "QActivation",
        (Op::Activation(Activation::LeakyRelu(_)), _) => "LeakyReLU",
        (Op::Activation(Activation::Elu(_)), _) => "ELU",
        (Op::Activation(Activation::Prelu(_)), _) => "PReLU",
        (Op::Activation(_), _) => "Activation",
        (Op::BatchNorm(_), false) => "BatchNormalization",
        (Op::BatchNorm(_), true) => "QBatchNormalization",
        (Op::LayerNorm(_), _) => "LayerNormalization",
        (Op::MaxPool1d(_), _) => "MaxPooling1D",
        (Op::MaxPool2d(_), _) => "MaxPooling2D",
        (Op::AveragePool1d(_), _) => "AveragePooling1D",
        (Op::AveragePool2d(_), false) => "AveragePooling2D",
        (Op::AveragePool2d(_), true) => "QAveragePooling2D",
        (Op::GlobalMaxPool1d(_), _) => "GlobalMaxPooling1D",
        (Op::GlobalMaxPool2d(_), _) => "GlobalMaxPooling2D",
        (Op::GlobalAveragePool1d(_), _) => "GlobalAveragePooling1D",
        (Op::GlobalAveragePool2d(_), false) => "GlobalAveragePooling2D",
        (Op::GlobalAveragePool2d(_), true) => "QGlobalAveragePooling2D",
        (Op::Flatten(_), _) => "Flatten",
        (Op::Reshape(_), _) => "Reshape",
        (Op::Permute(_), _) => "Permute",
        (Op::UpSampling1d(_), _) => "UpSampling1D",
        (Op::UpSampling2d(_), _) => "UpSampling2D",
        (Op::Cropping1d(_), _) => "Cropping1D",
        (Op::Cropping2d(_), _) => "Cropping2D",
        (Op::ZeroPadding1d(_), _) => "ZeroPadding1D",
        (Op::ZeroPadding2d(_), _) => "ZeroPadding2D",
        (Op::Add(_), _) => "Add",
        (Op::Subtract(_), _) => "Subtract",
        (Op::Multiply(_), _) => "Multiply",
        (Op::Concat(_), _) => "Concatenate",
        (Op::Dropout(_) | Op::DropConnect(_), _) => "Dropout",
        _ => "Lambda",
    }
}

fn class_of<'a>(layer: &Layer, classes: &'a BTreeMap<String, String>) -> &'a str {
    classes.get(&layer.name).map_or_else(|| keras_class(layer), String::as_str)
}

/// The same network without quantizers, `relu` in place of activation quantizers that rectify and `tanh` in
/// place of the others: the reference that AutoQKeras measures against.
#[must_use]
pub fn float_twin(spec: &ModelSpec) -> ModelSpec {
    let mut twin = spec.clone();
    for layer in &mut twin.layers {
        strip(&mut layer.op);
        layer.facts.clear();
    }
    twin
}

fn plain(activation: &mut Activation) {
    if let Activation::Quantized(quantizer) = activation {
        *activation = match quantizer {
            Quantizer::QuantizedRelu(_) | Quantizer::QuantizedReluPo2(_) => Activation::Relu,
            _ => Activation::Tanh,
        };
    }
}

fn strip(op: &mut Op) {
    match op {
        Op::Input(l) => l.quantizer = None,
        Op::Dense(l) => (l.kernel_quantizer, l.bias_quantizer) = (None, None),
        Op::Conv1d(l) => (l.kernel_quantizer, l.bias_quantizer) = (None, None),
        Op::Conv2d(l) => (l.kernel_quantizer, l.bias_quantizer) = (None, None),
        Op::Conv2dTranspose(l) => (l.kernel_quantizer, l.bias_quantizer) = (None, None),
        Op::DepthwiseConv1d(l) => (l.depthwise_quantizer, l.bias_quantizer) = (None, None),
        Op::DepthwiseConv2d(l) => (l.depthwise_quantizer, l.bias_quantizer) = (None, None),
        Op::SeparableConv1d(l) => {
            (l.depthwise_quantizer, l.pointwise_quantizer, l.bias_quantizer) = (None, None, None);
        }
        Op::SeparableConv2d(l) => {
            (l.depthwise_quantizer, l.pointwise_quantizer, l.bias_quantizer) = (None, None, None);
        }
        Op::BatchNorm(l) => {
            (l.gamma_quantizer, l.beta_quantizer) = (None, None);
            (l.mean_quantizer, l.variance_quantizer) = (None, None);
        }
        Op::MaxPool1d(l) | Op::AveragePool1d(l) => l.average_quantizer = None,
        Op::MaxPool2d(l) | Op::AveragePool2d(l) => l.average_quantizer = None,
        Op::GlobalMaxPool1d(l)
        | Op::GlobalMaxPool2d(l)
        | Op::GlobalAveragePool1d(l)
        | Op::GlobalAveragePool2d(l) => l.average_quantizer = None,
        _ => {}
    }
    match op {
        Op::Activation(a) => plain(a),
        Op::Dense(l) => plain(&mut l.activation),
        Op::Conv1d(l) => plain(&mut l.activation),
        Op::Conv2d(l) => plain(&mut l.activation),
        Op::Conv2dTranspose(l) => plain(&mut l.activation),
        Op::DepthwiseConv1d(l) => plain(&mut l.activation),
        Op::DepthwiseConv2d(l) => plain(&mut l.activation),
        Op::SeparableConv1d(l) => plain(&mut l.activation),
        Op::SeparableConv2d(l) => plain(&mut l.activation),
        Op::MaxPool1d(l) | Op::AveragePool1d(l) => plain(&mut l.activation),
        Op::MaxPool2d(l) | Op::AveragePool2d(l) => plain(&mut l.activation),
        Op::GlobalMaxPool1d(l)
        | Op::GlobalMaxPool2d(l)
        | Op::GlobalAveragePool1d(l)
        | Op::GlobalAveragePool2d(l) => plain(&mut l.activation),
        _ => {}
    }
}
