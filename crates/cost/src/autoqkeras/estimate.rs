//! QKeras' estimator of operations (`extract_model_operations`, `print_qstats`): for each quantized dense or
//! convolution layer the kind of its multiplications, their number, and its weights with their widths. It
//! follows simpler rules than `QTools`: the input's type is that of the last activation quantizer before the
//! layer, regardless of layers in between (batch normalizations, pooling, sums), and 8 unsigned bits at the input of the
//! network; a depthwise layer counts the weights of a full convolution.
//!
//! `print_qstats` also reports the fraction of zeros among quantized weights, which a specification does not hold.

use serde::Serialize;
use tinsmith_network::{Activation, Graph, ModelSpec, Op, ProductKind, Quantizer, Role};

use super::keras_class;
use super::operators::{Family, Type};
use crate::storage::elements;

/// Number type, as the estimator knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mode {
    /// Family of levels.
    pub family: Family,
    /// Total bits.
    pub bits: u32,
    /// True if negative numbers occur.
    pub is_signed: bool,
}

impl Mode {
    const FLOAT: Self = Self { family: Family::Float, bits: 32, is_signed: true };
    const SOURCE: Self = Self { family: Family::Fixed, bits: 8, is_signed: false };

    fn of(quantizer: &Quantizer) -> Self {
        let kind = Type::of(quantizer);
        Self { family: kind.family, bits: kind.bits, is_signed: kind.is_signed }
    }
}

/// Operations of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operations {
    /// Number of the layer in the specification.
    pub layer: usize,
    /// The kind of multiplication: `mult`, `fmult`, `barrel`, `adder`, `mux`, `xor`, `and`.
    pub kind: &'static str,
    /// Type of the weights.
    pub weight: Mode,
    /// Type of the input.
    pub input: Mode,
    /// Type of the bias; float without one.
    pub bias: Mode,
    /// Multiplications.
    pub operations: u64,
    /// Weights.
    pub weights: u64,
    /// Biases.
    pub biases: u64,
}

impl Operations {
    /// Key of the sums in `print_qstats`: signed or unsigned, kind, widths.
    #[must_use]
    pub fn name(&self) -> String {
        let sign = if self.weight.is_signed || self.input.is_signed { 's' } else { 'u' };
        format!("{sign}{}_{}_{}", self.kind, self.weight.bits, self.input.bits)
    }
}

/// Operations of the quantized dense and convolution layers of `spec`, in topological order.
#[must_use]
pub fn operations(spec: &ModelSpec, graph: &Graph) -> Vec<Operations> {
    let mut flowing = vec![Mode::SOURCE; spec.layers.len()];
    let mut all = Vec::new();
    for &i in &graph.order {
        let layer = &spec.layers[i];
        let node = &graph.nodes[i];
        let input = node.inputs.first().map_or(Mode::SOURCE, |&k| flowing[k]);
        flowing[i] = match (&layer.op, layer.op.activation()) {
            (Op::Input(source), _) => source.quantizer.map_or(Mode::SOURCE, |q| Mode::of(&q)),
            (_, Some(Activation::Quantized(q))) => Mode::of(q),
            (_, Some(Activation::Linear) | None) => input,
            _ => Mode::FLOAT,
        };
        if !matches!(keras_class(layer), "QDense" | "QConv1D" | "QConv2D" | "QDepthwiseConv2D") {
            continue;
        }
        let shape = node.inputs.first().map_or(&[][..], |&k| graph.shape(k));
        let weights = layer.op.weights(shape);
        let Some(kernel) = weights.iter().find(|w| w.role == Role::Kernel) else { continue };
        let bias = weights.iter().find(|w| w.role == Role::Bias);
        let mode = |quantizer: Option<Quantizer>| quantizer.map_or(Mode::FLOAT, |q| Mode::of(&q));
        let weight = mode(kernel.quantizer);
        let kernel_elements = elements(&kernel.shape);
        let positions = elements(&node.shape[..node.shape.len().saturating_sub(1)]);
        let inputs = shape.last().map_or(1, |&c| c as u64);
        let is_depthwise = layer.op.product().is_some_and(|product| product.kind == ProductKind::Depthwise);
        all.push(Operations {
            layer: i,
            kind: kind(weight.family, input.family),
            weight,
            input,
            bias: bias.map_or(Mode::FLOAT, |b| mode(b.quantizer)),
            operations: positions.saturating_mul(kernel_elements),
            weights: if is_depthwise { kernel_elements.saturating_mul(inputs) } else { kernel_elements },
            biases: bias.map_or(0, |b| elements(&b.shape)),
        });
    }
    all
}

fn kind(weight: Family, input: Family) -> &'static str {
    use Family::{Binary, Fixed, Float, PowerOfTwo, Ternary, ZeroOne};
    match (weight, input) {
        (Float, _) | (_, Float) => "fmult",
        (ZeroOne, _) | (_, ZeroOne) => "and",
        (Binary, Binary) => "xor",
        (Ternary | Binary, _) | (_, Ternary | Binary) => "mux",
        (PowerOfTwo, PowerOfTwo) => "adder",
        (PowerOfTwo, Fixed) | (Fixed, PowerOfTwo) => "barrel",
        (Fixed, Fixed) => "mult",
    }
}
