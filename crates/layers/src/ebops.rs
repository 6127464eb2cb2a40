//! Upper bound on the effective bit operations of a network with learned bit widths, and its gradients.

use tinsmith_network::quantizer::LearnedQuantizer;
use tinsmith_network::{Op, Role};
use tinsmith_quant::LearnedBits;

use crate::error::Result;
use crate::layer::param_name;
use crate::model::Model;

/// Bit width assumed for a value without a quantizer.
const UNKNOWN_BITS: u32 = 8;

/// Kernels with learned bit widths (`learned_bits`), with the bit widths of their inputs.
///
/// # Source
/// Sun and others, 2024, arXiv 2405.00645, section III; see [`LearnedBits::penalty_slice`]. Deviation: the bit widths
/// of inputs are those of their quantizer (8 without one) and are not learned.
#[derive(Debug, Clone)]
pub struct Ebops {
    kernels: Vec<Kernel>,
}

#[derive(Debug, Clone)]
struct Kernel {
    /// Names of the kernel parameter and of the parameter that holds its bit widths.
    names: [String; 2],
    bits: LearnedBits,
    shape: Vec<usize>,
    input_bits: f32,
    positions: u64,
}

/// The bound, with its gradient by each bit-width parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct EbopsGradients {
    /// Sum of the kernels' bounds.
    pub value: f64,
    /// Parameter names, each with one gradient per element.
    pub gradients: Vec<(String, Vec<f32>)>,
}

impl Ebops {
    /// Finds the kernels with learned bit widths in a model.
    ///
    /// # Errors
    /// [`crate::LayersError::Quant`] if a quantizer is refused.
    pub fn of(model: &Model) -> Result<Self> {
        let (spec, graph) = (model.spec(), model.graph());
        let mut kernels = Vec::new();
        for (i, layer) in spec.layers.iter().enumerate() {
            let shapes = graph.input_shapes(i);
            let Some(&input) = shapes.first() else { continue };
            let weights = layer.op.weights(input);
            let positions = layer.op.product().map_or(0, |product| product.positions(input, graph.shape(i)));
            for (k, weight) in weights.iter().filter(|w| w.role == Role::Kernel).enumerate() {
                let own = weights.iter().find(|w| w.learned.is_some_and(|l| l.weight == Some(weight.name)));
                let Some((own, learned)) = own.and_then(|own| Some((own, own.learned?))) else { continue };
                let LearnedQuantizer::LearnedBits(settings) = learned.quantizer else { continue };
                // The output of a depthwise stage has no quantizer of its own before the pointwise stage.
                let bits = if k == 0 { bits_before(model, i) } else { UNKNOWN_BITS };
                kernels.push(Kernel {
                    names: [param_name(&layer.name, weight.name), param_name(&layer.name, own.name)],
                    bits: LearnedBits::new(&settings)?,
                    shape: weight.shape.clone(),
                    input_bits: bits as f32,
                    positions,
                });
            }
        }
        Ok(Self { kernels })
    }

    /// True if no bit width is learned.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.kernels.is_empty()
    }

    /// Computes the bound and its gradients from parameter values looked up by name. Kernels with non-finite values
    /// contribute nothing.
    ///
    /// # Errors
    /// The errors of `values`; [`crate::LayersError::Quant`] if lengths do not match.
    pub fn gradients<E: From<crate::LayersError>>(
        &self,
        mut values: impl FnMut(&str) -> std::result::Result<Vec<f32>, E>,
    ) -> std::result::Result<EbopsGradients, E> {
        let mut found = EbopsGradients { value: 0.0, gradients: Vec::with_capacity(self.kernels.len()) };
        for Kernel { names: [kernel, bits_name], bits, shape, input_bits, positions } in &self.kernels {
            let (weights, fractional) = (values(kernel)?, values(bits_name)?);
            if weights.iter().any(|w| !w.is_finite()) {
                continue;
            }
            let channels = shape.iter().rev().nth(1).copied().unwrap_or(1);
            let input_bits = vec![*input_bits; channels];
            let penalty = bits
                .penalty_slice(&weights, shape, &fractional, &input_bits, *positions)
                .map_err(crate::LayersError::from)?;
            found.value += penalty.value;
            found.gradients.push((bits_name.clone(), penalty.fractional));
        }
        Ok(found)
    }
}

/// Bit width of the values that a layer reads: that of the last quantizer before it, looking through layers that only
/// move values.
fn bits_before(model: &Model, layer: usize) -> u32 {
    let mut at = layer;
    while let Some(&before) = model.graph().nodes[at].inputs.first() {
        let op = &model.spec().layers[before].op;
        if let Some(quantizer) = op.output_quantizer() {
            return quantizer.bits();
        }
        match op {
            Op::Flatten(_) | Op::Reshape(_) | Op::Permute(_) | Op::Dropout(_) => at = before,
            _ => match op.pooling() {
                Some(pool) if !pool.takes_mean && pool.window.is_some() && pool.activation.is_linear() => {
                    at = before;
                }
                _ => return UNKNOWN_BITS,
            },
        }
    }
    UNKNOWN_BITS
}
