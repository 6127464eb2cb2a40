//! `QTools`' bit widths: the number type of every tensor in a network, and the operators between them.
//!
//! A quantized layer multiplies its weights' type by its input's; without an activation its accumulator's
//! type flows on. A plain (Keras) layer computes with the types of the [`Assignment`], 32-bit floats by
//! default. As `QTools` does, a bias without a quantizer in a quantized layer counts as 8-bit fixed point,
//! the bias of a depthwise layer as one number, and an accumulator makes room for one product more than there
//! are.
//!
//! Our additions for cases without a rule in `QTools`: 1-D convolutions follow the rule for 2-D ones; a separable layer is its
//! two stages in a row; a kernel without a quantizer in a quantized layer is a 32-bit float.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tinsmith_network::op::{BatchNorm, Op};
use tinsmith_network::{Activation, Graph, Merging, ModelSpec, Pooling, ProductKind, Role, Weight};

use super::class_of;
use super::operators::{Gate, MergeKind, Operator, Type, accumulator, merge, multiplier};
use crate::storage::elements;

/// Number types of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Floating point, 32 bits.
    Fp32,
    /// Floating point, 16 bits.
    Fp16,
    /// Fixed point, 32 bits, 10 before the point.
    Int32,
    /// Fixed point, 8 bits, none before the point.
    Int8,
}

impl Precision {
    /// The number type.
    #[must_use]
    pub const fn as_type(self) -> Type {
        match self {
            Self::Fp32 => Type::float(32),
            Self::Fp16 => Type::float(16),
            Self::Int32 => Type::fixed(32, 10, true),
            Self::Int8 => Type::fixed(8, 0, true),
        }
    }
}

/// Number types of tensors without a quantizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assignment {
    /// Type of inputs without a quantizer.
    pub source: Type,
    /// Type of the weights of plain layers.
    pub internal: Precision,
    /// Type of the sums of plain layers, of plain activations and of everything in plain batch normalizations.
    pub accumulator: Precision,
    /// Ignores quantizers: every layer's output has the type of `accumulator`.
    pub is_reference: bool,
}

impl Assignment {
    /// Assignment for a trial: quantizers count, inputs have 8 bits.
    #[must_use]
    pub const fn trial(internal: Precision, accumulator: Precision) -> Self {
        Self { source: Type::fixed(8, 0, true), internal, accumulator, is_reference: false }
    }

    /// Assignment for the reference of a trial.
    #[must_use]
    pub const fn reference(internal: Precision, accumulator: Precision) -> Self {
        Self { source: internal.as_type(), internal, accumulator, is_reference: true }
    }
}

impl Default for Assignment {
    fn default() -> Self {
        Self::trial(Precision::Fp32, Precision::Fp32)
    }
}

/// A weight tensor with its type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeightType {
    /// Name in the layer.
    pub name: &'static str,
    /// Elements, as far as its memory is concerned.
    pub elements: u64,
    /// Number type.
    pub kind: Type,
}

/// One stage of products and sums: a dense or convolution layer has one, a separable layer two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stage {
    /// Multiplier.
    pub multiplier: Operator,
    /// The type of the sum.
    pub accumulator: Type,
    /// Multiplications.
    pub operations: u64,
}

/// Operators of a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// Products and sums.
    Products(Vec<Stage>),
    /// A batch normalization: gamma over deviation, times the input, plus the rest.
    Norm {
        /// Of gamma by the deviation.
        divider: Operator,
        /// Of that by the input.
        multiplier: Operator,
        /// The type of the sum.
        accumulator: Type,
    },
    /// Sums over windows.
    Pool {
        /// The type of the sum.
        accumulator: Type,
        /// Additions, as `QTools` counts them: channels times window, not times the number of windows.
        operations: u64,
        /// Multiplier by the quantized reciprocal, if the mean has one.
        multiplier: Option<Operator>,
    },
    /// A merge.
    Merge(Operator),
    /// No counted operations.
    None,
}

/// The types of one layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerWidths {
    /// Types of the inputs.
    pub inputs: Vec<Type>,
    /// Types of the weights.
    pub weights: Vec<WeightType>,
    /// Operators.
    pub arithmetic: Arithmetic,
    /// Type of the output.
    pub output: Type,
}

/// Returns the types of a network, one entry per layer, in the order of declaration. `classes` lists layers with another
/// class than [`super::keras_class`]: a `ReLU` layer keeps its input's type, an `Activation` with `relu` does not.
#[must_use]
pub fn widths(
    spec: &ModelSpec,
    graph: &Graph,
    assignment: Assignment,
    classes: &BTreeMap<String, String>,
) -> Vec<LayerWidths> {
    let empty = LayerWidths {
        inputs: Vec::new(),
        weights: Vec::new(),
        arithmetic: Arithmetic::None,
        output: assignment.source,
    };
    let mut all = vec![empty; spec.layers.len()];
    for &i in &graph.order {
        let class = class_of(&spec.layers[i], classes);
        let context = Context { spec, graph, assignment, layer: i, class };
        let inputs: Vec<Type> = graph.nodes[i].inputs.iter().map(|&k| all[k].output).collect();
        all[i] = context.layer(inputs);
    }
    all
}

struct Context<'a> {
    spec: &'a ModelSpec,
    graph: &'a Graph,
    assignment: Assignment,
    layer: usize,
    class: &'a str,
}

impl Context<'_> {
    /// True if the layer's own quantizers count.
    fn is_quantized(&self) -> bool {
        self.class.starts_with('Q') && !self.assignment.is_reference
    }

    fn layer(&self, inputs: Vec<Type>) -> LayerWidths {
        let op = &self.spec.layers[self.layer].op;
        let input_shape =
            self.graph.nodes[self.layer].inputs.first().map_or(&[][..], |&k| self.graph.shape(k));
        let first = inputs.first().copied().unwrap_or(self.assignment.source);
        let mut shapes = op.weights(input_shape);
        // Learned parameters of quantizers become scales and codes at deployment.
        shapes.retain(|w| w.role != Role::Quantizer);
        let weights = self.weights(op, &shapes);
        let pooling = op.pooling();
        let merge = op.merging().map(|merging| match merging {
            Merging::Sum | Merging::Difference => MergeKind::Add,
            Merging::Product => MergeKind::Multiply,
            Merging::Concatenation(_) => MergeKind::Concatenate,
        });
        let (arithmetic, computed) = match (op, merge) {
            (_, Some(kind)) => Self::merge(kind, &inputs, first),
            (Op::Input(input), _) => {
                let quantized = input.quantizer.filter(|_| !self.assignment.is_reference);
                (Arithmetic::None, quantized.map_or(self.assignment.source, |q| Type::of(&q)))
            }
            (Op::BatchNorm(norm), _) => self.norm(norm, &weights, first),
            _ if pooling.is_some_and(|pooling| pooling.takes_mean) => {
                self.average(pooling, input_shape, first)
            }
            _ if shapes.iter().any(|w| w.role == Role::Kernel) => self.products(&shapes, &weights, first),
            _ => (Arithmetic::None, first),
        };
        let plain = self.assignment.accumulator.as_type();
        let output = match op.activation() {
            _ if op.is_input() => computed,
            _ if self.assignment.is_reference => plain,
            Some(Activation::Quantized(q)) => Type::of(q),
            Some(Activation::Linear) | None => computed,
            Some(_) if self.class == "ReLU" => computed,
            Some(_) => plain,
        };
        LayerWidths { inputs, weights, arithmetic, output }
    }

    fn weights(&self, op: &Op, shapes: &[Weight]) -> Vec<WeightType> {
        let is_depthwise = op.product().is_some_and(|product| product.kind == ProductKind::Depthwise);
        let kind = |weight: &Weight| match weight.quantizer.filter(|_| self.is_quantized()) {
            Some(q) => Type::of(&q),
            None if self.is_quantized() && weight.role == Role::Bias => Type::fixed(8, 0, true),
            None if self.is_quantized() => Type::float(32),
            None if op.batch_norm().is_some() => self.assignment.accumulator.as_type(),
            None => self.assignment.internal.as_type(),
        };
        shapes
            .iter()
            .map(|weight| WeightType {
                name: weight.name,
                elements: match weight.role {
                    Role::Bias if is_depthwise => shapes[0].shape.last().map_or(1, |&n| n as u64),
                    _ => elements(&weight.shape),
                },
                kind: kind(weight),
            })
            .collect()
    }

    fn products(&self, shapes: &[Weight], weights: &[WeightType], input: Type) -> (Arithmetic, Type) {
        let op = &self.spec.layers[self.layer].op;
        let node = &self.graph.nodes[self.layer];
        let input_shape = node.inputs.first().map_or(&[][..], |&k| self.graph.shape(k));
        let positions = op.product().map_or(0, |product| product.positions(input_shape, &node.shape));
        let mut stages = Vec::new();
        let mut flowing = input;
        for (weight, typed) in shapes.iter().zip(weights).filter(|(w, _)| w.role == Role::Kernel) {
            let multiplier = multiplier(&typed.kind, &flowing);
            let terms = elements(&weight.shape[..weight.shape.len().saturating_sub(1)]);
            let sum = if self.is_quantized() {
                accumulator(&multiplier.output, terms.saturating_add(1))
            } else {
                self.assignment.accumulator.as_type()
            };
            let operations = positions.saturating_mul(elements(&weight.shape));
            stages.push(Stage { multiplier, accumulator: sum, operations });
            flowing = sum;
        }
        (Arithmetic::Products(stages), flowing)
    }

    fn norm(&self, norm: &BatchNorm, weights: &[WeightType], input: Type) -> (Arithmetic, Type) {
        if !self.is_quantized() {
            let sum = self.assignment.accumulator.as_type();
            let both = multiplier(&sum, &sum);
            return (Arithmetic::Norm { divider: both, multiplier: both, accumulator: sum }, sum);
        }
        let of = |name: &str| weights.iter().find(|w| w.name == name).map(|w| w.kind);
        let deviation = of("moving_variance").unwrap_or(Type::float(32));
        // Without gamma the reciprocal of the deviation is as wide as the deviation itself.
        let mut divider = multiplier(&of("gamma").unwrap_or(deviation), &deviation);
        divider.output.is_signed = true;
        if divider.gate == Gate::Add {
            divider.output.name = "quantized_po2";
        }
        let by_input = multiplier(&divider.output, &input);
        let mut sum = by_input.output;
        if norm.center
            && let Some(added) = merge(MergeKind::Add, &[sum, of("beta").unwrap_or(sum)])
        {
            sum = added.output;
        }
        (Arithmetic::Norm { divider, multiplier: by_input, accumulator: sum }, sum)
    }

    fn merge(kind: MergeKind, inputs: &[Type], first: Type) -> (Arithmetic, Type) {
        merge(kind, inputs).map_or((Arithmetic::None, first), |o| (Arithmetic::Merge(o), o.output))
    }

    fn average(&self, pooling: Option<Pooling<'_>>, shape: &[usize], input: Type) -> (Arithmetic, Type) {
        let area = pooling.map_or(1, |pooling| pooling.area(shape));
        let quantizer = pooling.and_then(|pooling| pooling.average_quantizer);
        let channels = shape.last().map_or(0, |&c| c as u64);
        let sum = if self.assignment.is_reference {
            self.assignment.accumulator.as_type()
        } else {
            accumulator(&input, area)
        };
        let by_reciprocal =
            quantizer.filter(|_| !self.assignment.is_reference).map(|q| multiplier(&Type::of(q), &sum));
        let output = by_reciprocal.map_or(sum, |o| o.output);
        let operations = channels.saturating_mul(area);
        (Arithmetic::Pool { accumulator: sum, operations, multiplier: by_reciprocal }, output)
    }
}
