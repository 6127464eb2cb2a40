//! Weights carried over from another network, so that it goes on computing the same where that is possible.

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

/// What one parameter took.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inherited {
    /// All of its namesake as it was.
    Whole,
    /// Its namesake, with units repeated or left out and kernels padded or cut.
    Rearranged,
    /// The part that both have, from the origin on: this shape. The rest keeps its own values.
    Part(Vec<usize>),
    /// Values that make a new layer give back its input.
    Identity,
    /// Nothing: there is no namesake, or its number of axes is another.
    Nothing,
}

/// What was carried over, parameter by parameter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inheritance {
    /// Names in the order of the parameters, and what each took.
    pub params: Vec<(String, Inherited)>,
}

impl Inheritance {
    /// How many parameters took something.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.params.iter().filter(|(_, what)| *what != Inherited::Nothing).count()
    }
}

/// Where an index along one axis of a parameter takes its values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Source {
    /// From this index, times a factor.
    From(usize, f32),
    /// Zero.
    Zero,
    /// From nowhere: the parameter's own value stays.
    Own,
}

impl Model {
    /// Takes over the values of `other`'s layers of the same names.
    ///
    /// - Layers of equal shape take everything.
    /// - A *wider* layer repeats units, and what reads them divides their weights among the repetitions (unevenly, so
    ///   that training tells them apart): the network computes the same. Layers that are added up are widened
    ///   together.
    /// - A *narrower* layer keeps the units whose incoming weights have the largest norm, in their order.
    /// - A larger kernel is the old one in the middle of zeros, where padding `same` or `causal` looks at the same
    ///   elements: it computes the same. A smaller one is the middle.
    /// - A *new* dense layer, convolution or normalization with as many outputs as inputs begins as the identity, if
    ///   its activation leaves what it takes as it is (none, or a rectifier after a rectifier).
    /// - What a quantizer learned goes along where the quantizer is the same; else it begins anew from the weights that
    ///   were taken.
    /// - All else keeps its initial values; where units cannot be followed (reshaped, grouped), the common part from
    ///   index 0 along each axis is taken.
    ///
    /// "The same" is exact but for rounding, in inference, and for quantized layers as far as the quantizer's scale does
    /// not follow the weights. Layer normalizations over repeated units change their output.
    ///
    /// # Source
    /// Chen and others, `Net2Net`, 2016, arXiv 1511.05641, section 2; the uneven division in place of its noise keeps the
    /// function.
    ///
    /// # Errors
    /// [`crate::LayersError::Tensor`] and [`crate::LayersError::Candle`] where the device fails.
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
                            && goes_on(&weight, &layer.name, &old_weights(other, old), &report) =>
                    {
                        gather(param, from, &kernels::axes(self, other, &routes, (i, old), &weight))?
                    }
                    _ if weight.learned.is_some() => {
                        self.begin_anew(&layer.name, &weight)?;
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

    /// Sets what a quantizer learns for a weight to what it begins with for the weight's present values.
    fn begin_anew(&self, layer: &str, weight: &Weight) -> Result<()> {
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

/// Whether what a quantizer learned holds for the weight that was carried over: the quantizer is the same, and where
/// each element has a parameter of its own, each is where it was.
fn goes_on(weight: &Weight, layer: &str, old: &[Weight], report: &Inheritance) -> bool {
    let Some(learned) = weight.learned else { return false };
    let is_same = old.iter().any(|w| w.name == weight.name && w.learned == weight.learned);
    let is_in_place = || {
        let name = learned.weight.map(|of| param_name(layer, of)).unwrap_or_default();
        report.params.iter().any(|(taken, what)| *taken == name && *what == Inherited::Whole)
    };
    is_same && (learned.quantizer.sharing() != Sharing::Weight || is_in_place())
}

/// Fills a parameter from another, axis by axis.
fn gather(param: &Param, from: &Param, axes: &[Vec<Source>]) -> Result<Inherited> {
    let is_plain = |axis: &[Source]| axis.iter().enumerate().all(|(i, s)| *s == Source::From(i, 1.0));
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
                Source::From(index, share) => {
                    at += index * stride;
                    factor *= share;
                }
                Source::Zero => is_zero = true,
                Source::Own => is_own = true,
            }
            rest /= param.dims()[axis];
            stride *= from.dims()[axis];
        }
        if is_own {
            continue;
        }
        *value = if is_zero { 0.0 } else { theirs.get(at).copied().unwrap_or_default() * factor };
    }
    param.set(&Tensor::from_vec(values, param.dims(), param.tensor().device())?)?;
    if axes.iter().flatten().any(|source| *source == Source::Own) {
        return Ok(Inherited::Part(param.dims().iter().zip(from.dims()).map(|(&a, &b)| a.min(b)).collect()));
    }
    Ok(Inherited::Rearranged)
}
