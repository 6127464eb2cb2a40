//! Kernels for export: floats, or integer levels with stored codes and scales per output.

use tinsmith_layers::{Model, effective_quantizer};
use tinsmith_network::{Role, Weight};
use tinsmith_quant::{Codes, LearnedOp, Mode, QuantError, QuantizerOp, Scale};

use crate::config::Arithmetic;
use crate::error::{DeployError, Result};
use crate::pointwise::LayerRef;

/// Largest span of exponents for which powers of two become integers.
const MOST_SHIFT: i32 = 20;

/// Meaning of a stored code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// The level; if packed, minus the lowest level.
    Level,
    /// 1 bit: 0 is -1, 1 is 1.
    Sign,
    /// Index into a table of levels.
    Table(Vec<i32>),
}

/// Integer kernel: values are `levels * unit * scales[output]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IntegerKernel {
    pub(crate) levels: Vec<i32>,
    pub(crate) encoding: Encoding,
    /// Bits per stored code.
    pub(crate) bits: u32,
    pub(crate) unit: f32,
    /// One scale, or one per output.
    pub(crate) scales: Vec<f32>,
}

/// Weights of a product; the last axes are the outputs of the layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kernel {
    Float(Vec<f32>),
    Integer(IntegerKernel),
}

impl Kernel {
    /// Returns the number of elements.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Integer(kernel) => kernel.levels.len(),
        }
    }
}

/// A matrix without its zeros, output by output (CSR).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    /// The non-zero elements.
    pub(crate) kernel: Kernel,
    /// Index of the first element of each output, and the end of the last.
    pub(crate) starts: Vec<i64>,
    /// Input index of each element.
    pub(crate) columns: Vec<i64>,
}

impl Kernel {
    /// Returns the non-zeros of an (inputs, `outputs`) matrix; None if all are zero.
    pub(crate) fn rows(&self, outputs: usize) -> Option<Rows> {
        let is_zero = |i: usize| match self {
            Self::Float(values) => values[i] == 0.0,
            Self::Integer(kernel) => kernel.levels[i] == 0,
        };
        let inputs = self.len() / outputs.max(1);
        let (mut kept, mut starts, mut columns) = (Vec::new(), vec![0], Vec::new());
        for output in 0..outputs {
            for input in (0..inputs).filter(|input| !is_zero(input * outputs + output)) {
                kept.push(input * outputs + output);
                columns.push(input as i64);
            }
            starts.push(kept.len() as i64);
        }
        let kernel = match self {
            Self::Float(values) => Self::Float(kept.iter().map(|&i| values[i]).collect()),
            Self::Integer(kernel) => {
                let levels = kept.iter().map(|&i| kernel.levels[i]).collect();
                Self::Integer(IntegerKernel { levels, ..kernel.clone() })
            }
        };
        (!kept.is_empty()).then_some(Rows { kernel, starts, columns })
    }
}

/// Returns the values of a weight before quantization; refuses NaN and infinities.
pub(crate) fn raw(model: &Model, layer: &str, weight: &Weight) -> Result<Vec<f32>> {
    let values = model.params().get(&format!("{layer}.{}", weight.name))?.values()?;
    if let Some(index) = values.iter().position(|v| !v.is_finite()) {
        return Err(DeployError::NotFinite {
            layer: layer.to_owned(),
            weight: weight.name.to_owned(),
            index,
            value: values[index],
        });
    }
    Ok(values)
}

/// Quantizer of a weight and its learned parameters, if any.
enum Levels {
    Fixed(QuantizerOp),
    Learned(LearnedOp, Vec<f32>),
}

impl Levels {
    /// Returns the quantizer of `weight`, one of a layer's `weights`.
    fn of(model: &Model, layer: &str, weights: &[Weight], weight: &Weight) -> Result<Option<Self>> {
        let quantizer = weight.quantizer.as_ref().map(|q| effective_quantizer(q, weight.role));
        let Some(quantizer) = quantizer else { return Ok(None) };
        let Some(settings) = quantizer.learned() else {
            return Ok(Some(Self::Fixed(QuantizerOp::new(&quantizer)?)));
        };
        let own = weights.iter().find(|w| w.learned.is_some_and(|l| l.weight == Some(weight.name)));
        let learned = own.map(|own| raw(model, layer, own)).transpose()?.unwrap_or_default();
        Ok(Some(Self::Learned(LearnedOp::new(settings)?, learned)))
    }

    fn values(&self, raw: &[f32], shape: &[usize]) -> Result<Vec<f32>> {
        match self {
            Self::Fixed(op) => Ok(op.quantize(raw, shape, Mode::Inference)?.0),
            Self::Learned(op, learned) => {
                let mut out = vec![0.0; raw.len()];
                op.apply_slice(raw, shape, learned, &mut out)?;
                Ok(out)
            }
        }
    }

    /// Returns the codes; None for quantizers without integer codes.
    fn codes(&self, raw: &[f32], shape: &[usize]) -> Result<Option<Codes>> {
        match self {
            Self::Fixed(op) if op.format().is_err() => Ok(None),
            Self::Fixed(op) => Ok(Some(op.encode(raw, shape)?)),
            Self::Learned(op, learned) => match op.encode(raw, shape, learned) {
                Err(QuantError::NoCodes { .. }) => Ok(None),
                codes => Ok(Some(codes?)),
            },
        }
    }
}

/// Returns one of a layer's `weights` with its quantizer applied.
pub(crate) fn values(model: &Model, layer: &str, weights: &[Weight], weight: &Weight) -> Result<Vec<f32>> {
    let raw = raw(model, layer, weight)?;
    match Levels::of(model, layer, weights, weight)? {
        Some(levels) => levels.values(&raw, &weight.shape),
        None => Ok(raw),
    }
}

/// Returns the kernel `weight`, one of the `weights` of a layer with `outputs` outputs.
///
/// # Errors
/// [`DeployError::NotInteger`] if integers are requested and the learned levels have none. Bit widths are learned for
/// integer code, so a silent fallback to float code would defeat the purpose.
pub(crate) fn kernel(
    model: &Model,
    place: LayerRef<'_>,
    weights: &[Weight],
    weight: &Weight,
    outputs: usize,
    arithmetic: Arithmetic,
) -> Result<Kernel> {
    debug_assert_eq!(weight.role, Role::Kernel);
    let raw = raw(model, place.layer, weight)?;
    let Some(levels) = Levels::of(model, place.layer, weights, weight)? else {
        return Ok(Kernel::Float(raw));
    };
    let codes = levels.codes(&raw, &weight.shape)?;
    if let Some(kernel) = codes.as_ref().and_then(|codes| integers(codes, outputs)) {
        return Ok(Kernel::Integer(kernel));
    }
    if let (Arithmetic::Integer, Levels::Learned(op, _)) = (arithmetic, &levels) {
        let reason = obstacle(codes.as_ref());
        return Err(place.not_integer(format!("its `{}` is {}, {reason}", weight.name, op.settings())));
    }
    Ok(Kernel::Float(levels.values(&raw, &weight.shape)?))
}

/// Returns the reason that learned levels are no integers of a layer's sums.
fn obstacle(codes: Option<&Codes>) -> &'static str {
    match codes.map(Codes::scale) {
        None => "codes of which take more than 24 bits; want fewer bits, or float arithmetic",
        Some(Scale::PerElement(_)) => {
            "which gives every weight a unit of its own, so that an output is no sum of codes; want units for the \
             outputs (per='channel') or for all weights (per='tensor'), or float arithmetic"
        }
        Some(_) => {
            "whose units differ within an output; want units along the axis of the outputs or for all weights, or \
             float arithmetic"
        }
    }
}

/// Converts codes to integer levels; None if levels are no integers (mu-law) or scales differ within an output.
fn integers(codes: &Codes, outputs: usize) -> Option<IntegerKernel> {
    let scales = scales(codes, outputs)?;
    let format = codes.format();
    if scales.contains(&0.0) {
        // All weights of an output are 0, so no integer unit fits.
        return None;
    }
    let kernel = if let Some(unit) = format.unit() {
        let is_sign = format.min_code() == -1 && !format.has_code(0);
        IntegerKernel {
            levels: codes.values().to_vec(),
            encoding: if is_sign { Encoding::Sign } else { Encoding::Level },
            bits: format.storage_bits(),
            unit,
            scales,
        }
    } else {
        powers_of_two(codes, scales)?
    };
    // A format may clip its largest level, which is then no multiple of the unit.
    let is_exact = kernel.levels.iter().zip(codes.values()).all(|(&level, &code)| {
        // Integers up to 2^24 are exact in f32.
        level.unsigned_abs() <= 1 << 24 && level as f32 * kernel.unit == format.level(code)
    });
    is_exact.then_some(kernel)
}

/// Converts powers of two to shifted integers if their exponents span few bits.
fn powers_of_two(codes: &Codes, scales: Vec<f32>) -> Option<IntegerKernel> {
    let exponent = |code: i32| codes.format().level(code).abs().log2() as i32;
    let exponents = || codes.values().iter().map(|&code| exponent(code));
    let (lowest, highest) = (exponents().min()?, exponents().max()?);
    if highest - lowest > MOST_SHIFT {
        return None;
    }
    let level = |code: i32| code.signum() * (1 << (exponent(code) - lowest));
    let levels: Vec<i32> = codes.values().iter().map(|&code| level(code)).collect();
    let mut table = levels.clone();
    table.sort_unstable();
    table.dedup();
    // Bits of the format, unless the codes that occur need fewer.
    let needed = table.len().next_power_of_two().trailing_zeros().max(1);
    Some(IntegerKernel {
        levels,
        encoding: Encoding::Table(table),
        bits: needed.min(codes.format().storage_bits()),
        unit: (lowest as f32).exp2(),
        scales,
    })
}

/// Returns the scale of each output, or the one of all; None if an output has several.
fn scales(codes: &Codes, outputs: usize) -> Option<Vec<f32>> {
    let (axis, values) = match codes.scale() {
        Scale::Uniform(scale) => return Some(vec![*scale]),
        Scale::PerElement(_) => return None,
        Scale::PerChannel { axis, values } => (*axis, values),
    };
    // Equal scales are one scale, which becomes a literal in C.
    if values.iter().all(|v| *v == values[0]) {
        return Some(vec![values[0]]);
    }
    let inner: usize = codes.shape()[axis + 1..].iter().product();
    let of = |index: usize| values[index / inner % values.len()];
    let is_per_output = (0..codes.values().len()).all(|i| of(i) == of(i % outputs));
    is_per_output.then(|| (0..outputs).map(of).collect())
}
