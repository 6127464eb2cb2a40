//! Integer inference of a quantized network.

mod compute;
mod requantize;

use tinsmith_layers::Model;

use crate::config::Arithmetic;
use crate::error::{DeployError, Result};
use crate::network::{Element, LoweredStep, Network, Operation, Work, lower};
use crate::pointwise::{LayerRef, Pointwise};
use crate::sum::{INEXACT_LIFT, IntegerSum, integer_sum};

use requantize::Requantize;

/// Conversion of a step's sums into its outputs.
#[derive(Debug, Clone)]
enum Finish {
    /// One rule, or one per channel.
    Codes(Vec<Requantize>),
    /// One rule per number of averaged elements.
    Means(Vec<(usize, Requantize)>),
    /// One rule per input.
    PerInput(Vec<Requantize>),
    /// First step: floats become codes.
    Entrance,
    /// Last step: floats for the caller.
    Floats(Values),
}

/// Scaling of the last step's sums to floats.
#[derive(Debug, Clone)]
struct Values {
    /// Value of one unit: one, or one per channel.
    step_size: Vec<f64>,
    /// Bias per channel, if it is no multiple of that unit; otherwise empty.
    bias: Vec<f32>,
}

/// A step with its integer form.
#[derive(Debug, Clone)]
struct Stage {
    step: LoweredStep,
    sum: Option<IntegerSum>,
    finish: Finish,
}

/// A quantized network that runs on integers alone, from the codes of its input to those of its last layer. It
/// computes what an integer machine computes, for comparison with the fake quantization of training.
///
/// Kernels are integer levels (fixed point, binary, ternary, powers of two), sums of products are `i64`. A sum
/// becomes a code
/// - by a shift that rounds half to even if scales are powers of two: equal to training bit for bit;
/// - by a 30-bit multiplier and a shift for other scales (Jacob et al., "Quantization and Training of Neural Networks
///   for Efficient Integer-Arithmetic-Only Inference", arXiv 1712.05877): at most one level off for equal inputs;
/// - by thresholds for functions beyond rounding (a squashing function, a sign, a mean): Umuroglu et al., "FINN",
///   arXiv 1612.07119.
#[derive(Debug, Clone)]
pub struct IntegerModel {
    network: Network,
    stages: Vec<Stage>,
    is_exact: bool,
}

impl IntegerModel {
    /// Derives the integer form of `model`, with normalizations folded.
    ///
    /// # Errors
    /// [`DeployError::NotInteger`] names the first layer that integers cannot compute and the reason; otherwise as
    /// [`crate::export_c`].
    pub fn new(model: &Model) -> Result<Self> {
        let mut network = lower(model, Arithmetic::Integer)?;
        join_float_tail(&mut network);
        let mut is_exact = true;
        let mut stages = Vec::with_capacity(network.steps.len());
        for step in &network.steps {
            let layer = step.layers.first().map_or("", String::as_str);
            let place = LayerRef { layer, kind: step.kind };
            let stage = stage(&network, step).map_err(|reason| place.not_integer(reason))?;
            is_exact &= stage.is_exact();
            stages.push(stage);
        }
        Ok(Self { network, stages, is_exact })
    }

    /// Returns true if only shifts, thresholds and exact biases occur. Codes then equal those of training wherever training
    /// computes in `f32` without rounding.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Returns the number of values of an input sample.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.network.tensors[0].elements()
    }

    /// Returns the number of values of an output sample.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.network.tensors[self.network.output].elements()
    }

    /// Runs samples that lie end to end; returns their outputs.
    ///
    /// # Errors
    /// [`DeployError::InputLength`] if `inputs` is not a whole number of samples.
    pub fn run(&self, inputs: &[f32]) -> Result<Vec<f32>> {
        let want = self.input_len();
        if want == 0 || !inputs.len().is_multiple_of(want) {
            return Err(DeployError::InputLength { want, got: inputs.len() });
        }
        let mut outputs = Vec::with_capacity(inputs.len() / want * self.output_len());
        let mut codes = vec![Vec::new(); self.network.tensors.len()];
        for sample in inputs.chunks_exact(want) {
            for stage in &self.stages {
                let output = stage.step.output;
                match &stage.finish {
                    Finish::Entrance => codes[output] = compute::entrance(stage, sample),
                    Finish::Floats(values) => {
                        let sums = compute::sums(stage, &self.network, &codes);
                        outputs.extend(compute::floats(stage, values, &sums));
                    }
                    _ => codes[output] = compute::codes(stage, &self.network, &codes),
                }
            }
        }
        Ok(outputs)
    }
}

/// Merges a trailing step of float functions (such as a softmax layer) into the step before it.
fn join_float_tail(network: &mut Network) {
    // Codes are the interface between steps, so float functions can only follow the last sum.
    while let [.., before, last] = network.steps.as_slice() {
        let reads_only_that = last.inputs == [before.output];
        let is_float = network.tensors[before.output].element == Element::Float;
        if !(matches!(last.work, Work::Copy) && reads_only_that && is_float && last.output == network.output)
        {
            return;
        }
        let Some(last) = network.steps.pop() else { return };
        if let Some(before) = network.steps.last_mut() {
            before.layers.extend(last.layers);
            before.pointwise.extend(last.pointwise);
            before.output = last.output;
        }
    }
}

impl Stage {
    fn is_exact(&self) -> bool {
        let is_rule_exact = match &self.finish {
            Finish::Codes(rules) | Finish::PerInput(rules) => rules.iter().all(Requantize::is_exact),
            Finish::Means(rules) => rules.iter().all(|(_, rule)| rule.is_exact()),
            Finish::Entrance | Finish::Floats(_) => true,
        };
        is_rule_exact && self.sum.as_ref().is_none_or(|sum| sum.is_exact)
    }
}

/// Units of a step's sums, and their largest magnitude.
struct Range {
    step_size: Vec<f64>,
    most: i64,
}

fn unit_of(element: Element) -> Option<(f64, i64)> {
    match element {
        Element::Float => None,
        Element::Code { low, high, unit } => {
            Some((f64::from(unit), i64::from(low.unsigned_abs().max(high.unsigned_abs()))))
        }
    }
}

/// Returns the integer form of a step, or the property it lacks.
fn stage(network: &Network, step: &LoweredStep) -> Result<Stage, String> {
    let output = network.tensors[step.output].element;
    let is_last = step.output == network.output;
    if step.inputs == [0] {
        let is_rounded = matches!(step.pointwise.last(), Some(Pointwise::Quantize(_)));
        let rounds = matches!(step.work, Work::Copy) && is_rounded && output != Element::Float;
        if !rounds {
            return Err("the network's input is float; want a quantizer in the input layer, or a quantized \
                        activation after it"
                .to_owned());
        }
        return Ok(Stage { step: step.clone(), sum: None, finish: Finish::Entrance });
    }
    let units: Vec<(f64, i64)> = step
        .inputs
        .iter()
        .map(|&i| unit_of(network.tensors[i].element))
        .collect::<Option<_>>()
        .ok_or("its input is float; want a quantizer of fixed point (16 bits at most) before it")?;
    let first = network.tensors[step.inputs[0]].element;
    let (mut sum, mut bias) = (None, Vec::new());
    let range = match &step.work {
        Work::Product(product) => {
            let lift = if is_last { 0 } else { INEXACT_LIFT };
            let mut found = integer_sum(product, first, lift).ok_or(
                "its kernel has no integer levels; want a quantizer of fixed point, binary, ternary or \
                        powers of two, with scales other than 0",
            )?;
            if is_last && !found.is_exact {
                // The caller gets floats, so an inexact bias is added after scaling.
                found.bias.clear();
                bias = product.bias.clone().unwrap_or_default();
                found.is_exact = true;
            }
            let range = Range { step_size: found.step_size.clone(), most: found.most };
            sum = Some(found);
            range
        }
        Work::Separable(_) => {
            return Err(
                "nothing is rounded between its two stages; want a depthwise layer and a 1x1 convolution"
                    .to_owned(),
            );
        }
        Work::Merge(Operation::Subtract | Operation::Multiply) => {
            return Err("it takes a difference or a product of codes; want a sum".to_owned());
        }
        Work::Merge(Operation::Add) => {
            let finest = units.iter().map(|u| u.0).fold(f64::INFINITY, f64::min);
            let is_multiple = |ratio: f64| ratio.fract() == 0.0 && ratio <= 65_536.0;
            if !units.iter().all(|(unit, _)| is_multiple(unit / finest)) {
                return Err("the units of its inputs are no multiples of the smallest one".to_owned());
            }
            let most = units.iter().map(|(unit, most)| (unit / finest) as i64 * most).sum();
            Range { step_size: vec![finest], most }
        }
        Work::Pool { windows, takes_mean: true } => Range {
            step_size: vec![units[0].0],
            most: units[0].1 * (windows.size[0] * windows.size[1]) as i64,
        },
        Work::Copy | Work::Concat { .. } | Work::Pool { .. } => {
            Range { step_size: vec![units[0].0], most: units[0].1 }
        }
    };
    let finish = if is_last {
        let has_equal_units = units.iter().all(|u| u.0 == units[0].0);
        if matches!(step.work, Work::Concat { .. }) && !has_equal_units {
            return Err("it concatenates codes of several units into the output; want one unit".to_owned());
        }
        Finish::Floats(Values { step_size: range.step_size, bias })
    } else if output == Element::Float {
        return Err("its result is not quantized; want a quantized activation of fixed point".to_owned());
    } else {
        codes_finish(step, &range, &units)?
    };
    Ok(Stage { step: step.clone(), sum, finish })
}

fn codes_finish(step: &LoweredStep, range: &Range, units: &[(f64, i64)]) -> Result<Finish, String> {
    // The C code multiplies under the same condition, so both give the same codes.
    let multiplies = matches!(step.work, Work::Product(_)) && range.most < 1 << 31;
    let rule = |step_size: f64, channel| {
        Requantize::new(&step.pointwise, step_size, range.most, channel, multiplies)
    };
    Ok(match &step.work {
        Work::Pool { windows, takes_mean: true } if !step.pointwise.is_empty() => {
            let rules = compute::counts(windows)
                .into_iter()
                .map(|count| {
                    Ok((count, Requantize::of_mean(&step.pointwise, range.step_size[0], range.most, count)?))
                })
                .collect::<Result<Vec<_>, String>>()?;
            Finish::Means(rules)
        }
        Work::Concat { .. } if !step.pointwise.is_empty() => Finish::PerInput(
            units
                .iter()
                .map(|(unit, most)| Requantize::new(&step.pointwise, *unit, *most, 0, false))
                .collect::<Result<_, _>>()?,
        ),
        _ if step.pointwise.is_empty() => Finish::Codes(vec![Requantize::Keep]),
        _ => {
            let channels = step.pointwise.iter().map(Pointwise::channels).max().unwrap_or(1);
            let rules = channels.max(range.step_size.len());
            Finish::Codes(
                (0..rules)
                    .map(|f| rule(range.step_size[f % range.step_size.len()], f))
                    .collect::<Result<_, _>>()?,
            )
        }
    })
}
