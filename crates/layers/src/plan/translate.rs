//! Which operators a layer is made of.

use candle_core::{DType, Tensor};
use tinsmith_core_tensor::{Fans, Param, Params};
use tinsmith_kernels::conv::ConvShape;
use tinsmith_kernels::gate::{Gate, GateFunction};
use tinsmith_kernels::{Activation as Function, Pool2dGeometry};
use tinsmith_network::{Activation, Op, Role, Weight};
use tinsmith_quant::{LearnedOp, QuantizerOp};

use super::combine::{Concat, Sum};
use super::layered::Layered;
use super::normalize::BatchNorm;
use super::operator::{BlockSpec, Operator, Part, Start};
use super::pointwise::{Activated, Dropout, Quantized};
use super::pooling::{AveragePool, MaxPool};
use super::product::{Kind, Product};
use crate::error::Result;
use crate::layer::{
    Blueprint, Shape, Window, effective_quantizer, function_of, param_name, pool_geometry, product_shapes,
};
use crate::model::initializer;

/// What a step of a layer reads.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// The layer's inputs.
    Inputs,
    /// What the step before it put out.
    Last,
}

/// A part of a layer.
#[derive(Debug)]
pub(super) enum Draft {
    /// The same elements in another shape.
    Alias,
    /// A function that the step before it may take in.
    Gate(Gate),
    /// A step of its own, with the shape of its output's samples.
    Step { part: Part, source: Source, sample: Vec<usize> },
}

/// Layer number `index`, whose inputs have samples of `shapes`.
pub(super) fn translate(
    blueprint: &Blueprint<'_>,
    index: usize,
    shapes: &[&[usize]],
    keeps_logits: bool,
) -> Result<Vec<Draft>> {
    let layer = &blueprint.layers[index];
    let sample = blueprint.graph.shape(index);
    let input = shapes.first().copied().unwrap_or_default();
    let translation = Translation { blueprint, index, input, sample, keeps_logits };
    let native = match &layer.op {
        Op::Input(l) => Some(match &l.quantizer {
            None => vec![Draft::Alias],
            Some(quantizer) => {
                vec![translation.quantizer(QuantizerOp::new(quantizer)?, "input", Source::Inputs)]
            }
        }),
        Op::Dropout(l) if l.rate > 0.0 => {
            let dropout = Dropout::new(l.rate, &layer.name, sample.iter().product());
            Some(vec![translation.step(Part::new(dropout), Source::Inputs)])
        }
        Op::Flatten(_) | Op::Reshape(_) | Op::Dropout(_) => Some(vec![Draft::Alias]),
        Op::Add(_) if shapes.len() == 2 && shapes[0] == shapes[1] => {
            let sum = Sum::new(sample.last().copied().unwrap_or(1));
            Some(vec![translation.step(Part::new(sum), Source::Inputs)])
        }
        Op::Concat(l) => l
            .sample_axis(input.len())
            .map(|axis| vec![translation.step(Part::new(Concat::new(shapes, axis)), Source::Inputs)]),
        Op::BatchNorm(l) => {
            let is_quantized = translation.weights().iter().any(|w| w.quantizer.is_some());
            (!l.fold && !is_quantized).then(|| {
                let norm = BatchNorm::new(l, sample, sample.len() == 3);
                let part = Part { operator: Box::new(norm), blocks: translation.blocks() };
                vec![translation.step(part, Source::Inputs)]
            })
        }
        Op::Activation(activation) => translation.activation(activation, Source::Inputs)?,
        op => match product_shapes(op, input)? {
            Some(products) => translation.products(&products)?,
            None => translation.pool()?,
        },
    };
    Ok(match native {
        Some(drafts) => drafts,
        None => vec![translation.layered(shapes)?],
    })
}

struct Translation<'a> {
    blueprint: &'a Blueprint<'a>,
    index: usize,
    input: &'a [usize],
    sample: &'a [usize],
    keeps_logits: bool,
}

impl Translation<'_> {
    fn name(&self) -> &str {
        &self.blueprint.layers[self.index].name
    }

    fn op(&self) -> &Op {
        &self.blueprint.layers[self.index].op
    }

    fn step(&self, part: Part, source: Source) -> Draft {
        Draft::Step { part, source, sample: self.sample.to_vec() }
    }

    fn weights(&self) -> Vec<Weight> {
        self.op().weights(self.input)
    }

    fn blocks(&self) -> Vec<BlockSpec> {
        self.weights().iter().filter_map(|w| self.block(w).ok()).collect()
    }

    /// A layer's weight as a block, quantized as it is used.
    fn block(&self, weight: &Weight) -> Result<BlockSpec> {
        let quantizer = weight.quantizer.as_ref().map(|q| effective_quantizer(q, weight.role));
        Ok(BlockSpec {
            quantizer: quantizer.as_ref().map(QuantizerOp::new).transpose()?,
            ..plain_block(self.name(), weight)?
        })
    }

    /// One product, or a depthwise and a pointwise one, and the activation.
    fn products(&self, products: &[Shape]) -> Result<Option<Vec<Draft>>> {
        let Some(activation) = self.op().activation() else { return Ok(None) };
        let Some(after) = self.activation(activation, Source::Last)? else { return Ok(None) };
        let weights = self.weights();
        if weights.iter().any(|w| !matches!(w.role, Role::Kernel | Role::Bias)) {
            return Ok(None);
        }
        let (kernels, biases): (Vec<&Weight>, Vec<&Weight>) =
            weights.iter().partition(|w| w.role == Role::Kernel);
        let mut drafts = Vec::new();
        for (k, (shape, kernel)) in products.iter().zip(kernels).enumerate() {
            let is_last = k + 1 == products.len();
            let mut blocks = vec![self.block(kernel)?];
            if is_last {
                for bias in &biases {
                    blocks.push(self.block(bias)?);
                }
            }
            let (kind, sample) = match *shape {
                Shape::Dense { outer, inputs, outputs } => {
                    (Kind::Dense { outer, inputs, outputs }, self.sample.to_vec())
                }
                Shape::Convolution(shape) => (Kind::Convolution(shape), image(&shape)),
                Shape::Depthwise(shape) => (Kind::Depthwise(shape), image(&shape)),
            };
            let part = Part { operator: Box::new(Product::new(kind)), blocks };
            let source = if k == 0 { Source::Inputs } else { Source::Last };
            drafts.push(Draft::Step { part, source, sample });
        }
        drafts.extend(after);
        Ok(Some(drafts))
    }

    fn pool(&self) -> Result<Option<Vec<Draft>>> {
        let Some(pool) = pool_geometry(self.op(), self.input) else { return Ok(None) };
        if pool.quantizer.is_some() {
            return Ok(None);
        }
        let Some(after) = self.activation(pool.activation, Source::Last)? else { return Ok(None) };
        let (height, width) =
            if self.input.len() == 2 { (1, self.input[0]) } else { (self.input[0], self.input[1]) };
        let channels = self.input.last().copied().unwrap_or(1);
        let geometry = match pool.window {
            Window::Sliding { geometry, .. } => geometry,
            Window::Global { .. } => Pool2dGeometry::new((height, width)),
        };
        let shape = geometry.resolve("pool", &[1, height, width, channels])?;
        let operator: Box<dyn Operator> =
            if pool.takes_mean { Box::new(AveragePool::new(shape)) } else { Box::new(MaxPool::new(shape)) };
        let part = Part { operator, blocks: Vec::new() };
        let step = self.step(part, Source::Inputs);
        Ok(Some(std::iter::once(step).chain(after).collect()))
    }

    /// None for the activations that only candle's graph computes.
    fn activation(&self, activation: &Activation, source: Source) -> Result<Option<Vec<Draft>>> {
        if let Activation::Quantized(quantizer) = activation {
            if quantizer.learned().is_some() {
                return Ok(None);
            }
            let op = QuantizerOp::new(quantizer)?;
            return Ok(Some(vec![self.quantizer(op, "activation", source)]));
        }
        if let Activation::Clip(clip) = activation {
            let (low, high) = (clip.min as f32, clip.max as f32);
            let open = (low.next_down(), high.next_up());
            return Ok(Some(vec![Draft::Gate(Gate { function: GateFunction::Clip { low, high }, open })]));
        }
        let Some(function) = function_of(activation) else { return Ok(None) };
        let relu6 = Gate { function: GateFunction::Clip { low: 0.0, high: 6.0 }, open: (0.0, 6.0) };
        Ok(Some(match function {
            Function::Linear => vec![Draft::Alias],
            Function::Softmax if self.keeps_logits => vec![Draft::Alias],
            Function::Relu => vec![Draft::Gate(Gate::RELU)],
            Function::Relu6 => vec![Draft::Gate(relu6)],
            function => {
                let channels = self.sample.last().copied().unwrap_or(1);
                let activated = Activated::new(function, channels, self.sample.iter().product());
                vec![self.step(Part::new(activated), source)]
            }
        }))
    }

    fn quantizer(&self, op: QuantizerOp, purpose: &'static str, source: Source) -> Draft {
        match op.gate() {
            Some(gate) => Draft::Gate(gate),
            None => self.step(Part::new(Quantized::new(op, self.name(), purpose, self.sample)), source),
        }
    }

    /// The layer as candle's graph has it.
    fn layered(&self, shapes: &[&[usize]]) -> Result<Draft> {
        let Blueprint { layers, graph, device, .. } = *self.blueprint;
        // A folded normalization runs from the input of the layer that it is folded into, with both their weights.
        let mut owners = vec![self.index];
        if let Op::BatchNorm(norm) = self.op()
            && norm.fold
        {
            owners.splice(0..0, graph.nodes[self.index].inputs.first().copied());
        }
        let (mut blocks, mut weights, mut state) = (Vec::new(), Vec::new(), Vec::new());
        let mut params = Params::new();
        for owner in owners {
            let input = graph.input_shapes(owner).first().copied().unwrap_or_default();
            for weight in layers[owner].op.weights(input) {
                let block = plain_block(&layers[owner].name, &weight)?;
                if block.trainable {
                    weights.push(blocks.len());
                } else {
                    state.push(blocks.len());
                }
                let zeros = Tensor::zeros(block.dims.as_slice(), DType::F32, device)?;
                let param = Param::new(&block.name, &zeros)?;
                params.insert(if block.trainable { param } else { param.fixed() })?;
                blocks.push(block);
            }
        }
        let layer = Blueprint { layers, graph, device, params: &params }.build(self.index)?;
        let layered = Layered {
            layer,
            name: self.name().to_owned(),
            params,
            weights,
            state,
            inputs: shapes.iter().map(|s| s.to_vec()).collect(),
            keeps_logits: self.keeps_logits,
            graph: std::sync::Mutex::default(),
        };
        let part = Part { operator: Box::new(layered), blocks };
        Ok(self.step(part, Source::Inputs))
    }
}

/// A weight as a block that is used as it is.
fn plain_block(layer: &str, weight: &Weight) -> Result<BlockSpec> {
    let start = match weight.learned.and_then(|l| Some((l.quantizer, l.weight?))) {
        Some((quantizer, of)) => Start::Learned(LearnedOp::new(&quantizer)?, param_name(layer, of)),
        None => Start::Drawn(
            initializer(weight.initializer),
            Fans { fan_in: weight.fans.0, fan_out: weight.fans.1 },
        ),
    };
    Ok(BlockSpec {
        name: param_name(layer, weight.name),
        dims: weight.shape.clone(),
        start,
        trainable: weight.role.is_trainable(),
        quantizer: None,
    })
}

fn image(shape: &ConvShape) -> Vec<usize> {
    vec![shape.out_h, shape.out_w, shape.out_c]
}
