//! Translates a layer into operators.

use candle_core::{DType, Tensor};
use tinsmith_core_tensor::{Fans, Param, Params};
use tinsmith_kernels::conv::ConvShape;
use tinsmith_kernels::gate::{Gate, GateFunction};
use tinsmith_kernels::{Activation as Function, Pool2dGeometry};
use tinsmith_network::{Activation, Op, Role, Weight};
use tinsmith_quant::{LearnedOp, QuantizerOp};

use super::combine::{Concat, Sum};
use super::graph_layer::GraphLayer;
use super::normalize::BatchNorm;
use super::operator::{BlockInit, BlockSpec, LayerOperator, Operator};
use super::pointwise::{Activated, Dropout, Quantized};
use super::pooling::{AveragePool, MaxPool};
use super::product::{Product, ProductKind};
use crate::error::Result;
use crate::layer::{
    Blueprint, ProductShape, Window, effective_quantizer, function_of, param_name, pool_geometry,
    product_shapes,
};
use crate::model::initializer;

/// Input of a layer's step.
#[derive(Debug, Clone, Copy)]
pub(super) enum StepSource {
    /// The layer's inputs.
    Inputs,
    /// The output of the preceding step.
    Last,
}

/// One operation of a layer.
#[derive(Debug)]
pub(super) enum StepDraft {
    /// The same elements in another shape.
    Alias,
    /// A function that the preceding step may fuse.
    Gate(Gate),
    /// A step with the sample shape of its output.
    Step { layer_operator: LayerOperator, source: StepSource, sample: Vec<usize> },
}

/// Translates layer number `index`, whose inputs have sample shapes `shapes`.
pub(super) fn translate(
    blueprint: &Blueprint<'_>,
    index: usize,
    shapes: &[&[usize]],
    keeps_logits: bool,
) -> Result<Vec<StepDraft>> {
    let layer = &blueprint.layers[index];
    let sample = blueprint.graph.shape(index);
    let input = *shapes.first().expect("invariant: every layer reads a value, input layers their own");
    let translation = Translation { blueprint, index, input, sample, keeps_logits };
    let native = match &layer.op {
        Op::Input(l) => Some(match &l.quantizer {
            None => vec![StepDraft::Alias],
            Some(quantizer) => {
                vec![translation.quantizer(QuantizerOp::new(quantizer)?, "input", StepSource::Inputs)]
            }
        }),
        Op::Dropout(l) if l.rate > 0.0 => {
            let dropout = Dropout::new(l.rate, &layer.name, sample.iter().product());
            Some(vec![translation.step(LayerOperator::new(dropout), StepSource::Inputs)])
        }
        Op::Flatten(_) | Op::Reshape(_) | Op::Dropout(_) => Some(vec![StepDraft::Alias]),
        Op::Add(_) if shapes.len() == 2 && shapes[0] == shapes[1] => {
            let sum = Sum::new(sample.last().copied().unwrap_or(1));
            Some(vec![translation.step(LayerOperator::new(sum), StepSource::Inputs)])
        }
        Op::Concat(l) => l.sample_axis(input.len()).map(|axis| {
            vec![translation.step(LayerOperator::new(Concat::new(shapes, axis)), StepSource::Inputs)]
        }),
        Op::BatchNorm(l) => {
            let is_quantized = translation.weights().iter().any(|w| w.quantizer.is_some());
            if l.fold || is_quantized {
                None
            } else {
                let norm = BatchNorm::new(l, sample, sample.len() == 3);
                let blocks = translation.blocks()?;
                let layer_operator = LayerOperator { operator: Box::new(norm), blocks };
                Some(vec![translation.step(layer_operator, StepSource::Inputs)])
            }
        }
        Op::Activation(activation) => translation.activation(activation, StepSource::Inputs)?,
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

    fn step(&self, layer_operator: LayerOperator, source: StepSource) -> StepDraft {
        StepDraft::Step { layer_operator, source, sample: self.sample.to_vec() }
    }

    fn weights(&self) -> Vec<Weight> {
        self.op().weights(self.input)
    }

    fn blocks(&self) -> Result<Vec<BlockSpec>> {
        self.weights().iter().map(|w| self.block(w)).collect()
    }

    /// A layer's weight as a block, quantized before use.
    fn block(&self, weight: &Weight) -> Result<BlockSpec> {
        let quantizer = weight.quantizer.as_ref().map(|q| effective_quantizer(q, weight.role));
        Ok(BlockSpec {
            quantizer: quantizer.as_ref().map(QuantizerOp::new).transpose()?,
            ..plain_block(self.name(), weight)?
        })
    }

    /// One product, or a depthwise and a pointwise one, followed by the activation.
    fn products(&self, products: &[ProductShape]) -> Result<Option<Vec<StepDraft>>> {
        let Some(activation) = self.op().activation() else { return Ok(None) };
        let Some(after) = self.activation(activation, StepSource::Last)? else { return Ok(None) };
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
                ProductShape::Dense { outer, inputs, outputs } => {
                    (ProductKind::Dense { outer, inputs, outputs }, self.sample.to_vec())
                }
                ProductShape::Convolution(shape) => (ProductKind::Convolution(shape), image(&shape)),
                ProductShape::Depthwise(shape) => (ProductKind::Depthwise(shape), image(&shape)),
            };
            let layer_operator = LayerOperator { operator: Box::new(Product::new(kind)), blocks };
            let source = if k == 0 { StepSource::Inputs } else { StepSource::Last };
            drafts.push(StepDraft::Step { layer_operator, source, sample });
        }
        drafts.extend(after);
        Ok(Some(drafts))
    }

    fn pool(&self) -> Result<Option<Vec<StepDraft>>> {
        let Some(pool) = pool_geometry(self.op(), self.input) else { return Ok(None) };
        if pool.quantizer.is_some() {
            return Ok(None);
        }
        let Some(after) = self.activation(pool.activation, StepSource::Last)? else { return Ok(None) };
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
        let layer_operator = LayerOperator { operator, blocks: Vec::new() };
        let step = self.step(layer_operator, StepSource::Inputs);
        Ok(Some(std::iter::once(step).chain(after).collect()))
    }

    /// None for activations that only candle's graph computes.
    fn activation(&self, activation: &Activation, source: StepSource) -> Result<Option<Vec<StepDraft>>> {
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
            return Ok(Some(vec![StepDraft::Gate(Gate {
                function: GateFunction::Clip { low, high },
                open,
            })]));
        }
        let Some(function) = function_of(activation) else { return Ok(None) };
        let relu6 = Gate { function: GateFunction::Clip { low: 0.0, high: 6.0 }, open: (0.0, 6.0) };
        Ok(Some(match function {
            Function::Linear => vec![StepDraft::Alias],
            Function::Softmax if self.keeps_logits => vec![StepDraft::Alias],
            Function::Relu => vec![StepDraft::Gate(Gate::RELU)],
            Function::Relu6 => vec![StepDraft::Gate(relu6)],
            function => {
                let channels = self.sample.last().copied().unwrap_or(1);
                let activated = Activated::new(function, channels, self.sample.iter().product());
                vec![self.step(LayerOperator::new(activated), source)]
            }
        }))
    }

    fn quantizer(&self, op: QuantizerOp, purpose: &'static str, source: StepSource) -> StepDraft {
        match op.gate() {
            Some(gate) => StepDraft::Gate(gate),
            None => {
                self.step(LayerOperator::new(Quantized::new(op, self.name(), purpose, self.sample)), source)
            }
        }
    }

    /// Falls back to the layer of candle's graph.
    fn layered(&self, shapes: &[&[usize]]) -> Result<StepDraft> {
        let Blueprint { layers, graph, device, .. } = *self.blueprint;
        // A folded normalization reads the input of the layer that it is folded into, and uses the weights of both.
        let mut owners = vec![self.index];
        if self.op().folded_norm().is_some() {
            owners.splice(0..0, graph.nodes[self.index].inputs.first().copied());
        }
        let (mut blocks, mut weights, mut state) = (Vec::new(), Vec::new(), Vec::new());
        let mut params = Params::new();
        for owner in owners {
            let input =
                *graph.input_shapes(owner).first().expect("invariant: a layer with weights has an input");
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
        let layered = GraphLayer {
            layer,
            name: self.name().to_owned(),
            params,
            weights,
            state,
            inputs: shapes.iter().map(|s| s.to_vec()).collect(),
            keeps_logits: self.keeps_logits,
            graph: std::sync::Mutex::default(),
        };
        let layer_operator = LayerOperator { operator: Box::new(layered), blocks };
        Ok(self.step(layer_operator, StepSource::Inputs))
    }
}

/// A weight as a block that is used as stored.
fn plain_block(layer: &str, weight: &Weight) -> Result<BlockSpec> {
    let start = match weight.learned.and_then(|l| Some((l.quantizer, l.weight?))) {
        Some((quantizer, of)) => BlockInit::Learned(LearnedOp::new(&quantizer)?, param_name(layer, of)),
        None => BlockInit::Drawn(
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
