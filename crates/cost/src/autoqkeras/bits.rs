//! AutoQKeras' goal `bits` (`ForgivingFactorBits`).
//!
//! Parameters count at the width of their quantizer, at `ref_bits` without one. A batch normalization counts scale and
//! offset only, a quantized one with 6 and 5 bits regardless of its quantizers. Separable, transposed and folded layers
//! count nothing. Activations count if an activation function makes them, fused or as a layer: at the width of their quantizer, softmax and sigmoid at `output_bits`, other functions at
//! `ref_bits`, linear ones not at all. `ReLU` layers, pooling, merges and batch normalizations count no activations.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_network::{Activation, Graph, Layer, ModelSpec, Op, Role};

use super::class_of;
use crate::storage::elements;

/// Counted part of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountedPart {
    /// The weights.
    Parameters,
    /// The output.
    Activations,
}

/// Settings of the goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BitsConfig {
    /// Bits of an element of the input.
    pub input_bits: u32,
    /// Bits of an element of a softmax's or sigmoid's output.
    pub output_bits: u32,
    /// Bits of values without a quantizer.
    pub ref_bits: u32,
    /// Counted parts by layer class (see [`super::keras_class`]); `default` applies to classes without an entry. A class
    /// with neither is not counted.
    pub config: BTreeMap<String, Vec<CountedPart>>,
    /// Classes of layers, by name, that differ from [`super::keras_class`].
    pub classes: BTreeMap<String, String>,
    /// Counts inputs as layers. False for a Keras `Sequential` model, whose input is no layer.
    pub counts_input: bool,
}

impl Default for BitsConfig {
    fn default() -> Self {
        Self {
            input_bits: 8,
            output_bits: 8,
            ref_bits: 8,
            config: BTreeMap::from([(
                "default".to_owned(),
                vec![CountedPart::Parameters, CountedPart::Activations],
            )]),
            classes: BTreeMap::new(),
            counts_input: true,
        }
    }
}

/// Bits of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LayerBits {
    /// Bits of its parameters, counted or not.
    pub parameters: u64,
    /// Bits of its output, counted or not.
    pub activations: u64,
    /// Bits of the counted parts.
    pub total: u64,
}

/// Bits of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Bits {
    /// Bits of all counted parameters.
    pub parameters: u64,
    /// Bits of all counted activations.
    pub activations: u64,
    /// Sum of both.
    pub total: u64,
    /// Each layer, in the order of declaration.
    pub layers: Vec<LayerBits>,
}

impl Bits {
    /// Counts the bits of `spec`, resolved as `graph`.
    #[must_use]
    pub fn of(spec: &ModelSpec, graph: &Graph, config: &BitsConfig) -> Self {
        let mut all = Self::default();
        for (i, layer) in spec.layers.iter().enumerate() {
            let class = class_of(layer, &config.classes);
            if layer.op.is_input() && !config.counts_input {
                all.layers.push(LayerBits::default());
                continue;
            }
            let input = graph.nodes[i].inputs.first().map_or(&[][..], |&k| graph.shape(k));
            let mut bits = LayerBits {
                parameters: parameter_bits(layer, class, input, config),
                activations: elements(graph.shape(i)).saturating_mul(activation_bits(layer, class, config)),
                total: 0,
            };
            let parts = config.config.get(class).or_else(|| config.config.get("default"));
            let counts = |part| parts.is_some_and(|parts| parts.contains(&part));
            if counts(CountedPart::Parameters) {
                bits.total = bits.total.saturating_add(bits.parameters);
                all.parameters = all.parameters.saturating_add(bits.parameters);
            }
            if counts(CountedPart::Activations) {
                bits.total = bits.total.saturating_add(bits.activations);
                all.activations = all.activations.saturating_add(bits.activations);
            }
            all.total = all.total.saturating_add(bits.total);
            all.layers.push(bits);
        }
        all
    }
}

fn is_plain_kernel(class: &str) -> bool {
    matches!(class, "Dense" | "Conv1D" | "Conv2D" | "DepthwiseConv2D")
}

fn is_quantized_kernel(class: &str) -> bool {
    matches!(class, "QDense" | "QConv1D" | "QConv2D" | "QDepthwiseConv2D")
}

fn parameter_bits(layer: &Layer, class: &str, input: &[usize], config: &BitsConfig) -> u64 {
    let channels = input.last().map_or(0, |&c| c as u64);
    match (&layer.op, class) {
        (Op::BatchNorm(norm), "BatchNormalization") => {
            let vectors = 1 + u64::from(norm.center);
            channels.saturating_mul(vectors * u64::from(config.ref_bits))
        }
        (Op::BatchNorm(norm), "QBatchNormalization") => {
            channels.saturating_mul(6 + if norm.center { 5 } else { 0 })
        }
        _ if is_plain_kernel(class) || is_quantized_kernel(class) => layer
            .op
            .weights(input)
            .iter()
            .filter(|w| matches!(w.role, Role::Kernel | Role::Bias))
            .map(|w| {
                elements(&w.shape).saturating_mul(w.quantizer.map_or(config.ref_bits, |q| q.bits()).into())
            })
            .fold(0, u64::saturating_add),
        _ => 0,
    }
}

fn activation_bits(layer: &Layer, class: &str, config: &BitsConfig) -> u64 {
    let activation = match (&layer.op, class) {
        (Op::Input(_), "InputLayer") => return config.input_bits.into(),
        (Op::Activation(a), "Activation" | "QActivation") => a,
        (op, _) if is_quantized_kernel(class) => match op.activation() {
            Some(a) => a,
            None => return 0,
        },
        (op, _) if is_plain_kernel(class) => match op.activation() {
            Some(a) if !a.is_linear() => return config.ref_bits.into(),
            _ => return 0,
        },
        _ => return 0,
    };
    let bits = match activation {
        Activation::Linear => 0,
        Activation::Quantized(q) => q.bits(),
        Activation::Softmax => config.output_bits,
        Activation::Sigmoid if layer.op.is_activation() => config.output_bits,
        _ => config.ref_bits,
    };
    bits.into()
}
