//! Element-wise functions of exported networks.

use tinsmith_network::quantizer::{Alpha, Quantizer};
use tinsmith_network::{Activation, Op, op};
use tinsmith_quant::QuantizerOp;

use crate::error::{DeployError, Result};

/// Reference to a layer, for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerRef<'a> {
    pub(crate) layer: &'a str,
    pub(crate) kind: &'static str,
}

impl LayerRef<'_> {
    pub(crate) fn unsupported(self, reason: impl Into<String>) -> DeployError {
        DeployError::Unsupported { layer: self.layer.to_owned(), kind: self.kind, reason: reason.into() }
    }

    pub(crate) fn not_integer(self, reason: impl Into<String>) -> DeployError {
        DeployError::NotInteger { layer: self.layer.to_owned(), kind: self.kind, reason: reason.into() }
    }
}

/// Function that is applied before rounding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Squash {
    None,
    /// `clip(x, -1, 1)` in the form of QKeras: `2 clip(x / 2 + 1/2, 0, 1) - 1`.
    HardTanh,
    Tanh,
    /// `clip(x / 2 + 1/2, 0, 1)`.
    HardSigmoid,
    Sigmoid,
    /// `x clip(x + shift, 0, bound) / bound`.
    HardSwish {
        shift: f32,
        bound: f32,
    },
}

/// Rounding of a value to a code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rounding {
    /// Nearest multiple of `unit`, ties to even, clipped to the range of the codes.
    Nearest { unit: f32 },
    /// -1 below 0, else 1.
    Sign,
    /// 0 below 0, else 1.
    Bit,
    /// 0 if the magnitude is below the threshold, otherwise the sign.
    Ternary { threshold: f32 },
}

/// Quantizer of activations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quantization {
    pub(crate) squash: Squash,
    pub(crate) rounding: Rounding,
    pub(crate) low: i32,
    pub(crate) high: i32,
    /// Value of code 1.
    pub(crate) step_size: f32,
    /// Upper limit of the dequantized values, if it is not a code.
    pub(crate) bound: Option<f32>,
    /// Bits per code.
    pub(crate) bits: u32,
}

/// Function of each element, or a softmax of each row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pointwise {
    Relu,
    Clip {
        low: f32,
        high: f32,
    },
    LeakyRelu {
        slope: f32,
    },
    Elu {
        alpha: f32,
    },
    Tanh,
    Sigmoid,
    HardSigmoid,
    HardSwish,
    /// Multiplication by a constant.
    Multiply(f32),
    /// Scale and shift per channel.
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Quantize(Quantization),
    Softmax {
        row: usize,
    },
}

/// Returns the function of an activation on rows of `row` elements; None if it is linear.
pub(crate) fn of_activation(
    activation: &Activation,
    row: usize,
    place: LayerRef<'_>,
) -> Result<Option<Pointwise>> {
    Ok(Some(match activation {
        Activation::Linear => return Ok(None),
        Activation::Relu => Pointwise::Relu,
        Activation::Relu6 => Pointwise::Clip { low: 0.0, high: 6.0 },
        Activation::Clip(clip) => Pointwise::Clip { low: clip.min as f32, high: clip.max as f32 },
        Activation::LeakyRelu(l) => Pointwise::LeakyRelu { slope: l.alpha as f32 },
        Activation::Elu(l) => Pointwise::Elu { alpha: l.alpha as f32 },
        Activation::Tanh => Pointwise::Tanh,
        Activation::Sigmoid => Pointwise::Sigmoid,
        Activation::HardSigmoid => Pointwise::HardSigmoid,
        Activation::Hswish => Pointwise::HardSwish,
        Activation::Softmax => Pointwise::Softmax { row },
        Activation::Quantized(q) => Pointwise::Quantize(of_quantizer(q, place)?),
        other => {
            return Err(place.unsupported(format!("its activation is {other}, which is not supported")));
        }
    }))
}

/// Returns a quantizer of activations; only kinds with fixed levels are supported.
pub(crate) fn of_quantizer(q: &Quantizer, place: LayerRef<'_>) -> Result<Quantization> {
    let refuse = |reason: &str| Err(place.unsupported(format!("its activation is {q}, {reason}")));
    if q.learned().is_some() {
        return refuse(
            "whose levels are learned and no multiples of a power of two; want one with fixed levels, such as \
            quantized_relu",
        );
    }
    let alpha = match q.alpha() {
        Alpha::None => 1.0,
        Alpha::Value(alpha) => alpha as f32,
        Alpha::Auto | Alpha::AutoPo2 => {
            return refuse("whose scale depends on all values; want a number for alpha");
        }
    };
    if matches!(q, Quantizer::QuantizedRelu(l) if l.negative_slope != 0.0 || l.use_sigmoid) {
        return refuse("which has a slope below 0 or a sigmoid; want the plain rectifier");
    }
    let format = QuantizerOp::new(q)?.format()?;
    let squash = match q {
        Quantizer::QuantizedBits(_)
        | Quantizer::QuantizedRelu(_)
        | Quantizer::Binary(_)
        | Quantizer::StochasticBinary(_)
        | Quantizer::Ternary(_)
        | Quantizer::StochasticTernary(_) => Squash::None,
        Quantizer::QuantizedTanh(l) if l.use_real_tanh => Squash::Tanh,
        Quantizer::QuantizedTanh(_) => Squash::HardTanh,
        Quantizer::QuantizedSigmoid(l) if l.use_real_sigmoid => Squash::Sigmoid,
        Quantizer::QuantizedSigmoid(_) => Squash::HardSigmoid,
        Quantizer::QuantizedHswish(l) => {
            Squash::HardSwish { shift: l.relu_shift as f32, bound: l.relu_upper_bound as f32 }
        }
        other => return refuse(&format!("and {} is not supported", other.kind())),
    };
    let Some(unit) = format.unit() else { return refuse("whose levels are no multiples of a unit") };
    let threshold = |t: Option<f64>| Rounding::Ternary { threshold: t.unwrap_or(0.33) as f32 };
    let rounding = match q {
        Quantizer::Ternary(l) => threshold(l.threshold),
        Quantizer::StochasticTernary(l) => threshold(l.threshold),
        _ if format.min_code() == -1 && !format.has_code(0) => Rounding::Sign,
        Quantizer::Binary(_) => Rounding::Bit,
        _ => Rounding::Nearest { unit },
    };
    let top = format.max_code() as f32 * unit;
    let bound = Some(format.max_value()).filter(|max| *max < top);
    Ok(Quantization {
        squash,
        rounding,
        low: format.min_code(),
        high: format.max_code(),
        step_size: unit * alpha,
        bound,
        bits: format.storage_bits(),
    })
}

/// Returns a batch normalization that could not be folded, from its quantized vectors.
pub(crate) fn of_batch_norm(norm: &op::BatchNorm, vectors: &[(&str, Vec<f32>)]) -> Pointwise {
    let find = |name: &str| vectors.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_slice());
    let variance = find("moving_variance").expect("invariant: a normalization has a moving variance");
    let at = |v: Option<&[f32]>, c: usize, otherwise: f32| v.map_or(otherwise, |v| v[c]);
    let channels = variance.len();
    let (gamma, beta, mean) = (find("gamma"), find("beta"), find("moving_mean"));
    let scale: Vec<f32> = (0..channels)
        .map(|c| (f64::from(at(gamma, c, 1.0)) / (f64::from(variance[c]) + norm.epsilon).sqrt()) as f32)
        .collect();
    let shift = (0..channels)
        .map(|c| (f64::from(at(beta, c, 0.0)) - f64::from(at(mean, c, 0.0)) * f64::from(scale[c])) as f32)
        .collect();
    Pointwise::Affine { scale, shift }
}

/// Returns the reference to a layer.
pub(crate) fn layer_ref<'a>(layer: &'a str, op: &Op) -> LayerRef<'a> {
    LayerRef { layer, kind: op.name() }
}

impl Quantization {
    /// Returns true if values can be stored as codes in one unit.
    pub(crate) fn is_uniform(&self) -> bool {
        self.bound.is_none() && self.step_size.is_normal() && self.bits <= 16
    }

    /// Returns the code of a value.
    pub(crate) fn code(&self, x: f32) -> i32 {
        let limit = |x: f32, low: f32, high: f32| x.max(low).min(high);
        let x = match self.squash {
            Squash::None => x,
            Squash::HardTanh => 2.0 * limit(0.5 * x + 0.5, 0.0, 1.0) - 1.0,
            Squash::Tanh => x.tanh(),
            Squash::HardSigmoid => limit(0.5 * x + 0.5, 0.0, 1.0),
            Squash::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Squash::HardSwish { shift, bound } => x * limit(x + shift, 0.0, bound) / bound,
        };
        match self.rounding {
            Rounding::Nearest { unit } => {
                let level = (x / unit).round_ties_even();
                limit(level, self.low as f32, self.high as f32) as i32
            }
            Rounding::Sign => {
                if x < 0.0 {
                    -1
                } else {
                    1
                }
            }
            Rounding::Bit => i32::from(x >= 0.0),
            Rounding::Ternary { threshold } if x.abs() < threshold => 0,
            Rounding::Ternary { .. } => {
                if x < 0.0 {
                    -1
                } else {
                    i32::from(x > 0.0)
                }
            }
        }
    }
}

impl Pointwise {
    /// Returns the number of channels with constants of their own.
    pub(crate) fn channels(&self) -> usize {
        if let Self::Affine { scale, .. } = self { scale.len() } else { 1 }
    }

    /// Applies the function to an element at `index` in its tensor; a softmax leaves it unchanged.
    pub(crate) fn apply(&self, x: f32, index: usize) -> f32 {
        match self {
            Self::Relu => x.max(0.0),
            Self::Clip { low, high } => x.max(*low).min(*high),
            Self::LeakyRelu { slope } => {
                if x > 0.0 {
                    x
                } else {
                    x * slope
                }
            }
            Self::Elu { alpha } => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
            Self::Tanh => x.tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::HardSigmoid => (0.2 * x + 0.5).clamp(0.0, 1.0),
            Self::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0),
            Self::Multiply(factor) => x * factor,
            Self::Affine { scale, shift } => x * scale[index % scale.len()] + shift[index % shift.len()],
            Self::Quantize(q) => {
                let value = q.code(x) as f32 * q.step_size;
                q.bound.map_or(value, |bound| value.min(bound))
            }
            Self::Softmax { .. } => x,
        }
    }
}
