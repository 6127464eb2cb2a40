//! Quantizers as data: kind, parameters and text form, as in `quantized_bits(4,0,alpha=1.0)`. The arithmetic is in the
//! crate `quant`.
//!
//! Names, parameters, their order and their defaults are those of QKeras 0.9.0, so its texts mean the
//! same here. Deliberate differences:
//!
//! - The text is parsed by a grammar and never evaluated. Texts that QKeras misreads are read
//!   literally: `alpha=None` and `alpha=auto` (QKeras drops the first and last letter of any bare word), blanks around
//!   the name and before a parenthesis.
//! - Texts that QKeras accepts but cannot compute with, or accepts by dropping a part, are refused: a bare or quoted word
//!   for a number (`quantized_bits(abc)`), text after the closing parenthesis, nested parentheses, `;` for a comma.
//! - [`Quantizer::validate`] refuses parameters out of range: no bits or half a bit, slopes other than powers of
//!   two, a `max_value` that is not above 0, a `threshold` of 1 in [`StochasticTernary`].
//! - `var_name` and `use_variables` do not affect values and are not parameters here. The parameters after them in
//!   QKeras (`use_ste`, and `relu_shift` and `relu_upper_bound` of [`QuantizedHswish`]) must be given by name.
//! - The printed text names every parameter that differs from its default, so it reads back as the same quantizer
//!   (QKeras prints a slope as `quantized_relu(4,0,0.125)`, which it reads as another parameter).
//!
//! An automatic scale makes [`QuantizedBits`] symmetric regardless of `symmetric`, as in QKeras.
//!
//! Quantizers with trained parameters (LSQ, PACT, HGQ) have the same text form, `learned_step(4,axis=-1)`, and an enum of
//! their own, [`LearnedQuantizer`].

mod facts;
mod grammar;
mod keras_config;

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

pub use facts::{InnerFunction, LevelSet, QuantizerFacts};
pub use grammar::GrammarError;
use grammar::{Argument, Call};

/// The scale by which quantized values are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Alpha {
    /// No scale. A layer's kernel quantizer without one gets [`Alpha::AutoPo2`], as in QKeras.
    #[default]
    None,
    /// A fixed scale.
    Value(f64),
    /// A scale per output channel, chosen from the values.
    Auto,
    /// As [`Alpha::Auto`], rounded to a power of two.
    AutoPo2,
}

/// Rounding of the exponent of a power-of-two quantizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Log2Rounding {
    /// To the nearest.
    #[default]
    Rnd,
    /// Down.
    Floor,
}

/// Parameter of a quantizer, as the grammar reads and writes it.
trait Parameter: Sized + PartialEq {
    /// Reads an argument; the error names the accepted values.
    fn read(argument: &Argument) -> Result<Self, &'static str>;
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// The value in a stored QKeras model.
    fn to_json(&self) -> Value;
}

impl Parameter for u32 {
    fn read(argument: &Argument) -> Result<Self, &'static str> {
        argument.as_integer().and_then(|v| Self::try_from(v).ok()).ok_or("a whole number, 0 or more")
    }
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
    fn to_json(&self) -> Value {
        Value::from(*self)
    }
}

impl Parameter for i32 {
    fn read(argument: &Argument) -> Result<Self, &'static str> {
        argument.as_integer().and_then(|v| Self::try_from(v).ok()).ok_or("a whole number")
    }
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
    fn to_json(&self) -> Value {
        Value::from(*self)
    }
}

impl Parameter for bool {
    fn read(argument: &Argument) -> Result<Self, &'static str> {
        argument.as_bool().ok_or("True, False, 1 or 0")
    }
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self { "True" } else { "False" })
    }
    fn to_json(&self) -> Value {
        Value::from(*self)
    }
}

impl Parameter for f64 {
    fn read(argument: &Argument) -> Result<Self, &'static str> {
        argument.as_number().ok_or("a number")
    }
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
    fn to_json(&self) -> Value {
        Value::from(*self)
    }
}

impl<T: Parameter> Parameter for Option<T> {
    fn read(argument: &Argument) -> Result<Self, &'static str> {
        if argument.is_none() { Ok(None) } else { T::read(argument).map(Some) }
    }
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            None => f.write_str("None"),
            Some(value) => value.write(f),
        }
    }
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Parameter::to_json)
    }
}

impl Parameter for Alpha {
    fn read(argument: &Argument) -> Result<Self, &'static str> {
        match argument.as_word() {
            Some("auto") => Ok(Self::Auto),
            Some("auto_po2") => Ok(Self::AutoPo2),
            _ if argument.is_none() => Ok(Self::None),
            _ => argument.as_number().map(Self::Value).ok_or("None, a number, 'auto' or 'auto_po2'"),
        }
    }
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Value(value) => value.write(f),
            Self::Auto => f.write_str("'auto'"),
            Self::AutoPo2 => f.write_str("'auto_po2'"),
        }
    }
    fn to_json(&self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Value(value) => Value::from(*value),
            Self::Auto => Value::from("auto"),
            Self::AutoPo2 => Value::from("auto_po2"),
        }
    }
}

impl Parameter for Log2Rounding {
    fn read(argument: &Argument) -> Result<Self, &'static str> {
        match argument.as_word() {
            Some("rnd") => Ok(Self::Rnd),
            Some("floor") => Ok(Self::Floor),
            _ => Err("'rnd' or 'floor'"),
        }
    }
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rnd => "'rnd'",
            Self::Floor => "'floor'",
        })
    }
    fn to_json(&self) -> Value {
        Value::from(match self {
            Self::Rnd => "rnd",
            Self::Floor => "floor",
        })
    }
}

/// Concatenates the names of two tables.
const fn joined<const N: usize>(first: &[&'static str], second: &[&'static str]) -> [&'static str; N] {
    let mut all = [""; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < first.len() { first[i] } else { second[i - first.len()] };
        i += 1;
    }
    all
}

/// Generates, from one table, the struct of each kind with its parameters in positional order and their defaults, the enum
/// over the kinds, and both directions of the text form. Another table's enum can be included as one variant.
macro_rules! quantizers {
    ($(#[$enum_doc:meta])* $name:ident $(, $(#[$more_doc:meta])* $more:ident($others:ident))?: $( $(#[$doc:meta])* $kind:ident = $text:literal { $( $(#[$fdoc:meta])* $field:ident: $ty:ty = $default:expr, )* } )*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq)]
            pub struct $kind { $( $(#[$fdoc])* pub $field: $ty, )* }

            impl Default for $kind {
                fn default() -> Self { Self { $( $field: $default, )* } }
            }

            impl $kind {
                const PARAMETERS: &'static [&'static str] = &[$( stringify!($field), )*];

                fn read(call: &Call<'_>) -> Result<Self, GrammarError> {
                    let arguments = call.arguments(Self::PARAMETERS)?;
                    let mut value = Self::default();
                    $(
                        if let Some((argument, at)) = arguments.get(stringify!($field)) {
                            value.$field = Parameter::read(argument).map_err(|wanted| GrammarError::Argument {
                                at: *at, parameter: stringify!($field), wanted, found: argument.to_string(),
                            })?;
                        }
                    )*
                    Ok(value)
                }
            }

            impl fmt::Display for $kind {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    let default = Self::default();
                    f.write_str(concat!($text, "("))?;
                    let mut writer = grammar::ListWriter::new();
                    $(
                        if self.$field != default.$field || grammar::always_written(stringify!($field)) {
                            writer.next(f, stringify!($field))?;
                            Parameter::write(&self.$field, f)?;
                        } else {
                            writer.skip();
                        }
                    )*
                    f.write_str(")")
                }
            }

            impl From<$kind> for $name {
                fn from(value: $kind) -> Self { Self::$kind(value) }
            }
        )*

        $(#[$enum_doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[$doc])* $kind($kind), )*
            $( $(#[$more_doc])* $more($others), )?
        }

        $(
            impl From<$others> for $name {
                fn from(value: $others) -> Self { Self::$more(value) }
            }
        )?

        impl $name {
            /// Names of all kinds in the text form.
            pub const KINDS: &'static [&'static str] =
                &$crate::quantizer::joined::<{ Self::OWN.len() + Self::OTHERS.len() }>(Self::OWN, Self::OTHERS);
            const OTHERS: &'static [&'static str] = {
                let others: &[&str] = &[];
                $( let others = if others.is_empty() { $others::KINDS } else { others }; )?
                others
            };
            const OWN: &'static [&'static str] = &[$( $text, )*];

            pub(in crate::quantizer) fn from_call(call: &Call<'_>) -> Result<Self, GrammarError> {
                match call.name {
                    $( $text => $kind::read(call).map(Self::$kind), )*
                    $( name if $others::KINDS.contains(&name) => $others::from_call(call).map(Self::$more), )?
                    _ => Err(GrammarError::Kind {
                        at: call.at,
                        found: call.name.to_owned(),
                        kinds: Self::KINDS.join(", "),
                    }),
                }
            }

            /// Calls `visit` with the name and JSON form of each parameter, and true if it has its default value.
            pub fn each_parameter(&self, mut visit: impl FnMut(&'static str, Value, bool)) {
                match self {
                    $( Self::$kind(value) => {
                        let default = $kind::default();
                        $( visit(stringify!($field), Parameter::to_json(&value.$field), value.$field == default.$field); )*
                    } )*
                    $( Self::$more(value) => value.each_parameter(visit), )?
                }
            }

            /// Name of this kind.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $( Self::$kind(_) => $text, )* $( Self::$more(value) => $others::kind(value), )? }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $( Self::$kind(value) => value.fmt(f), )* $( Self::$more(value) => $others::fmt(value, f), )? }
            }
        }

        impl FromStr for $name {
            type Err = GrammarError;

            fn from_str(text: &str) -> Result<Self, GrammarError> {
                Self::from_call(&Call::parse(text)?)
            }
        }
    };
}

mod learned;

pub use learned::{LearnedBits, LearnedQuantizer, LearnedStep, Pact, Sharing};

quantizers! {
    /// Kind and parameters of a quantizer.
    Quantizer,
    /// A quantizer with trained parameters.
    Learned(LearnedQuantizer):
    /// Fixed point with `bits` in total, `integer` of them before the binary point, and a sign bit if `keep_negative`.
    QuantizedBits = "quantized_bits" {
        /// Total bits, 1..=32.
        bits: u32 = 8,
        /// Integer bits (before the binary point), sign not counted.
        integer: i32 = 0,
        /// Omits the lowest level, which makes levels symmetric about 0.
        symmetric: bool = false,
        /// Keeps negative values.
        keep_negative: bool = true,
        /// The scale.
        alpha: Alpha = Alpha::None,
        /// Rounds stochastically in training.
        use_stochastic_rounding: bool = false,
        /// Axis with one scale per index. Default: the last axis.
        scale_axis: Option<u32> = None,
        /// Weight of the quantized values in a mixture with the input: 1 quantized, 0 unchanged.
        qnoise_factor: f64 = 1.0,
        /// Straight-through gradient, as if values were not quantized.
        use_ste: bool = true,
    }
    /// A rectifier onto unsigned fixed point; signed if `negative_slope` is not 0.
    QuantizedRelu = "quantized_relu" {
        /// Total bits, 1..=32.
        bits: u32 = 8,
        /// Integer bits (before the binary point).
        integer: i32 = 0,
        /// Applies a hard sigmoid instead of the rectifier.
        use_sigmoid: bool = false,
        /// Slope for negative inputs, 0 or a power of two.
        negative_slope: f64 = 0.0,
        /// Rounds stochastically in training.
        use_stochastic_rounding: bool = false,
        /// Upper bound, used if `is_quantized_clip` is false.
        relu_upper_bound: Option<f64> = None,
        /// Clips at the largest level.
        is_quantized_clip: bool = true,
        /// Weight of the quantized values in a mixture with the input: 1 quantized, 0 unchanged.
        qnoise_factor: f64 = 1.0,
        /// Straight-through gradient, as if values were not quantized.
        use_ste: bool = true,
    }
    /// A hyperbolic tangent (hard by default) onto signed fixed point without integer bits.
    QuantizedTanh = "quantized_tanh" {
        /// Total bits, sign included.
        bits: u32 = 8,
        /// Rounds stochastically in training.
        use_stochastic_rounding: bool = false,
        /// Omits the lowest level.
        symmetric: bool = false,
        /// Uses the exact hyperbolic tangent, not the hard one.
        use_real_tanh: bool = false,
    }
    /// A sigmoid (hard by default) onto unsigned fixed point without integer bits.
    QuantizedSigmoid = "quantized_sigmoid" {
        /// Total bits.
        bits: u32 = 8,
        /// Omits the lowest level.
        symmetric: bool = false,
        /// Uses the exact sigmoid, not the hard one.
        use_real_sigmoid: bool = false,
        /// Rounds stochastically in training.
        use_stochastic_rounding: bool = false,
    }
    /// Fixed point on a logarithmic scale (mu-law companding).
    QuantizedUlaw = "quantized_ulaw" {
        /// Total bits, sign included.
        bits: u32 = 8,
        /// Integer bits (before the binary point).
        integer: i32 = 0,
        /// Omits the lowest level.
        symmetric: bool = false,
        /// The constant of the law.
        u: f64 = 255.0,
    }
    /// `x * relu6(x + 3) / 6`, shift and bound adjustable, onto [`QuantizedBits`].
    QuantizedHswish = "quantized_hswish" {
        /// Total bits, sign included.
        bits: u32 = 8,
        /// Integer bits (before the binary point).
        integer: i32 = 0,
        /// Omits the lowest level.
        symmetric: bool = false,
        /// The scale.
        alpha: Alpha = Alpha::None,
        /// Rounds stochastically in training.
        use_stochastic_rounding: bool = false,
        /// Axis with one scale per index.
        scale_axis: Option<u32> = None,
        /// Weight of the quantized values in a mixture with the input: 1 quantized, 0 unchanged.
        qnoise_factor: f64 = 1.0,
        /// Straight-through gradient, as if values were not quantized.
        use_ste: bool = true,
        /// Offset of the input before the rectifier.
        relu_shift: f64 = 3.0,
        /// The rectifier's upper bound.
        relu_upper_bound: f64 = 6.0,
    }
    /// Signed powers of two.
    QuantizedPo2 = "quantized_po2" {
        /// Total bits: sign, exponent's sign (if needed), exponent.
        bits: u32 = 8,
        /// Largest magnitude; unbounded if None.
        max_value: Option<f64> = None,
        /// Rounds exponents stochastically in training.
        use_stochastic_rounding: bool = false,
        /// Uses even exponents only.
        quadratic_approximation: bool = false,
        /// Rounding of exponents.
        log2_rounding: Log2Rounding = Log2Rounding::Rnd,
        /// Weight of the quantized values in a mixture with the input: 1 quantized, 0 unchanged.
        qnoise_factor: f64 = 1.0,
        /// Straight-through gradient, as if values were not quantized.
        use_ste: bool = true,
    }
    /// A rectifier onto powers of two.
    QuantizedReluPo2 = "quantized_relu_po2" {
        /// Total bits: exponent's sign (if needed), exponent.
        bits: u32 = 8,
        /// Largest value; unbounded if None.
        max_value: Option<f64> = None,
        /// Slope for negative inputs, 0 or a power of two.
        negative_slope: f64 = 0.0,
        /// Rounds exponents stochastically in training.
        use_stochastic_rounding: bool = false,
        /// Uses even exponents only.
        quadratic_approximation: bool = false,
        /// Rounding of exponents.
        log2_rounding: Log2Rounding = Log2Rounding::Rnd,
        /// Weight of the quantized values in a mixture with the input: 1 quantized, 0 unchanged.
        qnoise_factor: f64 = 1.0,
        /// Straight-through gradient, as if values were not quantized.
        use_ste: bool = true,
    }
    /// -1 and +1, or 0 and 1.
    Binary = "binary" {
        /// Levels 0 and 1 instead of -1 and 1.
        use_01: bool = false,
        /// The scale.
        alpha: Alpha = Alpha::None,
        /// Rounds stochastically in training.
        use_stochastic_rounding: bool = false,
    }
    /// -1, 0 and +1.
    Ternary = "ternary" {
        /// The scale.
        alpha: Alpha = Alpha::None,
        /// Smallest magnitude that does not become 0; 0.33 if None.
        threshold: Option<f64> = None,
        /// Rounds stochastically in training.
        use_stochastic_rounding: bool = false,
        /// Iterations that refine an automatic scale.
        number_of_unrolls: u32 = 5,
    }
    /// [`Binary`] with random draws in training.
    StochasticBinary = "stochastic_binary" {
        /// The scale.
        alpha: Alpha = Alpha::None,
        /// Slope of the probability.
        temperature: f64 = 6.0,
        /// Computes the probability by an exact sigmoid, not a hard one.
        use_real_sigmoid: bool = true,
    }
    /// [`Ternary`] with random draws in training.
    StochasticTernary = "stochastic_ternary" {
        /// The scale.
        alpha: Alpha = Alpha::None,
        /// Smallest magnitude that does not become 0; 0.33 if None.
        threshold: Option<f64> = None,
        /// Slope of the probability.
        temperature: f64 = 8.0,
        /// Computes the probability by an exact sigmoid, not a hard one.
        use_real_sigmoid: bool = true,
        /// Iterations that refine an automatic scale.
        number_of_unrolls: u32 = 5,
    }
    /// 0 or 1, drawn with the probability of a sigmoid, in inference too.
    Bernoulli = "bernoulli" {
        /// The scale.
        alpha: Alpha = Alpha::None,
        /// Slope of the probability.
        temperature: f64 = 6.0,
        /// Computes the probability by an exact sigmoid, not a hard one.
        use_real_sigmoid: bool = true,
    }
}

impl Quantizer {
    /// Signed fixed point of `bits` bits, `integer` of them before the binary point, with scale 1.
    #[must_use]
    pub fn fixed(bits: u32, integer: i32) -> Self {
        QuantizedBits { bits, integer, alpha: Alpha::Value(1.0), ..QuantizedBits::default() }.into()
    }

    /// A rectifier onto unsigned fixed point of `bits` bits, `integer` of them before the binary point.
    #[must_use]
    pub fn relu(bits: u32, integer: i32) -> Self {
        QuantizedRelu { bits, integer, ..QuantizedRelu::default() }.into()
    }

    /// Settings of a quantizer with trained parameters; None for other kinds.
    #[must_use]
    pub const fn learned(&self) -> Option<&LearnedQuantizer> {
        if let Self::Learned(q) = self { Some(q) } else { None }
    }

    /// Checks the ranges of the parameters.
    ///
    /// # Errors
    /// A message that names the parameter, its value and the accepted range.
    pub fn validate(&self) -> Result<(), String> {
        if let Self::Learned(q) = self {
            return q.validate();
        }
        let facts = self.facts();
        if !(1..=32).contains(&facts.bits) {
            return Err(format!("bits is {}, want 1..=32", facts.bits));
        }
        let slope = facts.negative_slope;
        let is_power = |v: f64| v > 0.0 && v.is_finite() && is_power_of_two(v);
        if slope != 0.0 && !is_power(slope) {
            return Err(format!("negative_slope is {slope:?}, want 0 or a power of two"));
        }
        if let Some(value) = facts.max_value.filter(|v| !(v.is_finite() && *v > 0.0)) {
            return Err(format!("max_value is {value:?}, want a number above 0"));
        }
        self.validate_shape()
    }

    /// Checks the parameters other than bits, slopes and bounds.
    fn validate_shape(&self) -> Result<(), String> {
        let QuantizerFacts { qnoise_factor, alpha, .. } = self.facts();
        if !(0.0..=1.0).contains(&qnoise_factor) {
            return Err(format!("qnoise_factor is {qnoise_factor:?}, want 0 to 1"));
        }
        if let Alpha::Value(alpha) = alpha
            && !(alpha.is_finite() && alpha != 0.0)
        {
            return Err(format!("alpha is {alpha:?}, want a finite number other than 0"));
        }
        let threshold = match self {
            Self::Ternary(q) => q.threshold,
            Self::StochasticTernary(q) if q.threshold == Some(1.0) => {
                return Err("threshold is 1.0, want another number (it divides by 1 - threshold)".to_owned());
            }
            Self::StochasticTernary(q) => q.threshold,
            _ => None,
        };
        if let Some(threshold) = threshold.filter(|t| !(t.is_finite() && *t >= 0.0)) {
            return Err(format!("threshold is {threshold:?}, want a number, 0 or more"));
        }
        let positive = match self {
            Self::QuantizedUlaw(q) => ("u", q.u),
            Self::QuantizedRelu(q) => ("relu_upper_bound", q.relu_upper_bound.unwrap_or(1.0)),
            Self::QuantizedHswish(q) => ("relu_upper_bound", q.relu_upper_bound),
            Self::StochasticBinary(q) => ("temperature", q.temperature),
            Self::StochasticTernary(q) => ("temperature", q.temperature),
            Self::Bernoulli(q) => ("temperature", q.temperature),
            _ => return Ok(()),
        };
        match positive {
            (_, value) if value.is_finite() && value > 0.0 => Ok(()),
            (name, value) => Err(format!("{name} is {value:?}, want a number above 0")),
        }
    }
}

/// True for powers of two: normal numbers with an empty mantissa.
fn is_power_of_two(v: f64) -> bool {
    v.is_normal() && v.to_bits() & ((1 << 52) - 1) == 0
}

impl Serialize for Quantizer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantizer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: GrammarError| de::Error::custom(error.in_text(&text)))
    }
}

impl JsonSchema for Quantizer {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantizer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let kinds = Self::KINDS.join("|");
        json_schema!({
            "type": "string",
            "pattern": format!("^({kinds})(\\(.*\\))?$"),
            "description": "A quantizer, as in `quantized_bits(4,0,alpha=1.0)`.",
        })
    }
}
