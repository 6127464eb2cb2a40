//! A quantized network run on integers.

mod compute;
mod requantize;

use tinsmith_layers::Model;

use crate::config::Arithmetic;
use crate::error::{DeployError, Result};
use crate::network::{Element, Network, Operation, Step, Work, lower};
use crate::pointwise::{Place, Pointwise};
use crate::sum::{INEXACT_LIFT, IntegerSum, integer_sum};

use requantize::Requantize;

/// How a step's results become codes.
#[derive(Debug, Clone)]
enum Finish {
    /// One rule, or one for each channel.
    Codes(Vec<Requantize>),
    /// One rule for each number of elements that a mean is taken of.
    Means(Vec<(usize, Requantize)>),
    /// One rule for each input.
    PerInput(Vec<Requantize>),
    /// The first step: floats become codes.
    Entrance,
    /// The last step: floats for the caller.
    Floats(Values),
}

/// What the last step's results are as floats.
#[derive(Debug, Clone)]
struct Values {
    /// What each is worth: one, or one for each channel.
    worth: Vec<f64>,
    /// What is added then, for each channel, where it is no multiple of that; else empty.
    bias: Vec<f32>,
}

/// A step that is known to run on integers.
#[derive(Debug, Clone)]
struct Stage {
    step: Step,
    sum: Option<IntegerSum>,
    finish: Finish,
}

/// A quantized network that runs on integers alone, from the codes of its input to those that its last layer takes:
/// what an integer machine computes, to be compared with training's fake quantization.
///
/// Kernels are integer levels (fixed point, binary, ternary, powers of two), sums of products are `i64`. A sum becomes
/// a code again
/// - by a shift that rounds half to even where scales are powers of two: equal to training bit for bit;
/// - by a 30-bit multiplier and a shift where they are not (Jacob et al., "Quantization and Training of Neural Networks
///   for Efficient Integer-Arithmetic-Only Inference", arXiv 1712.05877): at most one level off for equal inputs;
/// - by thresholds where more than rounding is done (a squashing function, a sign, a mean): as Umuroglu et al., "FINN",
///   arXiv 1612.07119.
#[derive(Debug, Clone)]
pub struct IntegerModel {
    network: Network,
    stages: Vec<Stage>,
    is_exact: bool,
}

impl IntegerModel {
    /// Works out the integer form of `model`, normalizations folded.
    ///
    /// # Errors
    /// [`DeployError::NotInteger`] names the first layer that integers cannot compute and says what it lacks;
    /// others as [`crate::export_c`].
    pub fn new(model: &Model) -> Result<Self> {
        let mut network = lower(model, Arithmetic::Integer)?;
        join_float_tail(&mut network);
        let mut is_exact = true;
        let mut stages = Vec::with_capacity(network.steps.len());
        for step in &network.steps {
            let layer = step.layers.first().map_or("", String::as_str);
            let place = Place { layer, kind: step.kind };
            let stage = stage(&network, step).map_err(|reason| place.not_integer(reason))?;
            is_exact &= stage.is_exact();
            stages.push(stage);
        }
        Ok(Self { network, stages, is_exact })
    }

    /// Whether only shifts, thresholds and biases that fit occur, so that codes equal those of training wherever
    /// that computes in `f32` without rounding.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Values of one input sample.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.network.tensors[0].elements()
    }

    /// Values of one output sample.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.network.tensors[self.network.output].elements()
    }

    /// The outputs for samples that lie end to end.
    ///
    /// # Errors
    /// [`DeployError::InputLength`] where `inputs` is no whole number of samples.
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

/// Functions of the last layer's floats (a softmax by itself) join the step that makes them.
fn join_float_tail(network: &mut Network) {
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

/// The units of what a step computes before its functions of single elements, and the largest magnitude in them.
struct Range {
    worth: Vec<f64>,
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

/// The integer form of a step, or what it lacks.
fn stage(network: &Network, step: &Step) -> Result<Stage, String> {
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
                // The caller gets floats: the bias is added to those.
                found.bias.clear();
                bias = product.bias.clone().unwrap_or_default();
                found.is_exact = true;
            }
            let range = Range { worth: found.worth.clone(), most: found.most };
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
                return Err("units of its inputs are no multiples of the finest".to_owned());
            }
            let most = units.iter().map(|(unit, most)| (unit / finest) as i64 * most).sum();
            Range { worth: vec![finest], most }
        }
        Work::Pool { windows, takes_mean: true } => {
            Range { worth: vec![units[0].0], most: units[0].1 * (windows.size[0] * windows.size[1]) as i64 }
        }
        Work::Copy | Work::Concat { .. } | Work::Pool { .. } => {
            Range { worth: vec![units[0].0], most: units[0].1 }
        }
    };
    let finish = if is_last {
        let has_equal_units = units.iter().all(|u| u.0 == units[0].0);
        if matches!(step.work, Work::Concat { .. }) && !has_equal_units {
            return Err("it joins codes of several units into the output; want one unit".to_owned());
        }
        Finish::Floats(Values { worth: range.worth, bias })
    } else if output == Element::Float {
        return Err("its result is not quantized; want a quantized activation of fixed point".to_owned());
    } else {
        codes_finish(step, &range, &units)?
    };
    Ok(Stage { step: step.clone(), sum, finish })
}

fn codes_finish(step: &Step, range: &Range, units: &[(f64, i64)]) -> Result<Finish, String> {
    // As the C does it.
    let multiplies = matches!(step.work, Work::Product(_)) && range.most < 1 << 31;
    let rule = |worth: f64, channel| Requantize::new(&step.pointwise, worth, range.most, channel, multiplies);
    Ok(match &step.work {
        Work::Pool { windows, takes_mean: true } if !step.pointwise.is_empty() => {
            let rules = compute::counts(windows)
                .into_iter()
                .map(|count| {
                    Ok((count, Requantize::of_mean(&step.pointwise, range.worth[0], range.most, count)?))
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
            let rules = channels.max(range.worth.len());
            Finish::Codes(
                (0..rules).map(|f| rule(range.worth[f % range.worth.len()], f)).collect::<Result<_, _>>()?,
            )
        }
    })
}
