//! Forward passes of all layer kinds. A layer is built once, with geometry, quantizers and parameter indices
//! resolved, and then runs many times.

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
pub(crate) use linear::{ProductShape, product_shapes};
pub(crate) use pool::{Window, pool_geometry};
pub use quantize::effective_quantizer;
pub(crate) use quantize::{is_random, quantize_once, quantizer_mode};

/// Context of the current run, as passed to each layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) params: &'a Params,
    pub(crate) mode: Mode,
    pub(crate) threads: Threads,
    /// Name of the running layer; its random draws derive from it.
    pub(crate) layer: &'a str,
    /// True if a softmax at the end of this layer is left out.
    pub(crate) keeps_logits: bool,
}

impl Context<'_> {
    /// Derives the seed of this layer's draws for `purpose`; None outside training.
    pub(crate) fn seed(&self, purpose: &str) -> Option<Seed> {
        match self.mode {
            Mode::Train { seed } => Some(draw_seed(seed, self.layer, purpose)),
            Mode::Infer => None,
        }
    }
}

/// A layer that is ready to run.
pub(crate) trait LayerForward: fmt::Debug + Send + Sync {
    /// Computes the output for `inputs`; contiguous if the inputs are.
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor>;
}

/// Everything needed to build a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blueprint<'a> {
    pub(crate) layers: &'a [Layer],
    pub(crate) graph: &'a Graph,
    pub(crate) params: &'a Params,
    pub(crate) device: &'a Device,
}

impl Blueprint<'_> {
    /// Builds layer number `index`. A folded batch normalization is built together with the layer it is folded into,
    /// and reads that layer's input.
    pub(crate) fn build(&self, index: usize) -> Result<Box<dyn LayerForward>> {
        let layer = &self.layers[index];
        self.build_op(index).map_err(|e| e.of_layer(&layer.name))
    }

    fn build_op(&self, index: usize) -> Result<Box<dyn LayerForward>> {
        let layer = &self.layers[index];
        let shapes = self.graph.input_shapes(index);
        if let Some(merge) = merge::Merge::new(&layer.op, &shapes) {
            return Ok(Box::new(merge));
        }
        let input = shapes.first().copied().unwrap_or_default();
        if let Some(linear) = linear::Linear::new(self, index)? {
            return Ok(Box::new(linear));
        }
        if let Some(separable) = linear::Separable::new(self, index)? {
            return Ok(Box::new(separable));
        }
        if let Some(pool) = pool::Pool::new(self, index)? {
            return Ok(Box::new(pool));
        }
        if let Some(arrange) = arrange::Arrange::new(&layer.op, input, self.graph.shape(index), self.device)?
        {
            return Ok(Box::new(arrange));
        }
        match &layer.op {
            Op::Input(l) => Ok(Box::new(quantize::InputLayer::new(l.quantizer.as_ref())?)),
            Op::Activation(l) => activation::layer(self, index, l),
            Op::BatchNorm(l) if l.fold => Ok(Box::new(folded::Folded::new(self, index, l)?)),
            Op::BatchNorm(l) => Ok(Box::new(normalization::BatchNorm::new(self, index, l)?)),
            Op::Rescaling(l) => Ok(Box::new(normalization::Rescaling::new(l, self.device)?)),
            Op::LayerNorm(l) => Ok(Box::new(normalization::LayerNorm::new(self, index, l)?)),
            Op::Dropout(l) => Ok(Box::new(noise::Noise::per_element(l.rate))),
            Op::DropConnect(l) => Ok(Box::new(noise::Noise::per_sample(l.rate))),
            other => Err(LayersError::Unsupported {
                layer: layer.name.clone(),
                what: format!("is a {}, which has no implementation here", other.name()),
            }),
        }
    }
}

/// Derives the seed of a layer's draws for `purpose` from the seed `step` of the training step.
pub(crate) fn draw_seed(step: Seed, layer: &str, purpose: &str) -> Seed {
    step.derive(layer, 0).derive(purpose, 0)
}

/// Name of a parameter: `layer.weight`.
pub(crate) fn param_name(layer: &str, weight: &str) -> String {
    format!("{layer}.{weight}")
}
