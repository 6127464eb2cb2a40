//! Weight inheritance: initializes a network from another so that it computes the same function if possible.

mod channels;
mod identity;
mod kernels;

use candle_core::Tensor;
use tinsmith_core_tensor::Param;
use tinsmith_network::Weight;
use tinsmith_network::quantizer::Sharing;
use tinsmith_quant::LearnedOp;

use super::Model;
use crate::error::Result;
use crate::layer::param_name;

/// Origin of one parameter's values after inheritance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inherited {
    /// Copied unchanged from the parameter of the same name.
    Whole,
    /// Copied with units repeated or dropped and kernels padded or cropped.
    Rearranged,
    /// The common region of both shapes, starting at the origin. The rest keeps its own values.
    Common(Vec<usize>),
    /// Values that make a new layer the identity.
    Identity,
    /// Nothing: no parameter of that name, or a different number of axes.
    Nothing,
}

/// Report of an inheritance, parameter by parameter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inheritance {
    /// Parameter names in order, each with the origin of its values.
    pub params: Vec<(String, Inherited)>,
}

impl Inheritance {
    /// Number of parameters that inherited values.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.params.iter().filter(|(_, what)| *what != Inherited::Nothing).count()
    }
}

/// Source of the values at one index along an axis of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ValueSource {
    /// This index of the other parameter, times a factor.
    From(usize, f32),
    /// Zero.
    Zero,
    /// The parameter's own value stays.
    Own,
}

impl Model {
    /// Inherits the values of `other`'s layers by name.
    ///
    /// - Layers of equal shape inherit everything.
    /// - A *wider* layer repeats units, and its readers divide their weights among the repetitions. The division is
    ///   uneven so that training separates the copies; the network computes the same function. Layers that are added
    ///   up are widened together.
    /// - A *narrower* layer keeps the units with the largest norm of incoming weights, in their order.
    /// - A larger kernel is the old one padded with zeros, if padding `same` or `causal` aligns it with the same
    ///   elements; the network computes the same function. A smaller one is the center of the old one.
    /// - A *new* dense layer, convolution or normalization with as many outputs as inputs starts as the identity, if
    ///   its activation leaves its input unchanged (none, or a rectifier after a rectifier).
    /// - Learned quantizer parameters are inherited if the quantizer is the same, else initialized from the inherited
    ///   weights.
    /// - Everything else keeps its initial values. If units cannot be matched (reshaped, grouped), the common region
    ///   from index 0 along each axis is inherited.
    ///
    /// Equality holds up to rounding, in inference, and for quantized layers as far as the quantizer's scale does not
    /// depend on the weights. Layer normalizations over repeated units change their output.
    ///
    /// # Source
    /// Chen and others, `Net2Net`, 2016, arXiv 1511.05641, section 2. The uneven division replaces its noise and
    /// keeps the function.
    ///
    /// # Errors
    /// [`crate::LayersError::Tensor`] and [`crate::LayersError::Candle`] if the device fails.
    pub fn inherit(&self, other: &Self) -> Result<Inheritance> {
        let routes = channels::Routes::new(self, other)?;
        let mut report = Inheritance::default();
        for (i, layer) in self.spec.layers.iter().enumerate() {
            let shapes = self.graph.input_shapes(i);
            let weights = shapes.first().map(|input| layer.op.weights(input)).unwrap_or_default();
            let namesake = channels::namesake(self, other, i);
            for weight in weights {
                let param = self.params.get(&param_name(&layer.name, weight.name))?;
                let from = other.params.find(param.name());
                let what = match (namesake, from) {
                    (Some(old), Some(from))
                        if weight.learned.is_some()
                            && stays_valid(&weight, &layer.name, &old_weights(other, old), &report) =>
                    {
                        gather(param, from, &kernels::axes(self, other, &routes, (i, old), &weight))?
                    }
                    _ if weight.learned.is_some() => {
                        self.reset_learned(&layer.name, &weight)?;
                        Inherited::Nothing
                    }
                    (Some(old), Some(from)) if from.dims().len() == param.dims().len() => {
                        gather(param, from, &kernels::axes(self, other, &routes, (i, old), &weight))?
                    }
                    _ if routes.is_identity(i) => {
                        identity::set(param, &layer.op, weight.role)?;
                        Inherited::Identity
                    }
                    (None, Some(from)) if from.dims().len() == param.dims().len() => {
                        gather(param, from, &kernels::common(param.dims(), from.dims()))?
                    }
                    _ => Inherited::Nothing,
                };
                report.params.push((param.name().to_owned(), what));
            }
        }
        Ok(report)
    }

    /// Initializes the learned quantizer parameters of a weight from its present values.
    fn reset_learned(&self, layer: &str, weight: &Weight) -> Result<()> {
        let Some((quantizer, of)) = weight.learned.and_then(|l| Some((l.quantizer, l.weight?))) else {
            return Ok(());
        };
        let (param, of) =
            (self.params.get(&param_name(layer, weight.name))?, self.params.get(&param_name(layer, of))?);
        let start = LearnedOp::new(&quantizer)?.initial(&of.values()?, of.dims())?;
        Ok(param.set(&Tensor::from_vec(start, param.dims(), param.tensor().device())?)?)
    }
}

fn old_weights(other: &Model, layer: usize) -> Vec<Weight> {
    let shapes = other.graph.input_shapes(layer);
    shapes.first().map(|input| other.spec.layers[layer].op.weights(input)).unwrap_or_default()
}

/// Returns true if learned quantizer parameters are valid for the inherited weight: the quantizer is the same and,
/// for one parameter per element, no element moved.
fn stays_valid(weight: &Weight, layer: &str, old: &[Weight], report: &Inheritance) -> bool {
    let Some(learned) = weight.learned else { return false };
    let is_same = old.iter().any(|w| w.name == weight.name && w.learned == weight.learned);
    let is_in_place = || {
        let name = learned.weight.map(|of| param_name(layer, of)).unwrap_or_default();
        report.params.iter().any(|(taken, what)| *taken == name && *what == Inherited::Whole)
    };
    is_same && (learned.quantizer.sharing() != Sharing::Weight || is_in_place())
}

/// Fills a parameter from another, axis by axis.
fn gather(param: &Param, from: &Param, axes: &[Vec<ValueSource>]) -> Result<Inherited> {
    let is_plain =
        |axis: &[ValueSource]| axis.iter().enumerate().all(|(i, s)| *s == ValueSource::From(i, 1.0));
    if param.dims() == from.dims() && axes.iter().all(|axis| is_plain(axis)) {
        param.set(&from.tensor().detach())?;
        return Ok(Inherited::Whole);
    }
    let mut values = param.values()?;
    let theirs = from.values()?;
    for (k, value) in values.iter_mut().enumerate() {
        let (mut rest, mut at, mut stride, mut factor) = (k, 0, 1, 1.0);
        let (mut is_zero, mut is_own) = (false, false);
        for axis in (0..axes.len()).rev() {
            match axes[axis][rest % param.dims()[axis]] {
                ValueSource::From(index, fraction) => {
                    at += index * stride;
                    factor *= fraction;
                }
                ValueSource::Zero => is_zero = true,
                ValueSource::Own => is_own = true,
            }
            rest /= param.dims()[axis];
            stride *= from.dims()[axis];
        }
        if is_own {
            continue;
        }
        *value = if is_zero { 0.0 } else { theirs[at] * factor };
    }
    param.set(&Tensor::from_vec(values, param.dims(), param.tensor().device())?)?;
    if axes.iter().flatten().any(|source| *source == ValueSource::Own) {
        return Ok(Inherited::Common(
            param.dims().iter().zip(from.dims()).map(|(&a, &b)| a.min(b)).collect(),
        ));
    }
    Ok(Inherited::Rearranged)
}
