//! AutoQKeras' two measures of size, bits ([`bits`]) and energy ([`energy`]), figure for figure: searches can be compared
//! with it, and its settings carried over. Their rules, some of them odd, are documented in the modules. This crate's own
//! measures are those of [`crate::Cost`].
//!
//! Source: the behavior of QKeras 0.9.0 (`autoqkeras.forgiving_metrics`, `qtools`).

pub mod bits;
pub mod energy;
pub mod estimate;
pub mod operators;
pub mod widths;

use std::collections::BTreeMap;

use tinsmith_network::quantizer::InnerFunction;
use tinsmith_network::{Activation, Layer, ModelSpec, Op, Quantizer};

/// Class of a layer in Keras or QKeras. The exceptions (a `ReLU` layer, which is not an `Activation` with `relu`; a
/// folded layer) are named by layer in the configurations of the measures.
#[must_use]
pub fn keras_class(layer: &Layer) -> &'static str {
    let op = &layer.op;
    match op {
        Op::Activation(Activation::LeakyRelu(_)) => return "LeakyReLU",
        Op::Activation(Activation::Elu(_)) => return "ELU",
        Op::Activation(Activation::Prelu(_)) => return "PReLU",
        _ => {}
    }
    let is_quantized = op.weights(&[1, 1, 1]).iter().any(|w| w.quantizer.is_some())
        || op.activation().is_some_and(|a| a.quantizer().is_some())
        || op.pooling().is_some_and(|pooling| pooling.average_quantizer.is_some());
    op.qkeras_class().filter(|_| is_quantized).unwrap_or_else(|| op.keras_class())
}

fn class_of<'a>(layer: &Layer, classes: &'a BTreeMap<String, String>) -> &'a str {
    classes.get(&layer.name).map_or_else(|| keras_class(layer), String::as_str)
}

/// Returns the network without quantizers: `relu` in place of activation quantizers that rectify, `tanh` in place of
/// the others. AutoQKeras measures against this reference.
#[must_use]
pub fn float_twin(spec: &ModelSpec) -> ModelSpec {
    let mut twin = spec.clone();
    for layer in &mut twin.layers {
        layer.op.for_each_quantizer(|quantizer| *quantizer = None);
        if let Some(activation) = layer.op.activation_mut()
            && let Some(facts) = activation.quantizer().map(Quantizer::facts)
        {
            let rectifies = facts.function == InnerFunction::Rectifier && !facts.is_learned;
            *activation = if rectifies { Activation::Relu } else { Activation::Tanh };
        }
        layer.facts.clear();
    }
    twin
}
