//! What the kinds of layers compute. Each is built once, with geometry, quantizers and parameter numbers worked
//! out, and then runs as often as needed.

mod activation;
mod arrange;
mod folded;
mod linear;
mod merge;
mod noise;
mod normalization;
mod pool;
mod quantize;

use std::fmt;

use candle_core::{Device, Tensor};
use tinsmith_core_tensor::Params;
use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_network::{Graph, Layer, Op};

use crate::error::{LayersError, Result};
use crate::mode::Mode;

pub(crate) use activation::function_of;
pub(crate) use linear::{Shape, product_shapes};
pub(crate) use pool::{Window, pool_geometry};
pub use quantize::effective_quantizer;
pub(crate) use quantize::{is_random, quantize_once, quantizer_mode};

/// What a layer may know of the run that it is part of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) params: &'a Params,
    pub(crate) mode: Mode,
    pub(crate) threads: Threads,
    /// Name of the layer that runs: its random draws hang on it.
    pub(crate) layer: &'a str,
    /// Whether a softmax at the end of this layer is left out.
    pub(crate) keeps_logits: bool,
}

impl Context<'_> {
    /// The seed of this layer's draws for `purpose`; None outside training.
    pub(crate) fn seed(&self, purpose: &str) -> Option<Seed> {
        match self.mode {
            Mode::Train { seed } => Some(draw_seed(seed, self.layer, purpose)),
            Mode::Infer => None,
        }
    }
}

/// One layer that can run.
pub(crate) trait Forward: fmt::Debug + Send + Sync {
    /// Its output for `inputs`, contiguous where those are.
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor>;
}

/// What layers are built from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blueprint<'a> {
    pub(crate) layers: &'a [Layer],
    pub(crate) graph: &'a Graph,
    pub(crate) params: &'a Params,
    pub(crate) device: &'a Device,
}

impl Blueprint<'_> {
    /// Layer number `index`, ready to run. A folded batch normalization is built with the layer that it is folded
    /// into, and runs from that layer's input.
    pub(crate) fn build(&self, index: usize) -> Result<Box<dyn Forward>> {
        let layer = &self.layers[index];
        self.build_op(index).map_err(|e| e.of_layer(&layer.name))
    }

    fn build_op(&self, index: usize) -> Result<Box<dyn Forward>> {
        let layer = &self.layers[index];
        let shapes = self.graph.input_shapes(index);
        if let Some(merge) = merge::Merge::new(&layer.op, &shapes) {
            return Ok(Box::new(merge));
        }
        let input = shapes.first().copied().unwrap_or_default();
        if let Some(linear) = linear::Linear::new(self, index)? {
            return Ok(Box::new(linear));
        }
        if let Some(pool) = pool::Pool::new(self, index)? {
            return Ok(Box::new(pool));
        }
        if let Some(arrange) = arrange::Arrange::new(&layer.op, input, self.graph.shape(index), self.device)?
        {
            return Ok(Box::new(arrange));
        }
        match &layer.op {
            Op::Input(l) => Ok(Box::new(quantize::Entrance::new(l.quantizer.as_ref())?)),
            Op::Activation(l) => activation::layer(self, index, l),
            Op::BatchNorm(l) if l.fold => Ok(Box::new(folded::Folded::new(self, index, l)?)),
            Op::BatchNorm(l) => Ok(Box::new(normalization::BatchNorm::new(self, index, l)?)),
            Op::LayerNorm(l) => Ok(Box::new(normalization::LayerNorm::new(self, index, l)?)),
            Op::SeparableConv1d(_) | Op::SeparableConv2d(_) => {
                Ok(Box::new(linear::Separable::new(self, index)?))
            }
            Op::Dropout(l) => Ok(Box::new(noise::Noise::per_element(l.rate))),
            Op::DropConnect(l) => Ok(Box::new(noise::Noise::per_sample(l.rate))),
            other => Err(LayersError::Unsupported {
                layer: layer.name.clone(),
                what: format!("is a {}, which this crate cannot run", other.name()),
            }),
        }
    }
}

/// The seed of a layer's draws for `purpose` in the step whose seed is `step`.
pub(crate) fn draw_seed(step: Seed, layer: &str, purpose: &str) -> Seed {
    step.derive(layer, 0).derive(purpose, 0)
}

/// The name of a parameter: the layer's, a dot, the weight's.
pub(crate) fn param_name(layer: &str, weight: &str) -> String {
    format!("{layer}.{weight}")
}
