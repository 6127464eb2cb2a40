//! Initializes the step sizes of quantized activations from data.

use std::collections::BTreeMap;

use candle_core::Tensor;
use tinsmith_foundation::Seed;
use tinsmith_network::Activation;
use tinsmith_network::op::Initializer;
use tinsmith_network::quantizer::LearnedQuantizer;
use tinsmith_quant::LearnedOp;

use super::{BuildOptions, Model};
use crate::error::Result;
use crate::layer::param_name;
use crate::mode::Mode;

/// An activation with learned step sizes: its layer and the step size parameter.
struct Site {
    layer: usize,
    op: LearnedOp,
    parameter: String,
}

impl Model {
    /// Initializes the learned step sizes of activation quantizers (`learned_step`) to `2 mean |v| / sqrt(high)` of
    /// their inputs for one batch. Without calibration they start as for standard normal values. Step sizes that
    /// differ from their initial value (trained, loaded, inherited) stay, and so do those that take no updates.
    /// Returns the number of parameters set.
    ///
    /// Use training mode for a network that is about to be trained, so that its normalizations use batch moments.
    /// Nothing but step sizes changes; moving statistics do not. The batch passes through a copy of the network with
    /// unquantized activations (rectified for unsigned levels), so no step size depends on another that is not set
    /// yet.
    ///
    /// # Shapes
    /// `x` (batch, then the input's shape).
    ///
    /// # Errors
    /// Those of [`Model::forward`].
    ///
    /// # Source
    /// Esser and others, 2020, arXiv 1902.08153, section 2.1: the initial step size from the first batch of
    /// activations. Deviation: the inputs of later layers come from unquantized activations.
    pub fn calibrate(&self, x: &Tensor, mode: Mode) -> Result<usize> {
        let sites = self.uncalibrated()?;
        if sites.is_empty() {
            return Ok(0);
        }
        let float = self.without_steps(&sites)?;
        let values = float.activations_of(&[x], mode)?;
        let mut found = BTreeMap::new();
        for Site { layer, op, parameter } in sites {
            // A layer that a normalization is folded into has no output of its own.
            let Some(v) = values.find(&self.spec.layers[layer].name) else { continue };
            let steps = op.initial(&v.flatten_all()?.to_vec1::<f32>()?, v.dims())?;
            if steps.iter().all(|step| step.is_finite()) {
                found.insert(parameter, steps);
            }
        }
        for (parameter, steps) in &found {
            let steps = Tensor::from_slice(steps, steps.len(), &self.device)?;
            self.params.set(parameter, &steps)?;
        }
        Ok(found.len())
    }

    /// Returns true if [`Model::calibrate`] would set a step size.
    ///
    /// # Errors
    /// [`crate::LayersError::Tensor`] if the device fails.
    pub fn is_uncalibrated(&self) -> Result<bool> {
        Ok(!self.uncalibrated()?.is_empty())
    }

    /// Activations whose step sizes still have their initial value.
    fn uncalibrated(&self) -> Result<Vec<Site>> {
        let mut sites = Vec::new();
        for (layer, node) in self.spec.layers.iter().enumerate() {
            let Some(Activation::Quantized(quantizer)) = node.op.activation() else { continue };
            let Some(settings @ LearnedQuantizer::LearnedStep(_)) = quantizer.learned() else { continue };
            let shapes = self.graph.input_shapes(layer);
            let weights = node.op.weights(shapes.first().copied().unwrap_or_default());
            let own = weights.iter().find(|w| w.learned.is_some_and(|learned| learned.weight.is_none()));
            let Some((own, Initializer::Constant(start))) = own.map(|own| (own, own.initializer)) else {
                continue;
            };
            let parameter = param_name(&node.name, own.name);
            let param = self.params.get(&parameter)?;
            if param.takes_updates() && param.values()?.iter().all(|&step| step == start as f32) {
                sites.push(Site { layer, op: LearnedOp::new(settings)?, parameter });
            }
        }
        Ok(sites)
    }

    /// Copies the model with the activations at `sites` unquantized.
    fn without_steps(&self, sites: &[Site]) -> Result<Self> {
        let mut spec = self.spec.clone();
        for site in sites {
            let is_signed = matches!(site.op.settings(), LearnedQuantizer::LearnedStep(q) if q.signed);
            if let Some(activation) = spec.layers[site.layer].op.activation_mut() {
                *activation = if is_signed { Activation::Linear } else { Activation::Relu };
            }
        }
        let options = BuildOptions { threads: self.threads, device: self.device.clone() };
        let copy = Self::build(&spec, Seed::new(0), &options)?;
        for param in &copy.params {
            param.set(self.params.get(param.name())?.tensor())?;
        }
        Ok(copy)
    }
}
