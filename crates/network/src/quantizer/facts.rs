//! One view of all kinds of quantizers: width, sign, levels, scale and randomness.

use super::{Alpha, LearnedQuantizer, Quantizer};

/// Set of values that a quantizer puts out, its scale aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LevelSet {
    /// Evenly spaced (fixed point).
    Uniform,
    /// Evenly spaced on a logarithmic scale (mu-law companding).
    Companded,
    /// Powers of two.
    PowersOfTwo,
    /// -1, 0 and 1.
    Ternary,
    /// -1 and 1.
    Binary,
    /// 0 and 1.
    ZeroOne,
}

/// Function that a quantizer applies before it rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum InnerFunction {
    /// None.
    Identity,
    /// `max(x, 0)`, or a slope below 0.
    Rectifier,
    /// Hyperbolic tangent, hard or true.
    Tanh,
    /// Sigmoid, hard or true.
    Sigmoid,
    /// `x * relu6(x + 3) / 6`.
    Hswish,
}

/// Properties of a quantizer that hold for all kinds; read by [`Quantizer::facts`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct QuantizerFacts {
    /// Bits of one quantized value in storage. If the width is learned: the initial one.
    pub bits: u32,
    /// Bits before the point, the sign not counted; 0 for kinds without the setting.
    pub integer_bits: i32,
    /// True if negative values can come out.
    pub is_signed: bool,
    /// Values that can come out.
    pub levels: LevelSet,
    /// Function before rounding.
    pub function: InnerFunction,
    /// The scale; [`Alpha::None`] for kinds that have none.
    pub alpha: Alpha,
    /// True if the scale does not depend on the quantized values, and is one for the whole tensor. A kernel without a
    /// scale gets an automatic one from its layer.
    pub has_fixed_scale: bool,
    /// Slope for negative inputs; 0 for kinds without the setting.
    pub negative_slope: f64,
    /// Largest magnitude of a power of two, if bounded.
    pub max_value: Option<f64>,
    /// Weight of the quantized value in a mixture with the input, 0 to 1.
    pub qnoise_factor: f64,
    /// True if rounding is random in training.
    pub rounds_at_random: bool,
    /// True if training changes parameters of the quantizer.
    pub is_learned: bool,
}

impl QuantizerFacts {
    const fn new(bits: u32, levels: LevelSet, is_signed: bool) -> Self {
        Self {
            bits,
            integer_bits: 0,
            is_signed,
            levels,
            function: InnerFunction::Identity,
            alpha: Alpha::None,
            has_fixed_scale: true,
            negative_slope: 0.0,
            max_value: None,
            qnoise_factor: 1.0,
            rounds_at_random: false,
            is_learned: false,
        }
    }

    const fn with_alpha(self, alpha: Alpha) -> Self {
        Self { alpha, has_fixed_scale: matches!(alpha, Alpha::Value(_)), ..self }
    }
}

impl Quantizer {
    /// The properties that hold for all kinds.
    #[must_use]
    pub const fn facts(&self) -> QuantizerFacts {
        use LevelSet::{Binary, Companded, PowersOfTwo, Ternary, Uniform, ZeroOne};
        match self {
            Self::QuantizedBits(q) => QuantizerFacts {
                integer_bits: q.integer,
                qnoise_factor: q.qnoise_factor,
                rounds_at_random: q.use_stochastic_rounding,
                ..QuantizerFacts::new(q.bits, Uniform, q.keep_negative).with_alpha(q.alpha)
            },
            Self::QuantizedRelu(q) => QuantizerFacts {
                integer_bits: q.integer,
                function: InnerFunction::Rectifier,
                negative_slope: q.negative_slope,
                qnoise_factor: q.qnoise_factor,
                rounds_at_random: q.use_stochastic_rounding,
                ..QuantizerFacts::new(q.bits, Uniform, q.negative_slope != 0.0)
            },
            Self::QuantizedTanh(q) => QuantizerFacts {
                function: InnerFunction::Tanh,
                rounds_at_random: q.use_stochastic_rounding,
                ..QuantizerFacts::new(q.bits, Uniform, true)
            },
            Self::QuantizedSigmoid(q) => QuantizerFacts {
                function: InnerFunction::Sigmoid,
                rounds_at_random: q.use_stochastic_rounding,
                ..QuantizerFacts::new(q.bits, Uniform, false)
            },
            Self::QuantizedUlaw(q) => {
                QuantizerFacts { integer_bits: q.integer, ..QuantizerFacts::new(q.bits, Companded, true) }
            }
            Self::QuantizedHswish(q) => QuantizerFacts {
                integer_bits: q.integer,
                function: InnerFunction::Hswish,
                qnoise_factor: q.qnoise_factor,
                rounds_at_random: q.use_stochastic_rounding,
                ..QuantizerFacts::new(q.bits, Uniform, true).with_alpha(q.alpha)
            },
            Self::QuantizedPo2(q) => QuantizerFacts {
                max_value: q.max_value,
                qnoise_factor: q.qnoise_factor,
                rounds_at_random: q.use_stochastic_rounding,
                ..QuantizerFacts::new(q.bits, PowersOfTwo, true)
            },
            Self::QuantizedReluPo2(q) => QuantizerFacts {
                function: InnerFunction::Rectifier,
                negative_slope: q.negative_slope,
                max_value: q.max_value,
                qnoise_factor: q.qnoise_factor,
                rounds_at_random: q.use_stochastic_rounding,
                ..QuantizerFacts::new(q.bits, PowersOfTwo, q.negative_slope != 0.0)
            },
            Self::Binary(q) => QuantizerFacts {
                rounds_at_random: q.use_stochastic_rounding,
                ..QuantizerFacts::new(1, if q.use_01 { ZeroOne } else { Binary }, !q.use_01)
                    .with_alpha(q.alpha)
            },
            Self::Ternary(q) => QuantizerFacts {
                rounds_at_random: q.use_stochastic_rounding,
                ..QuantizerFacts::new(2, Ternary, true).with_alpha(q.alpha)
            },
            Self::StochasticBinary(q) => QuantizerFacts {
                rounds_at_random: true,
                ..QuantizerFacts::new(1, Binary, true).with_alpha(q.alpha)
            },
            Self::StochasticTernary(q) => QuantizerFacts {
                rounds_at_random: true,
                ..QuantizerFacts::new(2, Ternary, true).with_alpha(q.alpha)
            },
            Self::Bernoulli(q) => QuantizerFacts {
                rounds_at_random: true,
                ..QuantizerFacts::new(1, ZeroOne, false).with_alpha(q.alpha)
            },
            Self::Learned(q) => QuantizerFacts {
                function: match q {
                    LearnedQuantizer::Pact(_) => InnerFunction::Rectifier,
                    _ => InnerFunction::Identity,
                },
                has_fixed_scale: match q {
                    LearnedQuantizer::LearnedStep(step) => step.axis.is_none(),
                    _ => true,
                },
                is_learned: true,
                ..QuantizerFacts::new(q.bits(), Uniform, q.is_signed())
            },
        }
    }

    /// Bits of one quantized value in storage: 1 for binary kinds, 2 for ternary ones, else the setting. If the width is
    /// learned, the initial one ([`LearnedQuantizer::bits`]).
    #[must_use]
    pub const fn bits(&self) -> u32 {
        self.facts().bits
    }

    /// True if negative values can come out.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        self.facts().is_signed
    }

    /// The scale; [`Alpha::None`] for kinds that have none.
    #[must_use]
    pub const fn alpha(&self) -> Alpha {
        self.facts().alpha
    }
}
