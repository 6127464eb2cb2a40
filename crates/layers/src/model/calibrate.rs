//! Where the steps of quantized activations begin, from data.

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

/// An activation with learned steps: its layer and the steps' parameter.
struct Site {
    layer: usize,
    op: LearnedOp,
    parameter: String,
}

impl Model {
    /// Sets the steps that quantizers of activations learn (`learned_step`) to where their source has them begin:
    /// `2 mean |v| / sqrt(high)` of what each is given for a batch. Without this they begin as for standard normal
    /// values. Steps that are no longer where the network was built with them (trained, loaded, inherited) stay, and so do
    /// those that take no updates. Returns how many parameters were set.
    ///
    /// `mode` is training's for a network that is about to be trained: its normalizations then take the batch's moments.
    /// Nothing but steps changes, moving statistics neither. The batch passes through a network whose activations are
    /// rectified where their levels have no sign and else left as they are, so that no step depends on another that
    /// is not set yet.
    ///
    /// # Shapes
    /// `x` (batch, then the input's shape).
    ///
    /// # Errors
    /// As [`Model::forward`].
    ///
    /// # Source
    /// Esser and others, 2020, arXiv 1902.08153, section 2.1: the initial step from the first batch of activations.
    /// Different on purpose: `v` of a later layer is that of unquantized activations before it.
    pub fn calibrate(&self, x: &Tensor, mode: Mode) -> Result<usize> {
        let sites = self.uncalibrated()?;
        if sites.is_empty() {
            return Ok(0);
        }
        let float = self.without_steps(&sites)?;
        let values = float.activations_of(&[x], mode)?;
        let mut found = BTreeMap::new();
        for Site { layer, op, parameter } in sites {
            // A layer that a normalization is folded into has no values of its own.
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

    /// Whether there is something that [`Model::calibrate`] would set.
    ///
    /// # Errors
    /// [`crate::LayersError::Tensor`] where the device fails.
    pub fn is_uncalibrated(&self) -> Result<bool> {
        Ok(!self.uncalibrated()?.is_empty())
    }

    /// Activations whose steps are as the network was built.
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

    /// A copy whose activations at `sites` are not quantized.
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
