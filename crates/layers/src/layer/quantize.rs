//! Parameters and quantizers as held by layers.

use candle_core::Tensor;
use tinsmith_core_tensor::Param;
use tinsmith_network::{Quantizer, Role};
use tinsmith_quant::{LearnedOp, QuantizerOp};

use super::{Blueprint, Context, LayerForward, draw_seed, param_name};
use crate::error::{LayersError, Result};
use crate::mode::Mode;

/// Returns the quantizer in effect for a weight of this role. A kernel quantizer without a scale gets a power-of-two
/// scale chosen from the values, as in `QKeras` (see [`QuantizerOp::for_kernel`]); all others stay.
#[must_use]
pub fn effective_quantizer(quantizer: &Quantizer, role: Role) -> Quantizer {
    if role == Role::Kernel { QuantizerOp::for_kernel(quantizer) } else { *quantizer }
}

/// Quantizes `x` as in inference.
pub(crate) fn quantize_once(quantizer: &Quantizer, x: &Tensor) -> Result<Tensor> {
    Ok(QuantizerOp::new(quantizer)?.apply(x, tinsmith_quant::Mode::Inference)?)
}

/// A quantizer ready to be applied.
#[derive(Debug)]
pub(crate) enum QuantizerSlot {
    /// A quantizer without learned parameters.
    Fixed {
        op: QuantizerOp,
        /// True if training draws random numbers; only then is a seed derived.
        is_random: bool,
    },
    /// A quantizer with learned parameters, with their index among the network's parameters.
    Learned { op: LearnedOp, index: usize },
}

impl QuantizerSlot {
    /// Builds a quantizer without learned parameters.
    pub(crate) fn new(quantizer: &Quantizer) -> Result<Self> {
        Ok(Self::Fixed { op: QuantizerOp::new(quantizer)?, is_random: is_random(quantizer) })
    }

    /// Builds the quantizer of the weight `weight` of layer number `layer`, or of its activation.
    pub(crate) fn find(
        blueprint: &Blueprint<'_>,
        layer: usize,
        weight: Option<&str>,
        quantizer: &Quantizer,
    ) -> Result<Self> {
        let Some(settings) = quantizer.learned() else { return Self::new(quantizer) };
        let node = &blueprint.layers[layer];
        let shapes = blueprint.graph.input_shapes(layer);
        let weights = node.op.weights(shapes.first().copied().unwrap_or_default());
        let own = weights.iter().find(|w| w.learned.is_some_and(|l| l.weight == weight));
        let name = own.map(|w| param_name(&node.name, w.name));
        let index = name.and_then(|name| blueprint.params.iter().position(|p| p.name() == name));
        match index {
            Some(index) => Ok(Self::Learned { op: LearnedOp::new(settings)?, index }),
            None => Err(LayersError::Unsupported {
                layer: node.name.clone(),
                what: format!("has no parameter for the learned quantizer {settings}"),
            }),
        }
    }

    /// Quantizes `x`. `purpose` separates the random draws within the layer.
    pub(crate) fn apply(&self, cx: &Context<'_>, purpose: &str, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Fixed { op, is_random } => {
                Ok(op.apply(x, quantizer_mode(cx.mode, *is_random, cx.layer, purpose))?)
            }
            Self::Learned { op, index } => Ok(op.apply(x, &tracked(cx, *index))?),
        }
    }

    /// Like [`apply`](Self::apply), for the values of a batch.
    pub(crate) fn apply_to_batch(&self, cx: &Context<'_>, purpose: &str, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Learned { op, index } => Ok(op.apply_to_batch(x, &tracked(cx, *index))?),
            Self::Fixed { .. } => self.apply(cx, purpose, x),
        }
    }
}

/// Returns the stored parameter, tracked for gradients only in training and only if it takes updates.
fn tracked(cx: &Context<'_>, index: usize) -> Tensor {
    let param = &cx.params.iter().as_slice()[index];
    if cx.mode.is_training() && param.takes_updates() {
        param.tensor().clone()
    } else {
        param.tensor().detach()
    }
}

/// Mode of a quantizer within a layer. `purpose` separates the random draws within the layer. Only random quantizers
/// get a seed.
pub(crate) fn quantizer_mode(
    mode: Mode,
    is_random: bool,
    layer: &str,
    purpose: &str,
) -> tinsmith_quant::Mode {
    match mode {
        Mode::Train { seed } if is_random => tinsmith_quant::Mode::Training(draw_seed(seed, layer, purpose)),
        _ => tinsmith_quant::Mode::Inference,
    }
}

/// Returns true if a quantizer draws random numbers in training.
pub(crate) const fn is_random(quantizer: &Quantizer) -> bool {
    quantizer.facts().rounds_at_random
}

/// Index of a parameter, and its quantizer.
#[derive(Debug)]
pub(crate) struct ParamSlot {
    index: usize,
    weight: &'static str,
    quantizer: Option<QuantizerSlot>,
}

impl ParamSlot {
    /// Finds the weight `weight` of layer number `layer`, if it has one.
    pub(crate) fn find_optional(
        blueprint: &Blueprint<'_>,
        layer: usize,
        weight: &'static str,
    ) -> Result<Option<Self>> {
        let shapes = blueprint.graph.input_shapes(layer);
        let input = shapes.first().copied().unwrap_or_default();
        let node = &blueprint.layers[layer];
        let weights = node.op.weights(input);
        let Some(found) = weights.iter().find(|w| w.name == weight) else { return Ok(None) };
        let name = param_name(&node.name, weight);
        let Some(index) = blueprint.params.iter().position(|p| p.name() == name) else { return Ok(None) };
        let quantizer = found
            .quantizer
            .as_ref()
            .map(|q| {
                let quantizer = effective_quantizer(q, found.role);
                QuantizerSlot::find(blueprint, layer, Some(weight), &quantizer)
            })
            .transpose()?;
        Ok(Some(Self { index, weight, quantizer }))
    }

    /// Finds the weight `weight` of layer number `layer`. An absent weight is an error.
    pub(crate) fn find(blueprint: &Blueprint<'_>, layer: usize, weight: &'static str) -> Result<Self> {
        Self::find_optional(blueprint, layer, weight)?.ok_or_else(|| LayersError::Unsupported {
            layer: blueprint.layers[layer].name.clone(),
            what: format!("has no weight `{weight}`"),
        })
    }

    /// Returns the stored parameter, tracked for gradients only in training and only if it takes updates.
    pub(crate) fn raw(&self, cx: &Context<'_>) -> Result<Tensor> {
        Ok(tracked(cx, self.index))
    }

    /// The parameter.
    pub(crate) fn param<'a>(&self, cx: &Context<'a>) -> &'a Param {
        &cx.params.iter().as_slice()[self.index]
    }

    /// The quantized parameter.
    pub(crate) fn value(&self, cx: &Context<'_>) -> Result<Tensor> {
        self.quantize(cx, self.raw(cx)?)
    }

    /// Quantizes `value` with this parameter's quantizer.
    pub(crate) fn quantize(&self, cx: &Context<'_>, value: Tensor) -> Result<Tensor> {
        match &self.quantizer {
            Some(quantizer) => quantizer.apply(cx, self.weight, &value),
            None => Ok(value),
        }
    }

    pub(crate) const fn is_quantized(&self) -> bool {
        self.quantizer.is_some()
    }
}

/// An input layer: passes its values, quantized if it has a quantizer.
#[derive(Debug)]
pub(super) struct InputLayer(Option<QuantizerSlot>);

impl InputLayer {
    pub(super) fn new(quantizer: Option<&Quantizer>) -> Result<Self> {
        Ok(Self(quantizer.map(QuantizerSlot::new).transpose()?))
    }
}

impl LayerForward for InputLayer {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        match &self.0 {
            Some(quantizer) => quantizer.apply(cx, "input", inputs[0]),
            None => Ok(inputs[0].clone()),
        }
    }
}
